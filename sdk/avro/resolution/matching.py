"""The matching rules that resolution and compatibility share (Avro 1.12, "Schema Resolution")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sdk.avro.schema.model import (
    EnumSchema,
    FieldSchema,
    FixedSchema,
    NamedSchema,
    PrimitiveSchema,
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
    """Return whether a writer's primitive may be read as another primitive."""
    return reader.type in PROMOTIONS.get(writer.type, ())


def names_match(writer: NamedSchema, reader: NamedSchema) -> bool:
    """Return whether unqualified names are equal, or a reader's alias is the writer's full name."""
    return short_name(writer.name) == short_name(reader.name) or writer.name in reader.aliases


def writer_fields(written: Mapping[str, FieldSchema], reader: FieldSchema) -> list[FieldSchema]:
    """Return the writer's fields, given by name, that a reader's field or its aliases name."""
    return [written[name] for name in (reader.name, *reader.aliases) if name in written]


def decimals_differ(writer: Schema, reader: Schema) -> bool:
    """Return whether both are decimals of different scale or precision, which never match."""
    mine = logical_of(writer)
    if mine is None or mine.name != "decimal":
        return False
    theirs = logical_of(reader)
    return theirs is not None and theirs.name == "decimal" and mine != theirs


class Equivalence:
    """Compares unions: the same branches in the same order, apart from namespaces.

    If equivalent, branch ``i`` is read as branch ``i``, even if others would fit as well. Each
    pair of schemas inside the unions is compared once in the life of the object.

    Args:
        renamed: The reader's aliases: old full name → the reader's full name.
    """

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self._renamed = renamed
        self._known: dict[tuple[int, int], bool] = {}

    def __call__(self, writer: UnionSchema, reader: UnionSchema) -> bool:
        """Compare two unions; pairs that contain themselves are equivalent unless a part is not."""
        pending: list[tuple[Schema, Schema]] = [(writer, reader)]
        inside: dict[tuple[int, int], list[tuple[int, int]]] = {}
        different: list[tuple[int, int]] = []
        seen: set[tuple[int, int]] = set()
        while pending:
            left, right = pending.pop()
            pair = (id(left), id(right))
            if pair in seen:
                continue
            seen.add(pair)
            known = True if left is right else self._known.get(pair)
            if known is None and self._alike(left, right):
                for parts in zip(children(left), children(right), strict=True):
                    if isinstance(parts[0], PrimitiveSchema):
                        continue  # `_alike` has compared all that there is
                    inside.setdefault((id(parts[0]), id(parts[1])), []).append(pair)
                    pending.append(parts)
            elif not known:
                different.append(pair)
        for pair in seen:
            self._known.setdefault(pair, True)
        for pair in different:  # grows while it runs
            if pair in seen:
                seen.remove(pair)
                self._known[pair] = False
                different += inside.get(pair, ())
        return self._known[id(writer), id(reader)]

    def _alike(self, left: Schema, right: Schema) -> bool:
        """Compare two schemas; their parts only by kind and name, to fail early."""
        return _same_shape(left, right, self._renamed) and all(
            mine is theirs or _same_name(mine, theirs, self._renamed)
            for mine, theirs in zip(children(left), children(right), strict=True)
        )


def _same_name(left: Schema, right: Schema, renamed: Mapping[str, str]) -> bool:
    if isinstance(left, NamedSchema) and isinstance(right, NamedSchema):
        name = renamed.get(left.name, left.name)
        return left.type == right.type and short_name(name) == short_name(right.name)
    return left.type == right.type


def _same_shape(left: Schema, right: Schema, renamed: Mapping[str, str]) -> bool:
    if not _same_name(left, right, renamed) or len(children(left)) != len(children(right)):
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
