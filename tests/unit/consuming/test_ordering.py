"""Order and concurrency: what is kept in order, and what runs beside it."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.consuming.consumer import Consumer
from sdk.happenings import Happening, PartitionsPaused, PartitionsResumed
from sdk.observers import Observers
from sdk.testing import InMemoryBroker
from sdk.topics import TopicDefinition
from tests.unit.consuming.story import committed, publish_keyed, run_until, wait_until
from tests.unit.messaging.shop import TOPIC, OrderCreated, Shop


class Witness:
    """A handler that notes what runs at the same time and in which order.

    Attributes:
        order: Key → the numbers of its orders, as they began.
        together: Most orders in work at the same time.
        broken: Keys of which two orders were in work at the same time.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.order: dict[str, list[int]] = defaultdict(list)
        self.together = 0
        self.broken: set[str] = set()
        self._seconds = seconds
        self._lock = threading.Lock()
        self._in_work: list[str] = []

    def __call__(self, event: OrderCreated) -> None:
        """Handle an order in a thread."""
        key = self._begin(event)
        time.sleep(self._seconds * random.random() * 2)
        self._end(key)

    async def in_loop(self, event: OrderCreated) -> None:
        """Handle an order in an event loop."""
        key = self._begin(event)
        await asyncio.sleep(self._seconds * random.random() * 2)
        self._end(key)

    def _begin(self, event: OrderCreated) -> str:
        key, number = event.order_id.split("-")
        with self._lock:
            if key in self._in_work:
                self.broken.add(key)
            self._in_work.append(key)
            self.order[key].append(int(number))
            self.together = max(self.together, len(self._in_work))
        return key

    def _end(self, key: str) -> None:
        with self._lock:
            self._in_work.remove(key)


def run_all(consumer: Consumer, shop: Shop, count: int) -> None:
    """Run a consumer until so many records are committed."""
    run_until(consumer, lambda: committed(shop) == count)


@settings(max_examples=15, deadline=None)
@given(
    keys=st.lists(st.sampled_from("abcde"), min_size=1, max_size=40),
    concurrency=st.integers(1, 8),
    ordering=st.sampled_from(["key", "partition"]),
    in_loop=st.booleans(),
    poll=st.integers(1, 10),
)
def test_order_is_kept_within_a_key(
    keys: list[str], concurrency: int, ordering: str, poll: int, *, in_loop: bool
) -> None:
    """Whatever the concurrency, the orders of a key are handled one by one, as they were sent."""
    shop = Shop()
    publish_keyed(shop, *((key, number) for number, key in enumerate(keys)))
    witness = Witness(0.0005)
    consumer = shop.consumer(concurrency=concurrency, ordering=ordering, max_poll_records=poll)
    consumer.handle(OrderCreated, witness.in_loop if in_loop else witness)
    run_all(consumer, shop, len(keys))
    assert witness.broken == set()
    assert all(numbers == sorted(numbers) for numbers in witness.order.values())
    assert sum(map(len, witness.order.values())) == len(keys)
    assert witness.together <= concurrency


@pytest.mark.parametrize("in_loop", [False, True])
def test_keys_of_one_partition_run_side_by_side(*, in_loop: bool) -> None:
    """A slow order holds up its key alone; others of the partition go on, and are not committed."""
    shop = Shop()
    publish_keyed(shop, ("slow", 0), ("slow", 1), *((f"k{n}", n) for n in range(20)))
    release = threading.Event()
    seen: list[str] = []

    def take(event: OrderCreated) -> None:
        if event.order_id == "slow-0":
            release.wait(60)
        seen.append(event.order_id)

    async def take_in_loop(event: OrderCreated) -> None:
        if event.order_id == "slow-0":
            await asyncio.to_thread(release.wait, 60)
        seen.append(event.order_id)

    consumer = shop.consumer(concurrency=2)
    consumer.handle(OrderCreated, take_in_loop if in_loop else take)
    consumer.start()
    wait_until(lambda: len(seen) == 20)
    assert "slow-1" not in seen
    assert committed(shop) == 0
    release.set()
    wait_until(lambda: committed(shop) == 22)
    consumer.close(60)
    assert seen[-2:] == ["slow-0", "slow-1"]


def test_without_order_even_one_key_runs_side_by_side() -> None:
    """With ``ordering = "none"`` the records of a key do not wait for each other."""
    shop = Shop()
    publish_keyed(shop, *(("same", number) for number in range(4)))
    together = threading.Barrier(4)
    consumer = shop.consumer(concurrency=4, ordering="none")
    consumer.handle(OrderCreated, lambda event: together.wait(60))
    run_all(consumer, shop, 4)


def test_records_without_a_key_keep_the_order_of_their_partition() -> None:
    """Nothing says that they may be handled in any order, so they are not."""
    shop = Shop()
    with shop.producer() as producer:
        for number in range(10):
            producer.produce(OrderCreated(order_id=f"k-{number}"), key=None, partition=0)
    witness = Witness(0.001)
    consumer = shop.consumer(concurrency=4).handle(OrderCreated, witness)
    run_all(consumer, shop, 10)
    assert witness.order["k"] == list(range(10))
    assert witness.broken == set()


def test_partitions_run_side_by_side() -> None:
    """With ``ordering = "partition"`` each partition is one lane."""
    shop = Shop(InMemoryBroker(partitions=3))
    shop.broker.define(TopicDefinition(name=TOPIC, partitions=3))
    with shop.producer() as producer:
        for number in range(3):
            producer.produce(OrderCreated(order_id="x"), key="same", partition=number)
    together = threading.Barrier(3)
    consumer = shop.consumer(concurrency=3, ordering="partition")
    consumer.handle(OrderCreated, lambda event: together.wait(60))
    run_all(consumer, shop, 3)


def test_no_more_than_the_limit_is_in_flight() -> None:
    """Beyond ``max_in_flight`` the partitions pause; when there is room, all of it comes."""
    shop = Shop()
    publish_keyed(shop, *(("same", number) for number in range(40)))
    release = threading.Event()
    seen: list[str] = []
    happened: list[Happening] = []

    def take(event: OrderCreated) -> None:
        release.wait(60)
        seen.append(event.order_id)

    consumer = shop.consumer(
        max_in_flight=10, max_poll_records=5, observers=Observers([happened.append])
    )
    consumer.handle(OrderCreated, take).start()
    wait_until(lambda: any(isinstance(each, PartitionsPaused) for each in happened))
    received = [each for each in happened if type(each).__name__ == "RecordReceived"]
    assert len(received) <= 15
    release.set()
    wait_until(lambda: committed(shop) == 40)
    consumer.close(60)
    assert [int(each.split("-")[1]) for each in seen] == list(range(40))
    assert any(isinstance(each, PartitionsResumed) for each in happened)


def test_bytes_in_flight_are_limited_too() -> None:
    """Large records pause the partitions long before their number does."""
    shop = Shop()
    with shop.producer() as producer:
        for number in range(20):
            producer.produce(
                OrderCreated(order_id=f"k-{number}", note="x" * 1000), key="same", partition=0
            )
    release = threading.Event()
    happened: list[Happening] = []
    consumer = shop.consumer(
        max_in_flight_bytes=4000, max_poll_records=2, observers=Observers([happened.append])
    )
    consumer.handle(OrderCreated, lambda event: release.wait(60)).start()
    wait_until(lambda: any(isinstance(each, PartitionsPaused) for each in happened))
    assert len([each for each in happened if type(each).__name__ == "RecordReceived"]) <= 6
    release.set()
    wait_until(lambda: committed(shop) == 20)
    consumer.close(60)


def test_idle_lanes_have_no_threads() -> None:
    """Threads are started as work needs them, not as many as there may be."""
    shop = Shop()
    publish_keyed(shop, *((f"k{number}", number) for number in range(5)))
    before = threading.active_count()
    most: list[int] = []
    consumer = shop.consumer(concurrency=100)
    consumer.handle(OrderCreated, lambda event: most.append(threading.active_count()))
    run_all(consumer, shop, 5)
    assert max(most) - before < 10
