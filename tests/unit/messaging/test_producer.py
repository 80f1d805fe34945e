"""The producer: keys, headers, the full queue, closing, and what could not be delivered."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from sdk.cloud_events import CloudEventHeaders
from sdk.errors import (
    BrokerUnavailableError,
    ClosedError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    QueueFullError,
    SerializationError,
    UndeliveredError,
)
from sdk.happenings import DeliveryFailed, Happening, RecordDelivered
from sdk.observers import Observers
from sdk.records import ProducerRecord
from sdk.testing import InMemoryBroker
from tests.unit.messaging.shop import TOPIC, OrderCancelled, OrderCreated, Shop

OUTAGE = BrokerUnavailableError("the broker is gone")


def test_key_field_is_the_default_key() -> None:
    """An event travels under the value of its key field, to the topic of its route."""
    shop = Shop()
    with shop.producer() as producer:
        report = producer.produce(OrderCreated(order_id="o-1")).result(timeout=60)
    (record,) = shop.broker.records(TOPIC)
    assert record.key == b"o-1"
    assert (report.topic, report.partition, report.offset) == (TOPIC, record.partition, 0)


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("größe", "größe".encode()),
        (7, b"7"),
        (uuid.UUID(int=5), b"00000000-0000-0000-0000-000000000005"),
        (b"\xff", b"\xff"),
        ("", b""),
        (None, None),
    ],
)
def test_given_key_replaces_the_default(key: object, sent: bytes | None) -> None:
    """A given key is sent as text, bytes as they are, and None means no key at all."""
    shop = Shop()
    with shop.producer() as producer:
        producer.produce(OrderCreated(order_id="o-1"), key=key)
    assert shop.broker.records(TOPIC)[0].key == sent


def test_event_without_key_field_has_no_key() -> None:
    """An event whose contract names no key field travels without a key."""
    shop = Shop()
    with shop.producer() as producer:
        delivery = producer.produce(OrderCancelled(order_id="o-1"))
    assert shop.broker.records(delivery.topic)[0].key is None


def test_unsupported_key_sends_nothing() -> None:
    """A key of no supported type is an error before anything is sent."""
    shop = Shop()
    with shop.producer() as producer, pytest.raises(SerializationError):
        producer.produce(OrderCreated(order_id="o-1"), key=1.5)
    assert shop.broker.records(TOPIC) == []


def test_headers_keep_order_repeats_and_nulls() -> None:
    """Headers given as pairs arrive in order, text as UTF-8."""
    shop = Shop()
    given = [("b", "ü"), ("a", None), ("b", b"\x00")]
    with shop.producer() as producer:
        producer.produce(OrderCreated(order_id="o-1"), headers=given)
    headers = shop.broker.records(TOPIC)[0].headers
    assert [pair for pair in headers if pair[0] in {"a", "b"}] == [
        ("b", "ü".encode()),
        ("a", None),
        ("b", b"\x00"),
    ]


def test_given_header_replaces_the_standard_one() -> None:
    """A header with the name of a standard header takes its place."""
    shop = Shop()
    standard = CloudEventHeaders("/orders", "application/json")
    with shop.producer(encoder=shop.encoder(standard_headers=standard)) as producer:
        producer.produce(OrderCreated(order_id="o-1"), headers={"ce_id": "mine"})
    headers = shop.broker.records(TOPIC)[0].headers
    assert [value for name, value in headers if name == "ce_id"] == [b"mine"]
    assert ("ce_type", b"orders.OrderCreated") in headers
    assert ("content-type", b"application/json") in headers


def test_topic_partition_and_timestamp_can_be_chosen() -> None:
    """Arguments of the caller take precedence over routes, partitioner and clock."""
    shop = Shop()
    when = datetime(2026, 5, 1, 12, tzinfo=UTC)
    with shop.producer() as producer:
        delivery = producer.produce(
            OrderCreated(order_id="o-1"), topic="elsewhere", partition=3, timestamp=when
        )
        delivery.result(timeout=60)
    assert (delivery.topic, delivery.partition, delivery.offset) == ("elsewhere", 3, 0)
    assert delivery.timestamp == int(when.timestamp() * 1000)


def test_naive_timestamp_is_refused() -> None:
    """A datetime without time zone is not guessed at."""
    with Shop().producer() as producer, pytest.raises(SerializationError, match="time zone"):
        producer.produce(OrderCreated(order_id="o-1"), timestamp=datetime(2026, 5, 1))


@pytest.mark.parametrize(
    "given",
    [
        {"headers": [("a", 1)]},
        {"headers": {1: "a"}},
        {"headers": [(b"a", "b")]},
        {"headers": [("a",)]},
        {"headers": "abc"},
        {"headers": 5},
        {"headers": {"a": "\ud800"}},
        {"topic": 5},
        {"topic": ""},
        {"partition": "1"},
        {"partition": -1},
        {"partition": 2**40},
        {"timestamp": 1.5},
        {"timestamp": -1},
        {"timestamp": datetime(1960, 1, 1, tzinfo=UTC)},
    ],
    ids=repr,
)
def test_what_no_client_can_take_is_refused(given: dict[str, Any]) -> None:
    """Headers and places of a wrong type or size are our error, and nothing is sent."""
    shop = Shop()
    with shop.producer() as producer, pytest.raises(SerializationError):
        producer.produce(OrderCreated(order_id="o-1"), **given)
    assert shop.broker.records(TOPIC) == []


@pytest.mark.parametrize("given", ["OrderCreated", object, None], ids=repr)
def test_tombstones_are_of_generated_classes(given: Any) -> None:
    """A tombstone for a class that is not an event class is our error."""
    with Shop().producer() as producer, pytest.raises(SerializationError, match="no"):
        producer.produce_tombstone(given, "o-1")


def test_tombstone_is_a_null_value_under_the_key() -> None:
    """A tombstone has the key, no value, and the headers that name its event."""
    shop = Shop()
    standard = CloudEventHeaders("/orders", "application/json")
    with shop.producer(encoder=shop.encoder(standard_headers=standard)) as producer:
        producer.produce_tombstone(OrderCreated, "o-1").result(timeout=60)
    (record,) = shop.broker.records(TOPIC)
    assert (record.key, record.value) == (b"o-1", None)
    assert record.header("ce_type") == b"orders.OrderCreated"


def test_tombstone_needs_a_key() -> None:
    """A tombstone without key would remove nothing, and is refused."""
    with Shop().producer() as producer, pytest.raises(SerializationError, match="key"):
        producer.produce_tombstone(OrderCreated, None)


def test_foreign_object_is_refused() -> None:
    """Anything but an instance of a generated class is refused with a remedy."""
    with Shop().producer() as producer, pytest.raises(SerializationError, match="contracts"):
        producer.produce({"order_id": "o-1"})


def test_result_waits_for_the_acknowledgement() -> None:
    """A thread that waits is woken by the acknowledgement."""
    shop = Shop()
    with shop.producer() as producer:
        shop.broker.hold()
        delivery = producer.produce(OrderCreated(order_id="o-1"))
        assert not delivery.done()
        assert delivery.offset is None
        threading.Timer(0.05, shop.broker.release).start()
        assert delivery.result(timeout=60).offset == 0
        assert delivery.done()


def test_impatient_result_leaves_the_record_on_its_way() -> None:
    """A wait that ends early says so, and the record is delivered all the same."""
    shop = Shop()
    with shop.producer() as producer:
        shop.broker.hold()
        delivery = producer.produce(OrderCreated(order_id="o-1"))
        with pytest.raises(DeliveryTimeoutError, match="still on its way"):
            delivery.result(timeout=0.01)
        shop.broker.release()
        assert delivery.result(timeout=60).offset == 0


def test_await_returns_the_report() -> None:
    """Awaiting many deliveries at once gives each its own report."""
    shop = Shop()

    async def publish() -> list[Any]:
        async with shop.producer() as producer:
            shop.broker.hold()
            deliveries = [producer.produce(OrderCreated(order_id=f"o-{n}")) for n in range(100)]
            threading.Timer(0.05, shop.broker.release).start()
            return await asyncio.gather(*deliveries)

    reports = asyncio.run(publish())
    read = {(record.partition, record.offset): record.key for record in shop.broker.records(TOPIC)}
    keys = [read[report.partition, report.offset] for report in reports]
    assert keys == [f"o-{n}".encode() for n in range(100)]


def test_cancelled_await_does_not_cancel_the_record() -> None:
    """A task that stops waiting leaves the record on its way; it can be awaited again."""
    shop = Shop()

    async def publish() -> int:
        async with shop.producer() as producer:
            shop.broker.hold()
            delivery = producer.produce(OrderCreated(order_id="o-1"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_await(delivery), 0.01)
            shop.broker.release()
            return (await delivery).offset

    assert asyncio.run(publish()) == 0


def test_one_delivery_has_many_waiters() -> None:
    """Two tasks and a thread may wait for one delivery."""
    shop = Shop()

    async def publish() -> list[int]:
        async with shop.producer() as producer:
            shop.broker.hold()
            delivery = producer.produce(OrderCreated(order_id="o-1"))
            threading.Timer(0.05, shop.broker.release).start()
            thread = asyncio.to_thread(delivery.result, 60)
            reports = await asyncio.gather(_await(delivery), _await(delivery), thread)
            return [report.offset for report in reports]

    assert asyncio.run(publish()) == [0, 0, 0]


def test_producer_serves_one_event_loop_after_the_other() -> None:
    """A producer outlives an event loop, and may be awaited in the next one."""
    shop = Shop()

    async def publish() -> int:
        return (await producer.produce(OrderCreated(order_id="o-1"))).offset

    with shop.producer() as producer:
        assert [asyncio.run(publish()), asyncio.run(publish())] == [0, 1]


def test_failed_delivery_raises_where_it_is_waited_for() -> None:
    """The reason of a failure is raised by every wait."""
    shop = Shop()
    shop.broker.fail("deliver", OUTAGE)
    with shop.producer() as producer:
        delivery = producer.produce(OrderCreated(order_id="o-1"))
        for _ in range(2):
            with pytest.raises(BrokerUnavailableError, match="gone"):
                delivery.result(timeout=60)
        assert delivery.error is OUTAGE


def test_unseen_failures_are_logged_and_listed(caplog: pytest.LogCaptureFixture) -> None:
    """Closing raises with the list of what failed unnoticed; each event was logged by its key."""
    shop = Shop()
    shop.broker.fail("deliver", OUTAGE, OUTAGE, OUTAGE)
    producer = shop.producer()
    seen = producer.produce(OrderCreated(order_id="seen"))
    with pytest.raises(BrokerUnavailableError):
        seen.result(timeout=60)
    unseen = [producer.produce(OrderCreated(order_id=f"unseen-{n}")) for n in range(2)]
    with caplog.at_level(logging.ERROR), pytest.raises(UndeliveredError) as caught:
        producer.close()
    assert caught.value.failures == tuple(unseen)
    assert "2 record(s)" in str(caught.value)
    assert [failure.event.order_id for failure in caught.value.failures] == ["unseen-0", "unseen-1"]


def test_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is logged when it happens, by event and key, without the event's fields."""
    shop = Shop()
    shop.broker.fail("deliver", OUTAGE)
    producer = shop.producer()
    delivery = producer.produce(OrderCreated(order_id="o-1", note="private"))
    (record,) = caplog.records
    assert "orders.OrderCreated" in record.getMessage()
    assert "'o-1'" in record.getMessage()
    assert "gone" in record.getMessage()
    assert "private" not in record.getMessage()
    assert delivery.error is OUTAGE
    with pytest.raises(UndeliveredError):
        producer.close()


def test_error_of_the_block_goes_before_undelivered_events() -> None:
    """An exception that ends the block is not hidden by what could not be delivered."""
    shop = Shop()
    shop.broker.fail("deliver", OUTAGE)

    def publish() -> None:
        with shop.producer() as producer:
            producer.produce(OrderCreated(order_id="o-1"))
            raise KeyError("the reason")

    with pytest.raises(KeyError) as caught:
        publish()
    assert "not delivered" in caught.value.__notes__[0]


def test_closing_waits_for_what_is_under_way() -> None:
    """Everything that was queued is acknowledged before closing ends."""
    shop = Shop()
    with shop.producer() as producer:
        shop.broker.hold()
        delivery = producer.produce(OrderCreated(order_id="o-1"))
        threading.Timer(0.05, shop.broker.release).start()
    assert delivery.done()
    assert len(shop.broker.records(TOPIC)) == 1


def test_closing_gives_up_after_its_time_out() -> None:
    """Records not acknowledged in time fail and are listed."""
    shop = Shop()
    producer = shop.producer(close_timeout=0.01)
    shop.broker.hold()
    delivery = producer.produce(OrderCreated(order_id="o-1"))
    with pytest.raises(UndeliveredError) as caught:
        producer.close()
    assert caught.value.failures == (delivery,)


def test_closed_producer_says_so() -> None:
    """Producing after closing is a ClosedError, and closing again is none."""
    producer = Shop().producer()
    producer.close()
    producer.close()
    with pytest.raises(ClosedError, match="closed"):
        producer.produce(OrderCreated(order_id="o-1"))
    with pytest.raises(ClosedError, match="closed"):
        producer.produce_tombstone(OrderCreated, "o-1")
    with pytest.raises(ClosedError, match="closed"):
        producer.flush()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_is_reported() -> None:
    """A child that uses its parent's producer gets a clear error, and the parent goes on."""
    with Shop().producer() as producer:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                producer.produce(OrderCreated(order_id="o-1"))
                os.write(writer, b"produced")
            except ClosedError as error:
                os.write(writer, error.message.encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert b"parent process" in os.read(reader, 1000)
        os.close(reader)
        os.close(writer)
        assert producer.produce(OrderCreated(order_id="o-2")).result(timeout=60).offset == 0


def test_thread_waits_for_room_in_a_full_queue() -> None:
    """In a thread, `produce` itself waits until a full queue has room."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    with shop.producer() as producer:
        shop.broker.hold()
        producer.produce(OrderCreated(order_id="first"))
        threading.Timer(0.05, shop.broker.release).start()
        second = producer.produce(OrderCreated(order_id="second"))
        assert second.result(timeout=60)
    assert [record.key for record in shop.broker.records(TOPIC)] == [b"first", b"second"]


def test_thread_does_not_wait_for_ever() -> None:
    """A queue that stays full ends in one error, and the record is not sent."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    with shop.producer(queue_full_timeout=0.02) as producer:
        shop.broker.hold()
        producer.produce(OrderCreated(order_id="first"))
        with pytest.raises(QueueFullError, match=r"0\.02 s"):
            producer.produce(OrderCreated(order_id="second"))
        shop.broker.release()
    assert [record.key for record in shop.broker.records(TOPIC)] == [b"first"]


def test_full_queue_does_not_block_an_event_loop() -> None:
    """In an event loop, `produce` returns at once, and order is kept when room appears."""
    shop = Shop(InMemoryBroker(queue_limit=2))

    async def publish() -> float:
        async with shop.producer() as producer:
            shop.broker.hold()
            started = time.monotonic()
            deliveries = [
                producer.produce(OrderCreated(order_id=f"{n}"), partition=0) for n in range(50)
            ]
            blocked = time.monotonic() - started
            threading.Timer(0.05, shop.broker.release).start()
            await asyncio.gather(*deliveries)
            return blocked

    assert asyncio.run(publish()) < 5
    keys = [record.key for record in shop.broker.records(TOPIC)]
    assert keys == [f"{n}".encode() for n in range(50)]


def test_await_of_a_full_queue_ends_in_an_error() -> None:
    """In an event loop, a queue that stays full ends the await with one error."""
    shop = Shop(InMemoryBroker(queue_limit=1))

    async def publish() -> None:
        async with shop.producer(queue_full_timeout=0.02) as producer:
            shop.broker.hold()
            producer.produce(OrderCreated(order_id="first"))
            with pytest.raises(QueueFullError):
                await producer.produce(OrderCreated(order_id="second"))
            shop.broker.release()

    asyncio.run(publish())


def test_what_waits_for_room_is_not_lost_with_its_loop() -> None:
    """Records that met a full queue in an event loop that has ended are sent by closing."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    producer = shop.producer()

    async def publish() -> None:
        shop.broker.hold()
        for number in range(3):
            producer.produce(OrderCreated(order_id=f"{number}"), partition=0)

    asyncio.run(publish())
    shop.broker.release()
    producer.close()
    assert [record.key for record in shop.broker.records(TOPIC)] == [b"0", b"1", b"2"]


def test_too_large_event_is_refused_at_once() -> None:
    """An event larger than the client sends is refused by `produce`."""
    shop = Shop(InMemoryBroker(max_message_bytes=100))
    with shop.producer() as producer, pytest.raises(MessageTooLargeError):
        producer.produce(OrderCreated(order_id="o-1", note="x" * 200))


def test_flush_waits_and_counts_what_is_left() -> None:
    """Flushing returns how many records are unacknowledged after its time-out."""
    shop = Shop()
    with shop.producer() as producer:
        shop.broker.hold()
        producer.produce(OrderCreated(order_id="o-1"))
        assert producer.flush(timeout=0.01) == 1
        shop.broker.release()
        assert producer.flush(timeout=5) == 0


def add_trace(record: ProducerRecord) -> ProducerRecord:
    """Add a header, as an interceptor."""
    return record._replace(headers=(*record.headers, ("trace", b"1")))


def test_observers_see_deliveries_and_failures() -> None:
    """An observer is called with each acknowledgement and each failure."""
    shop = Shop()
    seen: list[str] = []

    def observe(happening: Happening) -> None:
        match happening:
            case RecordDelivered(record, report, seconds):
                seen.append(f"{record.topic} delivered at {report.offset} {seconds >= 0}")
            case DeliveryFailed(record, error):
                seen.append(f"{record.topic} failed: {type(error).__name__}")

    with shop.producer(observers=Observers([observe])) as producer:
        producer.produce(OrderCreated(order_id="o-1")).result(timeout=60)
        shop.broker.fail("deliver", OUTAGE)
        with pytest.raises(BrokerUnavailableError):
            producer.produce(OrderCreated(order_id="o-2")).result(timeout=60)
    assert seen == [f"{TOPIC} delivered at 0 True", f"{TOPIC} failed: BrokerUnavailableError"]


def test_interceptors_may_add_headers() -> None:
    """The record that an interceptor returns is sent."""
    shop = Shop()
    with shop.producer(encoder=shop.encoder(interceptors=[add_trace])) as producer:
        delivery = producer.produce(OrderCreated(order_id="o-1"))
    assert shop.broker.records(TOPIC)[0].header("trace") == b"1"
    assert ("trace", b"1") in delivery.record.headers


def test_broken_observer_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An observer's exception is logged, and the record is delivered."""
    shop = Shop()

    def broken(happening: Happening) -> None:
        raise RuntimeError("observer")

    with shop.producer(observers=Observers([broken])) as producer:
        assert producer.produce(OrderCreated(order_id="o-1")).result(timeout=60).offset == 0
    queued, delivered = caplog.messages
    assert "broken raised on RecordQueued" in queued
    assert "broken raised on RecordDelivered" in delivered


async def _await(delivery: Any) -> Any:
    return await delivery


def test_an_observer_may_produce() -> None:
    """An observer that produces is fine even while records wait for room in an event loop."""
    shop = Shop(InMemoryBroker(queue_limit=1))

    echoes = iter(range(5))

    def echo(happening: Happening) -> None:
        if isinstance(happening, RecordDelivered):
            for number in itertools.islice(echoes, 1):
                producer.produce(OrderCreated(order_id=f"echo-{number}"), partition=0)

    producer = shop.producer(observers=Observers([echo]))

    async def publish() -> None:
        async with producer:
            shop.broker.hold()
            deliveries = [
                producer.produce(OrderCreated(order_id=f"{n}"), partition=0) for n in range(10)
            ]
            threading.Timer(0.05, shop.broker.release).start()
            await asyncio.gather(*deliveries)

    asyncio.run(publish())
    assert len(shop.broker.records(TOPIC)) == 15
