"""Round trips of random events of random schemas, and agreement of the executors."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings

from sdk import avro
from sdk.avro import interpreter
from sdk.avro.codec import binding
from sdk.avro.lowering import decode_plan, encode_plan
from sdk.avro.resolution import resolve
from tests.unit.avro.events import events

SLOW = settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@SLOW
@given(events())
def test_event_survives_round_trip(event: Any) -> None:
    """What is encoded decodes as an equal event, with values of the same classes."""
    decoded = avro.decode(type(event), avro.encode(event))
    assert decoded == event
    assert repr(decoded) == repr(event)


@SLOW
@given(events())
def test_executors_agree_on_valid_events(event: Any) -> None:
    """The interpreter writes and reads what the compiled functions do."""
    bound = binding(type(event))
    body = avro.encode(event)
    assert interpreter.write(encode_plan(bound.schema, bound.types), event) == body
    plan = decode_plan(resolve(bound.schema, bound.schema), bound.schema, bound.types)
    assert interpreter.read(plan, body) == event
