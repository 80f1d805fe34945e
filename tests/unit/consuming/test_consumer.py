"""Running a consumer: what is committed, what stops it, and how it is stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from typing import Any

import pytest

from sdk.consuming.failures import FailurePolicy
from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DeserializationError,
    HandlerError,
    RegistryRefusedError,
    SchemaNotFoundError,
    SdkError,
)
from sdk.happenings import ConsumerStopped, Happening, RecordFailed, RecordHandled, RecordReceived
from sdk.observers import Observers
from sdk.settings import RetryOptions
from tests.unit.consuming.story import (
    PATIENCE,
    Flaky,
    Till,
    committed,
    orders,
    poison,
    publish,
    run_until,
    running,
    wait_until,
)
from tests.unit.messaging.shop import TOPIC, OrderCreated, Shop


def test_handled_events_do_not_come_again() -> None:
    """A second run of the group goes on after the last event that was handled."""
    shop = Shop()
    publish(shop, *orders(1, 2, 3))
    consumer = shop.consumer()
    till = Till(consumer, 3)
    consumer.handle(OrderCreated, till).run()
    publish(shop, *orders(4))
    till.count = 4
    consumer.run()
    assert till.ids.count("o-4") == 1
    assert len(till.taken) == 4


def test_stop_finishes_the_event_in_hand_alone() -> None:
    """After `stop`, what was polled and not handled is left for the next run."""
    shop = Shop()
    publish(shop, *orders(*range(10)), key="same")
    consumer = shop.consumer()
    till = Till(consumer, 4)
    consumer.handle(OrderCreated, till).run()
    assert len(till.taken) == 4
    assert committed(shop) == 4


def test_failed_handler_stops_the_consumer_where_it_stood() -> None:
    """A handler's exception names the place; nothing past it is committed, and it comes again."""
    shop = Shop()
    publish(shop, *orders(0, 1, 2, 3), key="same")
    consumer = shop.consumer()
    seen: list[str] = []

    def fail_once(event: OrderCreated) -> None:
        seen.append(event.order_id)
        if seen == ["o-0", "o-1", "o-2"]:
            raise ValueError("no stock")
        if event.order_id == "o-3":
            consumer.stop()

    consumer.handle(OrderCreated, fail_once)
    with pytest.raises(HandlerError, match="ValueError: no stock") as caught:
        consumer.run()
    assert (caught.value.topic, caught.value.offset) == (TOPIC, 2)
    assert caught.value.event == "orders.OrderCreated"
    assert isinstance(caught.value.__cause__, ValueError)
    assert committed(shop) == 2
    consumer.run()
    assert seen == ["o-0", "o-1", "o-2", "o-2", "o-3"]


def test_poison_stops_the_consumer_where_it_stood() -> None:
    """Bytes that can never be read are an error with topic, partition and offset."""
    shop = Shop()
    publish(shop, *orders(0), partition=1)
    poison(shop)
    consumer = shop.consumer().handle(OrderCreated, lambda event: None)
    with pytest.raises(DeserializationError) as caught:
        consumer.run()
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == (TOPIC, 1, 1)
    assert shop.broker.committed("billing") == {(TOPIC, 1): 1}


def test_every_failure_that_stops_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A consumer that stops in the background says so at ERROR, with place and remedy."""
    shop = Shop()
    publish(shop, *orders(0), key="same")
    consumer = shop.consumer()

    def fail(event: OrderCreated) -> None:
        raise KeyError("no stock")

    consumer.handle(OrderCreated, fail)

    async def main() -> None:
        task = asyncio.create_task(consumer.run_async())
        await asyncio.wait([task])
        task.exception()

    asyncio.run(main())
    (line,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "group billing: the consumer has stopped" in line.message
    assert "offset 0" in line.message
    assert "Remedy" in line.message
    assert line.exc_info
    assert line.exc_info[0] is KeyError
    assert vars(line)["topic"] == TOPIC
    error = consumer.health().error
    assert isinstance(error, HandlerError)


def test_background_consumer_keeps_what_stopped_it() -> None:
    """`start` runs in a thread; its end is seen by `health`, and the log has the error."""
    shop = Shop()
    poison(shop)
    consumer = shop.consumer().handle(OrderCreated, print)
    consumer.start()
    wait_until(lambda: consumer.health().error is not None)
    assert isinstance(consumer.health().error, DeserializationError)
    assert not consumer.ready()
    consumer.close(PATIENCE)


def test_background_consumer_handles_until_it_is_closed() -> None:
    """After `close` the group has been left, and everything that was handled is committed."""
    shop = Shop()
    publish(shop, *orders(1, 2))
    seen: list[str] = []
    consumer = shop.consumer().handle(OrderCreated, lambda event: seen.append(event.order_id))
    with running(consumer):
        wait_until(lambda: len(seen) == 2)
        with pytest.raises(ClosedError, match="already running"):
            consumer.start()
    assert committed(shop) == 2
    assert shop.broker.group("billing").members() == 0


def test_unknown_schema_is_poison() -> None:
    """A schema that the registry does not have makes its record unreadable for good."""
    shop = Shop()
    publish(shop, *orders(1))
    error = SchemaNotFoundError("schema 7 not found", schema_id=7)
    consumer = shop.consumer(serializer=Flaky([error])).handle(OrderCreated, print)
    with pytest.raises(DeserializationError, match="schema 7 not found") as caught:
        consumer.run()
    assert (caught.value.offset, caught.value.schema_id) == (0, 7)


def test_registry_refusal_stops_the_consumer() -> None:
    """Wrong registry credentials are no fault of the record: the consumer stops with them."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer(
        serializer=Flaky([RegistryRefusedError("401")]),
        policy=FailurePolicy(rules=[(Exception, "skip")]),
    )
    consumer.handle(OrderCreated, print)
    with pytest.raises(RegistryRefusedError):
        consumer.run()
    assert shop.broker.committed("billing") == {}


@pytest.mark.parametrize(
    "error", [AuthenticationError("no"), AuthorizationError("no"), BrokerError("broken")]
)
def test_refusal_by_the_broker_ends_the_run(error: SdkError) -> None:
    """An error of Kafka's poll reaches the caller unchanged, after the group was left."""
    shop = Shop()
    shop.broker.fail("poll", error)
    consumer = shop.consumer().handle(OrderCreated, print)
    with pytest.raises(type(error)):
        consumer.run()
    assert shop.broker.group("billing").members() == 0


def test_failed_commit_is_made_again() -> None:
    """A commit that fails by an outage is repeated; what was handled is not handled again."""
    shop = Shop()
    publish(shop, *orders(1, 2), key="same")
    shop.broker.fail("commit", BrokerUnavailableError("rebalance"))
    consumer = shop.consumer()
    seen: list[str] = []
    consumer.handle(OrderCreated, lambda event: seen.append(event.order_id))
    run_until(consumer, lambda: committed(shop) == 2)
    assert len(seen) == 2


def test_refused_commit_stops_the_consumer() -> None:
    """A consumer that may not commit to its group stops instead of continuing silently."""
    shop = Shop()
    publish(shop, *orders(1))
    shop.broker.fail("commit", AuthorizationError("group"), AuthorizationError("group"))
    consumer = shop.consumer().handle(OrderCreated, lambda event: None)
    with pytest.raises(AuthorizationError):
        consumer.run()


def test_slow_handler_keeps_its_place() -> None:
    """Handled records are committed while later ones are still being handled."""
    shop = Shop()
    publish(shop, *orders(1, 2), key="same")
    consumer = shop.consumer()
    before_second: list[int] = []

    def slow(event: OrderCreated) -> None:
        if event.order_id == "o-2":
            wait_until(lambda: committed(shop) == 1)
            before_second.append(committed(shop))
            consumer.stop()

    consumer.handle(OrderCreated, slow).run()
    assert before_second == [1]


def test_handlers_of_a_sequential_consumer_run_in_the_callers_thread() -> None:
    """With a concurrency of 1, `run` calls plain functions in its own thread."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    threads: list[threading.Thread] = []

    def take(event: OrderCreated) -> None:
        threads.append(threading.current_thread())
        consumer.stop()

    consumer.handle(OrderCreated, take).run()
    assert threads == [threading.current_thread()]


def test_coroutine_handlers_are_awaited() -> None:
    """A coroutine function is a handler too, in a plain run."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    seen: list[str] = []

    async def take(event: OrderCreated) -> None:
        await asyncio.sleep(0)
        seen.append(event.order_id)
        consumer.stop()

    consumer.handle(OrderCreated, take).run()
    assert seen == ["o-1"]


def test_plain_function_that_returns_a_coroutine_is_reported() -> None:
    """A plain function that returns an awaitable is an error: a thread cannot await it."""
    shop = Shop()
    publish(shop, *orders(1))

    async def take(event: OrderCreated) -> None:
        await asyncio.sleep(0)

    consumer = shop.consumer().handle(OrderCreated, lambda event: take(event))
    with pytest.raises(HandlerError, match="async def"):
        consumer.run()


def test_run_async_handles_in_the_callers_loop() -> None:
    """Within an event loop, coroutine handlers run in that loop, which stays free meanwhile."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    loops: list[asyncio.AbstractEventLoop] = []

    async def take(event: OrderCreated) -> None:
        loops.append(asyncio.get_running_loop())
        consumer.stop()

    async def main() -> asyncio.AbstractEventLoop:
        await consumer.handle(OrderCreated, take).run_async()
        return asyncio.get_running_loop()

    assert asyncio.run(main()) is loops[0]


def test_plain_handlers_never_run_in_the_event_loop() -> None:
    """In `run_async`, plain functions run in threads, beside coroutine handlers too."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    threads: list[threading.Thread] = []

    def take(event: OrderCreated) -> None:
        threads.append(threading.current_thread())
        consumer.stop()

    async def removed(tombstone: Any) -> None: ...

    asyncio.run(consumer.handle(OrderCreated, take, tombstone=removed).run_async())
    publish(shop, *orders(2))
    plain = shop.consumer("other").handle(OrderCreated, take)
    consumer = plain
    asyncio.run(plain.run_async())
    assert len(threads) >= 2
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("asynchronous", [False, True])
def test_cancelled_run_async_waits_until_the_group_is_left(*, asynchronous: bool) -> None:
    """Cancelling the task finishes and commits the current record before the task ends."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    began, finished = threading.Event(), threading.Event()

    def slow(event: OrderCreated) -> None:
        began.set()
        time.sleep(0.2)
        finished.set()

    async def slow_coroutine(event: OrderCreated) -> None:
        began.set()
        await asyncio.sleep(0.2)
        finished.set()

    consumer.handle(OrderCreated, slow_coroutine if asynchronous else slow)

    async def main() -> None:
        task = asyncio.create_task(consumer.run_async())
        await asyncio.to_thread(began.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert finished.is_set()
        assert committed(shop) == 1
        assert shop.broker.group("billing").members() == 0

    asyncio.run(main())


def test_second_cancellation_interrupts_the_coroutine_in_hand() -> None:
    """A coroutine that does not end is cancelled with the second try; its record is not done."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    began = asyncio.Event()
    interrupted: list[bool] = []

    async def endless(event: OrderCreated) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            interrupted.append(True)
            raise

    consumer.handle(OrderCreated, endless)

    async def main() -> None:
        task = asyncio.create_task(consumer.run_async())
        await began.wait()
        task.cancel()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert interrupted == [True]
    assert committed(shop) == 0


def test_run_does_not_block_an_event_loop() -> None:
    """`run` inside an event loop is refused, and says what to call instead."""
    consumer = Shop().consumer().handle(OrderCreated, print)

    async def main() -> None:
        consumer.run()

    with pytest.raises(ConfigurationError, match="run_async"):
        asyncio.run(main())


def test_consumer_without_handler_is_refused() -> None:
    """A consumer without a handler has nothing to subscribe to."""
    with pytest.raises(ConfigurationError, match="handler"):
        Shop().consumer().run()


def test_consumer_runs_once_at_a_time() -> None:
    """A second run of the same consumer is refused while the first goes on."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    errors: list[BaseException] = []

    def run_again(event: OrderCreated) -> None:
        try:
            consumer.run()
        except ClosedError as error:
            errors.append(error)
        consumer.stop()

    consumer.handle(OrderCreated, run_again).run()
    assert [type(error) for error in errors] == [ClosedError]


def test_several_consumers_run_in_one_process() -> None:
    """Consumers of different groups read everything, side by side."""
    shop = Shop()
    publish(shop, *orders(*range(20)))
    seen: dict[str, list[str]] = {"a": [], "b": []}
    consumers = [
        shop.consumer(group).handle(OrderCreated, lambda event, ids=ids: ids.append(event.order_id))
        for group, ids in seen.items()
    ]
    with running(consumers[0]), running(consumers[1]):
        wait_until(lambda: all(len(ids) == 20 for ids in seen.values()))
    assert sorted(seen["a"]) == sorted(seen["b"])


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_signal_ends_a_run_in_order(number: int, *, asynchronous: bool) -> None:
    """The first signal finishes the current record, commits and returns, without an exception."""
    shop = Shop()
    publish(shop, *orders(*range(5)), key="same")
    consumer = shop.consumer()
    seen: list[str] = []

    def take(event: OrderCreated) -> None:
        seen.append(event.order_id)
        if len(seen) == 2:
            signal.raise_signal(number)

    async def take_in_loop(event: OrderCreated) -> None:
        take(event)

    before = signal.getsignal(number)
    consumer.handle(OrderCreated, take_in_loop if asynchronous else take).run()
    assert signal.getsignal(number) is before
    assert seen == ["o-0", "o-1"]
    assert committed(shop) == 2


@pytest.mark.usefixtures("default_signals")
def test_second_signal_interrupts_the_handler_in_hand() -> None:
    """Ctrl-C twice ends even a handler that does not return; its record is not done."""
    shop = Shop()
    publish(shop, *orders(0))

    def stubborn(event: OrderCreated) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not interrupted")

    consumer = shop.consumer().handle(OrderCreated, stubborn)
    with pytest.raises(KeyboardInterrupt):
        consumer.run()
    assert committed(shop) == 0
    assert shop.broker.group("billing").members() == 0


def test_observers_see_handling() -> None:
    """An observer sees each record come, be handled, or fail with the handler's exception."""
    shop = Shop()
    publish(shop, *orders(0, 1), key="same")
    seen: list[str] = []

    def watch(happening: Happening) -> None:
        match happening:
            case RecordReceived(record):
                seen.append(f"received {record.offset}")
            case RecordHandled(record, event, "billing", seconds, attempt):
                seen.append(f"handled {record.offset} {event} {seconds > 0} {attempt}")
            case RecordFailed(record, _, "billing", error, failure, attempt):
                seen.append(f"failed {record.offset} {type(error).__name__} {failure} {attempt}")
            case ConsumerStopped("billing", error):
                seen.append(f"stopped {type(error).__name__}")

    def handle(event: OrderCreated) -> None:
        if event.order_id == "o-1":
            raise KeyError(event.order_id)

    consumer = shop.consumer(
        observers=Observers([watch]), policy=FailurePolicy(retry=RetryOptions(retry_count=0))
    )
    consumer.handle(OrderCreated, handle)
    with pytest.raises(HandlerError):
        consumer.run()
    assert seen == [
        "received 0",
        "received 1",
        "handled 0 orders.OrderCreated True 1",
        "failed 1 KeyError handler 1",
        "stopped HandlerError",
    ]
