#!/usr/bin/env python3
"""A STAND-IN for Qdrant. It is not Qdrant, and what passes here is not proven against Qdrant.

It keeps state (collections, points, aliases, snapshots that really hold the points, peers with their own shards) and
answers as Qdrant 1.19.0 does. Read for it, in qdrant/qdrant at commit 74f3e85b9473c62560006c043e13737ce6b48412:
docs/redoc/master/openapi.json, src/actix/{auth,helpers,mod}.rs, src/actix/api/{snapshot_api,cluster_api}.rs,
src/common/{auth/mod,collections}.rs, lib/storage/src/rbac/mod.rs, lib/storage/src/content_manager/errors.rs,
lib/storage/src/content_manager/snapshots/{mod,download,recover}.rs, lib/collection/src/collection/snapshots.rs,
lib/collection/src/operations/snapshot_ops.rs, lib/collection/src/common/snapshots_manager.rs. From there are: the
answers' fields, statuses and words; that rights are judged before names; that a key limited to collections sees no
others; the name of a snapshot (collection, peer, time to the second); that an upload is kept beside the collection and
stays there when the collection goes; that an alias is taken for its collection.

Not Qdrant's: what is inside the archive (JSON instead of segments), and the sharding of points (id modulo shards).

Faults are the keys of DIR/faults.json, read at each request. The process ends when its standard input does.
Nothing but the standard library, because it has to run where the tests run.
"""

import argparse
import datetime
import hashlib
import io
import json
import os
import re
import ssl
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LOCK = threading.RLock()


class Refusal(Exception):
    def __init__(self, status, text, plain=False):
        super().__init__(text)
        self.status, self.text, self.plain = status, text, plain


class World:
    def __init__(self, arguments):
        self.dir = arguments.dir
        self.version = arguments.version
        self.manage, self.read_only = arguments.api_key, arguments.read_only_key
        self.limited = arguments.limited_key
        self.limited_to = set((arguments.limited_to or "").split(","))
        self.peers = [1000 + number for number in range(arguments.peers)]
        self.distributed = arguments.peers > 1
        self.collections = {}
        self.aliases = {}

    def faults(self):
        try:
            with open(os.path.join(self.dir, "faults.json"), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def hold(self, name):
        """Says that it is held, and waits while the test keeps the fault."""
        if not self.faults().get(name):
            return
        with open(os.path.join(self.dir, name + ".held"), "w", encoding="utf-8"):
            pass
        while self.faults().get(name):
            time.sleep(0.01)

    def snapshot_dir(self, peer, collection):
        return os.path.join(self.dir, "snapshots", str(peer), collection.replace("/", "%2F"))


def shard_of(point, collection):
    return point["id"] % collection["shards"]


def dense(config):
    return config.get("vectors", {})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None
    peer = None

    def log_message(self, *_):
        pass

    # answers

    def give(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def ok(self, result):
        self.give(200, {"result": result, "status": "ok", "time": 0.001})

    def respond(self):
        self.body_read = None
        split = urlsplit(self.path)
        segments = [unquote(it) for it in split.path.split("/")[1:]]
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        try:
            self.route(self.command, segments, query)
            self.body()
        except Refusal as refusal:
            self.close_connection = True
            if refusal.plain:
                self.give(refusal.status, refusal.text.encode(), "text/plain; charset=utf-8")
            else:
                self.give(refusal.status, {"status": {"error": refusal.text}, "time": 0.001})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = respond

    def body(self):
        """The request's body. Routes that want none read it too, or it would be taken for the next request."""
        if self.body_read is None:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                pieces = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                self.body_read = b"".join(pieces)
            else:
                self.body_read = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self.body_read

    # rights

    def access(self):
        """manage, read, or the set of collections that a token may write."""
        world = self.world
        if not world.manage:
            return "manage"
        key = self.headers.get("api-key")
        if key is None:
            raise Refusal(401, "Must provide an API key or an Authorization bearer token", plain=True)
        if key == world.manage:
            return "manage"
        if key == world.read_only:
            return "read"
        if key == world.limited:
            return world.limited_to
        raise Refusal(401, "Invalid API key or JWT", plain=True)

    def need_global(self, access, manage=False):
        if isinstance(access, set):
            raise Refusal(403, "Forbidden: Global access is required")
        if manage and access != "manage":
            raise Refusal(403, "Forbidden: Global manage access is required")

    def need_collection(self, access, name, write=False):
        if isinstance(access, set):
            if name not in access:
                raise Refusal(403, f"Forbidden: Access to collection {name} is required")
        elif write and access != "manage":
            raise Refusal(403, "Forbidden: Global manage access is required")

    def collection(self, name):
        world = self.world
        name = world.aliases.get(name, name)
        if name not in world.collections:
            raise Refusal(404, f"Not found: Collection `{name}` doesn't exist!")
        return name, world.collections[name]

    # routes

    def route(self, method, segments, query):
        world = self.world
        if method == "GET" and segments == [""]:
            return self.give(200, {"title": "qdrant - vector search engine", "version": world.version})
        world.hold("silent")
        if elsewhere := world.faults().get("redirect"):
            # Not Qdrant's: a proxy before it may do so.
            self.send_response(307)
            self.send_header("Location", elsewhere + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.headers.get("api-key"):
            with open(os.path.join(world.dir, "keyed"), "w", encoding="ascii"):
                pass
        access = self.access()
        match (method, segments):
            case ("GET", ["collections"]):
                with LOCK:
                    names = [it for it in world.collections if not isinstance(access, set) or it in access]
                return self.ok({"collections": [{"name": it} for it in names]})
            case ("GET", ["aliases"]):
                with LOCK:
                    pairs = [it for it in world.aliases.items() if not isinstance(access, set) or it[1] in access]
                return self.ok({"aliases": [{"alias_name": a, "collection_name": c} for a, c in pairs]})
            case ("GET", ["cluster"]):
                self.need_global(access)
                return self.cluster()
            case ("POST", ["collections", "aliases"]):
                self.need_global(access, manage=True)
                for action in json.loads(self.body())["actions"]:
                    made = action["create_alias"]
                    with LOCK:
                        self.collection(made["collection_name"])
                        world.aliases[made["alias_name"]] = made["collection_name"]
                return self.ok(True)
            case (_, ["collections", name, *rest]):
                return self.of_collection(method, access, name, rest, query)
        raise Refusal(404, "", plain=True)

    def cluster(self):
        world = self.world
        if not world.distributed:
            return self.ok({"status": "disabled"})
        peers = {str(it): {"uri": f"http://10.0.0.{it - 999}:6335/"} for it in world.peers}
        raft = {"term": 1, "commit": 1, "pending_operations": 0, "leader": world.peers[0], "role": "Leader", "is_voter": True}
        self.ok(
            {
                "status": "enabled",
                "peer_id": self.peer,
                "peers": peers,
                "raft_info": raft,
                "consensus_thread_status": {"consensus_thread_status": "working", "last_update": "2026-01-01T00:00:00Z"},
                "message_send_failures": {},
            }
        )

    def of_collection(self, method, access, name, rest, query):
        match (method, rest):
            case ("GET", []):
                self.need_collection(access, name)
                return self.info(name)
            case ("PUT", []):
                self.need_global(access, manage=True)
                return self.create(name, json.loads(self.body()))
            case ("DELETE", []):
                self.need_global(access, manage=True)
                with LOCK:
                    gone = self.world.collections.pop(name, None)
                    self.world.aliases = {a: c for a, c in self.world.aliases.items() if c != name}
                return self.ok(gone is not None)
            case ("GET", ["cluster"]):
                self.need_collection(access, name)
                return self.shards(name)
            case ("PUT", ["points"]):
                self.need_collection(access, name, write=True)
                points = json.loads(self.body())["points"]
                with LOCK:
                    _, collection = self.collection(name)
                    collection["points"].update({it["id"]: it for it in points})
                return self.ok({"operation_id": 0, "status": "completed"})
            case ("POST", ["points", "count"]):
                self.need_collection(access, name)
                asked = json.loads(self.body() or b"{}")
                with LOCK:
                    count = len(self.collection(name)[1]["points"])
                # An estimate is given where no exact count is asked for, as Qdrant may.
                return self.ok({"count": count if asked.get("exact", True) else count + 7})
            case ("GET", ["snapshots"]):
                self.need_collection(access, name)
                return self.list(self.known(name))
            case ("POST", ["snapshots"]):
                self.need_collection(access, name, write=True)
                return self.snapshot(name)
            case ("POST", ["snapshots", "upload"]):
                self.need_global(access, manage=True)
                return self.upload(name, query)
            case ("GET", ["snapshots", snapshot]):
                self.need_collection(access, name)
                return self.download(self.known(name), snapshot)
            case ("DELETE", ["snapshots", snapshot]):
                self.need_collection(access, name, write=True)
                return self.delete(self.known(name), snapshot)
        raise Refusal(404, "", plain=True)

    def known(self, name):
        with LOCK:
            return self.collection(name)[0]

    def create(self, name, config):
        if not 1 <= len(name) <= 255 or re.search(r'[<>:"/\\|?*\x00\x1f]', name):
            raise Refusal(422, f"Validation error in path parameters: [collection_name: {name!r}]")
        with LOCK:
            if name in self.world.collections:
                raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
            shards = config.pop("shard_number", len(self.world.peers))
            indexes = config.pop("payload_schema", {})
            self.world.collections[name] = {"config": config, "shards": shards, "indexes": indexes, "points": {}}
        self.ok(True)

    def info(self, name):
        with LOCK:
            _, collection = self.collection(name)
            params = dict(collection["config"], shard_number=collection["shards"], replication_factor=1)
            schema = {it: {"data_type": kind, "points": len(collection["points"])} for it, kind in collection["indexes"].items()}
            # Deliberately an estimate: Qdrant calls it approximate.
            points = len(collection["points"]) + 3
        self.ok(
            {
                "status": self.world.faults().get("status", "green"),
                "optimizer_status": "ok",
                "points_count": points,
                "segments_count": 2,
                "config": {"params": params, "hnsw_config": {}, "optimizer_config": {}, "wal_config": {}},
                "payload_schema": schema,
                "update_queue": {"length": 0},
            }
        )

    def peer_of(self, shard):
        return self.world.peers[shard % len(self.world.peers)]

    def shards(self, name):
        state = self.world.faults().get("shard_state", "Active")
        local, remote = [], []
        with LOCK:
            _, collection = self.collection(name)
            for shard in range(collection["shards"]):
                points = sum(shard_of(it, collection) == shard for it in collection["points"].values())
                if self.peer_of(shard) == self.peer:
                    local.append({"shard_id": shard, "points_count": points, "state": state})
                else:
                    remote.append({"shard_id": shard, "peer_id": self.peer_of(shard), "state": state})
        transfers = self.world.faults().get("transfers", [])
        self.ok(
            {
                "peer_id": self.peer,
                "shard_count": len(local) + len(remote),
                "local_shards": local,
                "remote_shards": remote,
                "shard_transfers": transfers,
            }
        )

    # snapshots

    def described(self, folder, file):
        path = os.path.join(folder, file)
        checksum = None
        if os.path.exists(path + ".checksum"):
            with open(path + ".checksum", encoding="ascii") as kept:
                checksum = kept.read()
        stamp = datetime.datetime.fromtimestamp(os.path.getmtime(path), datetime.timezone.utc)
        described = {"name": file, "creation_time": stamp.strftime("%Y-%m-%dT%H:%M:%S"), "size": os.path.getsize(path)}
        if checksum is not None:
            described["checksum"] = checksum
        return described

    def list(self, name):
        folder = self.world.snapshot_dir(self.peer, name)
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        self.ok([self.described(folder, it) for it in names if it.endswith(".snapshot")])

    def archive(self, collection):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:

            def add(path, data):
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))

            for shard in range(collection["shards"]):
                if self.peer_of(shard) == self.peer:
                    points = [it for it in collection["points"].values() if shard_of(it, collection) == shard]
                    add(f"{shard}/points.json", json.dumps(points).encode())
                add(f"{shard}/shard_config.json", b'{"type":"ReplicaSet"}')
            add("version.info", b"0.6.0")
            add("config.json", json.dumps({"config": collection["config"], "shards": collection["shards"]}).encode())
            add("payload_index.json", json.dumps(collection["indexes"]).encode())
        return out.getvalue()

    def snapshot(self, name):
        world = self.world
        faults = world.faults()
        if faults.get("vanish"):
            with LOCK:
                world.collections.pop(name, None)
        with LOCK:
            name, collection = self.collection(name)
            data = self.archive(collection)
        if faults.get("create_fails"):
            raise Refusal(500, "Service internal error: failed to create snapshot: No space left on device (os error 28)")
        if faults.get("create_accepted"):
            return self.give(202, {"result": None, "status": "accepted", "time": 0.0})
        world.hold("hold_create")
        if faults.get("no_end"):
            data = data.rstrip(b"\0")
            data += b"\0" * (-len(data) % 512)
        now = datetime.datetime.now(datetime.timezone.utc)
        file = f"{name}-{self.peer}-{now.strftime('%Y-%m-%d-%H-%M-%S')}.snapshot"
        folder = world.snapshot_dir(self.peer, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, file), "wb") as out:
            out.write(data)
        checksum = hashlib.sha256(data).hexdigest()
        if faults.get("checksum") == "wrong":
            checksum = "0" * 64
        if faults.get("checksum") != "null":
            with open(os.path.join(folder, file + ".checksum"), "w", encoding="ascii") as out:
                out.write(checksum)
        described = self.described(folder, file)
        described["size"] += faults.get("size_off", 0)
        self.ok(described)

    def file(self, name, snapshot):
        path = os.path.join(self.world.snapshot_dir(self.peer, name), snapshot)
        if os.path.basename(snapshot) != snapshot or not os.path.isfile(path):
            raise Refusal(404, f"Not found: Snapshot {snapshot}")
        return path

    def download(self, name, snapshot):
        with open(self.file(name, snapshot), "rb") as file:
            data = file.read()
        faults = self.world.faults()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        chunked = faults.get("chunked")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()

        def send(piece):
            if chunked and piece:
                self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
            else:
                self.wfile.write(piece)

        half = len(data) // 2
        send(data[:half])
        self.wfile.flush()
        self.world.hold("hold_download")
        if faults.get("cut_download"):
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True
            return
        if faults.get("flip_download"):
            data = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
        send(data[half:])
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def delete(self, name, snapshot):
        path = self.file(name, snapshot)
        if self.world.faults().get("delete_fails"):
            raise Refusal(500, "Service internal error: Permission denied (os error 13)")
        os.remove(path)
        if os.path.exists(path + ".checksum"):
            os.remove(path + ".checksum")
        self.ok(True)

    def upload(self, name, query):
        if not 1 <= len(name) <= 255 or re.search(r'[<>:"/\\|?*\x00\x1f]', name):
            raise Refusal(422, f"Validation error in path parameters: [collection_name: {name!r}]")
        kind = self.headers.get("Content-Type", "")
        boundary = re.search(r"boundary=([^;]+)", kind)
        if not kind.startswith("multipart/form-data") or not boundary:
            raise Refusal(400, "Could not find Content-Type header", plain=True)
        mark = b"--" + boundary.group(1).encode()
        form = self.body()
        if not form.startswith(mark + b"\r\n") or not form.endswith(b"\r\n" + mark + b"--\r\n"):
            raise Refusal(400, "Multipart stream is incomplete", plain=True)
        head, _, rest = form[len(mark) + 2 :].partition(b"\r\n\r\n")
        data = rest[: -len(b"\r\n" + mark + b"--\r\n")]
        file = re.search(rb'name="snapshot"; filename="([^"]+)"', head)
        if not file:
            raise Refusal(400, "Field with name 'snapshot' is required", plain=True)
        found = hashlib.sha256(data).hexdigest()
        if "checksum" in query and query["checksum"].lower() != found:
            raise Refusal(400, f"Checksum mismatch: expected {found}, actual {query['checksum']}")
        folder = self.world.snapshot_dir(self.peer, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, file.group(1).decode()), "wb") as out:
            out.write(data)
        self.world.hold("hold_upload")
        if self.world.faults().get("upload_fails"):
            raise Refusal(500, "Service internal error: No space left on device (os error 28)")
        self.recover(name, data)
        self.ok(True)

    def recover(self, name, data):
        world = self.world
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
                inside = {it.name: tar.extractfile(it).read() for it in tar.getmembers()}
            config = json.loads(inside["config.json"])
            indexes = json.loads(inside["payload_index.json"])
            points = {}
            for path, content in inside.items():
                if path.endswith("/points.json"):
                    points.update({it["id"]: it for it in json.loads(content)})
        except (tarfile.TarError, KeyError, ValueError) as error:
            raise Refusal(500, f"Service internal error: failed to unpack snapshot archive: {error}") from error
        losing = world.faults().get("recover_loses", {})
        if any(name.startswith(it) for it in losing):
            points = dict(list(points.items())[losing[next(it for it in losing if name.startswith(it))] :])
        with LOCK:
            live = world.collections.get(name)
            if live and dense(live["config"]) != dense(config["config"]):
                raise Refusal(400, "Wrong input: Snapshot is not compatible with existing collection: Collection vectors")
            if live and live["shards"] != config["shards"]:
                raise Refusal(400, "Wrong input: Snapshot is not compatible with existing collection: Collection shard number")
            world.collections[name] = {**config, "indexes": indexes, "points": points}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that goes away is what some tests are about; everything else is a fault of the stand-in."""
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--peers", type=int, default=1)
    parser.add_argument("--version", default="1.19.0")
    parser.add_argument("--api-key")
    parser.add_argument("--read-only-key")
    parser.add_argument("--limited-key")
    parser.add_argument("--limited-to")
    parser.add_argument("--certificate")
    parser.add_argument("--private-key")
    world = World(parser.parse_args())
    arguments = parser.parse_args()
    servers = []
    for peer in world.peers:
        handler = type("Peer", (Handler,), {"world": world, "peer": peer})
        server = Server((arguments.bind, 0), handler)
        if arguments.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(arguments.certificate, arguments.private_key)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    ready = os.path.join(world.dir, "ports")
    with open(ready + ".new", "w", encoding="ascii") as file:
        file.write("\n".join(str(it.server_address[1]) for it in servers) + "\n")
    os.rename(ready + ".new", ready)
    sys.stdin.read()


if __name__ == "__main__":
    main()
