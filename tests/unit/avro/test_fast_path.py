"""Ordinary values stay on the fast path: falling back is right, and many times slower."""

from __future__ import annotations

import datetime as dt
import os
import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, given, settings

from sdk import avro
from sdk.avro import Duration
from sdk.avro.codec.codecs import binding
from sdk.avro.codec.lowering import encode_plan
from sdk.avro.codec.plan import Plan
from sdk.avro.codec.reading_from import decode_plan
from sdk.avro.resolution.resolver import resolve
from tests.unit.avro.events import (
    LOGICAL,
    LOGICAL_FIXED,
    PRIMITIVES,
    event_class,
    events,
    record,
)
from tests.unit.avro.running import FAST, fast_reader, fast_writer

pytestmark = pytest.mark.parametrize("executor", FAST)
SLOW = settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def plans(cls: type[Any]) -> tuple[Plan, Plan]:
    """The plans that write and read a class."""
    bound = binding(cls)
    reading = decode_plan(resolve(bound.schema, bound.schema), bound.schema, bound.types)
    return encode_plan(bound.schema, bound.types), reading


@SLOW
@given(events())
def test_valid_events_do_not_fall_back(executor: str, event: Any) -> None:
    """Any event is written and read, framed, without the interpreter."""
    writing, reading = plans(type(event))
    body = avro.encode(event)
    assert fast_reader(executor, reading)(b"12345" + body, 5) == event
    assume(not _told_apart_by_trying(repr(writing)))
    assert fast_writer(executor, writing)(event, b"x") == b"x" + body


def _told_apart_by_trying(plan: str) -> bool:
    """Whether a union has several branches for one class, which only the interpreter tries."""
    return any(
        len(re.findall("[0-9]+", each)) > 1 for each in re.findall(r">: \(([0-9, ]*)\)", plan)
    )


@pytest.mark.parametrize("kind", [*PRIMITIVES, *LOGICAL, *LOGICAL_FIXED], ids=str)
@pytest.mark.parametrize("more", [0, 100], ids=["small", "large"])
def test_each_type_has_a_fast_path(executor: str, kind: Any, more: int) -> None:
    """No type of value falls back on the interpreter, alone, optional or in containers."""
    if isinstance(kind, dict) and "size" in kind:
        kind = {"type": "fixed", "name": "F", **kind}
    again = kind["name"] if isinstance(kind, dict) and "name" in kind else kind
    optional = ["null", again] if kind != "null" else "null"
    items, entries = {"type": "array", "items": again}, {"type": "map", "values": again}
    rest = [(f"n{n}", "null") for n in range(more)]  # a large plan is compiled shorter
    fields = [("a", kind), ("b", optional), ("c", optional), ("d", items), ("e", entries)]
    cls = event_class(record(*fields, *rest))
    writing, reading = plans(cls)
    write, read = fast_writer(executor, writing), fast_reader(executor, reading)
    for value in EXAMPLES[kind if isinstance(kind, str) else kind["logicalType"]]:
        nulls = {name: None for name, _ in rest}
        event = cls(a=value, b=value, c=None, d=[value] * 40, e={"k": value}, **nulls)
        assert read(write(event)) == event


_NOON = dt.datetime(2026, 1, 1, 12, 30, 15, 123000)
EXAMPLES: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [True, False],
    "int": [0, -1, 63, -8192, 8191, 2**20, 2**27, 2**31 - 1, -(2**31)],
    "long": [0, -1, 8191, 2**20, 2**27, 2**34, 2**41, 2**55, 2**63 - 1, -(2**63)],
    "float": [0.5, -2.25],
    "double": [0.1, 1e300],
    "bytes": [b"", b"x" * 5000],
    "string": ["", "größe", "\U0001f600", "x" * 5000],
    "date": [dt.date(1, 1, 1), dt.date(2026, 1, 1), dt.date(9999, 12, 31)],
    "time-millis": [dt.time(0), dt.time(12, 30, 15, 123000)],
    "time-micros": [dt.time(0), dt.time(12, 30, 15, 123456)],
    "timestamp-millis": [_NOON.replace(tzinfo=dt.UTC), dt.datetime(1, 1, 1, tzinfo=dt.UTC)],
    "timestamp-micros": [_NOON.replace(tzinfo=dt.UTC), dt.datetime(1, 1, 1, tzinfo=dt.UTC)],
    "timestamp-nanos": [1_767_225_600_123_456_789],
    "local-timestamp-millis": [_NOON, dt.datetime(1, 1, 1), dt.datetime(1970, 1, 1)],
    "local-timestamp-micros": [_NOON, dt.datetime(1, 1, 1), dt.datetime(1970, 1, 1)],
    "local-timestamp-nanos": [1_767_225_600_123_456_789],
    "uuid": [UUID(int=2**127 + 7)],
    "decimal": [Decimal(n) for n in (0, -1, 127, -128, 9999)],
    "big-decimal": [Decimal("-1.5")],
    "duration": [Duration(1, 2, 3)],
}
