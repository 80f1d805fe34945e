"""No record is left behind: threads and tasks that found nothing to do are woken by new work."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from sdk.clock import SystemClock
from sdk.consuming.dispatch import Opened
from sdk.consuming.lanes import Lanes
from sdk.consuming.partition import Lane, Partition
from sdk.consuming.workers import LoopWorkers
from sdk.records import ConsumerRecord
from tests.unit.consuming.story import PATIENCE, publish_keyed, running, wait_until
from tests.unit.messaging.shop import OrderCreated, Shop


def record(offset: int, key: bytes) -> ConsumerRecord:
    """Return a record of a key."""
    return ConsumerRecord("t", 0, offset, b"v", key)


def test_a_record_that_came_while_its_key_was_awaited_is_handled() -> None:
    """In an event loop, the next record of a key follows without another one arriving."""
    shop = Shop()
    seen: list[str] = []
    polled = threading.Event()

    async def handle(event: OrderCreated) -> None:
        seen.append(event.order_id)
        if len(seen) == 1:
            await asyncio.to_thread(polled.wait, PATIENCE)

    consumer = shop.consumer().handle(OrderCreated, handle)
    with running(consumer):
        publish_keyed(shop, ("a", 1))
        wait_until(lambda: len(seen) == 1)
        publish_keyed(shop, ("a", 2))
        wait_until(lambda: sum(each.in_flight for each in consumer.health().partitions) == 2)
        polled.set()
        wait_until(lambda: len(seen) == 2)
    assert seen == ["a-1", "a-2"]


def test_a_lane_that_is_given_back_wakes_who_waits_for_one() -> None:
    """Records added to a lane in work go to a waiting worker when the lane is given back."""
    lanes, partition, taken = Lanes("key", SystemClock()), Partition("t", 0), list[Lane | None]()
    lanes.add([(partition, [record(1, b"a")])])
    lane = lanes.take()
    assert lane is not None
    other = threading.Thread(target=lambda: taken.append(lanes.take()), daemon=True)
    other.start()
    lanes.add([(partition, [record(2, b"a")])])
    lanes.give_back(lane)
    other.join(PATIENCE)
    assert taken == [lane]


def test_a_record_below_one_that_was_begun_at_the_halt_is_still_handled() -> None:
    """A second halt covers what a handler began during the first, so its gap can be closed."""
    lanes, partition = Lanes("key", SystemClock()), Partition("t", 0)
    retried, begun = record(1, b"a"), record(2, b"b")
    partition.watermark.add([retried, begun])
    lanes.add([(partition, [retried, begun])])
    first, second = lanes.take(), lanes.take()
    assert first is not None
    assert second is not None
    lanes.give_back(first, [retried])
    lanes.halt([partition])  # `second` has seen before it that it may go on

    def work() -> None:
        while (lane := lanes.take()) is not None:
            for each in lane.run:
                partition.watermark.done(each.offset)
            lanes.give_back(lane)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    wait_until(lambda: bool(partition.set_aside))
    partition.watermark.done(begun.offset)
    lanes.give_back(second)
    lanes.halt([partition])
    drained = lanes.drained([partition], PATIENCE)
    lanes.close()
    worker.join(PATIENCE)
    assert drained
    assert partition.watermark.offset == 3


def test_lanes_of_a_dropped_partition_are_forgotten() -> None:
    """Records parked without a time, as for the end of a transaction, are not kept forever."""
    lanes, partition = Lanes("key", SystemClock()), Partition("t", 0)
    lanes.add([(partition, [record(1, b"a"), record(2, b"a")])])
    lane = lanes.take()
    assert lane is not None
    lanes.give_back(lane, lane.run, due=float("inf"))
    lanes.drop([partition])
    del lane
    # Not `isinstance`, which asks proxies of objects that are gone for their class.
    left = [each for each in gc.get_objects() if type(each) is Lane]
    assert not [each for each in left if each.partition is partition]


def test_a_lane_that_is_opened_as_the_last_task_ends_is_worked_on() -> None:
    """A task that has seen that nothing is left does not count as one that will go on."""
    lanes, partition, worked = Lanes("key", SystemClock()), Partition("t", 0), list[int]()
    opened = threading.Semaphore(0)

    def open_run(lane: Lane) -> Iterable[Opened]:
        opened.release()
        return ()

    async def work(lane: Lane, _: Iterable[Opened]) -> None:
        worked.extend(each.offset for each in lane.run)
        lanes.give_back(lane)

    async def then(serve: Coroutine[Any, Any, None], call: Callable[[], None]) -> None:
        await serve
        call()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        workers = LoopWorkers(lanes, open_run, work, 1, loop)

        def add_another() -> None:
            """Have a lane opened, and its task asked for, before the present task has ended."""
            if len(worked) == 1:
                lanes.add([(partition, [record(2, b"b")])])
                opened.acquire(timeout=PATIENCE)
                # The thread asks for a task right after it has opened the lane.
                time.sleep(0.2)

        def make_task(_: Any, serve: Any, **options: Any) -> Any:
            return asyncio.Task(then(serve, add_another), loop=loop, **options)

        loop.set_task_factory(make_task)
        feeder = threading.Thread(target=workers.feed, daemon=True)
        feeder.start()
        lanes.add([(partition, [record(1, b"a")])])
        opened.acquire(timeout=PATIENCE)
        deadline = loop.time() + 5
        while len(worked) < 2 and loop.time() < deadline:
            await asyncio.sleep(0.01)
        lanes.close()
        feeder.join(PATIENCE)

    asyncio.run(run())
    assert worked == [1, 2]
