"""Makes plans: from a schema for writing, from a resolution for reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sdk.avro.codec.binding import Shape, shape_of
from sdk.avro.codec.default_bytes import default_bytes
from sdk.avro.codec.logical import CALLS, RAW_TYPES
from sdk.avro.codec.plan import (
    Array,
    Call,
    DefaultPlan,
    Enum,
    FieldPlan,
    Fixed,
    Logical,
    Map,
    Op,
    Plan,
    Primitive,
    Promote,
    Record,
    RecordPlan,
    Refuse,
    Skip,
    Union,
    Wire,
)
from sdk.avro.codec.plan_analysis import finished
from sdk.avro.resolution.actions import (
    DefaultField,
    Node,
    Read,
    ReadArray,
    ReadBranch,
    ReadEnum,
    ReadField,
    ReadMap,
    ReadUnion,
    RecordResolution,
    Resolution,
    Unreadable,
)
from sdk.avro.resolution.actions import Promote as PromoteNode
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
from sdk.errors import SchemaError

Classes = Mapping[str, type[Any]] | None
"""Avro full name → class; None for a plan without classes."""

_PYTHON: Final[Mapping[str, tuple[type[Any], ...]]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "bytes": (bytes,),
    "string": (str,),
}


def encode_plan(schema: Schema, classes: Classes = None) -> Plan:
    """Make the plan that writes values of a schema.

    Args:
        schema: What is written.
        classes: Classes of the named types; None if values are dicts, lists and symbols.

    Raises:
        SchemaError: A class is missing or does not fit its type.
    """
    lowering = _Lowering(classes)
    root = lowering.schema(schema)
    return lowering.plan(getattr(schema, "name", schema.type), root)


def decode_plan(resolution: Resolution, reader: Schema, classes: Classes = None) -> Plan:
    """Make the plan that reads what a resolution describes.

    Args:
        resolution: What must be done.
        reader: The schema that is asked for.
        classes: Classes of the reader's named types; None for dicts, lists and symbols.

    Raises:
        SchemaError: A class is missing or does not fit its type.
    """
    lowering = _ReadLowering(resolution, classes)
    root = lowering.node(resolution.root)
    return lowering.plan(getattr(reader, "name", reader.type), root)


class _Lowering:
    """Turns schemas into operations; each record becomes one entry of the table."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.records: list[RecordPlan] = []
        self.pending: list[Callable[[], None]] = []
        self.indexes: dict[tuple[str, int], int] = {}
        self.shapes: dict[int, Shape] = {}

    def plan(self, event: str, root: Op) -> Plan:
        while self.pending:  # records are queued: their number must not make the recursion deep
            self.pending.pop()()
        return finished(Plan(event, root, tuple(self.records), generic=self.classes is None))

    def record(self, key: tuple[str, int], make: Callable[[], RecordPlan]) -> Record:
        if key not in self.indexes:
            index = self.indexes[key] = len(self.records)
            self.records.append(RecordPlan("", (), "skip"))

            def fill() -> None:
                self.records[index] = make()

            self.pending.append(fill)
        return Record(self.indexes[key])

    def class_of(self, name: str) -> type[Any] | None:
        if self.classes is None:
            return None
        try:
            return self.classes[name]
        except KeyError:
            raise SchemaError(
                f"no class stands for {name}", remedy="generate the classes again"
            ) from None

    def shape(self, schema: RecordSchema) -> tuple[type[Any] | None, Shape]:
        cls = self.class_of(schema.name)
        if id(schema) not in self.shapes:
            names = tuple(each.name for each in schema.fields)
            self.shapes[id(schema)] = (
                Shape(names, names, "dict", ()) if cls is None else shape_of(cls, schema)
            )
        return cls, self.shapes[id(schema)]

    def leaf(self, schema: PrimitiveSchema | FixedSchema, wire: Wire) -> Op:
        logical = schema.logical
        if logical is None or logical.name not in RAW_TYPES:
            return wire
        return _converted(logical, wire)

    def fixed(self, schema: FixedSchema) -> Fixed:
        if schema.logical is not None and schema.logical.name in RAW_TYPES:
            return Fixed(schema.size)
        cls = bytes if self.classes is None else self.classes.get(schema.name, bytes)
        if not issubclass(cls, bytes):
            raise SchemaError(f"class {cls.__name__} of fixed {schema.name} is no bytes")
        return Fixed(schema.size, cls)

    def members(self, schema: EnumSchema) -> tuple[type[Any] | None, tuple[Any, ...]]:
        cls = self.class_of(schema.name)
        if cls is None:
            return None, schema.symbols
        try:
            return cls, tuple(cls(symbol) for symbol in schema.symbols)
        except (ValueError, TypeError) as error:
            raise SchemaError(
                f"class {cls.__name__} does not have the symbols of {schema.name}",
                remedy="generate the classes again",
            ) from error

    def schema(self, schema: Schema) -> Op:
        match schema:
            case PrimitiveSchema():
                return self.leaf(schema, Primitive(schema.type))
            case FixedSchema():
                return self.leaf(schema, self.fixed(schema))
            case EnumSchema():
                cls, members = self.members(schema)
                return Enum(schema.name, schema.symbols, members, cls)
            case ArraySchema():
                return Array(self.schema(schema.items))
            case MapSchema():
                return Map(self.schema(schema.values))
            case UnionSchema():
                branches = tuple(self.schema(branch) for branch in schema.branches)
                return Union(branches, self.choices(schema, branches))
        return self.record(("write", id(schema)), lambda: self.written(schema))

    def written(self, schema: RecordSchema) -> RecordPlan:
        cls, shape = self.shape(schema)
        fields = tuple(
            FieldPlan(each.name, self.schema(each.schema), attribute, argument)
            for each, attribute, argument in zip(
                schema.fields, shape.attributes, shape.arguments, strict=True
            )
        )
        return RecordPlan(schema.name, fields, shape.build, cls, presets=shape.presets)

    def choices(
        self, schema: UnionSchema, branches: tuple[Op, ...]
    ) -> dict[type[Any], tuple[int, ...]]:
        """Return which branches may take a value of which class, best first.

        A branch for the exact class comes before one that takes it by widening, and ``double``
        before ``float``, because it loses nothing; else the order of the schema decides.
        """
        found: dict[type[Any], list[tuple[int, int]]] = {}
        for index, (branch, op) in enumerate(zip(schema.branches, branches, strict=True)):
            for cls in self.python_types(branch, op):
                rank = int(isinstance(op, Primitive) and op.kind in ("float", "double"))
                rank += int(isinstance(op, Primitive) and op.kind == "float")
                found.setdefault(cls, []).append((rank, index))
        return {cls: tuple(i for _, i in sorted(ranked)) for cls, ranked in found.items()}

    def python_types(self, schema: Schema, op: Op) -> tuple[type[Any], ...]:
        match op:
            case Logical() | Call():
                return (RAW_TYPES[op.name],)
            case Primitive():
                return _PYTHON[op.kind]
            case Fixed():
                return (op.cls,)
            case Enum():
                return (op.cls or str,)
            case Array():
                return (tuple, list)
            case Map():
                return (dict,)
        name = schema.name if isinstance(schema, RecordSchema) else ""
        return (self.class_of(name) or dict,)

    def skipped(self, schema: Schema) -> Op:
        """Return what must be moved past; no classes and no conversions."""
        match schema:
            case PrimitiveSchema():
                return Primitive(schema.type)
            case FixedSchema():
                return Fixed(schema.size)
            case EnumSchema():
                return Enum(schema.name, schema.symbols, schema.symbols)
            case ArraySchema():
                return Array(self.skipped(schema.items))
            case MapSchema():
                return Map(self.skipped(schema.values))
            case UnionSchema():
                return Union(tuple(self.skipped(branch) for branch in schema.branches))
        return self.record(("skip", id(schema)), lambda: self.skipped_record(schema))

    def skipped_record(self, schema: RecordSchema) -> RecordPlan:
        fields = (FieldPlan(each.name, self.skipped(each.schema)) for each in schema.fields)
        return RecordPlan(schema.name, tuple(fields), "skip")


class _ReadLowering(_Lowering):
    """Turns a resolution into operations."""

    def __init__(self, resolution: Resolution, classes: Classes) -> None:
        super().__init__(classes)
        self.resolution = resolution

    def node(self, node: Node) -> Op:
        match node:
            case Read(reader=FixedSchema() as schema):
                return self.leaf(schema, self.fixed(schema))
            case Read():
                return self.leaf(node.reader, Primitive(node.reader.type))
            case PromoteNode():
                return self.leaf(node.reader, Promote(node.writer, node.reader.type))
            case ReadEnum():
                cls, members = self.members(node.reader)
                values = tuple(None if i is None else members[i] for i in node.symbols)
                return Enum(node.reader.name, node.writer.symbols, values, cls)
            case ReadArray():
                return Array(self.node(node.items))
            case ReadMap():
                return Map(self.node(node.values))
            case ReadUnion():
                return Union(tuple(self.node(branch) for branch in node.branches))
            case ReadBranch():
                return self.node(node.value)
            case Unreadable():
                return Refuse(node.message)
        resolved = self.resolution.records[node.index]
        return self.record(("read", node.index), lambda: self.read(resolved))

    def read(self, resolved: RecordResolution) -> RecordPlan:
        cls, shape = self.shape(resolved.reader)
        fields = []
        for each, writer in zip(resolved.fields, resolved.writer.fields, strict=True):
            if isinstance(each, ReadField):
                fields.append(
                    FieldPlan(
                        resolved.reader.fields[each.index].name,
                        self.node(each.value),
                        shape.attributes[each.index],
                        shape.arguments[each.index],
                    )
                )
            else:
                fields.append(FieldPlan(writer.name, Skip(self.skipped(each.writer))))
        defaults = tuple(self.default(each, resolved, shape) for each in resolved.defaults)
        return RecordPlan(
            resolved.reader.name, tuple(fields), shape.build, cls, defaults, shape.presets
        )

    def default(self, each: DefaultField, resolved: RecordResolution, shape: Shape) -> DefaultPlan:
        schema = resolved.reader.fields[each.index].schema
        return DefaultPlan(
            name=resolved.reader.fields[each.index].name,
            op=self.schema(schema),
            data=default_bytes(schema, each.value),
            attribute=shape.attributes[each.index],
            argument=shape.arguments[each.index],
            fresh=True,
        )


def _converted(logical: LogicalType, wire: Wire) -> Op:
    if logical.name in CALLS:
        return Call(wire, logical.name)
    return Logical(wire, logical.name, logical.precision or 0, logical.scale or 0)
