"""Writing as another schema than one's own, and schemas that mean the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk import avro
from sdk.avro.codec.codecs import binding
from sdk.avro.schema import parse_schema
from sdk.avro.schema.printing import to_json
from sdk.errors import DeserializationError, IncompatibleSchemaError, SerializationError
from tests.unit.avro.events import event_class, record, values
from tests.unit.avro.schemas import pairs, schemas

pytestmark = pytest.mark.usefixtures("executor")

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


def as_other(own: Any, other: Any, **fields: Any) -> bytes:
    """Return what an event of one field's type is written as by another type."""
    cls = event_class(record(("f", own)))
    return avro.encoder_for(cls, written_as=record(("f", other)))(cls(**fields))


@settings(
    max_examples=150,  # on each executor
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(pairs(logical=True), st.data())
def test_a_reader_of_the_other_schema_gets_what_it_would_get_by_resolution(
    pair: tuple[Any, Any], data: st.DataObject
) -> None:
    """Writing as another schema is writing as one's own, then reading and writing as the other."""
    own, other = (record(("f", each), name="Top") for each in pair)
    cls, reader = event_class(own), event_class(other)
    try:
        encode = avro.encoder_for(cls, written_as=other)
    except IncompatibleSchemaError:
        assume(False)
    bound = binding(cls)
    event = cls(f=data.draw(values(bound.schema.fields[0].schema, bound.types)))
    body = encode(event, b"prefix")
    assert body.startswith(b"prefix")
    expected = avro.decode(reader, avro.encode(event), own)
    assert repr(avro.decoder_for(reader)(body, len(b"prefix"))) == repr(expected)


def test_a_field_that_only_the_registered_version_has_takes_its_default() -> None:
    """The order of the fields is the registered version's."""
    cls = event_class(record(("id", "string"), ("n", "int")))
    newer = record(("note", ["null", "string"], None), ("n", "long"), ("id", "string"))
    body = avro.encoder_for(cls, written_as=newer)(cls(id="a", n=1))
    assert body == b"\x00\x02\x02a"
    assert avro.decode(event_class(newer), body).note is None


@pytest.mark.parametrize(
    ("own", "other", "reason"),
    [
        ("long", "double", "without loss"),
        ("int", "float", "without loss"),
        ("bytes", "string", "without loss"),
        ("long", "int", "cannot be read"),
        ("long", MILLIS, "logical type timestamp-millis"),
        (MILLIS, {**MILLIS, "logicalType": "timestamp-micros"}, "logical type timestamp-micros"),
        (ENUM, {**ENUM, "symbols": ["A", "C"], "default": "C"}, "no symbol B"),
        (["null", "int"], "int", "cannot be read"),
        (["null", "int", "string"], ["null", "int"], "no branch"),
        (["int", "long"], "long", "one of its branches"),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}, "cannot be read"),
    ],
)
def test_what_could_lose_something_is_refused_before_anything_is_written(
    own: Any, other: Any, reason: str
) -> None:
    """Loss is an error when the encoder is made, not when the first lossy value is written."""
    with pytest.raises(IncompatibleSchemaError, match=reason) as caught:
        avro.encoder_for(event_class(record(("f", own))), written_as=record(("f", other)))
    assert caught.value.path is not None
    assert caught.value.path.startswith("/fields/0")


def test_a_field_that_the_registered_version_lacks_is_refused() -> None:
    """A field that the registered version lacks would be lost."""
    cls = event_class(record(("f", "int"), ("g", "int")))
    with pytest.raises(IncompatibleSchemaError, match="field g would be lost"):
        avro.encoder_for(cls, written_as=record(("f", "int")))


def test_numbers_that_widen_are_written_widened() -> None:
    """An int is exact as a double; a timestamp's number may be written as a plain long."""
    assert as_other("int", "double", f=3) == bytes.fromhex("0000000000000840")
    moment = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert as_other(MILLIS, "long", f=moment) == bytes.fromhex("d00f")
    with pytest.raises(SerializationError, match="expected"):
        as_other("int", "double", f="3")


ORDER = record(("id", "string"), name="Order")
REFUND = record(("id", "string"), ("why", "string"), name="Refund")


@pytest.mark.parametrize(
    ("union", "index"), [(["null", ORDER], 1), ([ORDER, "null"], 0), ([REFUND, ORDER, "null"], 1)]
)
def test_a_contract_that_is_a_union_has_the_branch_before_the_record(
    union: Any, index: int
) -> None:
    """As Kafka Connect and Debezium write it; fastavro reads the same."""
    cls = event_class(ORDER)
    body = avro.encoder_for(cls, written_as=union)(cls(id="a"))
    assert body == bytes([2 * index]) + avro.encode(cls(id="a"))
    assert avro.decode(cls, body, json.dumps(union)) == cls(id="a")
    parsed = fastavro.parse_schema(union)

    assert fastavro.schemaless_reader(BytesIO(body), parsed, None) == {"id": "a"}


def test_the_branch_that_was_written_is_known_without_reading_it() -> None:
    """The written branch is known before reading, so that a consumer can choose the handler."""
    union = parse_schema(["null", REFUND, ORDER])
    names = [
        getattr(avro.branch_written(union, b"head" + body, 4), "name", None)
        for body in (b"\x00", b"\x02\x00\x00", b"\x04\x00")
    ]
    assert names == [None, "Refund", "Order"]
    order = parse_schema(ORDER)
    assert avro.branch_written(order, b"") is order


@pytest.mark.parametrize("body", [b"", b"\x06", b"\x01", b"\x80", b"\x84\x00"])
def test_a_branch_that_does_not_exist_is_poison(body: bytes) -> None:
    """The decoder says so too."""
    union = ["null", REFUND, ORDER]
    with pytest.raises(DeserializationError):
        avro.branch_written(parse_schema(union), body)
    with pytest.raises(DeserializationError):
        avro.decode(event_class(ORDER), body, json.dumps(union))


def test_a_null_at_the_root_is_refused_when_it_arrives() -> None:
    """A null contains no event, but other branches of the union can be read."""
    cls = event_class(ORDER)
    decode = avro.decoder_for(cls, ["null", ORDER])
    assert decode(b"\x02\x02a") == cls(id="a")
    with pytest.raises(DeserializationError, match="null"):
        decode(b"\x00")


SAME = record(("f", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}))


@pytest.mark.parametrize(
    "other",
    [
        {**SAME, "doc": "other", "aliases": ["Old"], "namespace": ""},
        {
            "fields": [{**SAME["fields"][0], "default": "", "order": "ignore"}],
            **{"name": "R", "type": "record"},
        },
        record(
            ("f", {"precision": 4, "type": "bytes", "scale": 2, "logicalType": "decimal", "x": 1})
        ),
    ],
)
def test_schemas_of_another_text_may_mean_the_same(other: Any) -> None:
    """Docs, aliases, defaults, further properties and the order of keys are not on the wire."""
    assert avro.same_meaning(parse_schema(SAME), parse_schema(other))


@pytest.mark.parametrize(
    "kind",
    [
        "bytes",
        {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2},
        {"type": "bytes", "logicalType": "big-decimal"},
        "string",
    ],
)
def test_another_type_or_logical_type_is_another_meaning(kind: Any) -> None:
    """The canonical form alone would not distinguish a decimal from plain bytes."""
    assert not avro.same_meaning(parse_schema(SAME), parse_schema(record(("f", kind))))


@given(schemas(logical=True))
def test_a_schema_means_the_same_as_itself_printed(source: Any) -> None:
    """A schema has the same meaning as its printed form."""
    schema = parse_schema(json.dumps(source))
    assert avro.meaning(schema) == avro.meaning(parse_schema(to_json(schema)))
