#!/usr/bin/env python3
"""A STAND-IN for mongod: it is not MongoDB.

It keeps databases, collections, indexes, users and roles in memory and answers the commands that mongodump,
mongorestore and bkp send, as the MongoDB 7.0 manual describes them (https://www.mongodb.com/docs/v7.0/reference/command/),
over the wire protocol (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/) with SCRAM-SHA-256
(RFC 7677). The privileges of `backup` and `restore` are those of src/mongo/db/auth/builtin_roles.cpp. What it does not
know it refuses, as the server does (CommandNotFound). The command `standIn` makes it misbehave.
"""

import argparse
import base64
import hashlib
import hmac
import os
import secrets
import socketserver
import struct
import sys
import threading
import time
import uuid

import bson
from bson import Binary, Document, Int64

VERSION = "7.0.14"
LOCK = threading.RLock()
BATCH = 100


class Refused(Exception):
    def __init__(self, code, name, message):
        super().__init__(message)
        self.code, self.name = code, name


def unauthorized(what):
    return Refused(13, "Unauthorized", what)


class Collection:
    def __init__(self, options):
        self.options = options
        self.uuid = Binary.of(4, uuid.uuid4().bytes)
        self.indexes = [{"v": 2, "key": {"_id": 1}, "name": "_id_"}]
        self.documents = {}

    @property
    def kind(self):
        if "viewOn" in self.options:
            return "view"
        return "timeseries" if "timeseries" in self.options else "collection"


class State:
    def __init__(self):
        self.databases = {"admin": {}, "config": {}, "local": {}}
        self.keys = {}
        self.inserted = 0
        self.deleted = 0
        self.cursors = {}
        self.faults = {}


STATE = State()


def make(database, name, options):
    place = STATE.databases.setdefault(database, {})
    if name in place:
        raise Refused(48, "NamespaceExists", f"Collection {database}.{name} already exists.")
    if name.startswith("system.") and not name.startswith("system.buckets.") and name not in ("system.js", "system.views"):
        if database != "admin":
            raise Refused(73, "InvalidNamespace", f"Invalid system namespace: {database}.{name}")
    place[name] = Collection(options)
    if place[name].kind == "timeseries":
        # The server makes it with the time series, without an index of its own.
        place.setdefault("system.buckets." + name, Collection({})).indexes = []
        place[name].indexes = []
    if place[name].kind == "view":
        place.setdefault("system.views", Collection({}))
    return place[name]


# --- users and rights

EVERY = ["find", "insert", "remove", "update", "listCollections", "listIndexes", "createCollection", "createIndex",
         "dropCollection", "dropDatabase", "collMod", "bypassDocumentValidation", "listDatabases", "serverStatus",
         "getParameter", "createUser", "renameCollection"]


def normal(*actions, db=""):
    return {"resource": {"db": db, "collection": ""}, "actions": list(actions)}


def cluster(*actions):
    return {"resource": {"cluster": True}, "actions": list(actions)}


def exactly(db, collection, *actions):
    return {"resource": {"db": db, "collection": collection}, "actions": list(actions)}


WRITE = ["bypassDocumentValidation", "collMod", "convertToCapped", "createCollection", "createIndex", "dropCollection",
         "insert"]
ROLES = {
    "root": [{"resource": {"anyResource": True}, "actions": EVERY}],
    "backup": [
        cluster("appendOplogNote", "serverStatus", "setUserWriteBlockMode", "getParameter", "listDatabases"),
        {"resource": {"anyResource": True}, "actions": ["listCollections", "listIndexes"]},
        normal("find"),
        exactly("", "system.js", "find"),
        {"resource": {"system_buckets": ""}, "actions": ["find"]},
        *[exactly("admin", name, "find") for name in ("system.users", "system.roles", "system.version")],
    ],
    "restore": [
        cluster("getParameter"),
        normal(*WRITE),
        exactly("", "system.js", *WRITE),
        {"resource": {"system_buckets": ""}, "actions": WRITE},
        {"resource": {"anyResource": True}, "actions": ["listCollections"]},
    ],
    "readAnyDatabase": [normal("find", "listCollections", "listIndexes"), cluster("listDatabases")],
    "read": None,
}


def privileges(user):
    found = []
    for role in user["roles"]:
        if role["role"] == "read":
            found.append(normal("find", "listCollections", "listIndexes", db=role["db"]))
        else:
            found.extend(ROLES[role["role"]])
    return found


def covers(resource, database, collection):
    if resource.get("anyResource"):
        return True
    if database is None:
        return resource.get("cluster", False)
    if "system_buckets" in resource:
        return collection.startswith("system.buckets.")
    if resource.get("db", None) not in ("", database):
        return False
    named = resource.get("collection")
    return (not collection.startswith("system.")) if named == "" else named == collection


class Session:
    def __init__(self, auth):
        self.auth = auth
        self.user = None
        self.sasl = None

    def may(self, action, database=None, collection=""):
        if not self.auth:
            return True
        if self.user is None:
            return False
        return any(action in it["actions"] and covers(it["resource"], database, collection)
                   for it in privileges(find_user(self.user) or {"roles": []}))

    def demand(self, action, database=None, collection="", command=""):
        if not self.may(action, database, collection):
            who = "not authorized on" if self.user else "Command requires authentication; not authorized on"
            raise unauthorized(f"{who} {database or 'admin'} to execute command {{ {command} }}")


def users():
    return STATE.databases["admin"].setdefault("system.users", Collection({}))


def find_user(name):
    document = users().documents.get(bson._encoded(name))
    return bson.decode(document) if document else None


def create_user(body, database):
    name, salt = body["createUser"], secrets.token_bytes(28)
    salted = hashlib.pbkdf2_hmac("sha256", body["pwd"].encode(), salt, 4096)
    client = hmac.new(salted, b"Client Key", "sha256").digest()
    server = hmac.new(salted, b"Server Key", "sha256").digest()
    roles = [it if isinstance(it, dict) else {"role": it, "db": database} for it in body["roles"]]
    for role in roles:
        if role["role"] not in ROLES:
            raise Refused(31, "RoleNotFound", f"Could not find role: {role['role']}@{role['db']}")
    code = lambda data: base64.b64encode(data).decode()
    document = {"_id": f"{database}.{name}", "user": name, "db": database, "credentials": {"SCRAM-SHA-256": {
        "iterationCount": 4096, "salt": code(salt), "storedKey": code(hashlib.sha256(client).digest()),
        "serverKey": code(server)}}, "roles": roles}
    users().documents[bson._encoded(name)] = bson.encode(document)


# --- login (RFC 5802, RFC 7677)

def sasl_start(session, body):
    first = body["payload"].decode().split(",", 2)[2]
    fields = dict(it.split("=", 1) for it in first.split(","))
    user = find_user(fields["n"])
    if body["mechanism"] != "SCRAM-SHA-256" or user is None or user["db"] != body["$db"]:
        raise Refused(18, "AuthenticationFailed", "Authentication failed.")
    keys = user["credentials"]["SCRAM-SHA-256"]
    nonce = fields["r"] + secrets.token_urlsafe(18)
    reply = f"r={nonce},s={keys['salt']},i={keys['iterationCount']}"
    skip = body.get("options", {}).get("skipEmptyExchange", False)
    session.sasl = {"user": user["user"], "keys": keys, "nonce": nonce, "text": first + "," + reply, "skip": skip}
    return {"conversationId": 1, "done": False, "payload": Binary(reply.encode())}


def sasl_continue(session, body):
    sasl, text = session.sasl, body["payload"].decode()
    if sasl.get("proven"):
        session.user = sasl["user"]
        return {"conversationId": 1, "done": True, "payload": Binary(b"")}
    without, proof = text.rsplit(",p=", 1)
    message = (sasl["text"] + "," + without).encode()
    stored = base64.b64decode(sasl["keys"]["storedKey"])
    signature = hmac.new(stored, message, "sha256").digest()
    client = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature))
    if hashlib.sha256(client).digest() != stored:
        raise Refused(18, "AuthenticationFailed", "Authentication failed.")
    server = hmac.new(base64.b64decode(sasl["keys"]["serverKey"]), message, "sha256").digest()
    sasl["proven"] = True
    if sasl["skip"]:
        session.user = sasl["user"]
    reply = b"v=" + base64.b64encode(server)
    return {"conversationId": 1, "done": sasl["skip"], "payload": Binary(reply)}


# --- commands

def cursor(namespace, documents):
    first, rest = documents[:BATCH], documents[BATCH:]
    number = 0
    if rest:
        number = secrets.randbits(62) + 1
        STATE.cursors[number] = rest
    return {"cursor": {"id": Int64(number), "ns": namespace, "firstBatch": list(first)}}


def hello(session, body):
    reply = {"ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 16777216,
             "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30,
             "connectionId": 1, "minWireVersion": 0, "maxWireVersion": 21, "readOnly": False}
    if "saslSupportedMechs" in body:
        reply["saslSupportedMechs"] = ["SCRAM-SHA-256"]
    return reply


def list_databases(session, body):
    names = sorted(name for name, it in STATE.databases.items() if it)
    if session.auth and session.user is None:
        raise unauthorized("Command listDatabases requires authentication")
    if not session.may("listDatabases"):
        if body.get("authorizedDatabases") is False:
            raise unauthorized("Insufficient permissions to list all databases")
        names = [it for it in names if session.may("find", it)]
    size = lambda it: sum(len(d) for c in STATE.databases[it].values() for d in c.documents.values())
    return {"databases": [{"name": it, "sizeOnDisk": Int64(4096 + size(it)), "empty": False} for it in names],
            "totalSize": Int64(0)}


def list_collections(session, body, database):
    session.demand("listCollections", database, "", "listCollections: 1")
    entries = []
    wanted = body.get("filter", {}).get("name")
    for name, it in sorted(STATE.databases.get(database, {}).items()):
        if wanted not in (None, name) or name in STATE.faults.get("hide", []):
            continue
        info = {"readOnly": it.kind == "view"}
        if it.kind != "view":
            info["uuid"] = it.uuid
        entries.append({"name": name, "type": it.kind, "options": it.options, "info": info})
    return cursor(f"{database}.$cmd.listCollections", entries)


def existing(database, name):
    it = STATE.databases.get(database, {}).get(name)
    if it is None:
        raise Refused(26, "NamespaceNotFound", f"ns does not exist: {database}.{name}")
    return it


def find(session, body, database):
    name = body["find"]
    session.demand("find", database, name, f"find: \"{name}\"")
    wait = STATE.faults.get("wait_in_find")
    if wait:
        time.sleep(wait)
    it = STATE.databases.get(database, {}).get(name)
    documents = list(it.documents.values()) if it else []
    wanted = body.get("filter") or {}
    documents = [bson.decode(raw) for raw in documents]
    documents = [it for it in documents if all(it.get(key) == value for key, value in wanted.items())]
    lost = STATE.faults.get("lose_from")
    if lost == f"{database}.{name}":
        documents = documents[:-1]
    return cursor(f"{database}.{name}", documents)


def get_more(session, body, database):
    if "die_in_get_more" in STATE.faults:
        os._exit(9)
    rest = STATE.cursors.pop(body["getMore"], None)
    if rest is None:
        raise Refused(43, "CursorNotFound", f"cursor id {body['getMore']} not found")
    first, later = rest[:BATCH], rest[BATCH:]
    if later:
        STATE.cursors[body["getMore"]] = later
    number = body["getMore"] if later else 0
    return {"cursor": {"id": Int64(number), "ns": f"{database}.{body['collection']}", "nextBatch": list(first)}}


def aggregate(session, body, database):
    name = body["aggregate"]
    session.demand("find", database, name, f"aggregate: \"{name}\"")
    group = body["pipeline"][-1].get("$group")
    if len(body["pipeline"]) != 1 or group is None or group.get("n") != {"$sum": 1}:
        raise Refused(40324, "Location40324", "this stand-in counts, and does nothing else")
    it = STATE.databases.get(database, {}).get(name)
    count = len(it.documents) if it else 0
    return cursor(f"{database}.{name}", [{"_id": None, "n": count}] if count else [])


def insert(session, body, database):
    name = body["insert"]
    session.demand("insert", database, name, f"insert: \"{name}\"")
    place = STATE.databases.setdefault(database, {})
    it = place.get(name) or make(database, name, {})
    errors, count = [], 0
    failing = STATE.faults.get("refuse_in", "")
    for number, document in enumerate(body["documents"]):
        key = bson._encoded(document["_id"])
        validator = it.options.get("validator", {})
        lacks = [field for field, rule in validator.items() if rule == {"$exists": True} and field not in document]
        if key in it.documents:
            error = (11000, f"E11000 duplicate key error collection: {database}.{name} index: _id_")
        elif failing and name == failing or lacks and not body.get("bypassDocumentValidation"):
            error = (121, "Document failed validation")
        else:
            it.documents[key] = bson.encode(document)
            count += 1
            continue
        errors.append({"index": number, "code": error[0], "errmsg": error[1]})
        if body.get("ordered", True):
            break
    STATE.inserted += count
    reply = {"n": count}
    if errors:
        reply["writeErrors"] = errors
    return reply


def delete(session, body, database):
    session.demand("remove", database, body["delete"], "delete")
    it = existing(database, body["delete"])
    wanted = [bson._encoded(one["q"]["_id"]) for one in body["deletes"]]
    gone = [key for key in wanted if it.documents.pop(key, None)]
    STATE.deleted += len(gone)
    return {"n": len(gone)}


def create(session, body, database):
    session.demand("createCollection", database, body["create"], f"create: \"{body['create']}\"")
    leave = {"create", "lsid", "$db", "writeConcern", "idIndex", "$clusterTime", "$readPreference", "comment"}
    options = {key: value for key, value in body.items() if key not in leave}
    make(database, body["create"], options)
    return {}


def create_indexes(session, body, database):
    name = body["createIndexes"]
    session.demand("createIndex", database, name, "createIndexes")
    it = STATE.databases.setdefault(database, {}).get(name) or make(database, name, {})
    for index in body["indexes"]:
        if index["name"] not in [have["name"] for have in it.indexes]:
            it.indexes.append({"v": 2, **{key: value for key, value in index.items() if key not in ("v", "ns")}})
    return {}


def drop(session, body, database):
    session.demand("dropCollection", database, body["drop"], f"drop: \"{body['drop']}\"")
    existing(database, body["drop"])
    place = STATE.databases[database]
    del place[body["drop"]]
    place.pop("system.buckets." + body["drop"], None)
    if not any(it.kind == "view" for it in place.values()):
        place.pop("system.views", None)
    return {}


def drop_database(session, body, database):
    session.demand("dropDatabase", database, "", "dropDatabase: 1")
    STATE.databases[database] = {}
    return {"dropped": database}


def rename(session, body, database):
    source, target = body["renameCollection"].split(".", 1), body["to"].split(".", 1)
    session.demand("find", *source, "renameCollection")
    session.demand("insert", *target, "renameCollection")
    it = existing(*source)
    if it.kind != "collection":
        raise Refused(166, "CommandNotSupportedOnView", f"cannot rename {it.kind} {body['renameCollection']}")
    if target[1] in STATE.databases.get(target[0], {}) and not body.get("dropTarget"):
        raise Refused(48, "NamespaceExists", "target namespace exists")
    if STATE.faults.get("refuse_rename") == source[1]:
        raise Refused(13, "Unauthorized", "not authorized")
    STATE.databases.setdefault(target[0], {})[target[1]] = STATE.databases[source[0]].pop(source[1])
    return {}


def server_status(session, body):
    session.demand("serverStatus", command="serverStatus: 1")
    documents = {"inserted": Int64(STATE.inserted), "deleted": Int64(STATE.deleted)}
    return {"version": VERSION, "metrics": {"document": documents, "ttl": {"deletedDocuments": Int64(0)}}}


def connection_status(session, body):
    user = find_user(session.user) if session.user else None
    found = {"authenticatedUsers": [], "authenticatedUserRoles": []}
    if user:
        found["authenticatedUsers"] = [{"user": user["user"], "db": user["db"]}]
        found["authenticatedUserRoles"] = list(user["roles"])
    if body.get("showPrivileges"):
        found["authenticatedUserPrivileges"] = privileges(user) if user else []
    return {"authInfo": found}


def count(session, body, database):
    session.demand("find", database, body["count"], "count")
    it = STATE.databases.get(database, {}).get(body["count"])
    return {"n": len(it.documents) if it else 0}


def list_indexes(session, body, database):
    session.demand("listIndexes", database, body["listIndexes"], "listIndexes")
    return cursor(f"{database}.$cmd.listIndexes", existing(database, body["listIndexes"]).indexes)


def stand_in(body):
    """Not MongoDB's: what a test wants to go wrong."""
    STATE.faults = dict(body["standIn"])
    return {}


def add_user(session, body, database):
    if session.auth and users().documents:
        session.demand("createUser", database, "", "createUser")
    create_user(body, database)
    return {}


def set_roles(session, body, database):
    user = find_user(body["updateUser"])
    user = bson.changed(user)
    user["roles"] = [it if isinstance(it, dict) else {"role": it, "db": database} for it in body["roles"]]
    users().documents[bson._encoded(body["updateUser"])] = bson.encode(user)
    return {}


def answer(session, body):
    database, name = body["$db"], next(iter(body))
    plain = {
        "hello": hello, "isMaster": hello, "ismaster": hello, "saslStart": sasl_start, "saslContinue": sasl_continue,
        "listDatabases": list_databases, "serverStatus": server_status, "connectionStatus": connection_status,
        "ping": lambda *_: {}, "endSessions": lambda *_: {}, "killCursors": lambda *_: {},
        "buildInfo": lambda *_: {"version": VERSION, "versionArray": [7, 0, 14, 0], "maxBsonObjectSize": 16777216},
        "buildinfo": lambda *_: {"version": VERSION, "versionArray": [7, 0, 14, 0], "maxBsonObjectSize": 16777216},
        "standIn": lambda _, body: stand_in(body),
        "getParameter": lambda *_: {"authSchemaVersion": 5},
    }
    placed = {
        "listCollections": list_collections, "find": find, "getMore": get_more, "aggregate": aggregate,
        "insert": insert, "delete": delete, "create": create, "createIndexes": create_indexes, "drop": drop,
        "dropDatabase": drop_database, "renameCollection": rename, "count": count, "listIndexes": list_indexes,
        "createUser": add_user, "updateUser": set_roles,
    }
    if name in plain:
        return plain[name](session, body)
    if name in placed:
        return placed[name](session, body, database)
    raise Refused(59, "CommandNotFound", f"no such command: '{name}'")


class Handler(socketserver.BaseRequestHandler):
    def setup(self):
        self.session = Session(self.server.auth)

    def exactly(self, length):
        data = b""
        while len(data) < length:
            more = self.request.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def handle(self):
        try:
            while True:
                length, request, _, opcode = struct.unpack("<iiii", self.exactly(16))
                payload = self.exactly(length - 16)
                self.reply(request, opcode, payload)
        except (EOFError, ConnectionError):
            return

    def reply(self, request, opcode, payload):
        quiet = False
        if opcode == 2004:
            at = payload.index(0, 4) + 1 + 8
            body = bson.changed(bson.decode(payload[at : at + struct.unpack_from("<i", payload, at)[0]]))
            body["$db"] = payload[4 : payload.index(0, 4)].decode().split(".")[0]
        else:
            (flags,) = struct.unpack_from("<I", payload, 0)
            quiet, body = bool(flags & 2), self.body(payload)
        with LOCK:
            try:
                document = {**answer(self.session, body), "ok": 1.0}
            except Refused as refused:
                document = {"ok": 0.0, "errmsg": str(refused), "code": refused.code, "codeName": refused.name}
        data = bson.encode(document)
        if opcode == 2004:
            head = struct.pack("<iqii", 8, 0, 0, 1)
            message = struct.pack("<iiii", 16 + len(head) + len(data), 0, request, 1) + head + data
        else:
            head = struct.pack("<IB", 0, 0)
            message = struct.pack("<iiii", 16 + len(head) + len(data), 0, request, 2013) + head + data
        if not quiet:
            self.request.sendall(message)

    def body(self, payload):
        at, body = 4, None
        sequences = {}
        while at < len(payload):
            kind = payload[at]
            (length,) = struct.unpack_from("<i", payload, at + 1)
            if kind == 0:
                body = bson.changed(bson.decode(payload[at + 1 : at + 1 + length]))
            else:
                end = at + 1 + length
                name_end = payload.index(0, at + 5)
                name, inner, documents = payload[at + 5 : name_end].decode(), name_end + 1, []
                while inner < end:
                    (size,) = struct.unpack_from("<i", payload, inner)
                    documents.append(bson.decode(payload[inner : inner + size]))
                    inner += size
                sequences[name] = documents
            at += 1 + length
        body.update(sequences)
        return body


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind_ip", default="127.0.0.1")
    parser.add_argument("--auth", action="store_true")
    options = parser.parse_args()
    server = Server((options.bind_ip, 0), Handler)
    server.auth = options.auth
    make("admin", "system.version", {})
    STATE.databases["admin"]["system.version"].documents[b"v"] = bson.encode(
        {"_id": "featureCompatibilityVersion", "version": "7.0"})
    print(server.server_address[1], flush=True)
    # Whoever started it holds the other end: it goes when they are gone.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


main()
