"""Makes plans that write events with another schema than their own, without loss."""

from __future__ import annotations

from typing import Final, NoReturn

from sdk.avro.codec import plan as ops
from sdk.avro.codec.default_bytes import default_bytes
from sdk.avro.codec.lowering import Classes, Lowering
from sdk.avro.resolution import actions
from sdk.avro.schema import RecordSchema, Schema, UnionSchema
from sdk.avro.schema.model import logical_of
from sdk.errors import IncompatibleSchemaError

_SAME_BYTES: Final = {("int", "long"), ("string", "bytes")}
_EXACT: Final = {("int", "double"), ("float", "double")}
_NEVER: Final = ops.Refuse("events of this class are never written as this branch")


def encode_plan_as(resolution: actions.Resolution, own: RecordSchema, classes: Classes) -> ops.Plan:
    """Make the plan that writes events of one schema with another one.

    Every value must arrive whole: a field that the other schema lacks, a symbol that it does not
    know, a number that it would round, and another logical type are refused here, not when a
    value comes. Fields that only the other schema has are written with its defaults.

    Raises:
        IncompatibleSchemaError: A value could be lost; ``path`` is the JSON pointer inside the
            other schema, as far as it has the place.
        SchemaError: A class is missing or does not fit its type.
    """
    lowering = _WriteAs(resolution, classes)
    return lowering.plan(own.name, lowering.node(resolution.root, own))


class _WriteAs(Lowering):
    """Turns a resolution, whose writer is our own schema, into operations that write."""

    def __init__(self, resolution: actions.Resolution, classes: Classes) -> None:
        super().__init__(classes)
        self.resolution = resolution

    def node(self, node: actions.Node, own: Schema) -> ops.Op:
        match node:
            case actions.Unreadable():
                _refuse(node.message, node.path)
            case actions.Read() | actions.Promote():
                return self.scalar(node, own)
            case actions.ReadEnum():
                return self.symbols(node)
            case actions.ReadArray():
                return self.array(self.node(node.items, own.items))  # type: ignore[union-attr]
            case actions.ReadMap():
                return self.map(self.node(node.values, own.values))  # type: ignore[union-attr]
            case actions.ReadBranch():
                branches: list[ops.Op] = [_NEVER] * len(node.reader.branches)
                branches[node.index] = self.node(node.value, own)
                choices = dict.fromkeys(self.python_types(own), (node.index,))
                return ops.Union(tuple(branches), choices)
            case actions.ReadUnion():
                assert isinstance(own, UnionSchema)
                return self.union(node, own)
            case actions.ReadRecord():
                resolved = self.resolution.records[node.index]
                return self.record(("as", node.index), lambda: self.fields(resolved))
        raise AssertionError(node)

    def scalar(self, node: actions.Read | actions.Promote, own: Schema) -> ops.Op:
        mine, theirs = logical_of(own), logical_of(node.reader)
        if theirs is not None and mine != theirs:
            _refuse(f"{own.type} would be written as the logical type {theirs.name}")
        if isinstance(node, actions.Promote) and (own.type, node.reader.type) not in _SAME_BYTES:
            if (own.type, node.reader.type) not in _EXACT or mine is not None:
                _refuse(f"{own.type} cannot be written as {node.reader.type} without loss")
            return ops.Primitive(node.reader.type)
        return self.schema(own)

    def symbols(self, node: actions.ReadEnum) -> ops.Enum:
        cls, members = self.members(node.writer)
        lost = set(node.writer.symbols) - set(node.reader.symbols)
        if lost:
            _refuse(f"enum {node.reader.name} has no symbol {', '.join(sorted(lost))}")
        by_symbol = dict(zip(node.writer.symbols, members, strict=True))
        values = tuple(by_symbol.get(symbol) for symbol in node.reader.symbols)
        return ops.Enum(node.reader.name, node.reader.symbols, values, cls)

    def union(self, node: actions.ReadUnion, own: UnionSchema) -> ops.Union:
        """Map the branches of our union to those of the other one."""
        places: list[int] = []
        written: dict[int, ops.Op] = {}
        size = 0
        for branch, schema in zip(node.branches, own.branches, strict=True):
            if isinstance(branch, actions.Unreadable):
                _refuse(branch.message, branch.path)
            if not isinstance(branch, actions.ReadBranch):
                _refuse("a union cannot be written as one of its branches")
            op = self.node(branch.value, schema)
            if written.setdefault(branch.index, op) != op:
                _refuse(f"two branches would both be written as branch {branch.index}")
            places.append(branch.index)
            size = len(branch.reader.branches)
        branches = tuple(written.get(index, _NEVER) for index in range(size))
        choices = {
            cls: tuple(dict.fromkeys(places[index] for index in indexes))
            for cls, indexes in self.choices(own).items()
        }
        return ops.Union(branches, choices)

    def fields(self, resolved: actions.RecordResolution) -> ops.RecordPlan:
        own, other = resolved.writer, resolved.reader
        cls, shape = self.shape(own)
        placed: dict[int, ops.FieldPlan] = {}
        for position, (each, field) in enumerate(zip(resolved.fields, own.fields, strict=True)):
            if not isinstance(each, actions.ReadField):
                _refuse(f"field {field.name} would be lost", resolved.path)
            try:
                op = self.node(each.value, field.schema)
            except IncompatibleSchemaError as error:
                error.path = error.path or f"{resolved.path}/fields/{each.index}"
                raise
            attribute, argument = shape.attributes[position], shape.arguments[position]
            placed[each.index] = (field.name, op, attribute, argument)
        for index in resolved.defaults:
            added = other.fields[index]
            data = ops.Constant(default_bytes(added.schema, added.default))
            placed[index] = (added.name, data, None, None)
        fields = tuple(placed[index] for index in range(len(other.fields)))
        return ops.RecordPlan(own.name, fields, shape.build, cls, presets=shape.presets)


def _refuse(message: str, path: str | None = None) -> NoReturn:
    raise IncompatibleSchemaError(
        message, path=path, remedy="write with a schema that holds all that the event has"
    )
