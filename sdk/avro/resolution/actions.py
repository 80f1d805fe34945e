"""The result of resolution, as data: the actions that read a writer's bytes for a reader.

The nodes form a tree in which records are referred to by index into `Resolution.records`, so that
recursion is finite and the whole can be walked, printed, cached and lowered to a plan.
"""

from __future__ import annotations

from attrs import field, frozen

from sdk.avro.schema.model import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)


@frozen
class Read:
    """A primitive or fixed that is read as it was written.

    Attributes:
        reader: The reader's schema; its ``logical``, if any, converts the value. For a fixed its
            ``size`` equals the writer's.
    """

    reader: PrimitiveSchema | FixedSchema


@frozen
class Promote:
    """A primitive that is read as a wider one, or text as bytes and back.

    Attributes:
        writer: Type on the wire, such as ``int``.
        reader: The reader's schema; its ``logical``, if any, converts the promoted value.
    """

    writer: str
    reader: PrimitiveSchema


@frozen
class ReadEnum:
    """An enum index that becomes another index.

    Attributes:
        writer: Names the symbols, for errors.
        reader: The requested enum.
        symbols: By writer's index: the reader's index, its default for unknown symbols, or None if
            there is no default and the symbol cannot be read.
    """

    writer: EnumSchema
    reader: EnumSchema
    symbols: tuple[int | None, ...]


@frozen
class ReadArray:
    """An array, whose items are each read by ``items`` (`Unreadable` unless it is empty)."""

    reader: ArraySchema
    items: Node


@frozen
class ReadMap:
    """A map, whose values are each read by ``values`` (`Unreadable` unless it is empty)."""

    reader: MapSchema
    values: Node


@frozen
class ReadUnion:
    """A union on the wire: its index says which of ``branches`` reads the value.

    Where the reader has a union too, each branch is a `ReadBranch` or `Unreadable`; otherwise
    each yields the reader's type itself.
    """

    branches: tuple[Node, ...]


@frozen
class ReadBranch:
    """A value that becomes one branch of the reader's union.

    Attributes:
        reader: The requested union.
        index: The reader's branch that takes the value.
        value: How the value is read.
    """

    reader: UnionSchema
    index: int
    value: Node


@frozen
class ReadRecord:
    """A record, read as ``Resolution.records[index]`` says; this is how recursion is expressed."""

    index: int


@frozen
class Unreadable:
    """A value that cannot be read; it is an error only when it arrives.

    Attributes:
        message: Why, such as ``long cannot be read as int``.
        path: JSON pointer of the reader's schema at which it was found.
        rule: ``C202`` where decimals differ, which no registry checks; else ``C200``.
    """

    message: str
    path: str
    rule: str = "C200"


Node = (
    Read
    | Promote
    | ReadEnum
    | ReadArray
    | ReadMap
    | ReadUnion
    | ReadBranch
    | ReadRecord
    | Unreadable
)


@frozen
class ReadField:
    """A writer's field that fills ``reader.fields[index]``."""

    index: int
    value: Node


@frozen
class SkipField:
    """A writer's field that the reader does not have; it is skipped."""

    writer: Schema


@frozen
class RecordResolution:
    """The actions that read one record as another.

    Attributes:
        writer: The record on the wire.
        reader: The requested record.
        fields: One action for each writer's field, in wire order.
        defaults: Positions of the reader's fields that are not on the wire; their defaults fit.
        path: JSON pointer of the reader's schema at which the pair was first met.
    """

    writer: RecordSchema = field(repr=lambda schema: schema.name)
    reader: RecordSchema = field(repr=lambda schema: schema.name)
    fields: tuple[ReadField | SkipField, ...]
    defaults: tuple[int, ...]
    path: str


@frozen
class Resolution:
    """The actions that read all data of a writer's schema with a reader's."""

    root: Node
    records: tuple[RecordResolution, ...]
