"""Round trips of random events of random schemas."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from sdk import avro
from tests.unit.avro.events import events
from tests.unit.avro.running import exactly

pytestmark = pytest.mark.usefixtures("executor")

SLOW = settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@SLOW
@given(events())
def test_event_survives_round_trip(event: Any) -> None:
    """An encoded event decodes as an equal event, with values of the same classes."""
    decoded = avro.decode(type(event), avro.encode(event))
    assert decoded == event
    assert exactly(decoded) == exactly(event)
