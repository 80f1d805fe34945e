"""Hostile bytes: rejected at bounded cost, with exact errors."""

from __future__ import annotations

from typing import Any

import pytest

from sdk import avro
from sdk.avro import Limits
from sdk.avro.codec.wire import long_bytes
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.errors import DeserializationError, SdkError
from tests.unit.avro.events import event_class, record

pytestmark = pytest.mark.usefixtures("executor")


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
def test_bad_bytes_are_reported_with_path_and_offset(
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
    """If fastavro reads the numbers, invalid encodings that it accepts are still refused."""
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
