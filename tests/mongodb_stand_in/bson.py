"""BSON (https://bsonspec.org) as far as the stand-ins need it. A document that was read keeps its own bytes."""

import struct


class Int64(int):
    """A number that is written with 64 bits."""


class Document(dict):
    """A document with the bytes that it was read from."""

    raw = None


class Array(list):
    """A list."""


class ObjectId(bytes):
    """Twelve bytes."""


class Binary(bytes):
    """Bytes with a subtype."""

    subtype = 0

    @classmethod
    def of(cls, subtype, value):
        it = cls(value)
        it.subtype = subtype
        return it


class Timestamp(int):
    """Of the oplog."""


class DateTime(int):
    """Milliseconds since 1970."""


def _cstring(data, at):
    end = data.index(0, at)
    return data[at:end].decode(), end + 1


def _value(kind, data, at):
    if kind == 0x01:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind == 0x02:
        (length,) = struct.unpack_from("<i", data, at)
        return data[at + 4 : at + 3 + length].decode(), at + 4 + length
    if kind in (0x03, 0x04):
        (length,) = struct.unpack_from("<i", data, at)
        inner = decode(data[at : at + length])
        return (Array(inner.values()) if kind == 0x04 else inner), at + length
    if kind == 0x05:
        length, subtype = struct.unpack_from("<iB", data, at)
        return Binary.of(subtype, data[at + 5 : at + 5 + length]), at + 5 + length
    if kind == 0x07:
        return ObjectId(data[at : at + 12]), at + 12
    if kind == 0x08:
        return data[at] == 1, at + 1
    if kind == 0x09:
        return DateTime(struct.unpack_from("<q", data, at)[0]), at + 8
    if kind == 0x0A:
        return None, at
    if kind == 0x10:
        return struct.unpack_from("<i", data, at)[0], at + 4
    if kind == 0x11:
        return Timestamp(struct.unpack_from("<Q", data, at)[0]), at + 8
    if kind == 0x12:
        return Int64(struct.unpack_from("<q", data, at)[0]), at + 8
    raise ValueError(f"a BSON value of type {kind:#x}, which this stand-in does not know")


def decode(data):
    """A document from its bytes, all of them."""
    (length,) = struct.unpack_from("<i", data, 0)
    if length != len(data) or data[-1] != 0:
        raise ValueError("not a BSON document")
    document, at = Document(), 4
    while data[at] != 0:
        kind = data[at]
        key, at = _cstring(data, at + 1)
        document[key], at = _value(kind, data, at)
    document.raw = bytes(data)
    return document


def _encoded(value):
    if isinstance(value, bool):
        return 0x08, bytes([value])
    if value is None:
        return 0x0A, b""
    if isinstance(value, float):
        return 0x01, struct.pack("<d", value)
    if isinstance(value, str):
        text = value.encode()
        return 0x02, struct.pack("<i", len(text) + 1) + text + b"\0"
    if isinstance(value, dict):
        return 0x03, encode(value)
    if isinstance(value, list):
        return 0x04, encode({str(number): it for number, it in enumerate(value)})
    if isinstance(value, ObjectId):
        return 0x07, bytes(value)
    if isinstance(value, (Binary, bytes)):
        return 0x05, struct.pack("<iB", len(value), getattr(value, "subtype", 0)) + bytes(value)
    if isinstance(value, DateTime):
        return 0x09, struct.pack("<q", value)
    if isinstance(value, Timestamp):
        return 0x11, struct.pack("<Q", value)
    if isinstance(value, Int64) or not -(2**31) <= value < 2**31:
        return 0x12, struct.pack("<q", value)
    return 0x10, struct.pack("<i", value)


def encode(document):
    """A document's bytes: those that it was read from, where there are any."""
    raw = getattr(document, "raw", None)
    if raw is not None:
        return raw
    body = b""
    for key, value in document.items():
        kind, data = _encoded(value)
        body += bytes([kind]) + key.encode() + b"\0" + data
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def changed(document):
    """A copy that can be changed."""
    return Document(document)
