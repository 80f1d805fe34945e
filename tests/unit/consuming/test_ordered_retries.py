"""Ordered retries on the whole consumer: the order of a key holds, also across restarts."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

import pytest

from sdk.errors import ConfigurationError
from sdk.settings import ConsumerOptions, InPlaceRetryOptions, RetryTopicsOptions
from sdk.testing import InMemoryBroker, run_until_idle
from sdk.topics import TopicDefinition
from tests.unit.consuming.test_whole_path import DLT, RETRIES, TOPIC, BadOrder, connected
from tests.unit.messaging.shop import OrderCreated

OPTIONS: dict[str, Any] = {
    "retry": InPlaceRetryOptions(retry_count=0),
    "retry_topics": RetryTopicsOptions(delays_ms=(20, 40), ordered=True),
    "concurrency": 4,
}


class Notes:
    """Handles notes on orders; some fail a number of times.

    Attributes:
        failures: Note → how often it still fails.
        handled: Order → its notes, in the order in which they were handled.
    """

    def __init__(self, **failures: int) -> None:
        self.failures = failures
        self.handled: dict[str, list[str]] = defaultdict(list)
        self.stop_after: int | None = None
        self._lock = threading.Lock()

    def __call__(self, order: OrderCreated) -> None:
        """Handle a note, or fail."""
        with self._lock:
            if self.failures.get(order.note, 0) > 0:
                self.failures[order.note] -= 1
                raise BadOrder(order.note)
            self.handled[order.order_id].append(order.note)


def publish(messaging: Any, notes: list[tuple[str, str]]) -> None:
    """Publish (order, note) pairs."""
    for order, note in notes:
        messaging.producer.produce(OrderCreated(order_id=order, note=note)).result(60)


NOTES = [(order, f"{order}{number}") for number in range(5) for order in "abc"]


def test_the_order_of_a_key_holds_through_all_stages() -> None:
    """Later notes wait behind one that is retried twice; other orders go on."""
    broker, notes = InMemoryBroker(), Notes(a1=2, b0=1, b3=2)
    with connected(broker, [], **OPTIONS) as messaging:
        publish(messaging, NOTES)
        consumer = messaging.consumer("billing").handle(OrderCreated, notes)
        run_until_idle(consumer, broker, "billing", timeout=60)
    for order in "abc":
        assert notes.handled[order] == [f"{order}{number}" for number in range(5)]
    assert not broker.records(DLT)
    assert not any(b"c" in (r.key or b"") for topic in RETRIES for r in broker.records(topic))


def test_a_dead_letter_lets_the_others_go_on() -> None:
    """When its attempts are used up, a note no longer holds up those behind it."""
    broker, notes = InMemoryBroker(), Notes(a1=9)
    with connected(broker, [], **OPTIONS) as messaging:
        publish(messaging, NOTES)
        consumer = messaging.consumer("billing").handle(OrderCreated, notes)
        run_until_idle(consumer, broker, "billing", timeout=60)
    assert notes.handled["a"] == ["a0", "a2", "a3", "a4"]
    assert len(broker.records(DLT)) == 1


def test_the_order_of_a_key_holds_across_a_restart() -> None:
    """A new member reads what stands in the retry topics before it hands anything over."""
    broker, notes = InMemoryBroker(), Notes(a1=1)
    slow: dict[str, Any] = {
        **OPTIONS,
        "retry_topics": RetryTopicsOptions(delays_ms=(300, 400), ordered=True),
    }
    with connected(broker, [], **slow) as messaging:
        publish(messaging, NOTES[:6])
        consumer = messaging.consumer("billing").handle(OrderCreated, notes).start()
        while not broker.records(f"{TOPIC}-retry-300"):
            threading.Event().wait(0.01)
        consumer.close()
        publish(messaging, NOTES[6:])
        run_until_idle(
            messaging.consumer("billing").handle(OrderCreated, notes),
            broker,
            "billing",
            timeout=20,
        )
    assert list(dict.fromkeys(notes.handled["a"])) == ["a0", "a1", "a2", "a3", "a4"]
    assert list(dict.fromkeys(notes.handled["c"])) == ["c0", "c1", "c2", "c3", "c4"]


def test_partitions_that_do_not_fit_stop_the_consumer() -> None:
    """Without the same partition of every retry topic, the order could not be kept."""
    broker = InMemoryBroker()
    broker.define(TopicDefinition(name=RETRIES[0], partitions=1))
    with connected(broker, [], **OPTIONS) as messaging:
        publish(messaging, NOTES)
        consumer = messaging.consumer("billing").handle(OrderCreated, Notes())
        with pytest.raises(ConfigurationError, match="same partition"):
            run_until_idle(consumer, broker, "billing", timeout=60)


def test_unordered_handling_excludes_ordered_retries() -> None:
    """Order that is not kept within a topic cannot be kept across topics."""
    with pytest.raises(ConfigurationError, match="none"):
        ConsumerOptions(
            ordering="none", retry_topics=RetryTopicsOptions(delays_ms=(1,), ordered=True)
        )
