"""`sdk.testing.given`: given these events, when handled, then …"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts.orders import OrderCreated
from contracts.payments import PaymentDeclined

from sdk.consuming.consumer import Consumer
from sdk.errors import DependencyDown, HandlerError
from sdk.happenings import RecordFailed
from sdk.records import ProducerRecord
from sdk.testing import InMemoryMessaging, VirtualClock, connect, given
from tests.unit.messaging.story import declined, new_order, old_order

TOPIC = "orders.order-created"
SETTINGS = """
contracts = "contracts"
[default.consumer]
group_id = "billing"
[default.consumer.retry]
retry_count = 1
base_delay_ms = 200
jitter = 0
[default.consumer.retry_topics]
delays_ms = [1000, 60000]
[default.consumer.dead_letter]
"""


@pytest.fixture
def messaging(tmp_path: Path) -> Iterator[InMemoryMessaging]:
    """A connection with one retry in place, two retry topics and dead letters."""
    file = tmp_path / "settings.toml"
    file.write_text(SETTINGS)
    with connect(settings=file) as messaging:
        yield messaging


def billing(
    messaging: InMemoryMessaging, handler: Callable[[OrderCreated], object] = lambda order: None
) -> Consumer:
    """A consumer with a handler for orders."""
    return messaging.consumer().handle(OrderCreated, handler)


def failing(times: int) -> Callable[[OrderCreated], None]:
    """A handler that fails so many times."""
    attempts = iter(range(times))

    def handle(order: OrderCreated) -> None:
        if next(attempts, None) is not None:
            raise ValueError("no stock")

    return handle


def test_what_a_handler_publishes_is_seen(messaging: InMemoryMessaging) -> None:
    """Events that a handler publishes are compared in order, and read as the expected class."""

    def decline(order: OrderCreated) -> None:
        messaging.producer.produce(declined(order.order_id.int)).result(5)

    then = given(messaging, old_order(1), new_order(2)).when_handled_by(billing(messaging, decline))
    then.then_handled(2).then_nothing_dead_lettered().then_retried()
    with pytest.raises(AssertionError, match=r"(?s)nothing published.*PaymentDeclined"):
        then.then_published()
    found = messaging.broker.events(PaymentDeclined)
    then.then_published(*found)


def test_delays_take_no_time(messaging: InMemoryMessaging) -> None:
    """A retry in place and one by each retry topic pass on the virtual clock, never early."""
    clock = messaging.broker.clock
    assert isinstance(clock, VirtualClock)
    then = given(messaging, new_order(1)).when_handled_by(billing(messaging, failing(3)))
    then.then_handled(1).then_retried(after=[0.2, 1, 60]).then_nothing_dead_lettered()
    assert 61.2 <= clock.monotonic() < 600


def test_a_handler_that_takes_real_time_takes_little_virtual_time(
    messaging: InMemoryMessaging,
) -> None:
    """The clock is hardly advanced while a handler runs, however slow the machine is."""
    then = given(messaging, new_order(1)).when_handled_by(
        billing(messaging, lambda order: time.sleep(1))
    )
    then.then_handled(1)
    assert messaging.broker.clock.monotonic() < 20


def test_dead_letter_names_its_reason(messaging: InMemoryMessaging) -> None:
    """A record that fails to the end is dead-lettered because of what the handler raised."""
    then = given(messaging, new_order(1)).when_handled_by(billing(messaging, failing(100)))
    then.then_handled(0).then_dead_lettered(because="ValueError: no stock").then_published()
    assert len(messaging.broker.records(f"{TOPIC}-dlt")) == 1
    with pytest.raises(AssertionError, match=r"(?s)because of 'disk full'.*ValueError: no stock"):
        then.then_dead_lettered(because="disk full")


def test_poison_and_duplicates_are_met(messaging: InMemoryMessaging) -> None:
    """Unreadable bytes are dead-lettered at once, and a duplicate is handled again."""
    start = given(messaging, new_order(1), ProducerRecord(TOPIC, b"garbage"))
    start.when(lambda: messaging.broker.faults.duplicate(TOPIC, 0))
    start.when(lambda: messaging.broker.faults.poison(TOPIC))
    start.when_handled_by(billing(messaging)).then_handled(2).then_dead_lettered(
        because="poison", count=2
    ).then_retried()


def test_outage_of_the_registry_is_no_failure_of_the_record(messaging: InMemoryMessaging) -> None:
    """While the registry is down nothing is dead-lettered; once it is back, all is handled."""
    given(messaging, new_order(1))
    faults = messaging.broker.faults
    with connect("contracts", broker=messaging.broker) as reader:
        consumer = reader.consumer("late").handle(OrderCreated, lambda order: None)
        start = given(reader).when(faults.registry_down)
        with pytest.raises(TimeoutError, match="not handled everything"):
            start.when_handled_by(consumer, timeout=2)
        assert any(isinstance(each, RecordFailed) for each in reader.happenings)
        then = start.when(faults.registry_up).when_handled_by(consumer)
        then.then_handled(1).then_nothing_dead_lettered()


def test_dependency_that_is_down_burns_no_attempt(messaging: InMemoryMessaging) -> None:
    """The record waits as long as the handler said, and is handled once the probe succeeds."""
    down = iter([True])

    def handle(order: OrderCreated) -> None:
        if next(down, False):
            raise DependencyDown("payments-db", retry_after=300)

    then = given(messaging, new_order(1)).when_handled_by(billing(messaging, handle))
    then.then_handled(1).then_retried().then_nothing_dead_lettered()
    assert messaging.broker.clock.monotonic() >= 300


def test_unhandled_events_are_skipped(messaging: InMemoryMessaging) -> None:
    """An event without a handler on a topic that is read is skipped, and counted as such."""
    record = messaging.producer.record(declined(1))._replace(topic=TOPIC)
    then = given(messaging, record).when_handled_by(billing(messaging))
    then.then_skipped(because="no handler").then_handled(0)
    with pytest.raises(AssertionError, match="expected"):
        then.then_skipped(2)


def test_error_that_stops_a_consumer_can_be_expected() -> None:
    """Without retries and dead letters a failure stops the consumer, and may be expected to."""
    with connect("contracts") as messaging:
        start = given(messaging, new_order(1))
        consumer = messaging.consumer("billing").handle(OrderCreated, failing(100))
        start.when_handled_by(consumer, stopped_by=HandlerError).then_handled(0)
        consumer = messaging.consumer("billing").handle(OrderCreated, failing(0))
        with pytest.raises(AssertionError, match="expected HandlerError to stop"):
            given(messaging).when_handled_by(consumer, stopped_by=HandlerError)


def test_rebalance_meanwhile_loses_nothing(messaging: InMemoryMessaging) -> None:
    """A rebalance while records are handled hands none of them out of order or for ever."""
    handled: list[int] = []

    def handle(order: OrderCreated) -> None:
        handled.append(order.order_id.int)
        if len(handled) == 5:
            messaging.broker.faults.rebalance("billing")

    given(messaging, *(new_order(number) for number in range(20))).when_handled_by(
        billing(messaging, handle)
    ).then_nothing_dead_lettered()
    assert set(handled) == set(range(20))
