"""How a consumer ends, or goes on, after what no `except Exception` catches."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest

from sdk.consuming.dispatch import Dispatch
from sdk.consuming.failures import FailurePolicy
from sdk.consuming.handlers import Handlers
from sdk.consuming.partition import Partition
from sdk.errors import HandlerError, SdkError
from sdk.records import ConsumerRecord
from sdk.serialization import JsonMessageSerializer
from sdk.settings import RetryOptions
from tests.unit.consuming.story import (
    PATIENCE,
    Till,
    committed,
    orders,
    publish,
    publish_keyed,
    run_until,
)
from tests.unit.messaging.shop import TOPIC, OrderCreated, Shop


class Panic(BaseException):
    """The exception of defects in extensions written in Rust."""


def test_a_worker_that_panics_stops_the_consumer() -> None:
    """No thread ends silently: its handler's exception stops the consumer, and is raised."""
    shop = Shop()
    publish_keyed(shop, ("a", 1), ("b", 1))
    consumer = shop.consumer(concurrency=2)
    main, begun = threading.current_thread(), threading.Event()
    running: list[bool] = []

    def handle(event: OrderCreated) -> None:
        if threading.current_thread() is not main:
            begun.wait(PATIENCE)
            raise Panic
        begun.set()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and consumer.health().running:
            time.sleep(0.01)
        running.append(consumer.health().running)

    consumer.handle(OrderCreated, handle)
    with pytest.raises(Panic):
        consumer.run()
    assert not any(running)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_serializer_that_panics_stops_the_consumer_of_an_event_loop() -> None:
    """The thread that opens records for an event loop does not end silently."""

    class Panicking(JsonMessageSerializer):
        def open(self, record: ConsumerRecord) -> Any:
            raise Panic

    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer(serializer=Panicking(), drain_timeout_ms=100)

    async def handle(event: OrderCreated) -> None: ...

    async def run() -> None:
        await asyncio.wait_for(consumer.handle(OrderCreated, handle).run_async(), 10)

    with pytest.raises(Panic):
        asyncio.run(run())


def test_a_cancellation_that_a_handler_raises_is_its_failure() -> None:
    """A handler that awaits something cancelled by others is retried by the policy."""
    shop = Shop()
    publish(shop, *orders(1, 2))
    attempts: Counter[str] = Counter()

    async def handle(event: OrderCreated) -> None:
        attempts[event.order_id] += 1
        if event.order_id == "o-1" and attempts["o-1"] < 3:
            other = asyncio.get_running_loop().create_future()
            other.cancel()
            await other

    policy = FailurePolicy(retry=RetryOptions(retry_count=2, base_delay_ms=1))
    consumer = shop.consumer(policy=policy).handle(OrderCreated, handle)
    run_until(consumer, lambda: committed(shop) == 2)
    assert attempts == {"o-1": 3, "o-2": 1}


def test_the_group_is_left_whatever_the_last_commit_raises() -> None:
    """A member that did not leave would keep its partitions, which would not be read."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer(commit_interval_ms=60_000)
    shop.broker.fail("commit", SdkError("no thread could be started"))
    consumer.handle(OrderCreated, Till(consumer, 1))
    with pytest.raises(SdkError, match="no thread"):
        consumer.run()
    assert shop.broker.group("billing").members() == 0


def test_a_signal_handler_may_stop_the_consumer_at_any_instruction() -> None:
    """`stop` waits for no lock that the thread it interrupts may hold."""
    consumer = Shop().consumer()

    def interrupt(*_: Any) -> Any:
        """Stop between two lines, in this thread, as a signal handler does."""
        consumer.stop()
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        consumer.stop()
    finally:
        sys.settrace(before)


def test_topics_are_added_while_a_warning_names_others(caplog: pytest.LogCaptureFixture) -> None:
    """Two threads may meet events without a handler at the same time."""
    shop = Shop()
    publish(shop, *orders(1))
    (record,) = shop.broker.records(TOPIC)
    dispatch = Dispatch(
        Handlers(), JsonMessageSerializer(), None, unknown="skip", skipped=Counter()
    )
    list(dispatch.open(Partition(TOPIC, 0), [record]))

    class Meanwhile(logging.Handler):
        def emit(self, line: logging.LogRecord) -> None:
            if line.levelno == logging.WARNING:
                list(dispatch.open(Partition("other", 0), [record._replace(topic="other")]))

    log, handler = logging.getLogger("sdk.consuming.dispatch"), Meanwhile()
    log.addHandler(handler)
    try:
        dispatch.warn_of_unhandled()
    finally:
        log.removeHandler(handler)
    assert f"none of the events of {TOPIC} is handled" in caplog.text


@pytest.mark.parametrize("coroutine", [False, True])
def test_a_handler_that_closes_its_consumer_does_not_wait_for_itself(*, coroutine: bool) -> None:
    """`close` in a handler stops the consumer, which commits the event that is being handled."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()

    def handle(event: OrderCreated) -> None:
        consumer.close()

    async def handle_in_loop(event: OrderCreated) -> None:
        consumer.close()

    consumer.handle(OrderCreated, handle_in_loop if coroutine else handle).start()
    deadline = time.monotonic() + PATIENCE
    while not committed(shop) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert committed(shop)


@pytest.mark.parametrize("coroutine", [False, True])
def test_closing_in_the_consumers_event_loop_does_not_block_it(*, coroutine: bool) -> None:
    """`close` in the loop that has to end the consumer only stops it."""
    shop = Shop()
    consumer = shop.consumer()

    async def handle(event: OrderCreated) -> None: ...

    async def run() -> None:
        task = asyncio.create_task(
            consumer.handle(OrderCreated, handle if coroutine else lambda event: None).run_async()
        )
        while not consumer.health().running:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        consumer.close(PATIENCE)
        assert time.monotonic() - began < PATIENCE / 2
        await asyncio.wait_for(task, PATIENCE)

    asyncio.run(run())


def test_a_handler_that_cancels_its_own_task_stops_the_consumer() -> None:
    """It is not called again and again, and its event is not committed."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    calls: list[OrderCreated] = []

    async def handle(event: OrderCreated) -> None:
        calls.append(event)
        if len(calls) > 10:
            consumer.stop()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(PATIENCE)

    with pytest.raises(HandlerError, match="task was cancelled"):
        consumer.handle(OrderCreated, handle).run()
    assert len(calls) == 1
    assert not committed(shop)


def test_a_handler_that_returns_a_generator_has_failed() -> None:
    """Nothing in a generator is executed by calling it, so its event does not count as handled."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer(policy=FailurePolicy(retry=RetryOptions(retry_count=0)))

    def steps(event: OrderCreated) -> Any:
        consumer.stop()
        yield event

    threading.Timer(5, consumer.stop).start()
    with pytest.raises(HandlerError, match="returned a generator"):
        consumer.handle(OrderCreated, lambda event: steps(event)).run()
    assert not committed(shop)


def test_an_exception_without_text_is_named_alone() -> None:
    """No colon announces a text that is empty."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer(policy=FailurePolicy(retry=RetryOptions(retry_count=0)))

    def handle(event: OrderCreated) -> None:
        raise TimeoutError

    with pytest.raises(HandlerError, match=r"raised TimeoutError \(event"):
        consumer.handle(OrderCreated, handle).run()
