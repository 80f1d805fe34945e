"""Ordinary values stay on the compiled path: falling back is right, and many times slower."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from sdk.avro.codec.compiled import compile_decoder, compile_encoder
from sdk.avro.codec.lowering import decode_plan, encode_plan
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from tests.unit.avro.events import event_class, record

ORDINARY: dict[str, tuple[Any, list[Any]]] = {
    "boolean": ("boolean", [True, False]),
    "int": ("int", [0, -1, 63, 64, 8191, 8192, 2**31 - 1, -(2**31)]),
    "long": ("long", [0, -1, 8192, 2**41, 2**55, 2**63 - 1, -(2**63)]),
    "float": ("float", [0.0, 1.5, -2.25]),
    "double": ("double", [0.0, 1.5, 1e300]),
    "string": ("string", ["", "x", "größe", "y" * 5000]),
    "bytes": ("bytes", [b"", b"\x00\xff", b"z" * 5000]),
    "optional": (["null", "string"], [None, "x"]),
    "array": ({"type": "array", "items": "string"}, [[], ["a", "b"]]),
    "map": ({"type": "map", "values": "long"}, [{}, {"a": 1, "b": -1}]),
    "decimal": (
        {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
        [Decimal("0.00"), Decimal("9.90"), Decimal("-1234567890.12")],
    ),
    "uuid": ({"type": "string", "logicalType": "uuid"}, [UUID(int=7)]),
    "date": ({"type": "int", "logicalType": "date"}, [date(2026, 1, 1), date(1969, 1, 1)]),
    "time": ({"type": "long", "logicalType": "time-micros"}, [time(0), time(23, 59, 59, 999_999)]),
    "timestamp": (
        {"type": "long", "logicalType": "timestamp-micros"},
        [datetime(2026, 1, 1, 1, 2, 3, 4, tzinfo=UTC), datetime(1960, 1, 1, tzinfo=UTC)],
    ),
    "local timestamp": (
        {"type": "long", "logicalType": "local-timestamp-millis"},
        [datetime(2026, 1, 1, 1, 2, 3, 4000)],
    ),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_values_do_not_fall_back(kind: str) -> None:
    """Writing and reading an ordinary value of this type never needs the interpreter."""
    field_type, values = ORDINARY[kind]
    source = record(("value", field_type))
    event, schema = event_class(source), parse_schema(source)
    classes = {"R": event}

    def fallback(*arguments: Any) -> Any:
        raise AssertionError(f"fell back: {arguments[-1]!r}") from arguments[-1]

    encode = compile_encoder(encode_plan(schema, classes), DEFAULT_LIMITS, fallback)
    plan = decode_plan(resolve(schema, schema), schema, classes)
    decode = compile_decoder(plan, DEFAULT_LIMITS, fallback)
    for value in values:
        written = event(value=value)
        assert decode(encode(written)) == written
