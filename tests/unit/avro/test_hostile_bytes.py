"""Bytes that nobody honest has written: refused, bounded, and told exactly."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk import avro
from sdk.avro import Limits
from sdk.avro.codec import interpreter
from sdk.avro.codec.codecs import binding
from sdk.avro.codec.compiled import compile_decoder
from sdk.avro.codec.lowering import decode_plan
from sdk.avro.codec.plan import Plan
from sdk.avro.codec.wire import long_bytes
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from sdk.errors import DeserializationError, IncompatibleSchemaError, SdkError
from tests.unit.avro.events import LOGICAL, PRIMITIVES, event_class, events, record, values
from tests.unit.avro.schemas import pairs
from tests.unit.avro.wire import bodies

MUTATIONS = int(os.environ.get("CODEC_MUTATIONS", "40"))
"""Mutated payloads for each event. A long run: CODEC_EXAMPLES=500 CODEC_MUTATIONS=2000 pytest
-k mutated -o timeout=0 tests/unit/avro/test_hostile_bytes.py makes two million."""

SLOW = settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LIMITS = Limits(max_depth=20, max_zero_size_items=100)


class GaveUpError(Exception):
    """The fast path did not answer."""


def _give_up(data: bytes, start: int, error: Exception) -> Any:
    raise GaveUpError from error


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


def outcome(plan: Plan, data: bytes) -> Any:
    """What the interpreter reads, or the error that it raises."""
    try:
        return interpreter.read(plan, data, 0, LIMITS)
    except DeserializationError as error:
        return error


def _answer(compiled: Callable[..., Any], data: bytes) -> str | None:
    try:
        return repr(compiled(data))
    except GaveUpError:
        return None


_EACH = [(f"f{n}", kind) for n, kind in enumerate((*PRIMITIVES, *LOGICAL))]
_WIDE = event_class(record(*_EACH, *((f"n{n}", "null") for n in range(100)), name="Wide"))
_WIDE_EVENTS = values(
    parse_schema(_WIDE.__event__.schema),  # type: ignore[attr-defined]
    _WIDE.__event__.types,  # type: ignore[attr-defined]
)


@SLOW
@given(events() | _WIDE_EVENTS, st.integers(0, 2**32))
def test_executors_agree_on_mutated_payloads(event: Any, seed: int) -> None:
    """Compiled code and interpreter accept the same mutated payloads, with the same values."""
    bound = binding(type(event))
    plan = decode_plan(resolve(bound.schema, bound.schema), bound.schema, bound.types)
    compiled = compile_decoder(plan, LIMITS, _give_up)
    body, chance = avro.encode(event), random.Random(seed)
    for _ in range(MUTATIONS):
        data = mutated(body, chance)
        expected, actual = outcome(plan, data), _answer(compiled, data)
        if isinstance(expected, DeserializationError):
            assert actual is None, data.hex()
            assert expected.event == bound.schema.name
            assert 0 <= (expected.byte_offset or 0) <= len(data)
        elif actual is None:  # a spelling of a UUID that is no writer's
            assert "uuid" in type(event).__event__.schema, data.hex()
        else:
            assert actual == repr(expected)


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
    compiled = compile_decoder(plan, LIMITS, _give_up)
    body, chance = data.draw(bodies(writer)), random.Random(seed)
    for _ in range(MUTATIONS):
        payload = mutated(body, chance)
        expected, actual = outcome(plan, payload), _answer(compiled, payload)
        if isinstance(expected, DeserializationError):
            assert actual is None, payload.hex()
        elif actual is None:
            assert "uuid" in repr(plan), payload.hex()
        else:
            assert actual == repr(expected)


@pytest.mark.parametrize(
    ("schema", "body", "path", "offset", "reason"),
    [
        ("int", "", "f", 0, "ends inside a number"),
        ("int", "80", "f", 0, "ends inside a number"),
        ("int", "8080808010", "f", 0, "does not fit an int"),
        ("int", "8000", "f", 0, "longer than its number needs"),
        ("int", "808080808000", "f", 0, "longer than"),
        ("long", "ffffffffffffffffff02", "f", 0, "does not fit 64 bits"),
        ("long", "80808080808080808080808001", "f", 0, "more than 10 bytes"),
        ("boolean", "02", "f", 0, "not a boolean"),
        ("float", "000000", "f", 0, "4 bytes are needed, 3 are left"),
        ("double", "00000000000000", "f", 0, "8 bytes are needed, 7 are left"),
        ("string", "01", "f", 0, "negative"),
        ("string", "0461", "f", 0, "2 bytes are needed, 1 are left"),
        ("string", "02ff", "f", 0, "can't decode"),
        ("string", "feffffffffffffffff01", "f", 0, "are needed, 0 are left"),
        ("bytes", "0361", "f", 0, "negative"),
        (["null", "int"], "04", "f", 0, "not one of the 2 branches"),
        (["null", "int"], "01", "f", 0, "not one of the 2 branches"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "02", "f", 0, "not one of the 1"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "01", "f", 0, "not one of the 1"),
        ({"type": "fixed", "name": "F", "size": 3}, "0000", "f", 0, "3 bytes are needed"),
        ({"type": "array", "items": "int"}, "0402080000", None, 4, "left over"),
        ({"type": "array", "items": "string"}, "040261", "f[1]", 3, "ends inside"),
        ({"type": "array", "items": "string"}, "040261ff", "f[1]", 3, "ends inside"),
        ({"type": "array", "items": "long"}, "feffffffff1f", "f", 0, "cannot fit the 0 bytes"),
        ({"type": "array", "items": "long"}, "ffffffffffffffffff01", "f", 0, "ends inside"),
        ({"type": "array", "items": "long"}, "010100", "f", 0, "block of -1 bytes"),
        ({"type": "array", "items": "long"}, "01c80100", "f", 0, "block of 100 bytes"),
        ({"type": "array", "items": "double"}, "0400", "f", 0, "2 items cannot fit"),
        ({"type": "array", "items": "null"}, "8080808010", "f", 0, "take no bytes"),
        ({"type": "map", "values": "int"}, "02026180", "f['a']", 3, "ends inside"),
        ({"type": "map", "values": "int"}, "0202ff00", "f", 1, "can't decode"),
        ({"type": "int", "logicalType": "date"}, "feffffff0f", "f", 0, "years 1 to 9999"),
        ({"type": "int", "logicalType": "time-millis"}, "80f0b252", "f", 0, "not a time of day"),
        ({"type": "int", "logicalType": "time-millis"}, "01", "f", 0, "not a time of day"),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            "feffffffffffffffff01",
            "f",
            0,
            "years 1 to 9999",
        ),
        ({"type": "string", "logicalType": "uuid"}, "0278", "f", 0, "not a UUID"),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            "00",
            "f",
            0,
            "no bytes",
        ),
        ({"type": "bytes", "logicalType": "big-decimal"}, "0202", "f", 0, "cut short"),
    ],
)
def test_bad_bytes_are_told_with_path_and_offset(
    schema: Any, body: str, path: str | None, offset: int, reason: str
) -> None:
    """Each kind of damage is one DeserializationError that names event, field and offset."""
    cls = event_class(record(("f", schema)))
    with pytest.raises(DeserializationError, match=reason) as caught:
        avro.decode(cls, bytes.fromhex(body))
    assert (caught.value.event, caught.value.path, caught.value.byte_offset) == ("R", path, offset)


def test_path_leads_through_records_arrays_and_maps() -> None:
    """The path names each step; the offset is where the value starts, after the prefix."""
    line = record(("sku", "string"), name="Line")
    cls = event_class(
        record(
            ("id", "long"), ("lines", {"type": "map", "values": {"type": "array", "items": line}})
        )
    )
    info = cls.__event__  # type: ignore[attr-defined]
    line_cls = info.types["Line"]
    event = cls(id=1, lines={"x": [line_cls(sku="ab"), line_cls(sku="cd")]})
    body = avro.encode(event).replace(b"cd", b"c\xff")
    with pytest.raises(DeserializationError) as caught:
        avro.decoder_for(cls)(b"\0\0\0\0\7" + body, 5)
    assert caught.value.path == "lines['x'][1].sku"
    assert caught.value.byte_offset == 5 + body.index(b"\x04c\xff")
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_trailing_bytes_are_refused() -> None:
    """A body must end where its payload does."""
    cls = event_class(record(("f", "int")))
    with pytest.raises(DeserializationError, match="1 bytes are left over"):
        avro.decode(cls, b"\x02\x00")


def test_deep_nesting_is_refused_not_crashed() -> None:
    """Records inside themselves end at the limit, in reading and in writing."""
    cls = event_class(record(("next", ["null", "R"])))
    deep = b"\x02" * 199 + b"\x00"
    event = avro.decode(cls, deep)
    assert avro.encode(event) == deep
    with pytest.raises(DeserializationError, match="more than 200 records"):
        avro.decode(cls, b"\x02" * 200 + b"\x00")
    with pytest.raises(DeserializationError, match="more than 200 records"):
        avro.decode(cls, b"\x02" * 1_000_000 + b"\x00")
    with pytest.raises(SdkError, match="more than 200 records"):
        avro.encode(cls(next=event))


def test_records_that_never_end_are_refused() -> None:
    """A record that must contain itself has no finite value; its bytes say so quickly."""
    cls = event_class(record(("again", "R")))
    with pytest.raises(DeserializationError, match="more than 200 records"):
        avro.decode(cls, b"")


def test_counts_are_checked_before_anything_is_built() -> None:
    """A payload of some bytes cannot ask for millions of items, whatever their type."""
    tree = {"type": "array", "items": "R"}
    for items in ("R", "null", record(name="Empty"), record(("a", "double"), name="Big"), tree):
        cls = event_class(record(("f", {"type": "array", "items": items})))
        with pytest.raises(DeserializationError):
            avro.decode(cls, b"\xfe\xff\xff\xff\xff\x1f" + b"\0" * 20)


def test_items_without_bytes_are_counted_over_the_whole_payload() -> None:
    """Many small arrays of nulls add up."""
    nulls = {"type": "array", "items": "null"}
    cls = event_class(record(("f", {"type": "array", "items": nulls})))
    decode = avro.decoder_for(cls, limits=Limits(max_zero_size_items=10))
    five = b"\x0a\x00"
    assert decode(b"\x04" + five * 2 + b"\0").f == ((None,) * 5,) * 2
    with pytest.raises(DeserializationError, match="11 items that take no bytes"):
        decode(b"\x06" + five * 2 + b"\x02\x00" + b"\0")


def test_limits_are_per_decoder() -> None:
    """A decoder keeps the limits that it was made with."""
    cls = event_class(record(("f", "string"), ("next", ["null", "R"])))
    body = b"\x02a\x02\x02b\x00"
    assert avro.decoder_for(cls)(body).next.f == "b"
    with pytest.raises(DeserializationError, match="more than 1 records"):
        avro.decoder_for(cls, limits=Limits(max_depth=1))(body)
    with pytest.raises(DeserializationError, match="payload has 6 bytes"):
        avro.decoder_for(cls, limits=Limits(max_payload_bytes=5))(body)


def test_long_decimals_do_not_cost_quadratic_time() -> None:
    """An unscaled value longer than the limit is refused before it is converted."""
    cls = event_class(
        record(("f", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}))
    )
    size = DEFAULT_LIMITS.max_decimal_bytes
    assert avro.decode(cls, long_bytes(size) + b"\0" * size).f == 0
    with pytest.raises(DeserializationError, match="bytes, more than"):
        avro.decode(cls, long_bytes(size + 1) + b"\0" * (size + 1))


def test_blocks_that_tell_their_size_are_read() -> None:
    """Negative counts and several blocks are one array, whatever its items."""
    body = "01023e02020000"
    for kind in ("int", "long"):
        cls = event_class(record(("f", {"type": "array", "items": kind}), ("g", "int")))
        assert avro.decode(cls, bytes.fromhex(body)).f == (31, 1)
    cls = event_class(record(("f", {"type": "array", "items": "string"}), ("g", "int")))
    assert avro.decode(cls, bytes.fromhex("010402610202620000")).f == ("a", "b")


def test_long_arrays_of_numbers_are_read_with_the_same_care() -> None:
    """Where fastavro reads the numbers, what it would let pass is still refused."""
    many = "18" + "8001" * 12
    for kind in ("int", "long"):
        cls = event_class(record(("f", {"type": "array", "items": kind})))
        assert avro.decode(cls, bytes.fromhex(many + "00")).f == (64,) * 12
        assert avro.decode(cls, bytes.fromhex(many + "020200")).f == (64,) * 12 + (1,)
        for tail in (
            "ffffffffffffffffff012c00",  # a block of 2**63 items in 22 bytes
            "012c0200",  # a block that claims more bytes than there are
            "8000",  # a needless byte
            "",
        ):
            with pytest.raises(DeserializationError):
                avro.decode(cls, bytes.fromhex(many + tail))
        for number in ("808000", "ffffffffffffffffff02", "80808080808080808080808001"):
            with pytest.raises(DeserializationError):
                avro.decode(cls, bytes.fromhex("18" + "8001" * 11 + number + "00"))
    cls = event_class(record(("f", {"type": "array", "items": "int"})))
    with pytest.raises(DeserializationError, match="does not fit an int"):
        avro.decode(cls, bytes.fromhex("18" + "8001" * 11 + "8080808010" + "00"))


def test_bytes_like_payloads_are_read() -> None:
    """A bytearray or memoryview reads like bytes, and bytes fields come out as bytes."""
    cls = event_class(record(("f", "bytes")))
    for data in (bytearray(b"\x02a"), memoryview(b"\x02a")):
        value = avro.decode(cls, data).f  # type: ignore[arg-type]
        assert value == b"a"
        assert type(value) is bytes


def test_what_is_no_payload_is_refused() -> None:
    """None, text and numbers are no bytes, and a body cannot start behind the end."""
    cls = event_class(record())
    for data in (None, "text", 5):
        with pytest.raises(DeserializationError, match="expected bytes"):
            avro.decode(cls, data)  # type: ignore[arg-type]
    with pytest.raises(DeserializationError, match="ends before the body starts"):
        avro.decoder_for(cls)(b"\0\0\0", 5)
