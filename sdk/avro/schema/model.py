"""Avro schemas as objects: the node classes that parsing yields.

Nodes are built by the parser and treated as immutable afterwards. A named type is one object
wherever it is used, so a recursive schema is a cyclic graph, and visited types are compared by
identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import define, field, frozen


class NoDefault:
    """Type of `NO_DEFAULT`, which distinguishes a missing default from a default of null."""

    def __repr__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = NoDefault()


@frozen
class LogicalType:
    """A valid logical type annotation; unknown or misplaced ones are ignored, as Avro says.

    Attributes:
        name: Such as ``decimal`` or ``timestamp-micros``.
        precision: Decimal digits, for ``decimal``.
        scale: Digits after the point, for ``decimal``.
    """

    name: str
    precision: int | None = None
    scale: int | None = None


@define(eq=False)
class PrimitiveSchema:
    """``null``, ``boolean``, ``int``, ``long``, ``float``, ``double``, ``bytes`` or ``string``."""

    type: str
    logical: LogicalType | None = None
    props: Mapping[str, Any] = field(factory=dict, repr=False)


@define(eq=False)
class ArraySchema:
    """A sequence of ``items``."""

    items: Schema
    props: Mapping[str, Any] = field(factory=dict, repr=False)
    type: str = field(default="array", init=False)


@define(eq=False)
class MapSchema:
    """A mapping from strings to ``values``."""

    values: Schema
    props: Mapping[str, Any] = field(factory=dict, repr=False)
    type: str = field(default="map", init=False)


@define(eq=False)
class UnionSchema:
    """One of ``branches``, chosen by its index."""

    branches: tuple[Schema, ...]
    type: str = field(default="union", init=False)


@define(eq=False)
class FieldSchema:
    """A field of a record; ``default`` is the JSON value or `NO_DEFAULT`."""

    name: str
    schema: Schema
    default: Any = NO_DEFAULT
    aliases: tuple[str, ...] = ()
    doc: str | None = None
    order: str = "ascending"
    props: Mapping[str, Any] = field(factory=dict, repr=False)


@define(eq=False)
class RecordSchema:
    """A record (or error); ``name`` is the full name, ``aliases`` are full names."""

    name: str
    fields: tuple[FieldSchema, ...] = field(default=(), repr=False)
    aliases: tuple[str, ...] = ()
    doc: str | None = None
    is_error: bool = False
    props: Mapping[str, Any] = field(factory=dict, repr=False)
    type: str = field(default="record", init=False)


@define(eq=False)
class EnumSchema:
    """An enumeration; ``default`` is the symbol for unknown ones."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    aliases: tuple[str, ...] = ()
    doc: str | None = None
    props: Mapping[str, Any] = field(factory=dict, repr=False)
    type: str = field(default="enum", init=False)


@define(eq=False)
class FixedSchema:
    """``size`` bytes."""

    name: str
    size: int
    logical: LogicalType | None = None
    aliases: tuple[str, ...] = ()
    doc: str | None = None
    props: Mapping[str, Any] = field(factory=dict, repr=False)
    type: str = field(default="fixed", init=False)


NamedSchema = RecordSchema | EnumSchema | FixedSchema
Schema = PrimitiveSchema | ArraySchema | MapSchema | UnionSchema | NamedSchema

PRIMITIVES: Final = frozenset(
    ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
)
NAMED_KINDS: Final = ("record", "error", "enum", "fixed")


def short_name(full_name: str) -> str:
    """Return a full name without its namespace."""
    return full_name.rpartition(".")[2]


def logical_of(schema: Schema) -> LogicalType | None:
    """Return the valid logical type of a schema, or None."""
    found: LogicalType | None = getattr(schema, "logical", None)
    return found


def children(schema: Schema) -> tuple[Schema, ...]:
    """Return the schemas that a schema directly contains, in declaration order."""
    match schema:
        case RecordSchema():
            return tuple(each.schema for each in schema.fields)
        case UnionSchema():
            return schema.branches
        case ArraySchema():
            return (schema.items,)
        case MapSchema():
            return (schema.values,)
        case _:
            return ()


def inside(schema: Schema) -> Iterator[Schema]:
    """Yield a schema and all that it contains, outer ones first; named types are not entered."""
    yield schema
    if not isinstance(schema, NamedSchema):
        for each in children(schema):
            yield from inside(each)


def named_types(schema: Schema) -> Iterator[NamedSchema]:
    """Yield every named type that can be reached from a schema once, outer types first."""
    seen: set[int] = set()
    pending: list[Schema] = [schema]
    while pending:
        current = pending.pop()
        if isinstance(current, NamedSchema):
            if id(current) in seen:
                continue
            seen.add(id(current))
            yield current
        pending.extend(reversed(children(current)))
