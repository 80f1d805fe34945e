"""One consumer, several formats."""

from __future__ import annotations

import pytest

from sdk.cloud_events import CONTENT_TYPE, CloudEventHeaders
from sdk.errors import DeserializationError
from sdk.records import ConsumerRecord, Header
from sdk.serialization import ContentTypeSerializer, JsonMessageSerializer
from sdk.serialization.framed import FramedSerializer
from tests.unit.serialization.conftest import Connect
from tests.unit.serialization.conftest import avro as serializer
from tests.unit.serialization.shop import OrderV2
from tests.unit.serialization.test_avro_serializer import record
from tests.unit.serialization.test_json_format import V2


@pytest.fixture
def avro(connect: Connect) -> FramedSerializer:
    """The format that is written."""
    return serializer(connect(auto_register=True))


@pytest.fixture
def both(avro: FramedSerializer) -> ContentTypeSerializer:
    """Writes Avro, reads JSON too."""
    return ContentTypeSerializer(avro, {"application/json": JsonMessageSerializer})


def json_record(content_type: str) -> ConsumerRecord:
    """Return an order in JSON, published under a content type."""
    headers = CloudEventHeaders("/shop", content_type)(OrderV2)
    value = JsonMessageSerializer().encode(V2, "orders", headers)
    return record(value, headers)


def test_what_is_written_is_one_format(both: ContentTypeSerializer, avro: FramedSerializer) -> None:
    """Value, content type and warm-up are those of the format that is written."""
    both.warm_up([(OrderV2, "orders")])
    assert both.encode(V2, "orders", []) == avro.encode(V2, "orders", [])
    assert both.content_type == "application/avro"


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
)
def test_a_record_is_read_in_the_format_that_it_names(
    both: ContentTypeSerializer, content_type: str
) -> None:
    """The media type counts, not its case or parameters."""
    for _ in range(2):
        arrived = json_record(content_type)
        assert both.open(arrived).full_name == "shop.Order"
        assert both.open(arrived).read(OrderV2) == V2


@pytest.mark.parametrize(
    "headers",
    [(), ((CONTENT_TYPE, None),), ((CONTENT_TYPE, b"application/avro"),), ((CONTENT_TYPE, b"x"),)],
)
def test_other_records_are_read_in_the_format_that_is_written(
    both: ContentTypeSerializer, headers: tuple[Header, ...]
) -> None:
    """Java's producers send no content type, and their values are in the platform's format."""
    arrived = record(both.encode(V2, "orders", []), headers)
    assert both.open(arrived).full_name == "shop.Order"
    assert both.open(arrived).read(OrderV2) == V2


def test_of_repeated_headers_the_last_counts(both: ContentTypeSerializer) -> None:
    """The last of repeated headers counts, as with all CloudEvents headers."""
    arrived = json_record("application/json")
    repeated = ((CONTENT_TYPE, b"application/avro"), *arrived.headers)
    assert both.open(record(arrived.value, repeated)).read(OrderV2) == V2


def test_a_format_is_made_when_it_is_first_met(avro: FramedSerializer) -> None:
    """A registry client, say, is made only if a record needs it, and only once."""
    made: list[JsonMessageSerializer] = []

    def make() -> JsonMessageSerializer:
        made.append(JsonMessageSerializer())
        return made[-1]

    both = ContentTypeSerializer(avro, {"application/avro": make, "application/json": make})
    both.open(record(both.encode(V2, "orders", []))).read(OrderV2)
    assert made == []
    both.open(json_record("application/json")).read(OrderV2)
    both.open(json_record("application/json")).read(OrderV2)
    assert len(made) == 1


def test_a_wrong_content_type_is_poison(both: ContentTypeSerializer) -> None:
    """A value that is not what its header says cannot be read."""
    value = both.encode(V2, "orders", [])
    arrived = record(value, [(CONTENT_TYPE, b"application/json")])
    with pytest.raises(DeserializationError):
        both.open(arrived).read(OrderV2)
