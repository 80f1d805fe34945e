"""Properties of a whole plan: minimum sizes, recursion, and which defaults are mutable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sdk.avro.codec import plan as ops

_LEAST: Final = {"null": 0, "float": 4, "double": 8}
_ENOUGH: Final = 2**40


def finish(
    plan: ops.Plan, blocks: Sequence[ops.Array | ops.Map], inner: list[set[int]]
) -> ops.Plan:
    """Fill in ``least``, ``recursive`` and ``fresh``, and return the plan.

    Args:
        plan: A plan that is not shared yet.
        blocks: Its arrays and maps.
        inner: For each record those that its fields directly lead to.
    """
    for index, record in enumerate(plan.records):
        record.recursive = index in _reachable(inner, inner[index]) if inner[index] else False
        for default in record.defaults:
            default.fresh = _is_mutable(plan, default.op)
    items = [op.items if isinstance(op, ops.Array) else op.values for op in blocks]
    sizes = _record_sizes(plan, inner, _records(items))
    for op, item in zip(blocks, items, strict=True):
        op.least = _least(item, sizes) + isinstance(op, ops.Map)
    return plan


def below(record: ops.RecordPlan) -> set[int]:
    """Return the records that a record directly leads to."""
    return _records(op for _, op, _, _ in record.fields)


def inner_first(inner: list[set[int]], wanted: Iterable[int]) -> list[int]:
    """Return records and those inside them, each after those it contains, as far as can be."""
    order: dict[int, None] = {}
    seen: set[int] = set()
    pending = [(index, False) for index in wanted]
    while pending:
        index, done = pending.pop()
        if done:
            order[index] = None
        elif index not in seen:
            seen.add(index)
            pending.append((index, True))
            pending.extend((each, False) for each in inner[index])
    return list(order)


def _records(found: Iterable[ops.Op]) -> set[int]:
    """Return the records among some operations and inside them; records are not entered."""
    pending = list(found)
    for op in pending:  # grows while it runs
        pending += ops.parts(op)
    return {op.index for op in pending if isinstance(op, ops.Record)}


def _reachable(inner: list[set[int]], start: Iterable[int]) -> set[int]:
    seen: set[int] = set()
    pending = list(start)
    while pending:
        index = pending.pop()
        if index not in seen:
            seen.add(index)
            pending.extend(inner[index])
    return seen


def _record_sizes(plan: ops.Plan, inner: list[set[int]], wanted: set[int]) -> dict[int, int]:
    """Return the least bytes of records: lower bounds that grow to a fixed point.

    If records contain themselves, each round looks one record deeper. Sizes of infinite records
    would grow forever, so there are only as many rounds as records.
    """
    order = inner_first(inner, wanted)
    sizes = dict.fromkeys(order, 0)
    recursive = [index for index in order if plan.records[index].recursive]
    for _ in order if recursive else order[:1]:
        before = sizes.copy()
        for index in order:
            total = sum([_least(op, sizes) for _, op, _, _ in plan.records[index].fields])
            sizes[index] = min(total, _ENOUGH)
        if sizes == before:
            break
    return sizes


def _least(op: ops.Op, sizes: dict[int, int]) -> int:
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


def _is_mutable(plan: ops.Plan, op: ops.Op) -> bool:
    """Return whether a value is mutable, or contains one that must not be shared."""
    found = [op]
    seen: set[int] = set()
    for each in found:  # grows while it runs
        found += ops.parts(each)
        if isinstance(each, ops.Map):
            return True
        if isinstance(each, ops.Record) and each.index not in seen:
            seen.add(each.index)
            record = plan.records[each.index]
            if record.build == "call":
                return True
            found += [op for _, op, _, _ in record.fields]
    return False
