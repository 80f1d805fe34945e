"""Meters' view of the records of a consumer: each counts once, with its own time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from attrs import field, frozen

from sdk.consuming.consumer import Consumer
from sdk.consuming.failures import FailurePolicy
from sdk.consuming.measurements import QUICK_SECONDS
from sdk.happenings import Happening, RecordFailed, RecordsHandled, RecordSkipped, RecordsReceived
from sdk.observability.health import State
from sdk.observability.metrics.definitions import SECONDS
from sdk.observers import Observers
from sdk.settings import RetryOptions
from tests.unit.consuming.story import orders, publish, run_until, running, wait_until
from tests.unit.messaging.shop import OrderCancelled, OrderCreated, Shop

CREATED, CANCELLED = "orders.OrderCreated", "orders.OrderCancelled"


@frozen
class Told:
    """A meter that keeps its happenings."""

    happenings: list[Any] = field(factory=list)

    def __call__(self, happening: Happening) -> None:
        """Keep a happening."""
        self.happenings.append(happening)

    def watch(self, state: Callable[[], State]) -> None:
        """Meters read gauges from a state; this one does not."""

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the happenings of a class."""
        return [each for each in self.happenings if isinstance(each, kind)]

    @property
    def seconds(self) -> dict[str, list[float]]:
        """Event → the seconds of its records."""
        found: dict[str, list[float]] = {}
        for each in self.of(RecordsHandled):
            found.setdefault(each.event, []).extend(each.seconds)
        return found

    @property
    def ages(self) -> list[float]:
        """The age of each record that was handled."""
        return [age for each in self.of(RecordsHandled) for age in each.ages]


def metered(shop: Shop, **parts: Any) -> tuple[Told, Consumer]:
    """Return a meter, and a consumer that reports to it."""
    told = Told()
    return told, shop.consumer(observers=Observers([told]), **parts)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_every_record_counts_once(concurrency: int) -> None:
    """Events of two kinds that follow each other are counted by event, and none twice."""
    shop = Shop()
    for created in orders(*range(60)):
        publish(shop, created, OrderCancelled(order_id=created.order_id), partition=0)
    told, consumer = metered(shop, concurrency=concurrency)
    counts: Counter[type[Any]] = Counter()
    count = threading.Lock()

    def take(event: Any) -> None:
        with count:
            counts[type(event)] += 1

    consumer.handle(OrderCreated, lambda event: take(event))
    consumer.handle(OrderCancelled, lambda event: take(event))
    run_until(consumer, lambda: sum(counts.values()) == 120)
    assert {event: len(each) for event, each in told.seconds.items()} == {
        CREATED: 60,
        CANCELLED: 60,
    }
    assert len(told.ages) == 120
    assert sum(each.count for each in told.of(RecordsReceived)) == 120


def test_failed_and_skipped_records_are_not_handled() -> None:
    """A failed record between others is reported as failed, and those around it as handled."""
    shop, now = Shop(), int(time.time())
    for hours, order in enumerate(orders(*range(9))):
        publish(shop, order, partition=0, timestamp=(now - 3600 * hours) * 1000)
    policy = FailurePolicy(rules=[(ValueError, "skip")], retry=RetryOptions(retry_count=0))
    told, consumer = metered(shop, policy=policy)
    taken: list[str] = []

    def take(event: OrderCreated) -> None:
        taken.append(event.order_id)
        if event.order_id in {"o-3", "o-4"}:
            raise ValueError

    consumer.handle(OrderCreated, take)
    run_until(consumer, lambda: len(taken) == 9)
    assert len(told.seconds[CREATED]) == 7
    assert [int(age / 3600) for age in told.ages] == [0, 1, 2, 5, 6, 7, 8]
    assert len(told.of(RecordFailed)) == len(told.of(RecordSkipped)) == 2


def test_a_slow_handler_is_reported_by_itself() -> None:
    """Its time is its own, and what was handled before it is not as old as what comes after."""
    shop = Shop()
    publish(shop, *orders(*range(5)), partition=0)
    told, consumer = metered(shop)
    taken: list[str] = []

    def take(event: OrderCreated) -> None:
        if event.order_id == "o-3":
            time.sleep(1)
        taken.append(event.order_id)

    consumer.handle(OrderCreated, take)
    run_until(consumer, lambda: len(taken) == 5)
    assert [seconds >= 1 for seconds in told.seconds[CREATED]] == [False] * 3 + [True, False]
    assert told.ages[3] - max(told.ages[:3]) >= 0.95


def test_all_quick_handlers_are_counted() -> None:
    """Records below the finest bucket count one by one with their mean, others as they took."""
    shop = Shop()
    publish(shop, *orders(*range(50)), partition=0)
    told, consumer = metered(shop)
    taken: list[str] = []

    def take(event: OrderCreated) -> None:
        if event.order_id in {"o-10", "o-20"}:
            time.sleep(0.001)
        taken.append(event.order_id)

    consumer.handle(OrderCreated, take)
    run_until(consumer, lambda: len(taken) == 50)
    seconds = told.seconds[CREATED]
    assert len(seconds) == len(told.ages) == 50
    # Any of the others may have been interrupted.
    assert 2 <= len([each for each in seconds if each >= 0.001]) < 25
    assert all(each > 0 for each in seconds)
    assert len(set(seconds)) < 50
    assert min(SECONDS) >= QUICK_SECONDS


def test_meters_are_notified_while_nothing_more_comes() -> None:
    """The last handled record is reported although the consumer continues without records."""
    shop = Shop()
    for partition in (0, 1):
        publish(shop, *orders(1, 2, 3), partition=partition)
    told, consumer = metered(shop)
    consumer.handle(OrderCreated, lambda event: None)
    with running(consumer):
        wait_until(lambda: len(told.seconds.get(CREATED, ())) == 6)


def test_events_of_batches_have_their_shares() -> None:
    """Each event of a batch counts with its share of the call."""
    shop = Shop()
    publish(shop, *orders(*range(4)), partition=0)
    told, consumer = metered(shop)
    taken: list[float] = []

    def take(events: list[OrderCreated]) -> None:
        began = time.perf_counter()
        time.sleep(0.5)
        taken.append(time.perf_counter() - began)

    consumer.handle(OrderCreated, take, batch_size=4, batch_seconds=5)
    run_until(consumer, lambda: bool(taken))
    assert len(told.seconds[CREATED]) == len(told.ages) == 4
    assert taken[0] <= sum(told.seconds[CREATED]) < 3 * taken[0]
