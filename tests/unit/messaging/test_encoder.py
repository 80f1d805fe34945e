"""The encoder: records without a client, interceptors, correlation, and keys that are absent."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from sdk.cloud_events import CloudEventHeaders
from sdk.errors import SerializationError
from sdk.records import ConsumerRecord, Header, ProducerRecord
from tests.unit.messaging.shop import TOPIC, OrderCancelled, OrderCreated, Shop, within

ORDER = OrderCreated(order_id="o-1")


def handled(*headers: Header) -> ConsumerRecord:
    """Return a record that is being handled."""
    return ConsumerRecord("elsewhere", 0, 7, b"value", b"key", headers, 1)


def test_a_record_is_made_without_sending_it() -> None:
    """`record` returns what `produce` sends, byte for byte, and nothing is sent."""
    shop = Shop()
    with shop.producer() as producer:
        record = producer.record(ORDER, headers={"a": "b"}, timestamp=5)
        assert shop.broker.records(TOPIC) == []
        assert producer.produce(ORDER, headers={"a": "b"}, timestamp=5).record == record
    assert record == shop.encoder().record(ORDER, headers={"a": "b"}, timestamp=5)
    assert (record.topic, record.key, record.timestamp) == (TOPIC, b"o-1", 5)


def test_a_made_record_is_sent_unchanged() -> None:
    """`send` takes a record as it stands: no standard header, no interceptor, no other key."""
    shop = Shop()
    encoder = shop.encoder(
        standard_headers=CloudEventHeaders("/orders", "application/json"), interceptors=[add_trace]
    )
    record = ProducerRecord("raw", b"\x00\xff", b"k", (("a", None), ("a", b"1")), 2, 1_000)
    with shop.producer(encoder=encoder) as producer:
        delivery = producer.send(record)
        assert delivery.result(timeout=5).partition == 2
    assert delivery.event is None
    (stored,) = shop.broker.records("raw")
    assert (stored.value, stored.key, stored.headers) == (record.value, record.key, record.headers)
    assert stored.timestamp == 1_000


def test_a_raw_tombstone_may_lack_a_key() -> None:
    """`send` leaves it to the caller what a record without key and value is good for."""
    shop = Shop()
    with shop.producer() as producer:
        producer.send(ProducerRecord("raw", None))
    assert shop.broker.records("raw")[0].value is None


def test_a_tombstone_takes_a_timestamp() -> None:
    """A tombstone has the timestamp that the caller gives, as an event has."""
    shop = Shop()
    when = datetime(2026, 5, 1, tzinfo=UTC)
    with shop.producer() as producer:
        producer.produce_tombstone(OrderCreated, "o-1", timestamp=when)
    assert shop.broker.records(TOPIC)[0].timestamp == int(when.timestamp() * 1000)


def test_each_topic_has_its_own_route() -> None:
    """The caller's topic applies to one event, whatever came before."""
    encoder = Shop().encoder()
    topics = [encoder.record(ORDER, topic=topic).topic for topic in (None, "a", "b", None)]
    assert topics == [TOPIC, "a", "b", TOPIC]


def test_the_serializer_sees_the_chosen_topic() -> None:
    """The subject of some strategies depends on the topic, so the serializer gets the real one."""
    seen: list[str] = []

    class Serializer:
        content_type = "text/plain"

        def encode(self, event: Any, topic: str, headers: list[Header]) -> bytes:
            seen.append(topic)
            return b""

    encoder = Shop().encoder(serializer=Serializer())
    encoder.record(ORDER)
    encoder.record(ORDER, topic="a")
    encoder.record(ORDER)
    assert seen == [TOPIC, "a", TOPIC]


def test_an_event_without_key_is_mentioned_once(caplog: pytest.LogCaptureFixture) -> None:
    """That the order of such events is not kept is logged once, unless it is meant."""
    encoder = Shop().encoder()
    with caplog.at_level(logging.WARNING):
        encoder.record(OrderCancelled(order_id="o-1"), key=None)
        encoder.record(OrderCancelled(order_id="o-1"), key="mine")
        assert caplog.messages == []
        for _ in range(3):
            encoder.record(OrderCancelled(order_id="o-1"))
    (message,) = caplog.messages
    assert "orders.OrderCancelled" in message
    assert "key=None" in message


def add_trace(record: ProducerRecord) -> ProducerRecord:
    """Add a header, as an interceptor."""
    return record._replace(headers=(*record.headers, ("trace", b"1")))


def test_interceptors_run_in_turn() -> None:
    """Each interceptor gets what the one before returned."""

    def count(record: ProducerRecord) -> ProducerRecord:
        return record._replace(key=str(len(record.headers)).encode())

    encoder = Shop().encoder(interceptors=[add_trace, add_trace, count])
    plain = Shop().encoder().record(ORDER)
    assert encoder.record(ORDER).key == str(len(plain.headers) + 2).encode()
    assert encoder.tombstone(OrderCreated, "o-1").key == b"2"


@pytest.mark.parametrize("header", [("\ud800", b""), ("a\0", b""), ("a", "text")])
def test_what_interceptors_return_is_checked(header: Any) -> None:
    """A record that no client could send is refused, even if an interceptor made it."""
    encoder = Shop().encoder(interceptors=[lambda record: record._replace(headers=(header,))])
    with pytest.raises(SerializationError):
        encoder.record(ORDER)
    with pytest.raises(SerializationError):
        encoder.tombstone(OrderCreated, "o-1")


def test_a_failing_interceptor_sends_nothing() -> None:
    """An interceptor's exception reaches the caller of `produce`."""
    shop = Shop()

    def fail(record: ProducerRecord) -> ProducerRecord:
        raise KeyError("tenant")

    encoder = shop.encoder(interceptors=[fail])
    with shop.producer(encoder=encoder) as producer, pytest.raises(KeyError):
        producer.produce(ORDER)
    assert shop.broker.records(TOPIC) == []


def test_an_event_names_the_one_that_caused_it() -> None:
    """The id of the record being handled is the cause, and the correlation id if it has none."""
    encoder = Shop().encoder()
    with within(handled(("ce_id", b"first"))):
        record = encoder.record(ORDER)
    headers = dict(record.headers)
    assert headers["ce_correlationid"] == b"first"
    assert headers["ce_causationid"] == b"first"


def test_correlation_and_trace_are_carried_on() -> None:
    """The correlation id and the trace context of the handled record pass to what follows."""
    encoder = Shop().encoder()
    came = (
        ("ce_id", b"second"),
        ("ce_correlationid", b"first"),
        ("ce_causationid", b"first"),
        ("traceparent", b"00-a-b-01"),
        ("tracestate", b"x=1"),
        ("baggage", b"user=1"),
    )
    with within(handled(*came)):
        headers = dict(encoder.record(ORDER, headers={"tracestate": "mine"}).headers)
        tombstone = dict(encoder.tombstone(OrderCreated, "o-1").headers)
    assert headers["ce_correlationid"] == b"first"
    assert headers["ce_causationid"] == b"second"
    assert headers["traceparent"] == b"00-a-b-01"
    assert headers["tracestate"] == b"mine"
    assert headers["baggage"] == b"user=1"
    assert tombstone["ce_causationid"] == b"second"


def test_nothing_is_carried_on_outside_of_handling() -> None:
    """Before and after the handling of a record, events have no cause; nesting is undone."""
    encoder = Shop().encoder()
    plain = Shop().encoder().record(ORDER)
    assert encoder.record(ORDER) == plain
    with within(handled(("ce_id", b"outer"))):
        with within(handled(("ce_id", b"inner"))):
            assert ("ce_causationid", b"inner") in encoder.record(ORDER).headers
        assert ("ce_causationid", b"outer") in encoder.record(ORDER).headers
    assert encoder.record(ORDER) == plain


def test_a_cause_without_identity_adds_nothing() -> None:
    """A record of a producer that sends no CloudEvents has no id to name."""
    encoder = Shop().encoder()
    with within(handled()):
        assert encoder.record(ORDER) == Shop().encoder().record(ORDER)


def test_schema_of_another_value_is_not_named() -> None:
    """A schema id among copied headers would have this event read with the schema of another."""
    copied = [("__value_schema_id", b"\1" + bytes(16)), ("trace", b"1")]
    encoder = Shop().encoder()
    names = [name for name, _ in encoder.record(ORDER, headers=copied).headers]
    assert "trace" in names
    assert "__value_schema_id" not in names
