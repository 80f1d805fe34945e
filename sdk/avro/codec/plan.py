"""The plan: what an executor must do to read or write an event, as data.

`lowering` makes the plan of one schema, `reading_from` and `writing_as` those between two
schemas; an executor runs it: the `interpreter`, the compiler (`compiled`), or the native one of the
distribution avro-messaging-sdk-accel. They agree on the values, on which data is refused, and on
the path and offset in the error.

A plan is a tree of the operations below. They hold nothing but numbers, text, bytes, tuples, each
other, and the Python classes that values have: no functions and no closures, so that an executor in
another language can walk them. Records are in a table and are referred to by index, so that
recursion is finite. Like the nodes of schemas, plans are treated as immutable once they are made;
attrs' frozen classes would take three times as long to make, at the start of every process.

Operations by direction:

* reading and writing: `Primitive`, `Fixed`, `Logical`, `Call`, `Enum`, `Array`, `Map`, `Union`,
  `Record`
* reading only: `Promote`, `Refuse`, `Skip`, and the ``defaults`` of a `RecordPlan`
* writing only: `Constant`

`PLAN_VERSION` is incremented with each change that affects executors, which refuse unknown
versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, field

PLAN_VERSION: Final = 3


@define
class Primitive:
    """A value of a primitive type as on the wire.

    Attributes:
        kind: ``null``, ``boolean``, ``int``, ``long``, ``float``, ``double``, ``bytes`` or
            ``string``.
    """

    kind: str


PRIMITIVES: Final = {
    kind: Primitive(kind)
    for kind in ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
}
"""The operation of each primitive type, which all plans share."""


@define
class Promote:
    """A primitive that is read as a wider one; numbers become ``float`` rounded to 32 bits.

    Attributes:
        wire: Type on the wire.
        kind: Type of the value.
    """

    wire: str
    kind: str


@define
class Fixed:
    """``size`` bytes.

    Attributes:
        size: How many bytes.
        cls: ``bytes`` or the subclass of it that the value has.
    """

    size: int
    cls: type[bytes] = bytes


Wire = Primitive | Promote | Fixed
"""The operations that yield a raw value: int, float, bytes or text."""


@define
class Logical:
    """A raw value that represents another one.

    Attributes:
        wire: How the raw value is read or written.
        name: ``date``, ``time-millis``, ``time-micros``, ``timestamp-millis``,
            ``timestamp-micros``, ``local-timestamp-millis``, ``local-timestamp-micros``,
            ``decimal`` or ``uuid``.
        precision: Digits of a decimal, else 0.
        scale: Digits after the point of a decimal, else 0.
    """

    wire: Wire
    name: str
    precision: int = 0
    scale: int = 0


@define
class Call:
    """A raw value that Python converts: for types too rare to be worth an operation.

    Attributes:
        wire: How the raw value is read or written.
        name: Which functions of `sdk.avro.codec.logical.CALLS` convert it: ``big-decimal`` or
            ``duration``.
    """

    wire: Wire
    name: str


@define
class Enum:
    """A symbol, by its index.

    Attributes:
        name: Full name of the enum, for errors.
        symbols: The symbols on the wire, for errors.
        values: By index: the member, or None for a symbol that cannot be read or is never
            written. (Where the enum is skipped, the symbol.)
        cls: Class of the members; None where the enum is skipped.
    """

    name: str
    symbols: tuple[str, ...]
    values: tuple[Any, ...]
    cls: type[Any] | None = None


@define
class Array:
    """Items in blocks. The value is a tuple.

    Attributes:
        items: Operation of one item.
        least: Least bytes that one item takes on the wire.
    """

    items: Op
    least: int = 0


@define
class Map:
    """Entries in blocks. The value is a dict; of equal keys the last one wins.

    Attributes:
        values: Operation of one value.
        least: Least bytes that one entry takes on the wire, key included.
    """

    values: Op
    least: int = 1


@define
class Union:
    """A branch, by its index; its value is not converted.

    Attributes:
        branches: Operations by index on the wire.
        choices: For writing: class of a value → branches that may take it; the first that can
            does. Empty for reading.
    """

    branches: tuple[Op, ...]
    choices: Mapping[type[Any], tuple[int, ...]] = field(factory=dict)


@define
class Record:
    """The record ``Plan.records[index]``."""

    index: int


@define
class Refuse:
    """A value that cannot be read as the reader's type; an error when it arrives."""

    message: str


@define
class Skip:
    """A skipped value of the type ``op``; nothing is created or converted."""

    op: Op


@define
class Constant:
    """A field that the event does not have: ``data`` is written, whatever the event."""

    data: bytes


Op = (
    Primitive
    | Promote
    | Fixed
    | Logical
    | Call
    | Enum
    | Array
    | Map
    | Union
    | Record
    | Refuse
    | Skip
    | Constant
)


FieldPlan = tuple[str, Op, str | None, str | None]
"""One field on the wire: name, operation, attribute, argument.

The name is Avro's, for paths; the reader's where a reader has the field. The attribute holds the
value, and the argument is what the class's constructor calls it; both are None where the value is
skipped, and where a `Constant` is written. (Rows, because a class may have hundreds of them.)
"""


@define
class DefaultPlan:
    """A field that is not on the wire.

    Attributes:
        op: How ``data`` is read.
        data: The default in Avro's binary encoding.
        attribute: As in `FieldPlan`.
        argument: As in `FieldPlan`.
        fresh: Whether each event needs its own copy, because the value is mutable.
    """

    op: Op
    data: bytes
    attribute: str
    argument: str
    fresh: bool


@define
class RecordPlan:
    """A record: its fields in wire order, and how its value is built.

    Attributes:
        name: Full name of the reader's record (of the writer's, where it is skipped).
        fields: In wire order.
        build: ``slots``: fill the slots of a new ``cls``, whose constructor would do no more;
            ``call``: call ``cls`` with the arguments; ``skip``: nothing, the record only occurs
            below `Skip`.
        cls: The class, or None for ``skip``.
        defaults: Fields that the writer does not have.
        presets: For ``slots``: further slots that the constructor would fill, with their values.
        recursive: Whether the record can contain itself, which is what depth counts.
    """

    name: str
    fields: tuple[FieldPlan, ...]
    build: str
    cls: type[Any] | None = None
    defaults: tuple[DefaultPlan, ...] = ()
    presets: tuple[tuple[str, Any], ...] = ()
    recursive: bool = False


@define
class Plan:
    """Everything that an executor needs, apart from the limits.

    Attributes:
        event: Full name of the event, for errors.
        root: Operation of the whole value.
        records: The records that the tree refers to.
        version: Format of the plan.
    """

    event: str
    root: Op
    records: tuple[RecordPlan, ...]
    version: int = PLAN_VERSION


def check_version(plan: Plan) -> None:
    """Refuse a plan of another format."""
    if plan.version != PLAN_VERSION:
        raise ValueError(f"plan of version {plan.version}, executors of version {PLAN_VERSION}")


def parts(op: Op) -> tuple[Op, ...]:
    """Return the operations that an operation directly contains; records are not entered."""
    match op:
        case Array():
            return (op.items,)
        case Map():
            return (op.values,)
        case Union():
            return op.branches
        case Skip():
            return (op.op,)
        case _:
            return ()
