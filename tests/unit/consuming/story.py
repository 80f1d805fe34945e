"""Shared by the tests of consuming: orders, a handler that collects, and waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from sdk.consuming.consumer import Consumer
from sdk.errors import RegistryUnavailableError, SdkError
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.serialization import JsonMessageSerializer
from tests.unit.messaging.shop import TOPIC, OrderCreated, Shop

PATIENCE = 60.0


def publish(shop: Shop, *events: Any, **options: Any) -> None:
    """Produce events and wait until they are acknowledged."""
    with shop.producer() as producer:
        for event in events:
            producer.produce(event, **options)


def orders(*numbers: int) -> list[OrderCreated]:
    """Return orders with these numbers as ids."""
    return [OrderCreated(order_id=f"o-{number}") for number in numbers]


def publish_keyed(shop: Shop, *pairs: tuple[str, int]) -> None:
    """Produce one order for each (key, number), in order, all to partition 0."""
    with shop.producer() as producer:
        for key, number in pairs:
            producer.produce(OrderCreated(order_id=f"{key}-{number}"), key=key, partition=0)


def poison(shop: Shop, partition: int = 1) -> None:
    """Write bytes that are not an event to a partition of the topic."""
    record = ProducerRecord(
        topic=TOPIC,
        value=b"no event",
        partition=partition,
        headers=(("ce_type", b"orders.OrderCreated"), ("ce_eventversion", b"2")),
    )
    shop.broker.producer().produce(record, lambda report, error: None)


def committed(shop: Shop, group: str = "billing") -> int:
    """Return how many records a group has committed, over all partitions."""
    return sum(shop.broker.committed(group).values())


@define
class Till:
    """A handler that collects its arguments, and stops its consumer after ``count`` of them."""

    consumer: Consumer
    count: int
    taken: list[Any] = field(factory=list)

    def __call__(self, event: Any) -> None:
        """Collect the arguments of a handler."""
        self.taken.append(event)
        if len(self.taken) >= self.count:
            self.consumer.stop()

    @property
    def ids(self) -> list[str]:
        """The ids of the orders that were taken, in order."""
        return [event.order_id for event in self.taken]


@contextmanager
def running(consumer: Consumer) -> Iterator[Consumer]:
    """Run a consumer in a background thread during the block; then close it."""
    consumer.start()
    try:
        yield consumer
    finally:
        consumer.close(PATIENCE)


def run_until(consumer: Consumer, condition: Callable[[], bool]) -> None:
    """Run a consumer in this thread until a condition holds."""
    thread = threading.Thread(target=_stop_when, args=(consumer, condition))
    thread.start()
    try:
        consumer.run()
    finally:
        thread.join()


def _stop_when(consumer: Consumer, condition: Callable[[], bool]) -> None:
    try:
        wait_until(condition)
    finally:
        consumer.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Flaky(JsonMessageSerializer):
    """A serializer whose next readings end in errors, where there is one in the list."""

    def __init__(self, errors: list[SdkError | None]) -> None:
        super().__init__()
        self._errors = errors

    def open(self, record: ConsumerRecord) -> Any:
        """Open, or raise the next error."""
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        return super().open(record)


class OutOfReach(JsonMessageSerializer):
    """A serializer whose registry does not know the schemas of one partition."""

    def __init__(self, partition: int) -> None:
        super().__init__()
        self._partition = partition

    def open(self, record: ConsumerRecord) -> Any:
        """Open, unless the record is of that partition."""
        if record.partition == self._partition:
            raise RegistryUnavailableError("the registry is down")
        return super().open(record)
