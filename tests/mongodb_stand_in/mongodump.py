#!/usr/bin/env python3
"""A STAND-IN for mongodump: see client.py. Collections that are dropped meanwhile are no failure, as there."""

import json
import sys

import bson
from client import MAGIC, TERMINATOR, Client, Failure, config, crc, extended, fail, log, options, signed

BUCKETS = "system.buckets."


def skipped(database, name):
    if database == "admin":
        return name == "system.keys"
    return name.startswith("system.") and name != "system.js"


def main():
    found = options("mongodump", ["archive"], ["config", "username", "authenticationDatabase", "db"])
    [path], [database] = found["config"], found["db"]
    user = found["username"][0] if found["username"] else None
    source = found["authenticationDatabase"][0] if found["authenticationDatabase"] else "admin"
    client = Client(config(path), user, source)
    out = sys.stdout.buffer
    try:
        dump(client, database, out)
    except Failure as failure:
        fail(f"error creating intents to dump: error getting collections for database `{database}`: {failure}")
    except BrokenPipeError as error:
        fail(f"archive writer: {error}")
    except ConnectionError as error:
        fail(f"error writing data for collection to disk: error reading collection: {error}")


def dump(client, database, out):
    collections = [it for it in client.list(database, {"listCollections": 1, "cursor": {}})
                   if not skipped(database, it["name"])]
    version = client.command("admin", {"buildInfo": 1})["version"]
    out.write(MAGIC + bson.encode({"concurrent_collections": 4, "version": "0.1", "server_version": version,
                                   "tool_version": "stand-in"}))
    for it in collections:
        indexes = []
        if it["type"] != "view":
            indexes = list(client.list(database, {"listIndexes": it["name"], "cursor": {}}))
        metadata = {"options": extended(it["options"]), "indexes": extended(indexes),
                    "uuid": it["info"].get("uuid", b"").hex(), "collectionName": it["name"], "type": it["type"]}
        out.write(bson.encode({"db": database, "collection": it["name"], "metadata": json.dumps(metadata), "size": 0,
                               "type": it["type"]}))
    out.write(TERMINATOR)
    for it in collections:
        name = BUCKETS + it["name"] if it["type"] == "timeseries" else it["name"]
        log(f"writing `{database}.{name}` to `archive on stdout`")
        value, count = 0, 0
        if it["type"] != "view":
            for document in client.list(database, {"find": name}):
                data = bson.encode(document)
                if count == 0:
                    out.write(bson.encode({"db": database, "collection": name, "EOF": False, "CRC": signed(0)}))
                out.write(data)
                value, count = crc(data, value), count + 1
        if count:
            out.write(TERMINATOR)
        out.write(bson.encode({"db": database, "collection": name, "EOF": True, "CRC": signed(value)}) + TERMINATOR)
        log(f"done dumping `{database}.{name}` ({count} document{'' if count == 1 else 's'})")
    out.flush()


main()
