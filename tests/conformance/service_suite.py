"""One suite for the promises of a whole connection, on every broker.

A subclass gives the fixture ``open_connection``. Time is the machine's on every broker, so that one
test holds for all; what a virtual clock makes quick is tested with `sdk.testing`.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import pytest
from contracts.orders import OrderCreated

from sdk.consuming.consumer import Consumer
from sdk.consuming.context import Context
from sdk.consuming.headers import DEAD_LETTER_NAMES
from sdk.errors import ClosedError, SerializationError
from sdk.happenings import Happening, RecordDeadLettered, RecordRetried
from sdk.messaging import Messaging
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.settings import (
    ConsumerOptions,
    DeadLetterOptions,
    InPlaceRetryOptions,
    KafkaOptions,
    ProducerOptions,
    RegistryOptions,
    RetryTopicsOptions,
    RoutingOptions,
    Settings,
    TopicOptions,
)
from tests.conformance.brokers import PATIENCE
from tests.unit.messaging.story import new_order, old_order

DELAY_MS = 400


class OpenConnection(Protocol):
    """Opens a connection to the broker under test."""

    def __call__(
        self, settings: Settings, observe: Callable[[Happening], None]
    ) -> AbstractContextManager[Messaging]:
        """Return the connection; addresses in the settings are replaced."""


def settings_for(topic: str) -> Settings:
    """Return settings with one retry topic and dead letters for a topic of two partitions."""
    return Settings(
        environment="conformance",
        kafka=KafkaOptions(bootstrap_servers=("embedded",)),
        registry=RegistryOptions(url=("embedded",), auto_register=True),
        producer=ProducerOptions(linger_ms=0),
        consumer=ConsumerOptions(
            commit_interval_ms=100,
            retry=InPlaceRetryOptions(retry_count=0),
            retry_topics=RetryTopicsOptions(delays_ms=(DELAY_MS,)),
            dead_letter=DeadLetterOptions(),
        ),
        routing=RoutingOptions(provision="create"),
        topics=(TopicOptions(event="OrderCreated", name=topic, partitions=2),),
        contracts="contracts",
    )


class Service:
    """A connection with its own topic, and its happenings."""

    def __init__(self, messaging: Messaging, topic: str, happenings: list[Happening]) -> None:
        self.messaging = messaging
        self.topic = topic
        self.happenings = happenings
        self.group = f"group-{uuid.uuid4().hex[:12]}"

    def publish(self, *numbers: int) -> None:
        """Publish orders, acknowledged one after the other."""
        for number in numbers:
            self.messaging.producer.produce(new_order(number)).result(PATIENCE)

    def consumer(self, handler: Callable[[OrderCreated], object], **options: int) -> Consumer:
        """Return a consumer of the service's group."""
        return self.messaging.consumer(self.group, **options).handle(OrderCreated, handler)

    def numbers_to(self, handled: list[int]) -> Consumer:
        """Return a consumer that appends the numbers of orders."""
        return self.consumer(lambda order: handled.append(order.order_id.int))

    def records(self, topic: str, count: int) -> list[ConsumerRecord]:
        """Return the first records of a topic, as a new group reads them."""
        found: list[ConsumerRecord] = []
        consumer = self.messaging.consumer(f"reader-{uuid.uuid4().hex[:12]}")

        def take(order: OrderCreated, context: Context) -> None:
            if context.topic == topic:  # the retry topics of this one are read as well
                found.append(context.record)

        consumer.handle(OrderCreated, take, topics=[topic])
        with running(consumer):
            until(lambda: len(found) >= count)
        return found


class running:
    """Runs a consumer in a background thread for a while."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def __enter__(self) -> Consumer:
        return self.consumer.start()

    def __exit__(self, *_: object) -> None:
        self.consumer.close(PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true; fail when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class ServiceSuite:
    """The promises of producers and consumers on every broker."""

    @pytest.fixture
    def open_connection(self) -> OpenConnection:
        """Give what opens connections to the broker under test."""
        raise AssertionError("a subclass gives this fixture")

    @pytest.fixture
    def service(self, open_connection: OpenConnection) -> Service:
        """Open a connection with a topic that no other test uses."""
        topic = f"service-{uuid.uuid4().hex[:12]}"
        happenings: list[Happening] = []
        with open_connection(settings_for(topic), happenings.append) as messaging:
            yield Service(messaging, topic, happenings)

    def test_raw_records_are_sent_as_they_are(self, service: Service) -> None:
        """`send` changes nothing: value, key, headers, partition and timestamp arrive."""
        made = service.messaging.producer.record(old_order(7), headers={"h": b"\xff"})
        an_hour_ago = (int(time.time()) - 3600) * 1000 + 123  # Kafka deletes what is a week old
        sent = made._replace(partition=1, timestamp=an_hour_ago)
        report = service.messaging.producer.send(sent).result(PATIENCE)
        (found,) = service.records(service.topic, 1)
        assert (report.partition, report.offset) == (found.partition, found.offset) == (1, 0)
        arrived = (found.value, found.key, found.headers, found.timestamp)
        assert arrived == (sent.value, sent.key, sent.headers, sent.timestamp)

    @pytest.mark.parametrize(
        "record",
        [
            ProducerRecord("a b", b""),
            ProducerRecord("t", "text"),  # type: ignore[arg-type]
            ProducerRecord("t", b"", "text"),  # type: ignore[arg-type]
            ProducerRecord("t", b"", headers=(("\ud800", b"x"),)),
            ProducerRecord("t", b"", headers=(("a\0b", b"x"),)),
            ProducerRecord("t", b"", partition=-1),
            ProducerRecord("t", b"", timestamp=-1),
            ProducerRecord("t", b"", timestamp=2**63),
        ],
    )
    def test_what_no_client_can_take_is_refused(
        self, service: Service, record: ProducerRecord
    ) -> None:
        """A record that would end the process or change on its way is an error before it leaves."""
        with pytest.raises(SerializationError):
            service.messaging.producer.send(record)
        service.publish(1)

    def test_order_is_kept_by_key(self, service: Service) -> None:
        """With many lanes, the events of one key are handled one after the other, in order."""
        numbers = [number % 5 for number in range(100)]
        handled: dict[int, list[int]] = defaultdict(list)

        def handle(order: OrderCreated, context: Context) -> None:
            handled[order.order_id.int].append(context.offset)

        service.publish(*numbers)
        consumer = service.messaging.consumer(service.group, concurrency=8)
        with running(consumer.handle(OrderCreated, handle)):
            until(lambda: sum(map(len, handled.values())) >= 100)
        assert all(offsets == sorted(offsets) for offsets in handled.values())
        assert {number: len(offsets) for number, offsets in handled.items()} == dict.fromkeys(
            range(5), 20
        )

    def test_failed_event_is_retried_after_its_delay(self, service: Service) -> None:
        """It goes through the retry topic, never early, while other events are handled."""
        handled: list[tuple[int, float]] = []
        failed: list[float] = []

        def handle(order: OrderCreated) -> None:
            if order.order_id.int == 1 and not failed:
                failed.append(time.monotonic())
                raise ValueError("not yet")
            handled.append((order.order_id.int, time.monotonic()))

        service.publish(1, 2, 3)
        with running(service.consumer(handle)):
            until(lambda: len(handled) == 3)
        assert {number for number, _ in handled} == {1, 2, 3}
        assert dict(handled)[1] - failed[0] >= DELAY_MS / 1000
        (retried,) = [each for each in service.happenings if isinstance(each, RecordRetried)]
        assert retried.topic == f"{service.topic}-retry"

    def test_what_fails_to_the_end_is_dead_lettered(self, service: Service) -> None:
        """The dead letter has the original bytes and says where they come from and why."""

        def handle(order: OrderCreated) -> None:
            raise ValueError("no stock")

        service.publish(1)
        with running(service.consumer(handle)):
            until(lambda: any(isinstance(each, RecordDeadLettered) for each in service.happenings))
        (original,) = service.records(service.topic, 1)
        (letter,) = service.records(f"{service.topic}-dlt", 1)
        assert letter[3:5] == original[3:5]
        assert (letter.partition, letter.timestamp) == (original.partition, original.timestamp)
        assert letter.header(DEAD_LETTER_NAMES.topic) == service.topic.encode()
        assert letter.header(DEAD_LETTER_NAMES.group) == service.group.encode()
        assert letter.header(DEAD_LETTER_NAMES.offset) == original.offset.to_bytes(8, "big")
        assert b"no stock" in (letter.header(DEAD_LETTER_NAMES.message) or b"")

    def test_poison_holds_nothing_up(self, service: Service) -> None:
        """Unreadable bytes are dead-lettered without a retry, and what follows is handled."""
        handled: list[int] = []
        poison = ProducerRecord(service.topic, b"\x00\xff\xff\xff\xff", b"k", partition=0)
        service.messaging.producer.send(poison).result(PATIENCE)
        record = service.messaging.producer.record(new_order(1))._replace(partition=0)
        service.messaging.producer.send(record).result(PATIENCE)
        with running(service.numbers_to(handled)):
            until(lambda: handled == [1])
        assert not any(isinstance(each, RecordRetried) for each in service.happenings)
        assert sum(isinstance(each, RecordDeadLettered) for each in service.happenings) == 1

    def test_restart_goes_on_behind_what_was_done(self, service: Service) -> None:
        """Closing commits what was handled: a new consumer of the group gets only what is new."""
        first: list[int] = []
        second: list[int] = []
        service.publish(1, 2, 3)
        with running(service.numbers_to(first)):
            until(lambda: len(first) == 3)
        service.publish(4)
        with running(service.numbers_to(second)):
            until(lambda: bool(second))
        assert second == [4]

    def test_consumer_can_go_back_and_knows_its_lag(self, service: Service) -> None:
        """After `seek` everything is handled again, and the lag comes down to nothing."""
        handled: list[int] = []
        service.publish(1, 2, 3)
        with running(service.numbers_to(handled)) as consumer:
            until(lambda: len(handled) == 3)
            consumer.seek("beginning", service.topic)
            until(lambda: len(handled) == 6)
            until(lambda: bool(consumer.lag()) and not any(consumer.lag().values()))
        assert sorted(handled) == [1, 1, 2, 2, 3, 3]

    def test_paused_consumer_hands_out_nothing(self, service: Service) -> None:
        """While it is paused no event is handled, and after `resume` none is missing."""
        handled: list[int] = []
        with running(service.numbers_to(handled)) as consumer:

            def paused() -> list[bool]:
                partitions = consumer.health().partitions
                return [bool(each.paused) for each in partitions if each.topic == service.topic]

            until(lambda: len(paused()) == 2)
            consumer.pause()
            until(lambda: all(paused()))
            service.publish(1, 2)
            time.sleep(0.5)
            assert handled == []
            consumer.resume()
            until(lambda: len(handled) == 2)
        with pytest.raises(ClosedError):
            consumer.pause()
