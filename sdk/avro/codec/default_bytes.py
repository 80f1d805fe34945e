"""Defaults in Avro's binary encoding, which is how a plan carries them."""

from __future__ import annotations

import math
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
from sdk.avro.schema.defaults import branch_of_default


def default_bytes(schema: Schema, value: Any) -> bytes:
    """Encode the JSON value of a default, which fits its type."""
    match schema:
        case UnionSchema():
            branch = branch_of_default(schema, value)
            return long_bytes(branch) + default_bytes(schema.branches[branch], value)
        case RecordSchema():
            given = ((each.schema, value.get(each.name, each.default)) for each in schema.fields)
            return b"".join(default_bytes(inner, item) for inner, item in given)
        case EnumSchema():
            return long_bytes(schema.symbols.index(value))
        case FixedSchema():
            return bytes(value, "latin-1")
        case ArraySchema():
            return _blocks([default_bytes(schema.items, item) for item in value])
        case MapSchema():
            entries = value.items()
            return _blocks(
                [_sized(k.encode()) + default_bytes(schema.values, v) for k, v in entries]
            )
    match schema.type:
        case "null":
            return b""
        case "boolean":
            return b"\1" if value else b"\0"
        case "int" | "long":
            return long_bytes(int(value))
        case "float" | "double":
            return _floating("<f" if schema.type == "float" else "<d", value)
    return _sized(value.encode("latin-1" if schema.type == "bytes" else "utf-8"))


def _floating(layout: str, value: int | float) -> bytes:
    """Encode a number; too large a one is infinite, as in Java."""
    try:
        return struct.pack(layout, float(value))
    except OverflowError:
        return struct.pack(layout, math.inf if value > 0 else -math.inf)


def _sized(data: bytes) -> bytes:
    return long_bytes(len(data)) + data


def _blocks(items: list[bytes]) -> bytes:
    return b"".join([long_bytes(len(items)), *items, b"\0"]) if items else b"\0"
