"""What the stand-ins of mongodump and mongorestore have in common: options, messages, the wire, the archive format.

STAND-INS: these are not mongo-tools. Options, messages, exit statuses and the archive are those of mongo-tools at commit
8fa3cfc8263b9cead37912d7b0447766143c3e3a (common/options, common/archive/spec.md, mongodump, mongorestore); the tests
of bkp have also been run against the programs built from that commit.
"""

import base64
import datetime
import hashlib
import hmac
import json
import secrets
import socket
import struct
import sys
import urllib.parse

import bson

MAGIC = struct.pack("<I", 0x8199E26D)
TERMINATOR = b"\xff\xff\xff\xff"


def log(text):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    print(f"{now}\t{text}", file=sys.stderr, flush=True)


def fail(text):
    log(f"Failed: {text}")
    sys.exit(1)


def options(program, flags, values):
    """Strict, as go-flags is: what the real tool does not have is an error."""
    found = {name: [] for name in values} | dict.fromkeys(flags, False)
    for word in sys.argv[1:]:
        name, _, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            problem = f"error parsing positional arguments: `{word}`"
        elif name in flags and not value:
            found[name] = True
            continue
        elif name in values and "=" in word:
            found[name].append(value)
            continue
        else:
            problem = f"unknown option \"{name}\""
        log(f"error parsing command line options: {problem}")
        log(f"try '{program} --help' for more information")
        sys.exit(1)
    return found


def config(path):
    """`uri` and `password` of a --config file; strings in JSON are YAML too. Any other key is an error."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(": ")
            if key not in ("uri", "password"):
                log(f"error parsing command line options: error parsing config file {path}: field {key} not found")
                sys.exit(1)
            found[key] = json.loads(value)
    return found


class Failure(Exception):
    def __init__(self, reply):
        super().__init__(f"({reply.get('codeName')}) {reply.get('errmsg')}")
        self.code = reply.get("code")


class Client:
    def __init__(self, settings, user, source):
        address = urllib.parse.urlsplit(settings["uri"])
        self.address = f"{address.hostname}:{address.port}"
        try:
            self.socket = socket.create_connection((address.hostname, address.port), 10)
            self.socket.settimeout(None)
            self.command("admin", {"hello": 1})
        except OSError as error:
            fail(f"can't create session: failed to connect to {settings['uri']}: server selection error: {error}")
        if user:
            try:
                self.login(user, settings.get("password", ""), source)
            except Failure as failure:
                fail(f"can't create session: failed to connect to {settings['uri']}: connection() error occurred during "
                     f"connection handshake: auth error: sasl conversation error: unable to authenticate using "
                     f"mechanism \"SCRAM-SHA-256\": {failure}")

    def login(self, user, password, source):
        nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        bare = f"n={user},r={nonce}"
        start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": bson.Binary(("n,," + bare).encode()),
                 "options": {"skipEmptyExchange": True}}
        reply = self.command(source, start)
        first = reply["payload"].decode()
        fields = dict(it.split("=", 1) for it in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.new(salted, b"Client Key", "sha256").digest()
        without = f"c=biws,r={fields['r']}"
        message = f"{bare},{first},{without}".encode()
        signature = hmac.new(hashlib.sha256(key).digest(), message, "sha256").digest()
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        payload = bson.Binary(f"{without},p={proof}".encode())
        self.command(source, {"saslContinue": 1, "conversationId": 1, "payload": payload})

    def command(self, database, command):
        data = bson.encode({**command, "$db": database})
        body = struct.pack("<IB", 0, 0) + data
        self.socket.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        length = struct.unpack("<iiii", self.exactly(16))[0]
        reply = bson.decode(self.exactly(length - 16)[5:])
        if reply.get("ok") != 1.0:
            raise Failure(reply)
        return reply

    def exactly(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise ConnectionError("connection() : socket was unexpectedly closed: EOF")
            data += more
        return data

    def list(self, database, command):
        reply = self.command(database, command)["cursor"]
        yield from reply["firstBatch"]
        while reply["id"]:
            collection = reply["ns"].split(".", 1)[1]
            more = {"getMore": bson.Int64(reply["id"]), "collection": collection}
            reply = self.command(database, more)["cursor"]
            yield from reply["nextBatch"]


# CRC-64-ECMA as Go's hash/crc64 has it.
_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ 0xC96C5795D7870F42 if _byte & 1 else _byte >> 1
    _TABLE.append(_byte)


def crc(data, value=0):
    value ^= 0xFFFFFFFFFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFFFFFFFFFF


def signed(value):
    return bson.Int64(value - (1 << 64) if value >= 1 << 63 else value)


def extended(value):
    """Canonical Extended JSON v2."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: extended(it) for key, it in value.items()}
    if isinstance(value, list):
        return [extended(it) for it in value]
    if isinstance(value, float):
        return {"$numberDouble": repr(value)}
    if isinstance(value, bson.Int64):
        return {"$numberLong": str(int(value))}
    return {"$numberInt": str(int(value))}


def plain(value):
    """And back."""
    if isinstance(value, dict):
        for key, kind in (("$numberDouble", float), ("$numberLong", bson.Int64), ("$numberInt", int)):
            if key in value:
                return kind(value[key])
        return {key: plain(it) for key, it in value.items()}
    return [plain(it) for it in value] if isinstance(value, list) else value
