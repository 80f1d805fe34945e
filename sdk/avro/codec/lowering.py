"""Makes plans: from a schema for writing, from a resolution for reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sdk.avro.codec import plan as ops
from sdk.avro.codec.binding import Shape, shape_of
from sdk.avro.codec.default_bytes import default_bytes
from sdk.avro.codec.logical import CALLS, RAW_TYPES
from sdk.avro.codec.plan_analysis import finished
from sdk.avro.resolution import actions
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
"""Primitive type → classes of its values, the one that is read first."""


def encode_plan(schema: RecordSchema, classes: Classes) -> ops.Plan:
    """Make the plan that writes the events of a schema."""
    lowering = Lowering(classes)
    return lowering.plan(schema.name, lowering.schema(schema))


def decode_plan(resolution: actions.Resolution, reader: RecordSchema, classes: Classes) -> ops.Plan:
    """Make the plan that reads what a resolution describes."""
    lowering = _ReadLowering(resolution, classes)
    return lowering.plan(reader.name, lowering.node(resolution.root))


class Lowering:
    """Turns schemas into operations; each record becomes one entry of the table."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.records: list[ops.RecordPlan] = []
        self.pending: list[Callable[[], None]] = []
        self.indexes: dict[tuple[str, int], int] = {}
        self.shapes: dict[int, Shape] = {}

    def plan(self, event: str, root: ops.Op) -> ops.Plan:
        """Return the plan, once all records that wait are lowered."""
        while self.pending:  # records are queued: their number must not make the recursion deep
            self.pending.pop()()
        return finished(ops.Plan(event, root, tuple(self.records)))

    def record(self, key: tuple[str, int], make: Callable[[], ops.RecordPlan]) -> ops.Record:
        """Return the operation of a record, which is lowered later and once for each key."""
        if key not in self.indexes:
            index = self.indexes[key] = len(self.records)
            self.records.append(ops.RecordPlan("", (), "skip"))

            def fill() -> None:
                self.records[index] = make()

            self.pending.append(fill)
        return ops.Record(self.indexes[key])

    def class_of(self, name: str) -> type[Any]:
        """Return the class of a named type."""
        try:
            return self.classes[name]
        except KeyError:
            raise SchemaError(
                f"no class stands for {name}", remedy="generate the classes again"
            ) from None

    def shape(self, schema: RecordSchema) -> tuple[type[Any], Shape]:
        """Return the class of a record and how its instances are made."""
        cls = self.class_of(schema.name)
        if id(schema) not in self.shapes:
            self.shapes[id(schema)] = shape_of(cls, schema)
        return cls, self.shapes[id(schema)]

    def leaf(self, schema: PrimitiveSchema | FixedSchema, wire: ops.Wire) -> ops.Op:
        """Return a raw value with the conversion that the schema's logical type asks for."""
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
            return cls, tuple(cls(symbol) for symbol in schema.symbols)
        except (ValueError, TypeError) as error:
            raise SchemaError(
                f"class {cls.__name__} does not have the symbols of {schema.name}",
                remedy="generate the classes again",
            ) from error

    def schema(self, schema: Schema, *, skip: bool = False) -> ops.Op:
        """Return what reads and writes a schema as it is, or moves past it: without classes."""
        match schema:
            case PrimitiveSchema():
                wire = ops.Primitive(schema.type)
                return wire if skip else self.leaf(schema, wire)
            case FixedSchema():
                return ops.Fixed(schema.size) if skip else self.leaf(schema, self.fixed(schema))
            case EnumSchema():
                cls, members = (None, schema.symbols) if skip else self.members(schema)
                return ops.Enum(schema.name, schema.symbols, members, cls)
            case ArraySchema():
                return ops.Array(self.schema(schema.items, skip=skip))
            case MapSchema():
                return ops.Map(self.schema(schema.values, skip=skip))
            case UnionSchema():
                branches = tuple(self.schema(branch, skip=skip) for branch in schema.branches)
                return ops.Union(branches, {} if skip else self.choices(schema))
        if skip:
            return self.record(("skip", id(schema)), lambda: self.skipped(schema))
        return self.record(("write", id(schema)), lambda: self.written(schema))

    def written(self, schema: RecordSchema) -> ops.RecordPlan:
        """Return the plan of a record that is read and written as it is."""
        cls, shape = self.shape(schema)
        fields = tuple(
            ops.FieldPlan(each.name, self.schema(each.schema), attribute, argument)
            for each, attribute, argument in zip(
                schema.fields, shape.attributes, shape.arguments, strict=True
            )
        )
        return ops.RecordPlan(schema.name, fields, shape.build, cls, presets=shape.presets)

    def choices(self, schema: UnionSchema) -> dict[type[Any], tuple[int, ...]]:
        """Return which branches may take a value of which class, best first.

        A branch for the exact class comes before one that takes it by widening; ``double`` before
        ``float``, and microseconds before milliseconds, because they lose less; else the order of
        the schema decides.
        """
        found: dict[type[Any], list[tuple[int, int]]] = {}
        for index, branch in enumerate(schema.branches):
            for cls in self.python_types(branch):
                logical = logical_of(branch)
                rank = {"double": 1, "float": 2}.get(branch.type, 0)
                rank += logical is not None and logical.name.endswith("-millis")
                found.setdefault(cls, []).append((rank, index))
        return {cls: tuple(i for _, i in sorted(ranked)) for cls, ranked in found.items()}

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
        """Return the plan of a record that is moved past."""
        fields = (ops.FieldPlan(e.name, self.schema(e.schema, skip=True)) for e in schema.fields)
        return ops.RecordPlan(schema.name, tuple(fields), "skip")


class _ReadLowering(Lowering):
    """Turns a resolution into operations."""

    def __init__(self, resolution: actions.Resolution, classes: Classes) -> None:
        super().__init__(classes)
        self.resolution = resolution

    def node(self, node: actions.Node) -> ops.Op:
        match node:
            case actions.Read(reader=FixedSchema() as schema):
                return self.leaf(schema, self.fixed(schema))
            case actions.Read():
                return self.leaf(node.reader, ops.Primitive(node.reader.type))
            case actions.Promote():
                return self.leaf(node.reader, ops.Promote(node.writer, node.reader.type))
            case actions.ReadEnum():
                cls, members = self.members(node.reader)
                values = tuple(None if i is None else members[i] for i in node.symbols)
                return ops.Enum(node.reader.name, node.writer.symbols, values, cls)
            case actions.ReadArray():
                return ops.Array(self.node(node.items))
            case actions.ReadMap():
                return ops.Map(self.node(node.values))
            case actions.ReadUnion():
                return ops.Union(tuple(self.node(branch) for branch in node.branches))
            case actions.ReadBranch():
                return self.node(node.value)
            case actions.Unreadable():
                return ops.Refuse(node.message)
        resolved = self.resolution.records[node.index]
        return self.record(("read", node.index), lambda: self.read(resolved))

    def read(self, resolved: actions.RecordResolution) -> ops.RecordPlan:
        cls, shape = self.shape(resolved.reader)
        fields = []
        for each, writer in zip(resolved.fields, resolved.writer.fields, strict=True):
            if isinstance(each, actions.ReadField):
                fields.append(
                    ops.FieldPlan(
                        resolved.reader.fields[each.index].name,
                        self.node(each.value),
                        shape.attributes[each.index],
                        shape.arguments[each.index],
                    )
                )
            else:
                fields.append(
                    ops.FieldPlan(writer.name, ops.Skip(self.schema(each.writer, skip=True)))
                )
        defaults = tuple(self.default(index, resolved.reader, shape) for index in resolved.defaults)
        return ops.RecordPlan(
            resolved.reader.name, tuple(fields), shape.build, cls, defaults, shape.presets
        )

    def default(self, index: int, reader: RecordSchema, shape: Shape) -> ops.DefaultPlan:
        field = reader.fields[index]
        return ops.DefaultPlan(
            name=field.name,
            op=self.schema(field.schema),
            data=default_bytes(field.schema, field.default),
            attribute=shape.attributes[index],
            argument=shape.arguments[index],
            fresh=True,
        )


def converted(logical: LogicalType, wire: ops.Wire) -> ops.Logical | ops.Call:
    """Return a raw value with the conversion of a logical type."""
    if logical.name in CALLS:
        return ops.Call(wire, logical.name)
    return ops.Logical(wire, logical.name, logical.precision or 0, logical.scale or 0)
