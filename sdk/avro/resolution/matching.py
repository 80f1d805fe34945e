"""The matching rules that resolution and compatibility share (Avro 1.12, "Schema Resolution")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sdk.avro.schema.model import (
    EnumSchema,
    FieldSchema,
    FixedSchema,
    NamedSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    children,
    logical_of,
    short_name,
)

PROMOTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}


def promotes(writer: Schema, reader: Schema) -> bool:
    """Tell whether a writer's primitive may be read as another primitive."""
    return reader.type in PROMOTIONS.get(writer.type, ())


def names_match(writer: NamedSchema, reader: NamedSchema) -> bool:
    """Tell whether unqualified names agree, or an alias of the reader is the writer's full name."""
    return short_name(writer.name) == short_name(reader.name) or writer.name in reader.aliases


def writer_fields(written: Mapping[str, FieldSchema], reader: FieldSchema) -> list[FieldSchema]:
    """Return the writer's fields, given by name, that a reader's field or its aliases name."""
    return [written[name] for name in (reader.name, *reader.aliases) if name in written]


def decimals_differ(writer: Schema, reader: Schema) -> bool:
    """Tell whether both are decimals of different scale or precision, which never match."""
    mine, theirs = logical_of(writer), logical_of(reader)
    return (
        mine is not None
        and theirs is not None
        and mine.name == theirs.name == "decimal"
        and mine != theirs
    )


def unions_equivalent(
    writer: UnionSchema,
    reader: UnionSchema,
    renamed: Mapping[str, str],
    known: set[tuple[int, int]],
) -> bool:
    """Tell whether two unions have the same branches in the same order, but for namespaces.

    Then branch ``i`` is read as branch ``i``, whatever other branches it could be read as.

    Args:
        writer: The union that was written.
        reader: The union that is asked for.
        renamed: The reader's aliases: old full name → the reader's full name.
        known: Pairs of nodes, by id, that were found equivalent; grows with each success.
    """
    pending: list[tuple[Schema, Schema]] = [(writer, reader)]
    seen: set[tuple[int, int]] = set()
    while pending:
        left, right = pending.pop()
        pair = (id(left), id(right))
        if left is right or pair in seen or pair in known:
            continue
        seen.add(pair)
        if not _same_shape(left, right, renamed):
            return False
        pending.extend(zip(children(left), children(right), strict=True))
    known |= seen
    return True


def _same_shape(left: Schema, right: Schema, renamed: Mapping[str, str]) -> bool:
    if left.type != right.type or len(children(left)) != len(children(right)):
        return False
    if isinstance(left, NamedSchema) and isinstance(right, NamedSchema):
        name = renamed.get(left.name, left.name)
        if short_name(name) != short_name(right.name):
            return False
    if isinstance(left, RecordSchema) and isinstance(right, RecordSchema):
        renames = {alias: each.name for each in right.fields for alias in each.aliases}
        return all(
            renames.get(mine.name, mine.name) == theirs.name
            for mine, theirs in zip(left.fields, right.fields, strict=True)
        )
    if isinstance(left, EnumSchema) and isinstance(right, EnumSchema):
        return left.symbols == right.symbols
    if isinstance(left, FixedSchema) and isinstance(right, FixedSchema):
        return left.size == right.size
    return True
