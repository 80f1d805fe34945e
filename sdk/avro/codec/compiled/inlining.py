"""Decides which records a compiler inlines."""

from __future__ import annotations

from typing import Final

from sdk.avro.codec import plan as ops
from sdk.avro.codec.plan_analysis import below, inner_first

_LITTLE: Final = 12
_MUCH: Final = 1000
_LARGE: Final = 100


def is_large(plan: ops.Plan) -> bool:
    """Whether a plan has so many fields that the time to compile it counts."""
    return sum(len(record.fields) for record in plan.records) > _LARGE


def inlined_records(plan: ops.Plan) -> set[int]:
    """Return the records that a compiler may inline: small ones, or used once.

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

    for index in inner_first(list(map(below, plan.records)), range(len(plan.records))):
        record = plan.records[index]
        weights[index] = 1 + sum(weigh(op) for _, op, _, _ in record.fields)
        once = uses[index] <= 1 and weights[index] <= _MUCH
        if not record.recursive and (once or weights[index] <= _LITTLE):
            inlined.add(index)
    return inlined


def _all_ops(plan: ops.Plan) -> list[ops.Op]:
    found = [plan.root, *(op for record in plan.records for _, op, _, _ in record.fields)]
    for op in found:  # grows while it runs
        found.extend(ops.parts(op))
    return found
