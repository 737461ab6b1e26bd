#!/usr/bin/env python3
"""A STAND-IN for mongorestore: see client.py.

As there, documents that fail their validator or have a duplicate key end it only with --stopOnError; without it they are
told and the exit status is 0.
"""

import json
import re
import struct
import sys

import bson
from client import MAGIC, TERMINATOR, Client, Failure, config, crc, fail, log, options, plain

FLAGS = ["archive", "stopOnError", "objcheck", "bypassDocumentValidation", "drop"]
VALUES = ["config", "username", "authenticationDatabase", "nsFrom", "nsTo"]


def renamer(pairs):
    rules = []
    for before, after in reversed(pairs):
        pattern = re.compile("^" + "(.*?)".join(re.escape(it) for it in before.split("*")) + "$", re.S)
        rules.append((pattern, after.replace("*", "\\1")))

    def rename(namespace):
        for pattern, after in rules:
            if pattern.match(namespace):
                return pattern.sub(after, namespace)
        return namespace

    return rename


class Archive:
    def __init__(self, data):
        self.data, self.at = data, 4
        if data[:4] != MAGIC:
            fail("stream or file does not appear to be a mongodump archive")

    def next(self):
        if self.at == len(self.data):
            return None
        four = self.data[self.at : self.at + 4]
        if four == TERMINATOR:
            self.at += 4
            return TERMINATOR
        length = struct.unpack("<I", four)[0] if len(four) == 4 else 0
        if length < 5 or self.at + length > len(self.data):
            fail("corruption found in archive; read bson ( unexpected EOF )")
        self.at += length
        return self.data[self.at - length : self.at]


def restore(client, archive, rename, found):
    archive.next()
    collections = []
    while (data := archive.next()) != TERMINATOR:
        collections.append(bson.decode(data))
    series = {it["collection"] for it in collections if it["type"] == "timeseries"}
    done, failed, made = 0, 0, {}
    for it in collections:
        metadata = plain(json.loads(it["metadata"]))
        database, name = rename(f"{it['db']}.{it['collection']}").split(".", 1)
        made[it["collection"]] = (database, name, metadata["indexes"])
    def create(it):
        database, name, _ = made[it["collection"]]
        client.command(database, {"create": name, **plain(json.loads(it["metadata"]))["options"]})
    waiting = {it["collection"]: it for it in collections}
    current, batch, sums = None, [], {}

    def flush():
        nonlocal done, failed, batch
        if not batch:
            return
        database, name, _ = made[current.removeprefix("system.buckets.") if current not in made else current]
        if current not in made:
            name = "system.buckets." + name
        command = {"insert": name, "documents": [bson.decode(it) for it in batch], "ordered": False}
        if found["bypassDocumentValidation"]:
            command["bypassDocumentValidation"] = True
        reply = client.command(database, command)
        errors = reply.get("writeErrors", [])
        done, failed, batch = done + reply["n"], failed + len(errors), []
        if errors and found["stopOnError"]:
            log(f"Failed: {database}.{name}: error restoring from archive on stdin: {errors[0]['errmsg']}")
            log(f"{done} document(s) restored successfully. {failed} document(s) failed to restore.")
            sys.exit(1)

    while (data := archive.next()) is not None:
        header = bson.decode(data)
        current = header["collection"]
        plain_name = current if current in made else current.removeprefix("system.buckets.")
        if plain_name in waiting:
            create(waiting.pop(plain_name))
        while (data := archive.next()) != TERMINATOR:
            if data is None:
                fail("corruption found in archive; ParserConsumer.BodyBSON() ( EOF )")
            sums[current] = crc(data, sums.get(current, 0))
            batch.append(data)
            if len(batch) == 1000:
                flush()
        flush()
        if header["EOF"] and header["CRC"] & 0xFFFFFFFFFFFFFFFF != sums.get(current, 0):
            fail(f"CRC mismatch for namespace `{current}`")
    for name, (database, place, indexes) in made.items():
        indexes = [it for it in indexes if it["name"] != "_id_"]
        if indexes and name not in waiting and name not in series:
            client.command(database, {"createIndexes": place, "indexes": indexes})
    log(f"{done} document(s) restored successfully. {failed} document(s) failed to restore.")


def main():
    found = options("mongorestore", FLAGS, VALUES)
    user = found["username"][0] if found["username"] else None
    source = found["authenticationDatabase"][0] if found["authenticationDatabase"] else "admin"
    client = Client(config(found["config"][0]), user, source)
    log("preparing collections to restore from")
    archive = Archive(sys.stdin.buffer.read())
    try:
        restore(client, archive, renamer(list(zip(found["nsFrom"], found["nsTo"]))), found)
    except Failure as failure:
        fail(str(failure))
    except ConnectionError as error:
        fail(f"error restoring from archive on stdin: {error}")


main()
