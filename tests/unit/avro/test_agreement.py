"""The executors give the same answers: values to the last bit, errors to the byte."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk import avro
from sdk.avro import Limits
from sdk.avro.codec.codecs import binding
from sdk.avro.codec.lowering import encode_plan
from sdk.avro.codec.plan import Plan
from sdk.avro.codec.reading_from import decode_plan
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from sdk.errors import IncompatibleSchemaError
from tests.unit.avro.events import LOGICAL, PRIMITIVES, event_class, events, record, values
from tests.unit.avro.running import EXECUTORS, outcome
from tests.unit.avro.schemas import pairs
from tests.unit.avro.wire import bodies

MUTATIONS = int(os.environ.get("CODEC_MUTATIONS", "40"))
"""Mutated payloads for each event; `make fuzz` makes a million."""

SLOW = settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LIMITS = Limits(max_depth=20, max_zero_size_items=100)


def mutated(body: bytes, chance: random.Random) -> bytes:
    """A payload that differs in one to three places."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        place = chance.randint(0, len(data))
        match chance.randrange(6):
            case 0 if place < len(data):
                data[place] ^= 1 << chance.randrange(8)
            case 1 if place < len(data):
                data[place] = chance.choice((0, 1, 2, 3, 127, 128, 129, 254, 255))
            case 2:
                del data[place:]
            case 3:
                del data[place : place + chance.randint(1, 4)]
            case 4:
                data[place:place] = chance.choice(
                    (b"\0", b"\1", b"\x80\0", b"\xff" * 9 + b"\1", b"\xff" * 10, b"\x03\x10")
                )
            case 5:
                data[place:place] = chance.randbytes(chance.randint(1, 4))
    return bytes(data)


_EACH = [(f"f{n}", kind) for n, kind in enumerate((*PRIMITIVES, *LOGICAL))]
_WIDE = event_class(record(*_EACH, *((f"n{n}", "null") for n in range(100)), name="Wide"))
_WIDE_EVENTS = values(
    parse_schema(_WIDE.__event__.schema),  # type: ignore[attr-defined]
    _WIDE.__event__.types,  # type: ignore[attr-defined]
)


@SLOW
@given(events() | _WIDE_EVENTS, st.integers(0, 2**32))
def test_executors_agree_on_mutated_payloads(event: Any, seed: int) -> None:
    """All accept the same payloads with the same values, and refuse the others alike."""
    bound = binding(type(event))
    plan = decode_plan(resolve(bound.schema, bound.schema), bound.schema, bound.types)
    agree(plan, avro.encode(event), seed)


@SLOW
@given(pairs(logical=True), st.data(), st.integers(0, 2**32))
def test_executors_agree_on_mutated_payloads_of_other_versions(
    pair: tuple[Any, Any], data: st.DataObject, seed: int
) -> None:
    """They also agree where fields are skipped, promoted and filled in."""
    writer, reader = (parse_schema(record(("f", each), name="Top")) for each in pair)
    try:
        resolution = resolve(writer, reader)
    except IncompatibleSchemaError:
        assume(False)
    cls = event_class(record(("f", pair[1]), name="Top"))
    plan = decode_plan(resolution, reader, cls.__event__.types)  # type: ignore[attr-defined]
    agree(plan, data.draw(bodies(writer)), seed)


def agree(plan: Plan, body: bytes, seed: int) -> None:
    """Compare what the executors answer to a body, its beginnings and mutations."""
    expected_from, *others = [each.compile_decoder(plan, LIMITS) for each in EXECUTORS.values()]
    chance = random.Random(seed)
    cut = [body[:end] for end in range(min(len(body), MUTATIONS))]
    for data in (body, *cut, *(mutated(body, chance) for _ in range(MUTATIONS))):
        expected = outcome(expected_from, data)
        for read in others:
            assert outcome(read, data) == expected, data.hex()


@SLOW
@given(events(), st.integers(0, 2**32))
def test_executors_agree_on_damaged_events(event: Any, seed: int) -> None:
    """They write the same bytes of events that hold odd values, or refuse them alike."""
    bound, chance = binding(type(event)), random.Random(seed)
    plan = encode_plan(bound.schema, bound.types)
    expected_from, *others = [each.compile_encoder(plan, LIMITS) for each in EXECUTORS.values()]
    for _ in range(min(MUTATIONS, 20)):
        expected = outcome(expected_from, event, b"prefix")
        for write in others:
            assert outcome(write, event, b"prefix") == expected
        damage(event, chance)


ODD = (
    *(None, True, 0, -1, 2**31, 2**63, -(2**63) - 1, 1.0, 1.5, 1e300, float("nan"), "", "\ud800"),
    *("x", b"", b"xyz", bytearray(b"xyz"), (), [], {}, {1: 2}, {"k": None}, [None] * 3, object()),
    *(Decimal("1.23"), Decimal("1E+3"), Decimal("NaN"), Decimal(10**30), UUID(int=3), int),
    *(dt.date(2026, 1, 1), dt.time(1, 2, 3, 4), dt.datetime(2026, 1, 1), dt.timedelta(1)),
    dt.datetime(1950, 1, 1, 1, 1, 1, 999, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    dt.time(1, tzinfo=dt.UTC),
)


def damage(event: Any, chance: random.Random) -> None:
    """Give some attribute somewhere in an event a value that may not belong there, or none."""
    holders = [
        each
        for each in everything_in(event)
        if attrs.fields(type(each)) and type(each) is not avro.Duration
    ]
    if holders:
        holder = chance.choice(holders)
        name = chance.choice(attrs.fields(type(holder))).name
        if chance.randrange(20) or not hasattr(holder, name):
            object.__setattr__(holder, name, chance.choice(ODD))
        else:
            object.__delattr__(holder, name)


def everything_in(value: Any) -> Iterator[Any]:
    """The records in a value, itself included."""
    if attrs.has(type(value)):
        yield value
        inner = [getattr(value, each.name, None) for each in attrs.fields(type(value))]
    else:
        inner = list(value.values()) if type(value) is dict else value
    if isinstance(inner, list | tuple):
        for each in inner:
            yield from everything_in(each)
