"""Control while it runs: pause, resume, seek, lag, health."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from sdk.consuming.failures import FailurePolicy
from sdk.consuming.forwarding import Forwarder
from sdk.consuming.retry_topics import RetryTopics
from sdk.errors import (
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DependencyDown,
)
from sdk.records import ProducerRecord, TopicPartition
from sdk.settings import RetryOptions
from sdk.testing.clock import VirtualClock
from sdk.testing.consumer import InMemoryConsumer
from tests.unit.consuming.story import committed, publish_keyed, running, wait_until
from tests.unit.messaging.shop import TOPIC, OrderCreated, Shop

PLACE = TopicPartition(topic=TOPIC, partition=0)


def test_paused_partition_is_not_handled_until_resumed() -> None:
    """After `pause` only the current record is handled; after `resume` none is lost or repeated."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(5)))
    seen: list[str] = []
    consumer = shop.consumer()
    paused = threading.Event()

    def take(event: OrderCreated) -> None:
        seen.append(event.order_id)
        if len(seen) == 2:
            consumer.pause()
            paused.wait(60)

    consumer.handle(OrderCreated, take)
    with running(consumer):
        wait_until(lambda: len(seen) == 2)
        wait_until(lambda: all(each.paused for each in consumer.health().partitions))
        paused.set()
        publish_keyed(shop, ("a", 5))
        time.sleep(0.3)
        assert len(seen) == 2
        consumer.resume(TOPIC)
        wait_until(lambda: len(seen) == 6)
    assert seen == [f"a-{number}" for number in range(6)]
    assert committed(shop) == 6


@pytest.mark.parametrize(
    ("to", "first"), [("beginning", "a-0"), (2, "a-2"), (datetime(2020, 1, 1, tzinfo=UTC), "a-0")]
)
def test_partition_is_read_from_elsewhere(to: object, first: str) -> None:
    """`seek` reads on from an offset, a time or an end, and commits follow it."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(4)))
    seen: list[str] = []
    consumer = shop.consumer().handle(OrderCreated, lambda event: seen.append(event.order_id))
    with running(consumer):
        wait_until(lambda: committed(shop) == 4)
        consumer.seek(to, PLACE)  # type: ignore[arg-type]
        wait_until(lambda: len(seen) > 4)
        wait_until(lambda: seen[-1] == "a-3")
        wait_until(lambda: committed(shop) == 4)
    assert seen[4] == first


def test_seek_to_a_time_outlasts_an_outage() -> None:
    """A broker that cannot say where a time is does not end the consumer: it is asked again."""
    shop = Shop()
    publish_keyed(shop, ("a", 0))
    seen: list[str] = []
    failures: list[Exception] = [BrokerUnavailableError("no answer"), BrokerUnavailableError("no")]

    class Silent(InMemoryConsumer):
        """A client whose broker does not answer at first."""

        def offsets_for_time(self, *asked: Any) -> list[TopicPartition]:
            """Find offsets, or raise the next failure."""
            if failures:
                raise failures.pop()
            return super().offsets_for_time(*asked)

    consumer = shop.consumer(
        connect=lambda: Silent(shop.broker, shop.broker.group("billing"), "earliest")
    )
    consumer.handle(OrderCreated, lambda event: seen.append(event.order_id))
    with running(consumer):
        wait_until(lambda: committed(shop) == 1)
        consumer.seek(datetime(2020, 1, 1, tzinfo=UTC), PLACE)
        wait_until(lambda: len(seen) == 2 or consumer.health().error is not None)
    assert consumer.health().error is None
    assert (seen, failures) == (["a-0", "a-0"], [])


def test_seek_to_the_end_passes_over_what_waits() -> None:
    """Queued records are dropped, and only new ones come."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(5)))
    seen: list[str] = []
    consumer = shop.consumer()
    release = threading.Event()

    def take(event: OrderCreated) -> None:
        seen.append(event.order_id)
        if len(seen) == 1:
            consumer.seek("end", PLACE)
            release.wait(60)

    consumer.handle(OrderCreated, take)
    with running(consumer):
        wait_until(lambda: len(seen) == 1)
        time.sleep(1)
        release.set()

        def goes_on() -> bool:
            publish_keyed(shop, ("a", 9))  # again: the end is looked for when the handler is done
            return len(seen) > 1

        wait_until(goes_on)
    assert seen[0] == "a-0"
    assert set(seen[1:]) == {"a-9"}


def test_naive_time_is_refused() -> None:
    """A time without a zone could mean several."""
    with pytest.raises(ConfigurationError, match="aware"):
        Shop().consumer().seek(datetime(2020, 1, 1))


def test_control_needs_a_running_consumer() -> None:
    """There is nothing to pause before the consumer runs."""
    with pytest.raises(ClosedError, match="is not running"):
        Shop().consumer().pause()


def test_lag_counts_what_is_not_done() -> None:
    """The lag is the distance from what is done to the end, in records."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(5)))
    release = threading.Event()
    clock = VirtualClock()
    consumer = shop.consumer(clock=clock).handle(OrderCreated, lambda event: release.wait(60))
    assert consumer.lag() == {}
    with running(consumer):

        def measured() -> int | None:
            clock.advance(1)
            return consumer.lag().get(PLACE)

        wait_until(lambda: measured() == 5)
        release.set()
        wait_until(lambda: measured() == 0)


def test_lag_is_unknown_after_a_seek() -> None:
    """The lag at the former position is not reported for the new one."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(5)))
    release, clock = threading.Event(), VirtualClock()
    consumer = shop.consumer(clock=clock).handle(OrderCreated, lambda event: release.wait(60))
    with running(consumer):

        def measured() -> int | None:
            clock.advance(1)
            return consumer.lag().get(PLACE)

        wait_until(lambda: measured() == 5)
        consumer.seek("end", PLACE)
        threading.Timer(0.5, release.set).start()  # the seek waits for the running handler
        wait_until(lambda: consumer.health().partitions[0].offset is None)
        wait_until(lambda: measured() is None)


def test_record_in_work_for_too_long_turns_readiness_red(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler beyond its limit is named in the log; the consumer is not ready meanwhile."""
    shop = Shop()
    publish_keyed(shop, ("a", 0))
    release = threading.Event()
    clock = VirtualClock()
    consumer = shop.consumer(clock=clock, handler_limit_ms=30_000)
    consumer.handle(OrderCreated, lambda event: release.wait(60))

    def overdue() -> bool:
        clock.advance(5)
        return bool(consumer.health().overdue)

    with running(consumer):
        wait_until(consumer.ready)
        wait_until(overdue)
        assert not consumer.ready()
        assert "offset 0" in consumer.health().overdue[0]
        release.set()
        wait_until(lambda: not overdue())
        assert consumer.ready()
    assert len([line for line in caplog.messages if "has been handled for" in line]) == 1


def test_health_follows_the_life_of_a_consumer() -> None:
    """Not running, then ready with its partitions, then not running again, without an error."""
    shop = Shop()
    publish_keyed(shop, ("a", 0))
    consumer = shop.consumer().handle(OrderCreated, lambda event: None)
    assert not consumer.health().running
    with running(consumer):
        wait_until(lambda: len(consumer.health().partitions) == 4)
        assert consumer.ready()
    health = consumer.health()
    assert (health.running, health.error) == (False, None)


def test_seeking_past_the_record_that_tries_a_dependency_lets_another_one_try() -> None:
    """The other records of a dependency do not wait for one that is never read again."""
    shop = Shop()
    publish_keyed(shop, ("a", 1))
    topics, attempts = RetryTopics(), list[str]()
    forwarder = Forwarder(shop.producer().send, topics, "billing")
    policy = FailurePolicy(retry=RetryOptions(retry_count=0), topics=topics, dead_letters=True)
    consumer = shop.consumer(policy=policy, forwarder=forwarder)

    def handle(event: OrderCreated) -> None:
        attempts.append(event.order_id)
        if attempts == ["a-1"]:
            raise DependencyDown("payments-db", retry_after=0.01)
        if event.order_id == "a-1":
            shop.broker.fail("deliver", *[BrokerUnavailableError("no answer")] * 100)
            raise ValueError("the dependency is back, and the order is wrong")

    with running(consumer.handle(OrderCreated, handle)):
        wait_until(lambda: len(attempts) == 2)
        consumer.seek("end", PLACE)
        wait_until(lambda: consumer.health().partitions[0].in_flight == 0)
        shop.broker.store(encoded(shop, "b-1", partition=1))
        wait_until(lambda: attempts[2:] == ["b-1"])


def encoded(shop: Shop, order_id: str, partition: int) -> ProducerRecord:
    """Return the record of an order."""
    return shop.encoder().record(OrderCreated(order_id=order_id), partition=partition)
