"""Resolution: decides how data of a writer's schema is read with a reader's schema.

`resolve` returns data, a tree of `actions`. The rules are those of the Avro 1.12
specification and of Java's decoder:

* Values convert by the *reader's* logical type; only decimals must agree in scale and precision.
* Records match regardless of names; enums and fixed need equal unqualified names, or an alias.
* A writer's field goes to the reader's field with that alias, else to the one with that name.
* In a reader's union, the branch is the one with the exact full name, else the exact type, else
  the unqualified name, else a record with a matching structure, else the first promotion. (The
  specification says "first match"; Java's order is better and differs only where that would lose
  the type.) Unions that are equivalent branch by branch are read branch by branch.
* A field's alias is valid although the record's namespace changed, and an enum or fixed matches a
  branch in another namespace: Java's compatibility check accepts both, but its decoder does not.
* Data that can never be read is an error immediately; a union branch, an array item or a map value
  that cannot be read is an error only when one arrives.

Each pair of schemas is resolved once, however often it occurs, so that the
cost of resolving two schemas is bounded by the product of their sizes.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import define, field

from sdk.avro.resolution import actions
from sdk.avro.resolution.matching import Equivalence, decimals_differ, promotes
from sdk.avro.schema.defaults import default_defects
from sdk.avro.schema.equality import same_definition
from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    named_types,
    short_name,
)
from sdk.errors import IncompatibleSchemaError


def resolve(writer: Schema, reader: Schema) -> actions.Resolution:
    """Decide how data of one schema is read as another.

    Raises:
        IncompatibleSchemaError: No value can ever be read; ``path`` is the JSON pointer of the
            reader's schema where the two part.
    """
    resolution = attempt(writer, reader)
    if isinstance(resolution.root, actions.Unreadable):
        raise IncompatibleSchemaError(
            resolution.root.message,
            path=resolution.root.path,
            remedy="read with the schema of the writer, or evolve the schema compatibly",
        )
    return resolution


def attempt(writer: Schema, reader: Schema) -> actions.Resolution:
    """Like `resolve`, but return an `Unreadable` root instead of raising an error."""
    types = tuple(named_types(reader))
    aliases = any(map(_has_aliases, types)) and not same_definition(writer, reader)
    return _Resolver(types if aliases else ()).run(writer, reader)


@define(eq=False)
class _Choice:
    """A reader's union for which no branch has been chosen yet.

    ``indexes`` are the candidates, best first; those ``tried`` have failed, except the last.
    """

    writer: Schema
    reader: UnionSchema
    path: str
    indexes: list[int]
    tried: list[Any] = field(factory=list)


@define(eq=False)
class _Draft:
    """A pair of records while its fields are being resolved; ``error`` if it can never be read.

    ``users`` are the nodes that hold it, each with the record whose field the node is, if the
    record fails with it.
    """

    writer: RecordSchema
    reader: RecordSchema
    path: str
    fields: list[actions.ReadField | actions.SkipField] = field(factory=list)
    defaults: list[int] = field(factory=list)
    error: actions.Unreadable | None = None
    users: list[tuple[_Draft | None, Any]] = field(factory=list)


_SURE: Final = (actions.Read, actions.Promote)
"""Nodes that cannot fail and have nothing to choose."""


class _Resolver:
    """One run. Records are queued, not descended into, so depth does not grow with their number.

    Failures are found from the inside out: a record fails when one of its fields does,
    a union when all branches do, and a choice when its last candidate does. Arrays and maps never
    fail, because they may be empty.
    """

    def __init__(self, aliased: tuple[NamedSchema, ...]) -> None:
        # data of the same schema is read without aliases, as in Java
        self.aliases = bool(aliased)
        self.renamed = {alias: each.name for each in aliased for alias in each.aliases}
        self.equivalent = Equivalence(self.renamed)
        self.drafts: list[_Draft] = []
        self.indexes: dict[tuple[int, int], int] = {}
        self.nodes: dict[tuple[int, int], Any] = {}
        self.failed: list[_Draft] = []

    def run(self, writer: Schema, reader: Schema) -> actions.Resolution:
        root = self.node(writer, reader, "")
        self.watch(None, root)
        for index, draft in enumerate(self.drafts):  # grows while it runs
            self.fill(draft)
            if draft.error is not None:
                self.failed.append(draft)
            for each in draft.fields:
                if isinstance(each, actions.ReadField) and not _is_sure(each.value):
                    self.watch(draft, each.value)
            if index + 1 == len(self.drafts):  # may resolve further candidates
                self.spread()
        return actions.Resolution(self.settle(root), tuple(map(self.finish, self.drafts)))

    def watch(self, user: _Draft | None, node: Any) -> None:
        """Register a node and its parts, so that failures are propagated and choices stay open."""
        for part in _parts(node):
            self.watch(None, part)
        if user is not None or isinstance(node, _Choice):
            self.hold(user, node)

    def hold(self, user: _Draft | None, node: Any) -> None:
        """Fail the user of a failed node; else check again when the record it depends on fails."""
        error = self.failure(node)
        if error is None:
            kept = self.kept(node)
            if isinstance(kept, actions.ReadRecord):
                self.drafts[kept.index].users.append((user, node))
        elif user is not None and user.error is None:
            user.error = error
            self.failed.append(user)

    def spread(self) -> None:
        """Propagate failures outwards; choices whose candidates have failed try the next one."""
        while self.failed:
            for user, node in self.failed.pop().users:
                self.hold(user, node)

    def failure(self, node: Any) -> actions.Unreadable | None:
        """Return why no value of a node can ever be read, if known."""
        match node:
            case actions.Unreadable():
                return node
            case actions.ReadRecord():
                return self.drafts[node.index].error
            case actions.ReadBranch():
                return self.failure(node.value)
            case actions.ReadUnion():
                errors = [self.failure(branch) for branch in node.branches]
                return errors[-1] if all(errors) and errors else None
            case _Choice():
                error = self.failure(node.tried[-1])
                while error is not None and self.another(node) is not None:
                    error = self.failure(node.tried[-1])
                return error
        return None

    def kept(self, node: Any) -> Any:
        """Return the part because of which a node does not fail."""
        while isinstance(node, actions.ReadBranch | actions.ReadUnion | _Choice):
            node = next((part for part in _parts(node) if self.failure(part) is None), None)
        return node

    def finish(self, draft: _Draft) -> actions.RecordResolution:
        fields = (
            actions.ReadField(each.index, self.settle(each.value))
            if isinstance(each, actions.ReadField) and not _is_sure(each.value)
            else each
            for each in draft.fields
        )
        return actions.RecordResolution(
            draft.writer, draft.reader, tuple(fields), tuple(draft.defaults), draft.path
        )

    def node(self, writer: Schema, reader: Schema, path: str) -> Any:
        pair = (id(writer), id(reader))
        if pair not in self.nodes:
            self.nodes[pair] = self.resolved(writer, reader, path)
        return self.nodes[pair]

    def resolved(self, writer: Schema, reader: Schema, path: str) -> Any:
        if isinstance(writer, UnionSchema):
            return self.writer_union(writer, reader, path)
        if isinstance(reader, UnionSchema):
            return self.reader_union(writer, reader, path)
        if decimals_differ(writer, reader):
            return actions.Unreadable("decimals differ in precision or scale", path, "C202")
        if isinstance(reader, PrimitiveSchema) and writer.type == reader.type:
            return actions.Read(reader)
        match writer, reader:
            case RecordSchema(), RecordSchema():
                return self.record(writer, reader, path)
            case EnumSchema(), EnumSchema():
                return self.enum(writer, reader, path)
            case FixedSchema(), FixedSchema():
                return self.fixed(writer, reader, path)
            case ArraySchema(), ArraySchema():
                return actions.ReadArray(
                    reader, self.node(writer.items, reader.items, f"{path}/items")
                )
            case MapSchema(), MapSchema():
                return actions.ReadMap(
                    reader, self.node(writer.values, reader.values, f"{path}/values")
                )
            case PrimitiveSchema(), PrimitiveSchema() if promotes(writer, reader):
                return actions.Promote(writer.type, reader)
        return actions.Unreadable(f"{_shown(writer)} cannot be read as {_shown(reader)}", path)

    def writer_union(self, writer: UnionSchema, reader: Schema, path: str) -> actions.ReadUnion:
        if isinstance(reader, UnionSchema) and self.equivalent(writer, reader):
            return actions.ReadUnion(
                tuple(
                    actions.ReadBranch(reader, index, self.node(mine, theirs, f"{path}/{index}"))
                    for index, (mine, theirs) in enumerate(
                        zip(writer.branches, reader.branches, strict=True)
                    )
                )
            )
        return actions.ReadUnion(
            tuple(self.node(branch, reader, path) for branch in writer.branches)
        )

    def reader_union(self, writer: Schema, reader: UnionSchema, path: str) -> Any:
        choice = _Choice(writer, reader, path, self.candidates(writer, reader))
        if self.another(choice) is None:
            return actions.Unreadable(f"no branch of the union can take {_shown(writer)}", path)
        return choice

    def another(self, choice: _Choice) -> Any:
        """Resolve the next candidate of a choice and return it; None if there is none."""
        if len(choice.tried) == len(choice.indexes):
            return None
        index = choice.indexes[len(choice.tried)]
        branch = choice.reader.branches[index]
        choice.tried.append(self.node(choice.writer, branch, f"{choice.path}/{index}"))
        return choice.tried[-1]

    def candidates(self, writer: Schema, reader: UnionSchema) -> list[int]:
        """Return the reader's branches that may take a value, in order of preference."""
        same = [i for i, branch in enumerate(reader.branches) if branch.type == writer.type]
        if not isinstance(writer, NamedSchema):
            return (
                same
                or [i for i, branch in enumerate(reader.branches) if promotes(writer, branch)][:1]
            )
        name = self.renamed.get(writer.name, writer.name)
        exact: list[int] = []
        unqualified: list[int] = []
        others: list[int] = []
        for index in same:
            branch = reader.branches[index]
            assert isinstance(branch, NamedSchema)
            if branch.name == name:
                exact.append(index)
            elif short_name(branch.name) == short_name(name):
                unqualified.insert(0, index)  # Java takes the last of them
            else:
                others.append(index)
        if exact:
            return exact
        return unqualified + (others if isinstance(writer, RecordSchema) else [])

    def enum(
        self, writer: EnumSchema, reader: EnumSchema, path: str
    ) -> actions.ReadEnum | actions.Unreadable:
        if not self.names_agree(writer, reader):
            return actions.Unreadable(f"enum {writer.name} is not {reader.name}", f"{path}/name")
        places = {symbol: index for index, symbol in enumerate(reader.symbols)}
        default = None if reader.default is None else places.get(reader.default)
        symbols = tuple(places.get(symbol, default) for symbol in writer.symbols)
        if symbols and all(each is None for each in symbols):
            return actions.Unreadable(
                f"enum {reader.name} has none of the symbols that are written", f"{path}/symbols"
            )
        return actions.ReadEnum(writer, reader, symbols)

    def fixed(
        self, writer: FixedSchema, reader: FixedSchema, path: str
    ) -> actions.Read | actions.Unreadable:
        if not self.names_agree(writer, reader):
            return actions.Unreadable(f"fixed {writer.name} is not {reader.name}", f"{path}/name")
        if writer.size != reader.size:
            return actions.Unreadable(
                f"fixed {reader.name} has {reader.size} bytes, {writer.size} are written",
                f"{path}/size",
            )
        return actions.Read(reader)

    def names_agree(self, writer: NamedSchema, reader: NamedSchema) -> bool:
        name = self.renamed.get(writer.name, writer.name)
        return short_name(name) == short_name(reader.name)

    def record(self, writer: RecordSchema, reader: RecordSchema, path: str) -> actions.ReadRecord:
        key = (id(writer), id(reader))
        if key not in self.indexes:
            self.indexes[key] = len(self.drafts)
            self.drafts.append(_Draft(writer, reader, path))
        return actions.ReadRecord(self.indexes[key])

    def fill(self, draft: _Draft) -> None:
        reader, path = draft.reader, draft.path
        places = {each.name: index for index, each in enumerate(reader.fields)}
        for index, each in enumerate(reader.fields if self.aliases else ()):
            places.update(dict.fromkeys(each.aliases, index))
        missing = dict(enumerate(reader.fields))
        for mine in draft.writer.fields:
            index = places.get(mine.name, -1)
            if index < 0:
                draft.fields.append(actions.SkipField(mine.schema))
                continue
            below = f"{path}/fields/{index}"
            if missing.pop(index, None) is None:
                draft.error = actions.Unreadable(
                    f"two written fields go to field {reader.fields[index].name}", below
                )
                return
            node = self.node(mine.schema, reader.fields[index].schema, f"{below}/type")
            draft.fields.append(actions.ReadField(index, node))
        for index, each in missing.items():
            below = f"{path}/fields/{index}"
            if each.default is NO_DEFAULT:
                message = f"field {each.name} is not written and has no default"
                draft.error = draft.error or actions.Unreadable(message, below)
                continue
            problems = default_defects(each.schema, each.default)
            refused = next((text for _, text, is_warning in problems if not is_warning), None)
            if refused is None:
                draft.defaults.append(index)
            else:
                draft.error = draft.error or actions.Unreadable(refused, f"{below}/default")

    def settle(self, node: Any) -> actions.Node:
        """Return a node with its choices made and its unreadable parts marked as such."""
        return self.failure(node) or self.chosen(node)

    def chosen(self, node: Any) -> actions.Node:
        match node:
            case actions.ReadArray():
                return actions.ReadArray(node.reader, self.settle(node.items))
            case actions.ReadMap():
                return actions.ReadMap(node.reader, self.settle(node.values))
            case actions.ReadUnion():
                return actions.ReadUnion(tuple(self.settle(branch) for branch in node.branches))
            case actions.ReadBranch():
                return actions.ReadBranch(node.reader, node.index, self.settle(node.value))
            case _Choice():
                index = node.indexes[len(node.tried) - 1]  # those before it have failed
                return actions.ReadBranch(node.reader, index, self.settle(node.tried[-1]))
        settled: actions.Node = node
        return settled


def _parts(node: Any) -> tuple[Any, ...]:
    match node:
        case actions.ReadArray():
            return (node.items,)
        case actions.ReadMap():
            return (node.values,)
        case actions.ReadBranch():
            return (node.value,)
        case actions.ReadUnion():
            return node.branches
        case _Choice():
            return (node.tried[-1],)
    return ()


def _is_sure(node: Any) -> bool:
    """Whether a node cannot fail and has nothing to choose, as with most fields."""
    if not isinstance(node, actions.ReadUnion):
        return isinstance(node, _SURE)
    return all(
        isinstance(branch, actions.ReadBranch) and isinstance(branch.value, _SURE)
        for branch in node.branches
    )


def _has_aliases(schema: NamedSchema) -> bool:
    fields = schema.fields if isinstance(schema, RecordSchema) else ()
    return bool(schema.aliases) or any(each.aliases for each in fields)


def _shown(schema: Schema) -> str:
    return f"{schema.type} {schema.name}" if isinstance(schema, NamedSchema) else schema.type
