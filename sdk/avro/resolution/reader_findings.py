"""Finds data that our reader would refuse, misread or drop, even if a registry accepts the schema.

A registry checks the structure only. It accepts changes of a decimal's scale, of a timestamp's
unit or of a field's name, after which data is refused, misread or lost. These findings are numbered
``C200`` and up and are never mixed with the registry's verdict (`registry_rule`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final, Literal

from attrs import frozen

from sdk.avro.resolution import actions
from sdk.avro.resolution.resolver import attempt
from sdk.avro.schema.equality import same_definition
from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    FieldSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    Schema,
    UnionSchema,
    logical_of,
    short_name,
)

Severity = Literal["error", "warning", "info"]

_NAMES: Final = {
    "C200": "unreadable",
    "C201": "logical-type-changed",
    "C202": "decimal-changed",
    "C203": "namespace-changed",
    "C204": "probable-rename",
    "C205": "default-changed",
    "C206": "lossy-promotion",
    "C207": "bytes-to-string",
    "C208": "enum-default-absorbs",
    "C216": "alias-rename",
}
_LOSSY: Final = {("int", "float"), ("long", "float"), ("long", "double")}
_SIMILAR: Final = 0.6
"""Share of equal letters from which two names of one type look like a rename."""


@frozen
class ReaderFinding:
    """A consequence of a schema change for a reader of old data.

    Attributes:
        rule: Such as ``C201``.
        severity: ``error``: data will be refused or misread; ``warning``: it may be; ``info``: it
            is read as the schemas say, which may surprise.
        path: JSON pointer inside the reader's schema; empty for its root.
        message: What happens, in one line.
    """

    rule: str
    severity: Severity
    path: str
    message: str

    @property
    def name(self) -> str:
        """The rule's name, such as ``logical-type-changed``."""
        return _NAMES[self.rule]


def reader_findings(reader: Schema, writer: Schema) -> tuple[ReaderFinding, ...]:
    """Return the findings about reading a writer's data."""
    return tuple(_Walk(attempt(writer, reader)).all(writer, reader))


class _Walk:
    """Walks a resolution, each pair of records once."""

    def __init__(self, resolution: actions.Resolution) -> None:
        self.resolution = resolution
        self.pending: list[tuple[int, str]] = []
        self.seen: set[int] = set()

    def all(self, writer: Schema, reader: Schema) -> Iterator[ReaderFinding]:
        yield from self.node(self.resolution.root, writer, reader, "")
        while self.pending:
            index, path = self.pending.pop(0)
            yield from self.record(self.resolution.records[index], path)

    def node(
        self, node: actions.Node, writer: Schema, reader: Schema, path: str
    ) -> Iterator[ReaderFinding]:
        match node:
            case actions.Unreadable():
                yield ReaderFinding(node.rule, "error", node.path, node.message)
            case actions.ReadUnion() if isinstance(writer, UnionSchema):
                for index, branch in enumerate(node.branches):
                    yield from self.node(branch, writer.branches[index], reader, path)
            case actions.ReadBranch():
                branch_schema = node.reader.branches[node.index]
                yield from self.node(node.value, writer, branch_schema, f"{path}/{node.index}")
            case actions.ReadArray() if isinstance(writer, ArraySchema):
                yield from self.node(node.items, writer.items, node.reader.items, f"{path}/items")
            case actions.ReadMap() if isinstance(writer, MapSchema):
                values = node.reader.values
                yield from self.node(node.values, writer.values, values, f"{path}/values")
            case actions.ReadRecord():
                if node.index not in self.seen:
                    self.seen.add(node.index)
                    self.pending.append((node.index, path))
            case actions.ReadEnum():
                yield from _enum(node, path)
            case actions.Read() | actions.Promote():
                yield from _scalar(writer, node.reader, path)

    def record(self, record: actions.RecordResolution, path: str) -> Iterator[ReaderFinding]:
        yield from _namespace(record.writer, record.reader, path)
        for each, written in zip(record.fields, record.writer.fields, strict=True):
            if isinstance(each, actions.ReadField):
                field = record.reader.fields[each.index]
                below = f"{path}/fields/{each.index}"
                yield from _field(written, field, below)
                yield from self.node(each.value, written.schema, field.schema, f"{below}/type")
        yield from _renames(record, path)


def _field(written: FieldSchema, field: FieldSchema, path: str) -> Iterator[ReaderFinding]:
    if written.name != field.name:
        message = f"{written.name} is read as {field.name}; readers of the old name lose the field"
        yield ReaderFinding("C216", "info", path, message)
    if written.default is not NO_DEFAULT and field.default is not NO_DEFAULT:
        old, new = json.dumps(written.default), json.dumps(field.default)
        if old != new:
            message = f"the default of {field.name} was {old} and is {new}"
            yield ReaderFinding("C205", "warning", f"{path}/default", message)


def _renames(record: actions.RecordResolution, path: str) -> Iterator[ReaderFinding]:
    """Find written fields that are dropped beside new ones that look like them."""
    dropped = [
        written
        for each, written in zip(record.fields, record.writer.fields, strict=True)
        if isinstance(each, actions.SkipField)
    ]
    for index in record.defaults:
        field = record.reader.fields[index]
        for written in dropped:
            if _similar(written, field) and same_definition(written.schema, field.schema):
                yield _rename(written, field, f"{path}/fields/{index}")
                break


def _rename(written: FieldSchema, field: FieldSchema, path: str) -> ReaderFinding:
    return ReaderFinding(
        "C204",
        "warning",
        path,
        f"{field.name} looks like {written.name} renamed: its old values are dropped and the "
        f'default is read; an alias ("aliases": ["{written.name}"]) would keep them',
    )


def _similar(written: FieldSchema, field: FieldSchema) -> bool:
    one, other = written.name.lower(), field.name.lower()
    return one in other or other in one or SequenceMatcher(None, one, other).ratio() >= _SIMILAR


def _namespace(writer: NamedSchema, reader: NamedSchema, path: str) -> Iterator[ReaderFinding]:
    if writer.name != reader.name and short_name(writer.name) == short_name(reader.name):
        message = f"{writer.name} is now {reader.name}; class and subject change with the namespace"
        yield ReaderFinding("C203", "warning", path, message)


def _enum(node: actions.ReadEnum, path: str) -> Iterator[ReaderFinding]:
    yield from _namespace(node.writer, node.reader, path)
    known = set(node.reader.symbols)
    unknown = [symbol for symbol in node.writer.symbols if symbol not in known]
    if not unknown:
        return
    symbols = ", ".join(unknown)
    if node.reader.default is None:
        message = f"{symbols} cannot be read, and the enum has no default"
        yield ReaderFinding("C200", "error", f"{path}/symbols", message)
    else:
        message = f"{symbols} will be read as {node.reader.default}"
        yield ReaderFinding("C208", "info", f"{path}/symbols", message)


def _scalar(
    writer: Schema, reader: PrimitiveSchema | FixedSchema, path: str
) -> Iterator[ReaderFinding]:
    if isinstance(writer, FixedSchema) and isinstance(reader, FixedSchema):
        yield from _namespace(writer, reader, path)
    if (writer.type, reader.type) in _LOSSY:
        message = f"{writer.type} as {reader.type}: large numbers are rounded"
        yield ReaderFinding("C206", "warning", path, message)
    if (writer.type, reader.type) == ("bytes", "string"):
        message = "bytes as string: what is not UTF-8 cannot be read"
        yield ReaderFinding("C207", "warning", path, message)
    old, new = logical_of(writer), logical_of(reader)
    if old == new:
        return
    was = f"{writer.type} {old.name}" if old else f"plain {writer.type}"
    now = f"{reader.type} {new.name}" if new else f"plain {reader.type}"
    # Two annotations that differ give one raw value two meanings; one annotation only hides it.
    severity: Severity = "error" if old and new else "warning"
    message = f"{was} is read as {now}: the raw value is taken over as it is"
    yield ReaderFinding("C201", severity, path, message)
