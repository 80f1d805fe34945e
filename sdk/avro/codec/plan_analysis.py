"""What follows from a plan as a whole: least sizes, recursion, and which defaults are mutable."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from sdk.avro.codec import plan as ops

_LEAST: Final = {"null": 0, "float": 4, "double": 8}
_ENOUGH: Final = 2**40
_LITTLE: Final = 12
_MUCH: Final = 1000
_LARGE: Final = 100


def finished(plan: ops.Plan) -> ops.Plan:
    """Return a plan with ``least``, ``recursive`` and ``fresh`` filled in."""
    sizes = _record_sizes(plan)
    recursive = _recursive_records(plan)
    mutable = _mutable_records(plan)
    records = tuple(
        evolve(
            record,
            recursive=index in recursive,
            fields=tuple(_sized_field(each, sizes) for each in record.fields),
            defaults=tuple(
                evolve(each, op=_sized(each.op, sizes), fresh=_is_mutable(each.op, mutable))
                for each in record.defaults
            ),
        )
        for index, record in enumerate(plan.records)
    )
    return evolve(plan, root=_sized(plan.root, sizes), records=records)


def _record_sizes(plan: ops.Plan) -> list[int]:
    """Return the least bytes of each record: lower bounds that grow to a fixed point.

    Each round looks one record deeper; records that can never end would grow for ever, so there
    are only as many rounds as records.
    """
    sizes = [0] * len(plan.records)
    for _ in plan.records:
        before = list(sizes)
        for index, record in enumerate(plan.records):
            total = sum(_least(each.op, sizes) for each in record.fields)
            sizes[index] = min(total, _ENOUGH)
        if sizes == before:
            break
    return sizes


def _least(op: ops.Op, sizes: list[int]) -> int:
    match op:
        case ops.Primitive():
            return _LEAST.get(op.kind, 1)
        case ops.Promote():
            return _LEAST.get(op.wire, 1)
        case ops.Fixed():
            return op.size
        case ops.Logical() | ops.Call():
            return _least(op.wire, sizes)
        case ops.Union():
            return 1 + min((_least(branch, sizes) for branch in op.branches), default=0)
        case ops.Record():
            return sizes[op.index]
        case ops.Skip():
            return _least(op.op, sizes)
        case ops.Refuse() | ops.Constant():
            return 0  # inside a union; as an array's item it is refused whatever its size
        case ops.Enum() | ops.Array() | ops.Map():
            return 1


def _sized(op: ops.Op, sizes: list[int]) -> ops.Op:
    match op:
        case ops.Array():
            return ops.Array(_sized(op.items, sizes), _least(op.items, sizes))
        case ops.Map():
            return ops.Map(_sized(op.values, sizes), 1 + _least(op.values, sizes))
        case ops.Union():
            return ops.Union(tuple(_sized(branch, sizes) for branch in op.branches), op.choices)
        case ops.Skip():
            return ops.Skip(_sized(op.op, sizes))
        case _:
            return op


def _sized_field(each: ops.FieldPlan, sizes: list[int]) -> ops.FieldPlan:
    op = _sized(each.op, sizes)
    return each if op is each.op else evolve(each, op=op)  # most are leaves; `evolve` takes long


def _below(record: ops.RecordPlan) -> set[int]:
    """Return the records that a record directly leads to."""
    found: set[int] = set()
    pending = [each.op for each in record.fields]
    while pending:
        op = pending.pop()
        if isinstance(op, ops.Record):
            found.add(op.index)
        pending.extend(ops.parts(op))
    return found


def _recursive_records(plan: ops.Plan) -> set[int]:
    """Return the records that can contain themselves."""
    below = [_below(record) for record in plan.records]
    recursive = set()
    for index in range(len(plan.records)):
        seen: set[int] = set()
        pending = list(below[index])
        while pending:
            current = pending.pop()
            if current not in seen:
                seen.add(current)
                pending.extend(below[current])
        if index in seen:
            recursive.add(index)
    return recursive


def _mutable_records(plan: ops.Plan) -> set[int]:
    """Return the records whose instances could be changed, or are not ours to share."""
    mutable = {i for i, record in enumerate(plan.records) if record.build == "call"}
    while True:
        more = {
            index
            for index, record in enumerate(plan.records)
            if index not in mutable and any(_is_mutable(each.op, mutable) for each in record.fields)
        }
        if not more:
            return mutable
        mutable |= more


def _is_mutable(op: ops.Op, mutable: set[int]) -> bool:
    match op:
        case ops.Map():
            return True
        case ops.Record():
            return op.index in mutable
        case _:
            return any(_is_mutable(part, mutable) for part in ops.parts(op))


def is_large(plan: ops.Plan) -> bool:
    """Whether a plan has so many fields that the time to compile it counts."""
    return sum(len(record.fields) for record in plan.records) > _LARGE


def inlined_records(plan: ops.Plan) -> set[int]:
    """Return the records that a compiler may write out in place: small ones, or used once.

    Others become functions, so that the text grows with the plan and not with its paths.
    """
    uses = [0] * len(plan.records)
    for op in _all_ops(plan):
        if isinstance(op, ops.Record):
            uses[op.index] += 1
    inlined: set[int] = set()
    weights: dict[int, int] = {}

    def weigh(op: ops.Op) -> int:
        if isinstance(op, ops.Record):
            return weights[op.index] if op.index in inlined else 1
        return 1 + sum(map(weigh, ops.parts(op)))

    for index in _inner_first(plan):
        record = plan.records[index]
        weights[index] = 1 + sum(weigh(each.op) for each in record.fields)
        once = uses[index] <= 1 and weights[index] <= _MUCH
        if not record.recursive and (once or weights[index] <= _LITTLE):
            inlined.add(index)
    return inlined


def _all_ops(plan: ops.Plan) -> list[ops.Op]:
    found: list[ops.Op] = []
    pending = [plan.root, *(each.op for record in plan.records for each in record.fields)]
    while pending:
        op = pending.pop()
        found.append(op)
        pending.extend(ops.parts(op))
    return found


def _inner_first(plan: ops.Plan) -> list[int]:
    """Return the records so that each comes after those it contains, as far as that can be."""
    order: dict[int, None] = {}
    seen: set[int] = set()
    pending = [(index, False) for index in range(len(plan.records))]
    while pending:
        index, done = pending.pop()
        if done:
            order[index] = None
        elif index not in seen:
            seen.add(index)
            pending.append((index, True))
            pending.extend((inner, False) for inner in _below(plan.records[index]))
    return list(order)
