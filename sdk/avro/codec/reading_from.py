"""Makes plans that read data of another schema, as resolution determines."""

from __future__ import annotations

from sdk.avro.codec import plan as ops
from sdk.avro.codec.binding import Shape
from sdk.avro.codec.default_bytes import default_bytes
from sdk.avro.codec.lowering import Classes, Lowering
from sdk.avro.resolution import actions
from sdk.avro.schema import FixedSchema, RecordSchema


def decode_plan(resolution: actions.Resolution, reader: RecordSchema, classes: Classes) -> ops.Plan:
    """Make the plan of a resolution."""
    lowering = _ReadLowering(resolution, classes)
    return lowering.plan(reader.name, lowering.node(resolution.root))


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
                return self.leaf(node.reader, ops.PRIMITIVES[node.reader.type])
            case actions.Promote():
                return self.leaf(node.reader, ops.Promote(node.writer, node.reader.type))
            case actions.ReadEnum():
                cls, members = self.members(node.reader)
                values = tuple(None if i is None else members[i] for i in node.symbols)
                return ops.Enum(node.reader.name, node.writer.symbols, values, cls)
            case actions.ReadArray():
                return self.array(self.node(node.items))
            case actions.ReadMap():
                return self.map(self.node(node.values))
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
        fields: list[ops.FieldPlan] = []
        for each, writer in zip(resolved.fields, resolved.writer.fields, strict=True):
            if isinstance(each, actions.ReadField):
                name = resolved.reader.fields[each.index].name
                attribute, argument = shape.attributes[each.index], shape.arguments[each.index]
                fields.append((name, self.node(each.value), attribute, argument))
            else:
                skipped = ops.Skip(self.schema(each.writer, skip=True))
                fields.append((writer.name, skipped, None, None))
        self.current = set()  # defaults are not on the wire
        defaults = tuple(self.default(index, resolved.reader, shape) for index in resolved.defaults)
        return ops.RecordPlan(
            resolved.reader.name, tuple(fields), shape.build, cls, defaults, shape.presets
        )

    def default(self, index: int, reader: RecordSchema, shape: Shape) -> ops.DefaultPlan:
        field = reader.fields[index]
        return ops.DefaultPlan(
            op=self.schema(field.schema),
            data=default_bytes(field.schema, field.default),
            attribute=shape.attributes[index],
            argument=shape.arguments[index],
            fresh=True,
        )
