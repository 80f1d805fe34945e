"""A plain Avro writer and reader for tests: random bodies, and `Resolution` carried out on them.

Values are in Avro's JSON encoding, in which union branches are named, so that two readers can
be compared without knowing Python types. Logical types are left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from attrs import define
from hypothesis import reject
from hypothesis import strategies as st

from sdk.avro.resolution.actions import (
    Promote,
    Read,
    ReadArray,
    ReadBranch,
    ReadEnum,
    ReadField,
    ReadMap,
    ReadRecord,
    ReadUnion,
    Resolution,
    SkipField,
    Unreadable,
)
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.avro.schema.defaults import branch_of_default

Draw = Callable[[st.SearchStrategy[Any]], Any]


class UnreadableValueError(Exception):
    """A value arrived that the resolution says cannot be read."""


@st.composite
def bodies(draw: Draw, schema: Schema, depth: int = 6) -> bytes:
    """Random bytes that are valid for a schema.

    Args:
        draw: Given by Hypothesis.
        schema: The writer's schema.
        depth: From here on arrays and maps stay empty and unions take their last way out.
    """
    if depth < -12:
        reject()  # a type whose values never end
    match schema:
        case RecordSchema():
            return b"".join(draw(bodies(each.schema, depth - 1)) for each in schema.fields)
        case UnionSchema():
            index = 0 if depth <= 0 else draw(st.integers(0, len(schema.branches) - 1))
            return long(index) + draw(bodies(schema.branches[index], depth - 1))
        case ArraySchema():
            count = 0 if depth <= 0 else draw(st.integers(0, 2))
            items = b"".join(draw(bodies(schema.items, depth - 1)) for _ in range(count))
            return (long(count) + items if count else b"") + b"\0"
        case MapSchema():
            count = 0 if depth <= 0 else draw(st.integers(0, 2))
            entries = b"".join(
                text(f"k{index}") + draw(bodies(schema.values, depth - 1)) for index in range(count)
            )
            return (long(count) + entries if count else b"") + b"\0"
        case EnumSchema():
            return long(draw(st.integers(0, len(schema.symbols) - 1)))
        case FixedSchema():
            return draw(st.binary(min_size=schema.size, max_size=schema.size))
    return draw(_SCALARS[schema.type])


def long(number: int) -> bytes:
    """Write a zig-zag varint."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value: str) -> bytes:
    """Write a string."""
    return long(len(value.encode())) + value.encode()


_SCALARS: dict[str, st.SearchStrategy[bytes]] = {
    "null": st.just(b""),
    "boolean": st.sampled_from((b"\0", b"\1")),
    "int": st.integers(-(2**31), 2**31 - 1).map(long),
    "long": st.integers(-(2**63), 2**63 - 1).map(long),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False).map(
        lambda number: struct.pack("<f", number)
    ),
    "double": st.floats(allow_nan=False, allow_infinity=False).map(
        lambda number: struct.pack("<d", number)
    ),
    "bytes": st.text("ab\x7f", max_size=4).map(text),
    "string": st.text(max_size=4).map(text),
}


@define
class _Input:
    data: bytes
    position: int = 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.position : self.position + count]
        assert len(taken) == count, "truncated"
        self.position += count
        return taken

    def long(self) -> int:
        shift = result = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1)

    def scalar(self, kind: str) -> Any:
        match kind:
            case "null":
                return None
            case "boolean":
                return self.take(1) == b"\1"
            case "int" | "long":
                return self.long()
            case "float":
                return struct.unpack("<f", self.take(4))[0]
            case "double":
                return struct.unpack("<d", self.take(8))[0]
        return self.take(self.long())


def read(resolution: Resolution, data: bytes) -> Any:
    """Read a body as a resolution says.

    Args:
        resolution: Writer's schema → reader's schema.
        data: A valid body of the writer's schema; all of it must be used.

    Returns:
        The value in the reader's terms, in Avro's JSON encoding.

    Raises:
        UnreadableValueError: An unreadable part arrived.
    """
    source = _Input(data)
    value = _read(resolution, resolution.root, source)
    assert source.position == len(data), "bytes are left"
    return value


def _read(resolution: Resolution, node: Any, source: _Input) -> Any:
    match node:
        case Unreadable():
            raise UnreadableValueError(node.message)
        case Read():
            if isinstance(node.reader, FixedSchema):
                return source.take(node.reader.size).decode("latin-1")
            return _shown(node.reader.type, source.scalar(node.reader.type))
        case Promote():
            value = source.scalar(node.writer)
            if node.reader.type in ("float", "double"):
                value = float(value)
                if node.reader.type == "float":
                    value = struct.unpack("<f", struct.pack("<f", value))[0]
            return _shown(node.reader.type, value)
        case ReadEnum():
            index = node.symbols[source.long()]
            if index is None:
                raise UnreadableValueError("unknown symbol")
            return node.reader.symbols[index]
        case ReadArray():
            return [_read(resolution, node.items, source) for _ in _blocks(source)]
        case ReadMap():
            pairs = (
                (source.scalar("string").decode(), _read(resolution, node.values, source))
                for _ in _blocks(source)
            )
            return dict(pairs)
        case ReadUnion():
            return _read(resolution, node.branches[source.long()], source)
        case ReadBranch():
            return _branch(node.reader, node.index, _read(resolution, node.value, source))
        case ReadRecord():
            return _read_record(resolution, node.index, source)
    raise AssertionError(node)


def _blocks(source: _Input) -> Any:
    while count := source.long():
        yield from range(count)


def _read_record(resolution: Resolution, index: int, source: _Input) -> dict[str, Any]:
    record = resolution.records[index]
    values: dict[int, Any] = {}
    for each in record.fields:
        if isinstance(each, ReadField):
            values[each.index] = _read(resolution, each.value, source)
        elif isinstance(each, SkipField):
            _skip(each.writer, source)
    for place in record.defaults:
        added = record.reader.fields[place]
        values[place] = _default(added.schema, added.default)
    return {each.name: values[index] for index, each in enumerate(record.reader.fields)}


def _skip(schema: Schema, source: _Input) -> None:
    match schema:
        case RecordSchema():
            for each in schema.fields:
                _skip(each.schema, source)
        case UnionSchema():
            _skip(schema.branches[source.long()], source)
        case ArraySchema():
            for _ in _blocks(source):
                _skip(schema.items, source)
        case MapSchema():
            for _ in _blocks(source):
                source.scalar("string")
                _skip(schema.values, source)
        case EnumSchema():
            source.long()
        case FixedSchema():
            source.take(schema.size)
        case _:
            source.scalar(schema.type)


def _default(schema: Schema, value: Any) -> Any:
    match schema:
        case UnionSchema():
            index = branch_of_default(schema, value)
            return _branch(schema, index, _default(schema.branches[index], value))
        case RecordSchema():
            return {
                each.name: _default(each.schema, value.get(each.name, each.default))
                for each in schema.fields
            }
        case ArraySchema():
            return [_default(schema.items, each) for each in value]
        case MapSchema():
            return {key: _default(schema.values, each) for key, each in value.items()}
    if schema.type in ("float", "double"):
        form = "<f" if schema.type == "float" else "<d"
        return struct.unpack(form, struct.pack(form, value))[0]
    return value


def _branch(union: UnionSchema, index: int, value: Any) -> Any:
    branch = union.branches[index]
    if branch.type == "null":
        return None
    return {branch.name if isinstance(branch, NamedSchema) else branch.type: value}


def _shown(kind: str, value: Any) -> Any:
    if kind in ("bytes", "fixed"):
        return value.decode("latin-1")
    return value.decode() if kind == "string" and isinstance(value, bytes) else value
