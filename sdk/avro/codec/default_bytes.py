"""Defaults in Avro's binary encoding, which is how a plan carries them."""

from __future__ import annotations

import struct
from typing import Any

from sdk.avro.codec.wire import long_bytes
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.avro.schema.defaults import UnionValue


def default_bytes(schema: Schema, value: Any) -> bytes:
    """Encode a default.

    Args:
        schema: Its type.
        value: What `sdk.avro.schema.defaults.default_value` returned for it.
    """
    match schema:
        case UnionSchema():
            assert isinstance(value, UnionValue)
            branch = schema.branches[value.branch]
            return long_bytes(value.branch) + default_bytes(branch, value.value)
        case RecordSchema():
            return b"".join(default_bytes(each.schema, value[each.name]) for each in schema.fields)
        case EnumSchema():
            return long_bytes(schema.symbols.index(value))
        case FixedSchema():
            return bytes(value).ljust(schema.size, b"\0")
        case ArraySchema():
            return _blocks([default_bytes(schema.items, item) for item in value])
        case MapSchema():
            entries = value.items()
            return _blocks([_text(k) + default_bytes(schema.values, v) for k, v in entries])
    return _primitive(schema.type, value)


def _primitive(kind: str, value: Any) -> bytes:
    match kind:
        case "null":
            return b""
        case "boolean":
            return b"\1" if value else b"\0"
        case "int" | "long":
            return long_bytes(int(value))
        case "float":
            return struct.pack("<f", value)
        case "double":
            return struct.pack("<d", value)
        case "string":
            return _text(value)
    return long_bytes(len(value)) + bytes(value)


def _text(value: str) -> bytes:
    data = value.encode()
    return long_bytes(len(data)) + data


def _blocks(items: list[bytes]) -> bytes:
    return b"".join([long_bytes(len(items)), *items, b"\0"]) if items else b"\0"
