"""The native executor gives the interpreter's answers, or leaves the answer to it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import sdk_accel
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk.avro import Limits
from sdk.avro.codec import interpreter
from sdk.avro.codec.codecs import binding
from sdk.avro.codec.logical import from_wire, to_wire
from sdk.avro.codec.lowering import decode_plan, encode_plan
from sdk.avro.codec.plan import Plan
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from sdk.errors import DeserializationError, IncompatibleSchemaError
from tests.unit.avro.events import event_class, events, record
from tests.unit.avro.schemas import pairs
from tests.unit.avro.test_hostile_bytes import mutated
from tests.unit.avro.wire import bodies

MUTATIONS = int(os.environ.get("CODEC_MUTATIONS", "40"))
"""Mutated payloads for each event. A long run: CODEC_EXAMPLES=500 CODEC_MUTATIONS=2000 pytest
-o timeout=0 tests/accel/test_agreement.py makes two million."""

SLOW = settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LIMITS = Limits(max_depth=20, max_zero_size_items=100)


class GaveUpError(Exception):
    """The native executor left the answer to the interpreter."""


def give_up(*_: Any) -> Any:
    """Stand for the interpreter."""
    raise GaveUpError


def native_reader(plan: Plan, limits: Limits = LIMITS) -> Callable[..., Any]:
    """The native decoder of a plan, without the interpreter behind it."""
    return sdk_accel.compile_decoder(plan, limits, lambda op: from_wire(op, limits), give_up)


def native_writer(plan: Plan, limits: Limits = LIMITS) -> Callable[..., bytes]:
    """The native encoder of a plan, without the interpreter behind it."""
    return sdk_accel.compile_encoder(plan, limits, to_wire, give_up)


def plans(cls: type[Any]) -> tuple[Plan, Plan]:
    """The plans that write and read a class."""
    bound = binding(cls)
    reading = decode_plan(resolve(bound.schema, bound.schema), bound.schema, bound.types)
    return encode_plan(bound.schema, bound.types), reading


def check(plan: Plan, native: Callable[..., Any], data: bytes) -> bool:
    """Compare the answers to a payload; return whether the native executor gave one."""
    try:
        expected = interpreter.read(plan, data, 0, LIMITS)
    except DeserializationError:
        with pytest.raises(GaveUpError):
            native(data)
        return False
    try:
        value = native(data)
    except GaveUpError:
        return False
    assert repr(value) == repr(expected), data.hex()
    return True


@SLOW
@given(events())
def test_valid_events_agree(event: Any) -> None:
    """Bytes and values are the interpreter's, with and without a prefix and a start."""
    writing, reading = plans(type(event))
    body = interpreter.write(writing, event)
    try:
        assert native_writer(writing)(event) == body
        assert native_writer(writing)(event, b"\0\0\0\0\1") == b"\0\0\0\0\1" + body
    except GaveUpError:
        assert interpreter.write(writing, event) == body  # a branch that only trying tells
    decoded = native_reader(reading)(b"12345" + body, 5)
    assert decoded == event
    assert repr(decoded) == repr(event)
    assert type(decoded) is type(event)


@SLOW
@given(events(), st.integers(0, 2**32))
def test_mutated_payloads_agree(event: Any, seed: int) -> None:
    """What the interpreter refuses is left to it; what is read natively is what it reads."""
    writing, reading = plans(type(event))
    body, chance, native = interpreter.write(writing, event), random.Random(seed), None
    native = native_reader(reading)
    assert check(reading, native, body)
    for _ in range(MUTATIONS):
        check(reading, native, mutated(body, chance))


@SLOW
@given(pairs(logical=True), st.data(), st.integers(0, 2**32))
def test_other_versions_agree(pair: tuple[Any, Any], data: st.DataObject, seed: int) -> None:
    """The answers agree where fields are skipped, promoted and filled in."""
    writer, reader = (parse_schema(record(("f", each), name="Top")) for each in pair)
    try:
        resolution = resolve(writer, reader)
    except IncompatibleSchemaError:
        assume(False)
    cls = event_class(record(("f", pair[1]), name="Top"))
    plan = decode_plan(resolution, reader, cls.__event__.types)  # type: ignore[attr-defined]
    native, body, chance = native_reader(plan), data.draw(bodies(writer)), random.Random(seed)
    check(plan, native, body)
    for _ in range(MUTATIONS):
        check(plan, native, mutated(body, chance))


@SLOW
@given(events())
def test_every_truncation_is_refused(event: Any) -> None:
    """A payload that ends early is never read, wherever it is cut."""
    writing, reading = plans(type(event))
    body, native = interpreter.write(writing, event), native_reader(reading, DEFAULT_LIMITS)
    for end in range(len(body)):
        with pytest.raises(GaveUpError):
            native(body[:end])
