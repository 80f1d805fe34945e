"""The outcomes of failed records: retried in place, forwarded, skipped, or paused."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from sdk.consuming.context import Context
from sdk.consuming.failures import FailurePolicy
from sdk.consuming.forwarding import Forwarder
from sdk.consuming.retry_topics import RetryTopics
from sdk.errors import (
    BatchFailed,
    BrokerUnavailableError,
    DependencyDown,
    HandlerError,
    RegistryUnavailableError,
)
from sdk.happenings import (
    CircuitClosed,
    CircuitOpened,
    Happening,
    RecordDeadLettered,
    RecordRetried,
    RecordSkipped,
)
from sdk.observers import Observers
from sdk.settings import RetryOptions
from sdk.testing.clock import VirtualClock
from tests.unit.consuming.story import (
    Flaky,
    OutOfReach,
    Till,
    committed,
    orders,
    poison,
    publish,
    publish_keyed,
    run_until,
    running,
    wait_until,
)
from tests.unit.messaging.shop import TOPIC, OrderCreated, Shop

RETRYING = FailurePolicy(retry=RetryOptions(retry_count=2, base_delay_ms=100, jitter=0))


def forwarding(shop: Shop, *delays_ms: int, **options: Any) -> dict[str, Any]:
    """Return the parts of a consumer with dead letters and these retry topics."""
    topics = RetryTopics(delays_ms)
    clock = options.get("clock")
    return {
        "policy": FailurePolicy(
            retry=RetryOptions(retry_count=0), topics=topics, dead_letters=True
        ),
        "forwarder": Forwarder(
            shop.producer().send, topics, "billing", **({"now": clock.time} if clock else {})
        ),
        **options,
    }


@pytest.mark.parametrize("in_loop", [False, True])
def test_retry_in_place_waits_its_time_and_keeps_order(*, in_loop: bool) -> None:
    """A failed record is tried again when it is due and not before; its key waits meanwhile."""
    shop = Shop()
    publish_keyed(shop, ("a", 0), ("a", 1))
    clock = VirtualClock()
    attempts: list[tuple[str, int]] = []

    def take(event: OrderCreated, context: Context) -> None:
        attempts.append((event.order_id, context.attempt))
        if event.order_id == "a-0" and context.attempt < 3:
            raise ValueError("not yet")

    async def take_in_loop(event: OrderCreated, context: Context) -> None:
        take(event, context)

    consumer = shop.consumer(policy=RETRYING, clock=clock)
    consumer.handle(OrderCreated, take_in_loop if in_loop else take)
    with running(consumer):
        wait_until(lambda: attempts == [("a-0", 1)])
        wait_until(lambda: clock.next_due() is not None)
        clock.advance(0.099)
        assert attempts == [("a-0", 1)]
        clock.advance(0.002)
        wait_until(lambda: attempts == [("a-0", 1), ("a-0", 2)])
        wait_until(lambda: clock.next_due() is not None)
        clock.advance(0.199)
        assert len(attempts) == 2
        clock.advance(0.002)
        wait_until(lambda: len(attempts) == 4)
    assert attempts == [("a-0", 1), ("a-0", 2), ("a-0", 3), ("a-1", 1)]
    assert committed(shop) == 2


def test_other_keys_go_on_while_one_is_retried() -> None:
    """A lane that waits for its retry does not delay others."""
    shop = Shop()
    publish_keyed(shop, ("bad", 0), ("bad", 1), ("good", 0), ("good", 1))
    clock = VirtualClock()
    seen: list[str] = []

    def take(event: OrderCreated) -> None:
        if event.order_id == "bad-0" and not seen.count("bad-0"):
            seen.append("bad-0")
            raise ValueError("once")
        seen.append(event.order_id)

    consumer = shop.consumer(policy=RETRYING, clock=clock, concurrency=2)
    consumer.handle(OrderCreated, take)
    with running(consumer):
        wait_until(lambda: {"good-0", "good-1"} <= set(seen))
        assert "bad-1" not in seen
        wait_until(lambda: clock.next_due() is not None)
        clock.advance(1)
        wait_until(lambda: "bad-1" in seen)
    assert [each for each in seen if each.startswith("bad")] == ["bad-0", "bad-0", "bad-1"]


def test_attempts_begin_again_with_each_record() -> None:
    """Each record has all its attempts, whatever the one before it needed."""
    shop = Shop()
    publish_keyed(shop, ("a", 0), ("a", 1))
    attempts: dict[str, int] = {"a-0": 0, "a-1": 0}

    def take(event: OrderCreated) -> None:
        attempts[event.order_id] += 1
        if attempts[event.order_id] < 3:
            raise ValueError("twice")

    policy = FailurePolicy(retry=RetryOptions(retry_count=2, base_delay_ms=1))
    consumer = shop.consumer(policy=policy).handle(OrderCreated, take)
    run_until(consumer, lambda: committed(shop) == 2)
    assert attempts == {"a-0": 3, "a-1": 3}


def test_exhausted_retries_stop_the_consumer() -> None:
    """Without dead letters the consumer stops at the record, and commits nothing past it."""
    shop = Shop()
    publish_keyed(shop, ("a", 0), ("a", 1))
    calls: list[str] = []

    def take(event: OrderCreated) -> None:
        calls.append(event.order_id)
        raise ValueError("always")

    policy = FailurePolicy(retry=RetryOptions(retry_count=2, base_delay_ms=1))
    consumer = shop.consumer(policy=policy).handle(OrderCreated, take)
    with pytest.raises(HandlerError, match="always"):
        consumer.run()
    assert calls == ["a-0"] * 3
    assert committed(shop) == 0


def test_dead_letter_is_acknowledged_before_its_record_is_committed() -> None:
    """While the forward is not acknowledged nothing is committed; then everything is."""
    shop = Shop()
    poison(shop, partition=0)
    publish_keyed(shop, ("a", 1))
    happened: list[Happening] = []
    consumer = shop.consumer(**forwarding(shop, observers=Observers([happened.append])))
    seen: list[str] = []
    consumer.handle(OrderCreated, lambda event: seen.append(event.order_id))
    shop.broker.hold()
    with running(consumer):
        wait_until(lambda: shop.broker.held() == 1)
        assert committed(shop) == 0
        shop.broker.release()
        wait_until(lambda: committed(shop) == 2)
    (letter,) = shop.broker.records(f"{TOPIC}-dlt")
    assert letter.value == b"no event"
    assert seen == ["a-1"]
    assert any(isinstance(each, RecordDeadLettered) for each in happened)


@pytest.mark.parametrize("in_loop", [False, True])
def test_forward_that_fails_is_made_again_without_the_handler(*, in_loop: bool) -> None:
    """An outage while forwarding repeats the forward, not the handler."""
    shop = Shop()
    publish_keyed(shop, ("a", 0))
    clock = VirtualClock()
    calls: list[str] = []

    def take(event: OrderCreated) -> None:
        calls.append(event.order_id)
        raise ValueError("always")

    async def take_in_loop(event: OrderCreated) -> None:
        take(event)

    consumer = shop.consumer(**forwarding(shop, clock=clock))
    consumer.handle(OrderCreated, take_in_loop if in_loop else take)
    shop.broker.fail("deliver", BrokerUnavailableError("down"))
    with running(consumer):
        wait_until(lambda: clock.next_due() is not None)
        assert shop.broker.records(f"{TOPIC}-dlt") == []
        clock.advance(1)
        wait_until(lambda: committed(shop) == 1)
    assert calls == ["a-0"]
    assert len(shop.broker.records(f"{TOPIC}-dlt")) == 1


def test_retry_topic_is_read_when_due_and_no_earlier() -> None:
    """A record in a retry topic stays there until it is due; other records go on."""
    shop = Shop()
    publish_keyed(shop, ("a", 0), ("b", 0))
    clock = VirtualClock()
    happened: list[Happening] = []
    attempts: list[tuple[str, int]] = []

    def take(event: OrderCreated, context: Context) -> None:
        attempts.append((event.order_id, context.attempt))
        if event.order_id == "a-0" and context.attempt == 1:
            raise ValueError("once")

    consumer = shop.consumer(
        **forwarding(shop, 10_000, clock=clock, observers=Observers([happened.append]))
    )
    consumer.handle(OrderCreated, take)
    with running(consumer):
        wait_until(lambda: attempts == [("a-0", 1), ("b-0", 1)])
        wait_until(lambda: any(type(each).__name__ == "PartitionsPaused" for each in happened))
        clock.advance(9.9)
        wait_until(lambda: shop.broker.committed("billing").get((TOPIC, 0)) == 2)
        threading.Event().wait(0.3)
        assert len(attempts) == 2
        clock.advance(0.2)
        wait_until(lambda: len(attempts) == 3)
    assert attempts[2] == ("a-0", 2)
    assert any(isinstance(each, RecordRetried) and each.topic for each in happened)


def test_rule_that_skips_is_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    """Swallowing a failure is the service's right, and is seen in the log and by observers."""
    shop = Shop()
    publish_keyed(shop, ("a", 0))
    happened: list[Happening] = []

    def take(event: OrderCreated) -> None:
        raise KeyError("no stock")

    consumer = shop.consumer(
        policy=FailurePolicy(rules=[(KeyError, "skip")]), observers=Observers([happened.append])
    )
    consumer.handle(OrderCreated, take)
    run_until(consumer, lambda: committed(shop) == 1)
    assert any("offset 0 failed and is skipped" in line for line in caplog.messages)
    assert any(isinstance(each, RecordSkipped) for each in happened)


def test_registry_outage_delays_and_skips_nothing() -> None:
    """While the registry is out of reach the partition waits; then everything comes, in order."""
    shop = Shop()
    publish(shop, *orders(*range(6)), key="same")
    outage = RegistryUnavailableError("the registry is down", retry_after=0.01)
    consumer = shop.consumer(serializer=Flaky([None, None, outage, outage, outage]))
    till = Till(consumer, 6)
    consumer.handle(OrderCreated, till).run()
    assert till.ids == [f"o-{number}" for number in range(6)]


def test_registry_outage_holds_up_its_partition_alone() -> None:
    """Partitions whose schemas are known are read on during an outage."""
    shop = Shop()
    for partition in (0, 1):
        publish(shop, *orders(*range(3)), partition=partition)
    consumer = shop.consumer(serializer=OutOfReach(partition=0), concurrency=2)
    seen: list[int] = []
    consumer.handle(OrderCreated, lambda event, context: seen.append(context.partition))
    run_until(consumer, lambda: committed(shop) == 3)
    assert seen == [1, 1, 1]
    assert shop.broker.committed("billing") == {(TOPIC, 1): 3}


def test_dependency_that_is_down_burns_no_attempts_and_is_probed_by_one_record() -> None:
    """While the circuit is open nothing is handled; one record goes first, then all go on."""
    shop = Shop()
    publish_keyed(shop, *((f"k{number}", 0) for number in range(8)))
    clock = VirtualClock()
    happened: list[Happening] = []
    calls: list[tuple[str, int]] = []
    down = [True]

    def take(event: OrderCreated, context: Context) -> None:
        calls.append((event.order_id, context.attempt))
        if down[0]:
            raise DependencyDown("payments-db", retry_after=5)

    consumer = shop.consumer(concurrency=4, clock=clock, observers=Observers([happened.append]))
    consumer.handle(OrderCreated, take)
    with running(consumer):
        wait_until(lambda: any(isinstance(each, CircuitOpened) for each in happened))
        wait_until(lambda: clock.next_due() is not None)
        wait_until(lambda: consumer.health().lanes_busy == 0)
        before = len(calls)
        assert before <= 4
        clock.advance(4)
        threading.Event().wait(0.05)
        assert len(calls) == before
        clock.advance(1.1)
        wait_until(lambda: len(calls) == before + 1)
        threading.Event().wait(0.05)
        assert len(calls) == before + 1
        down[0] = False

        def is_done() -> bool:
            clock.advance(1)
            return committed(shop) == 8

        wait_until(is_done)
    assert {attempt for _, attempt in calls} == {1}
    assert any(isinstance(each, CircuitClosed) for each in happened)


def test_batches_are_bounded_by_count() -> None:
    """A batch handler gets lists of at most ``batch_size``, in order."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(7)))
    consumer = shop.consumer()
    batches: list[list[str]] = []

    def take(events: list[OrderCreated]) -> None:
        batches.append([event.order_id for event in events])

    consumer.handle(OrderCreated, take, batch_size=3, batch_seconds=0.05)
    run_until(consumer, lambda: committed(shop) == 7)
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [each for batch in batches for each in batch] == [f"a-{n}" for n in range(7)]


def test_incomplete_batch_waits_for_company_and_no_longer() -> None:
    """An incomplete batch is handled when its time is over, or earlier once it is full."""
    shop = Shop()
    clock = VirtualClock()
    batches: list[int] = []
    consumer = shop.consumer(clock=clock)
    consumer.handle(
        OrderCreated, lambda events: batches.append(len(events)), batch_size=3, batch_seconds=60
    )
    with running(consumer):
        publish_keyed(shop, ("a", 0))
        wait_until(lambda: clock.next_due() is not None)
        publish_keyed(shop, ("a", 1), ("a", 2))
        wait_until(lambda: batches == [3])
        publish_keyed(shop, ("a", 3))
        wait_until(lambda: clock.next_due() is not None)
        assert batches == [3]
        clock.advance(61)
        wait_until(lambda: batches == [3, 1])


def test_named_items_of_a_batch_fail_alone() -> None:
    """`BatchFailed` retries those that it names; the others are done."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(4)))
    calls: list[list[str]] = []

    async def take(events: list[OrderCreated], contexts: list[Context]) -> None:
        await asyncio.sleep(0)
        assert [each.offset for each in contexts] == [int(e.order_id[2:]) for e in events]
        calls.append([event.order_id for event in events])
        if len(calls) == 1:
            raise BatchFailed({1: ValueError("one"), 3: ValueError("three")})

    policy = FailurePolicy(retry=RetryOptions(retry_count=1, base_delay_ms=1))
    consumer = shop.consumer(policy=policy)
    consumer.handle(OrderCreated, take, batch_size=4, batch_seconds=0)
    run_until(consumer, lambda: committed(shop) == 4)
    assert calls == [["a-0", "a-1", "a-2", "a-3"], ["a-1", "a-3"]]


def test_failed_batch_fails_as_a_whole() -> None:
    """Any other exception concerns every event of the batch."""
    shop = Shop()
    publish_keyed(shop, *(("a", number) for number in range(3)))

    def take(events: list[OrderCreated]) -> None:
        raise ValueError("all")

    consumer = shop.consumer(**forwarding(shop))
    consumer.handle(OrderCreated, take, batch_size=3, batch_seconds=0)
    run_until(consumer, lambda: committed(shop) == 3)
    assert len(shop.broker.records(f"{TOPIC}-dlt")) == 3


def test_batch_failed_without_exceptions_fails_the_whole_batch() -> None:
    """An event that is named with a text, not an exception, is not taken for handled."""
    shop = Shop()
    publish_keyed(shop, ("a", 0), ("a", 1))
    calls: list[int] = []

    def take(events: list[OrderCreated]) -> None:
        calls.append(len(events))
        if len(calls) == 1:
            errors: Any = {1: "no stock"}
            raise BatchFailed(errors)

    policy = FailurePolicy(retry=RetryOptions(retry_count=1, base_delay_ms=1))
    consumer = shop.consumer(policy=policy)
    consumer.handle(OrderCreated, take, batch_size=2, batch_seconds=0)
    run_until(consumer, lambda: committed(shop) == 2)
    assert calls == [2, 2]


def test_exception_that_cannot_be_shown_is_a_failure_like_any_other() -> None:
    """A defect in an exception's own __str__ does not stop the consumer."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    def take(event: OrderCreated) -> None:
        raise Mute

    shop = Shop()
    publish_keyed(shop, ("a", 0))
    consumer = shop.consumer(**forwarding(shop)).handle(OrderCreated, take)
    run_until(consumer, lambda: committed(shop) == 1)
    assert len(shop.broker.records(f"{TOPIC}-dlt")) == 1


def test_wait_beyond_what_the_platform_can_time_does_not_stop_the_consumer() -> None:
    """A dependency that asks for a wait of centuries pauses its topics, and nothing more."""
    shop = Shop()
    publish_keyed(shop, ("a", 0))
    happened: list[Happening] = []

    def take(event: OrderCreated) -> None:
        raise DependencyDown("payments-db", retry_after=1e10)

    consumer = shop.consumer(observers=Observers([happened.append])).handle(OrderCreated, take)
    with running(consumer):
        wait_until(lambda: any(isinstance(each, CircuitOpened) for each in happened))
        wait_until(lambda: consumer.health().lanes_busy == 0)
        assert consumer.health().circuits["payments-db"] > 1e9
    assert consumer.health().error is None
