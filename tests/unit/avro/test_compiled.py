"""The source that the compiled executor generates."""

from __future__ import annotations

import gc
import linecache
import traceback
from typing import Any

from sdk.avro.codec.codecs import binding
from sdk.avro.codec.compiled import compile_decoder, compile_encoder
from sdk.avro.codec.lowering import encode_plan
from sdk.avro.codec.reading_from import decode_plan
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from tests.unit.avro.events import event_class, record


def test_source_goes_with_its_function() -> None:
    """The source of a generated function does not outlive it."""
    cls = event_class(record(("n", "int")))
    made = compile_encoder(
        encode_plan(parse_schema(record(("n", "int"))), {"R": cls}), DEFAULT_LIMITS
    )
    name = made.__code__.co_filename
    assert name in linecache.cache
    del made
    gc.collect()
    assert name not in linecache.cache


def test_generated_code_shows_in_tracebacks() -> None:
    """The source of a generated function is found by linecache, as debuggers do."""
    cls = event_class(record(("n", "int")))
    schema = parse_schema(record(("n", "int")))
    plan = encode_plan(schema, {"R": cls})
    seen: list[str] = []

    def fallback(event: Any, prefix: bytes, error: Exception) -> bytes:
        seen.append("".join(traceback.format_exception(error)))
        return b""

    compile_encoder(plan, DEFAULT_LIMITS, fallback)(cls(n="x"))
    assert "<avro encode_R" in seen[0]
    assert "raise Bail" in seen[0]


def test_source_grows_with_the_schema_not_with_its_paths() -> None:
    """A type used twice at each level is written once: twenty levels are no million lines."""
    schema: Any = record(*((f"f{i}", "string") for i in range(8)), name="R0")
    for level in range(1, 20):
        schema = record(("a", schema), ("b", f"R{level - 1}"), name=f"R{level}")
    bound = binding(event_class(schema))
    plan = decode_plan(resolve(bound.schema, bound.schema), bound.schema, bound.types)
    code = compile_decoder(plan, DEFAULT_LIMITS).__code__
    lines = linecache.cache[code.co_filename][2]  # type: ignore[misc]
    assert len(lines) < 500
