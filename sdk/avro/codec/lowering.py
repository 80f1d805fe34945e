"""Makes the plans that read and write data of one schema, without resolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import repeat
from typing import Any, Final

from sdk.avro.codec import plan as ops
from sdk.avro.codec.binding import Shape, shape_of
from sdk.avro.codec.logical import CALLS, RAW_TYPES
from sdk.avro.codec.plan_analysis import finish
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    LogicalType,
    MapSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.avro.schema.model import logical_of
from sdk.errors import SchemaError

Classes = Mapping[str, type[Any]]
"""Avro full name → class."""

PYTHON_TYPES: Final[Mapping[str, tuple[type[Any], ...]]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "bytes": (bytes,),
    "string": (str,),
}
"""Primitive type → classes of its values, first the one that reading creates."""

_PENDING: Final = ops.RecordPlan("", (), "skip")


def encode_plan(schema: RecordSchema, classes: Classes) -> ops.Plan:
    """Make the plan that writes and reads the events of a schema."""
    lowering = Lowering(classes)
    return lowering.plan(schema.name, lowering.schema(schema))


class Lowering:
    """Turns schemas into operations; each record becomes one entry of the table.

    ``blocks`` and ``inner`` are inputs of `finish`: the arrays and maps, and for each record those
    that its fields on the wire lead to; ``current`` is the entry of the current record.
    """

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.records: list[ops.RecordPlan] = []
        self.pending: list[tuple[int, Callable[[], ops.RecordPlan]]] = []
        self.indexes: dict[tuple[str, int], int] = {}
        self.blocks: list[ops.Array | ops.Map] = []
        self.inner: list[set[int]] = []
        self.current: set[int] = set()

    def plan(self, event: str, root: ops.Op) -> ops.Plan:
        """Return the plan, after lowering all queued records."""
        while self.pending:  # records are queued, so that recursion does not grow with their number
            index, make = self.pending.pop()
            self.current = self.inner[index]
            self.records[index] = make()
        return finish(ops.Plan(event, root, tuple(self.records)), self.blocks, self.inner)

    def record(self, key: tuple[str, int], make: Callable[[], ops.RecordPlan]) -> ops.Record:
        """Return the operation of a record, which is lowered later and once for each key."""
        index = self.indexes.get(key)
        if index is None:
            index = self.indexes[key] = len(self.records)
            self.records.append(_PENDING)
            self.inner.append(set())
            self.pending.append((index, make))
        self.current.add(index)
        return ops.Record(index)

    def array(self, items: ops.Op) -> ops.Array:
        """Return the operation of an array."""
        made = ops.Array(items)
        self.blocks.append(made)
        return made

    def map(self, values: ops.Op) -> ops.Map:
        """Return the operation of a map."""
        made = ops.Map(values)
        self.blocks.append(made)
        return made

    def class_of(self, name: str) -> type[Any]:
        """Return the class of a named type."""
        try:
            return self.classes[name]
        except KeyError:
            raise SchemaError(
                f"there is no class for {name}", remedy="generate the classes again"
            ) from None

    def shape(self, schema: RecordSchema) -> tuple[type[Any], Shape]:
        """Return the class of a record and how its instances are made."""
        cls = self.class_of(schema.name)
        return cls, shape_of(cls, schema)

    def leaf(self, schema: PrimitiveSchema | FixedSchema, wire: ops.Wire) -> ops.Op:
        """Return a raw value with the conversion of the schema's logical type."""
        logical = schema.logical
        if logical is None or logical.name not in RAW_TYPES:
            return wire
        return converted(logical, wire)

    def fixed(self, schema: FixedSchema) -> ops.Fixed:
        """Return the operation of a fixed without its logical type."""
        if schema.logical is not None and schema.logical.name in RAW_TYPES:
            return ops.Fixed(schema.size)
        cls = self.classes.get(schema.name, bytes)
        if not issubclass(cls, bytes):
            raise SchemaError(f"class {cls.__name__} of fixed {schema.name} is not a bytes")
        return ops.Fixed(schema.size, cls)

    def members(self, schema: EnumSchema) -> tuple[type[Any], tuple[Any, ...]]:
        """Return the class of an enum and its members in the order of the symbols."""
        cls = self.class_of(schema.name)
        try:
            return cls, tuple([cls(symbol) for symbol in schema.symbols])
        except (ValueError, TypeError) as error:
            raise SchemaError(
                f"class {cls.__name__} does not have the symbols of {schema.name}",
                remedy="generate the classes again",
            ) from error

    def schema(self, schema: Schema, *, skip: bool = False) -> ops.Op:
        """Return the operation that reads and writes a schema, or skips it, without classes."""
        match schema:
            case PrimitiveSchema():
                wire = ops.PRIMITIVES[schema.type]
                return wire if skip or schema.logical is None else self.leaf(schema, wire)
            case FixedSchema():
                return ops.Fixed(schema.size) if skip else self.leaf(schema, self.fixed(schema))
            case EnumSchema():
                cls, members = (None, schema.symbols) if skip else self.members(schema)
                return ops.Enum(schema.name, schema.symbols, members, cls)
            case ArraySchema():
                return self.array(self.schema(schema.items, skip=skip))
            case MapSchema():
                return self.map(self.schema(schema.values, skip=skip))
            case UnionSchema():
                if not skip:
                    return self.union_of(schema)
                return ops.Union(tuple([self.schema(each, skip=True) for each in schema.branches]))
        if skip:
            return self.record(("skip", id(schema)), lambda: self.skipped(schema))
        return self.record(("write", id(schema)), lambda: self.written(schema))

    def written(self, schema: RecordSchema) -> ops.RecordPlan:
        """Return the plan of a record that is read and written with one schema."""
        cls, shape = self.shape(schema)
        names = [each.name for each in schema.fields]
        values = [self.schema(each.schema) for each in schema.fields]
        fields = tuple(zip(names, values, shape.attributes, shape.arguments, strict=True))
        return ops.RecordPlan(schema.name, fields, shape.build, cls, (), shape.presets)

    def union_of(self, schema: UnionSchema) -> ops.Union:
        """Return the operation that reads and writes a union."""
        plain = [
            each.type
            for each in schema.branches
            if isinstance(each, PrimitiveSchema) and each.logical is None
        ]
        if len(plain) == len(schema.branches):
            return _union_of_primitives(tuple(plain))
        branches = tuple([self.schema(branch) for branch in schema.branches])
        return ops.Union(branches, self.choices(schema))

    def choices(self, schema: UnionSchema) -> dict[type[Any], tuple[int, ...]]:
        """Return the branches that may take a value, by its class, best first.

        A branch for the exact class comes before one that takes it by widening; ``double`` before
        ``float``, and microseconds before milliseconds, because they lose less; else the order of
        the schema decides.
        """
        found: dict[type[Any], list[int]] = {}
        for index, branch in enumerate(schema.branches):
            for cls in self.python_types(branch):
                found.setdefault(cls, []).append(index)
        for indexes in found.values():
            if len(indexes) > 1:
                indexes.sort(key=lambda index: _loss(schema.branches[index]))
        return {cls: tuple(indexes) for cls, indexes in found.items()}

    def python_types(self, schema: Schema) -> tuple[type[Any], ...]:
        """Return the classes whose values a branch of a union takes."""
        logical = logical_of(schema)
        if logical is not None and logical.name in RAW_TYPES:
            return (RAW_TYPES[logical.name],)
        match schema:
            case PrimitiveSchema():
                return PYTHON_TYPES[schema.type]
            case FixedSchema():
                return (self.fixed(schema).cls,)
            case ArraySchema():
                return (tuple, list)
            case MapSchema():
                return (dict,)
            case UnionSchema():
                return ()
        return (self.class_of(schema.name),)

    def skipped(self, schema: RecordSchema) -> ops.RecordPlan:
        """Return the plan of a record that is skipped."""
        values = [self.schema(each.schema, skip=True) for each in schema.fields]
        fields = zip((each.name for each in schema.fields), values, repeat(None), repeat(None))
        return ops.RecordPlan(schema.name, tuple(fields), "skip")


@lru_cache(maxsize=1000)
def _union_of_primitives(kinds: tuple[str, ...]) -> ops.Union:
    """Return the operation of a common union, such as ``["null", "string"]``, for all plans."""
    schema = UnionSchema(tuple(PrimitiveSchema(kind) for kind in kinds))
    branches = tuple(ops.PRIMITIVES[kind] for kind in kinds)
    return ops.Union(branches, Lowering({}).choices(schema))


def _loss(schema: Schema) -> int:
    """Return how much of a value a branch of a union may lose, among those that take it."""
    logical = logical_of(schema)
    if logical is not None and logical.name.endswith("-millis"):
        return 1
    return {"double": 1, "float": 2}.get(schema.type, 0)


def converted(logical: LogicalType, wire: ops.Wire) -> ops.Logical | ops.Call:
    """Return a raw value with the conversion of a logical type."""
    if logical.name in CALLS:
        return ops.Call(wire, logical.name)
    return ops.Logical(wire, logical.name, logical.precision or 0, logical.scale or 0)
