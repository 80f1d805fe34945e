"""Exactly once: what handlers publish and the offsets of what they read, together or not at all."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from contracts.orders import OrderCreated
from contracts.payments import PaymentDeclined
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import sdk
from sdk.consuming.consumer import Consumer
from sdk.errors import (
    BrokerError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DeliveryError,
    DependencyDown,
    FencedError,
    HandlerError,
    SdkError,
    TransactionAbortedError,
)
from sdk.happenings import RecordDeadLettered, TransactionAborted, TransactionCommitted
from sdk.outbox import Inbox, Tables
from sdk.settings import (
    ConsumerOptions,
    DeadLetterOptions,
    InPlaceRetryOptions,
    KafkaOptions,
    ProducerOptions,
    RegistryOptions,
    RetryTopicsOptions,
    RoutingOptions,
    Settings,
)
from sdk.testing import InMemoryBroker, VirtualClock, connect, run_until_idle
from sdk.testing.connection import InMemoryMessaging
from sdk.testing.faults import Operation
from tests.unit.consuming.story import PATIENCE, run_until, running, wait_until
from tests.unit.messaging.story import declined, new_order

ORDERS = "orders.order-created"
RESULTS = "payments.payment-declined"
GROUP = "billing"


def settings(**consumer: Any) -> Settings:
    """Return settings whose consumers have these options."""
    return Settings(
        environment="testing",
        kafka=KafkaOptions(bootstrap_servers=("nowhere:9092",)),
        registry=RegistryOptions(url=("http://nowhere",)),
        routing=RoutingOptions(partitions=3),
        producer=ProducerOptions(
            transactional_id="billing-{instance}", transaction_timeout_ms=10_000
        ),
        instance="a",
        consumer=ConsumerOptions(**consumer),
        contracts="contracts",
    )


@contextmanager
def shop(count: int = 20, **consumer: Any) -> Iterator[InMemoryMessaging]:
    """Yield a connection to a broker that has so many orders."""
    with connect(
        broker=InMemoryBroker(partitions=3, clock=VirtualClock()), settings=settings(**consumer)
    ) as messaging:
        for number in range(count):
            messaging.producer.produce(new_order(number)).result(PATIENCE)
        yield messaging


def number_of(event: OrderCreated | PaymentDeclined) -> int:
    """Return the number of an order, or of what came of it."""
    return event.order_id.int


def billing(messaging: InMemoryMessaging, **options: Any) -> Consumer:
    """Return a consumer that declines each order, by the ordinary producer."""
    consumer = messaging.consumer(GROUP, exactly_once=True, **options)

    def bill(order: OrderCreated) -> None:
        messaging.producer.produce(declined(number_of(order)))

    return consumer.handle(OrderCreated, bill)


def finish(consumer: Consumer, messaging: InMemoryMessaging) -> None:
    """Run a consumer until everything is handled and committed."""
    run_until_idle(consumer, messaging.broker, GROUP, timeout=PATIENCE)


def results(messaging: InMemoryMessaging) -> list[int]:
    """Return the numbers of the results that a `read_committed` reader sees, sorted."""
    return sorted(map(number_of, messaging.broker.events(PaymentDeclined, RESULTS)))


def passing(messaging: InMemoryMessaging, condition: Callable[[], bool]) -> Callable[[], bool]:
    """Return a condition that lets a little time pass whenever it is looked at."""

    def look() -> bool:
        clock = messaging.broker.clock
        assert isinstance(clock, VirtualClock)
        clock.advance(0.2)
        return condition()

    return look


def told(messaging: InMemoryMessaging, kind: type[Any]) -> list[Any]:
    """Return what happened of a kind."""
    return [each for each in messaging.happenings if isinstance(each, kind)]


@pytest.mark.parametrize(
    "options", [{}, {"concurrency": 4}, {"concurrency": 4, "ordering": "none"}]
)
def test_results_and_offsets_are_committed_together(options: dict[str, Any]) -> None:
    """Each order has one result, and no offset is committed but in a transaction."""
    with shop(transaction_records=7) as messaging:
        messaging.broker.fail("commit", BrokerError("nothing is committed by itself"))
        finish(billing(messaging, **options), messaging)
        assert results(messaging) == list(range(20))
        committed = messaging.broker.committed(GROUP)
        assert sum(committed.values()) == 20
        assert len(told(messaging, TransactionCommitted)) >= 3


def test_coroutines_publish_in_the_transaction() -> None:
    """A coroutine may await its delivery, which is acknowledged before the commit."""
    with shop() as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True, concurrency=4)
        visible: list[int] = []

        @consumer.handle(OrderCreated)
        async def bill(order: OrderCreated) -> None:
            await messaging.producer.produce(declined(number_of(order)))
            visible.append(len(results(messaging)))

        finish(consumer, messaging)
        assert visible[0] == 0
        assert results(messaging) == list(range(20))


def test_plain_functions_beside_coroutines_publish_in_it_too() -> None:
    """A plain function in a pool has the context of its record."""
    with shop() as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True, concurrency=3)

        async def tombstone(_: Any) -> None:
            """Nothing; a coroutine, so that the loop runs."""

        def bill(order: OrderCreated) -> None:
            messaging.producer.produce(declined(number_of(order))).result(PATIENCE)

        consumer.handle(OrderCreated, bill, tombstone=tombstone)
        finish(consumer, messaging)
        assert results(messaging) == list(range(20))
        assert told(messaging, TransactionCommitted)


def test_batches_are_handled_in_it() -> None:
    """The records that a batch handler publishes are committed with the offsets of its batch."""
    with shop() as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)

        def bill(orders: list[OrderCreated]) -> None:
            for order in orders:
                messaging.producer.produce(declined(number_of(order)))

        consumer.handle(OrderCreated, bill, batch_size=6, batch_seconds=0.2)
        finish(consumer, messaging)
        assert results(messaging) == list(range(20))


def test_nothing_is_visible_before_the_commit() -> None:
    """A reader of committed records sees a result only when its transaction is committed."""
    with shop(1) as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)
        seen: list[Any] = []

        def bill(order: OrderCreated) -> None:
            delivery = messaging.producer.produce(declined(number_of(order)))
            seen.append((delivery.result(PATIENCE).topic, results(messaging)))

        finish(consumer.handle(OrderCreated, bill), messaging)
        assert seen == [(RESULTS, [])]
        assert results(messaging) == [0]


def test_outside_handlers_publishing_is_as_always() -> None:
    """Records that another thread publishes meanwhile do not wait for the commit."""
    with shop(1) as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)
        began, go_on = threading.Event(), threading.Event()

        def bill(order: OrderCreated) -> None:
            messaging.producer.produce(declined(number_of(order)))
            began.set()
            assert go_on.wait(PATIENCE)

        with running(consumer.handle(OrderCreated, bill)):
            assert began.wait(PATIENCE)
            messaging.producer.produce(declined(99)).result(PATIENCE)
            before = results(messaging)
            go_on.set()
        assert before == [99]
        assert results(messaging) == [0, 99]


def test_a_task_that_outlives_its_handler_cannot_publish() -> None:
    """Publishing after the end of the transaction is refused, not done outside it."""
    with shop(1) as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)
        refused: list[BaseException] = []
        tasks: list[asyncio.Task[None]] = []

        async def late(order: OrderCreated) -> None:
            while not results(messaging):
                await asyncio.sleep(0.001)
            try:
                messaging.producer.produce(declined(50))
            except ClosedError as error:
                refused.append(error)

        @consumer.handle(OrderCreated)
        async def bill(order: OrderCreated) -> None:
            await messaging.producer.produce(declined(number_of(order)))
            tasks.append(asyncio.create_task(late(order)))

        run_until(consumer, passing(messaging, lambda: bool(refused)))
        assert refused
        assert results(messaging) == [0]


FAULTS: list[tuple[Operation, SdkError]] = [
    ("init_transactions", BrokerUnavailableError("no coordinator")),
    ("send_offsets", TransactionAbortedError("an old generation")),
    ("send_offsets", BrokerUnavailableError("no coordinator")),
    ("commit_transaction", TransactionAbortedError("a record failed")),
    ("commit_transaction", BrokerUnavailableError("no answer")),
    ("deliver", DeliveryError("no acknowledgement")),
]


@pytest.mark.parametrize(("operation", "error"), FAULTS)
def test_what_fails_is_done_again(operation: Operation, error: SdkError) -> None:
    """Whichever step fails, each order has one result in the end."""
    with shop(transaction_records=7) as messaging:
        consumer = billing(messaging, concurrency=3)
        messaging.broker.fail(operation, error, error)
        finish(consumer, messaging)
        assert results(messaging) == list(range(20))


def test_an_abort_that_fails_is_made_by_the_next_client() -> None:
    """If not even the abort is answered, a new client with the same id makes it."""
    with shop() as messaging:
        consumer = billing(messaging)
        messaging.broker.fail("send_offsets", TransactionAbortedError("an old generation"))
        messaging.broker.fail("abort_transaction", BrokerUnavailableError("no coordinator"))
        finish(consumer, messaging)
        assert results(messaging) == list(range(20))


def test_a_fenced_consumer_stops_and_says_so() -> None:
    """Another instance with the same id: the older one stops, and commits nothing more."""
    with shop(1) as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)
        name = f"billing-a-{GROUP}-0"

        def bill(order: OrderCreated) -> None:
            messaging.producer.produce(declined(number_of(order))).result(PATIENCE)
            messaging.broker.transactional_producer(name).init_transactions(PATIENCE)

        with pytest.raises(FencedError, match=f"group {GROUP}.*{name}.*Remedy"):
            finish(consumer.handle(OrderCreated, bill), messaging)
        assert results(messaging) == []
        assert messaging.broker.committed(GROUP) == {}


def test_two_instances_do_not_fence_each_other() -> None:
    """Members of one group have different transactional ids, with and without the setting."""
    with shop(40) as messaging:
        members = [billing(messaging), billing(messaging)]
        with running(members[0]), running(members[1]):
            wait_until(passing(messaging, lambda: len(results(messaging)) == 40))
            assert all(each.health().error is None for each in members)
    assert results(messaging) == list(range(40))


def failing(
    messaging: InMemoryMessaging, fails: Callable[[int, int], bool], *, first: bool
) -> tuple[Consumer, Counter[int]]:
    """Return a consumer whose handler fails (number, attempt) after publishing, or before.

    Returns:
        The consumer, and how often each order was handled.
    """
    consumer = messaging.consumer(GROUP, exactly_once=True)
    calls: Counter[int] = Counter()

    def bill(order: OrderCreated) -> None:
        number = number_of(order)
        calls[number] += 1
        if first:
            messaging.producer.produce(declined(number))
        if fails(number, calls[number]):
            raise ValueError("no stock")
        if not first:
            messaging.producer.produce(declined(number))

    return consumer.handle(OrderCreated, bill), calls


def test_what_a_failed_handler_has_published_is_never_visible() -> None:
    """A handler that fails after publishing is called again, and its result is there once."""
    with shop() as messaging:
        consumer, calls = failing(messaging, lambda number, n: number == 7 and n == 1, first=True)
        finish(consumer, messaging)
        assert results(messaging) == list(range(20))
        assert calls[7] == 2
        (aborted,) = told(messaging, TransactionAborted)
        assert isinstance(aborted.error, TransactionAbortedError)


def test_a_failure_before_anything_was_published_aborts_nothing() -> None:
    """A handler that fails without having published is called again in the same transaction."""
    with shop() as messaging:
        consumer, calls = failing(messaging, lambda number, n: number == 7 and n < 3, first=False)
        finish(consumer, messaging)
        assert results(messaging) == list(range(20))
        assert calls[7] == 3
        assert not told(messaging, TransactionAborted)


def test_it_stops_at_once_while_all_started_records_wait_for_a_retry() -> None:
    """An open transaction without results is ended; nothing waits for it when the client closes."""
    with shop(1, retry=InPlaceRetryOptions(retry_count=5, base_delay_ms=1_000)) as messaging:
        consumer, calls = failing(messaging, lambda number, attempt: True, first=False)
        consumer.start()
        wait_until(lambda: bool(calls) and not consumer.health().lanes_busy)
        started = time.monotonic()
        consumer.close()
        assert time.monotonic() - started < 10
        assert messaging.broker.committed(GROUP) == {}


def test_attempts_count_across_aborts_and_end_in_a_dead_letter() -> None:
    """A handler that always fails after publishing becomes a dead letter, without a result."""
    with shop(
        dead_letter=DeadLetterOptions(), retry=InPlaceRetryOptions(retry_count=2)
    ) as messaging:
        consumer, calls = failing(messaging, lambda number, _: number in {3, 7}, first=True)
        finish(consumer, messaging)
        assert results(messaging) == [n for n in range(20) if n not in {3, 7}]
        assert len(messaging.broker.records(f"{ORDERS}-dlt")) == 2
        assert {calls[3], calls[7]} == {3}
        assert {each.topic for each in told(messaging, RecordDeadLettered)} == {f"{ORDERS}-dlt"}


def test_retry_topics_are_written_in_the_transaction() -> None:
    """A forward that is rolled back is made again, and there is one copy of it."""
    with shop(
        retry=InPlaceRetryOptions(retry_count=0), retry_topics=RetryTopicsOptions(delays_ms=(1000,))
    ) as messaging:
        consumer, calls = failing(messaging, lambda number, n: number == 7 and n == 1, first=True)
        messaging.broker.fail("commit_transaction", TransactionAbortedError("a record failed"))
        finish(consumer, messaging)
        assert results(messaging) == list(range(20))
        assert len(messaging.broker.records(f"{ORDERS}-retry")) == 1
        assert calls[7] == 2


def test_without_dead_letters_the_consumer_stops_and_commits_nothing_of_it() -> None:
    """The last attempt fails after publishing: what was done before is committed, or done again."""
    with shop(retry=InPlaceRetryOptions(retry_count=1)) as messaging:
        consumer, calls = failing(messaging, lambda number, _: number == 7, first=True)
        with pytest.raises(HandlerError, match="no stock"):
            finish(consumer, messaging)
        assert calls[7] == 2
        assert 7 not in results(messaging)
        mended, _ = failing(messaging, lambda *_: False, first=True)
        finish(mended, messaging)
        assert results(messaging) == list(range(20))


def test_a_record_that_cannot_be_delivered_is_a_failure_of_its_handler() -> None:
    """A handler that does not wait for its delivery fails with it, and is dead-lettered."""
    with shop(dead_letter=DeadLetterOptions(), retry=InPlaceRetryOptions(retry_count=1)) as given:
        consumer = given.consumer(GROUP, exactly_once=True)

        def bill(order: OrderCreated) -> None:
            partition = 17 if number_of(order) == 7 else None
            given.producer.produce(declined(number_of(order)), partition=partition)

        finish(consumer.handle(OrderCreated, bill), given)
        assert results(given) == [n for n in range(20) if n != 7]
        (letter,) = given.broker.records(f"{ORDERS}-dlt")
        assert b"no such partition" in (letter.header("kafka_dlt-exception-message") or b"")


def test_an_outage_amid_a_transaction_is_waited_for() -> None:
    """A dependency that is down after something was published: aborted, done when it is back."""
    with shop() as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True, concurrency=3)
        left = [3]

        def bill(order: OrderCreated) -> None:
            messaging.producer.produce(declined(number_of(order)))
            if number_of(order) == 7 and left[0]:
                left[0] -= 1
                raise DependencyDown("ledger", retry_after=1)

        finish(consumer.handle(OrderCreated, bill), messaging)
        assert results(messaging) == list(range(20))


@pytest.mark.parametrize("happens", ["rebalance", "lose_partitions"])
def test_rebalances_amid_a_transaction(happens: str) -> None:
    """Partitions that go while handlers are at work: nothing is lost, or there twice."""
    with shop(40) as messaging:
        broker = messaging.broker
        consumer = messaging.consumer(GROUP, exactly_once=True, concurrency=2)
        began = threading.Event()

        def bill(order: OrderCreated) -> None:
            messaging.producer.produce(declined(number_of(order)))
            began.set()
            time.sleep(0.002)

        with running(consumer.handle(OrderCreated, bill)):
            assert began.wait(PATIENCE)
            getattr(broker.faults, happens)(GROUP)
            wait_until(passing(messaging, lambda: len(results(messaging)) >= 40))
        assert results(messaging) == list(range(40))


def test_a_slow_handler_is_a_failed_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that outlasts the transaction: aborted in time, said clearly, and tried again."""
    with shop(1) as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)
        go_on, calls = threading.Event(), []

        def bill(order: OrderCreated) -> None:
            calls.append(order)
            messaging.producer.produce(declined(number_of(order)))
            assert len(calls) > 1 or go_on.wait(PATIENCE)

        with running(consumer.handle(OrderCreated, bill)):
            wait_until(lambda: len(calls) == 1)
            wait_until(passing(messaging, lambda: bool(told(messaging, TransactionAborted))))
            go_on.set()
            wait_until(passing(messaging, lambda: results(messaging) == [0]))
        assert len(calls) == 2
        (line,) = [each for each in caplog.messages if "ran for so long" in each]
        assert "transaction_timeout_ms" in line
        assert f"topic {ORDERS}" in line


def test_a_handler_that_learns_late_of_its_abort_does_not_abort_the_next_transaction() -> None:
    """Its exception concerns a transaction that has ended; the consumer goes on."""
    with shop(1) as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)
        go_on, calls = threading.Event(), []

        def bill(order: OrderCreated) -> None:
            calls.append(order)
            delivery = messaging.producer.produce(declined(number_of(order)))
            assert len(calls) > 1 or go_on.wait(PATIENCE)
            delivery.result(PATIENCE)

        with running(consumer.handle(OrderCreated, bill)):
            wait_until(lambda: len(calls) == 1)
            wait_until(passing(messaging, lambda: bool(told(messaging, TransactionAborted))))
            go_on.set()
            wait_until(passing(messaging, lambda: results(messaging) == [0]))
        assert len(calls) == 2
        assert len(told(messaging, TransactionAborted)) == 1


def test_seeking_commits_what_is_done_first() -> None:
    """A seek amid a transaction ends it; what is read again has its result again, once."""
    with shop(4) as messaging:
        consumer = billing(messaging)
        with running(consumer):
            wait_until(passing(messaging, lambda: len(results(messaging)) == 4))
            consumer.seek("beginning")
            wait_until(passing(messaging, lambda: len(results(messaging)) == 8))
        assert results(messaging) == sorted([*range(4), *range(4)])


@pytest.mark.parametrize(
    "error", [TransactionAbortedError("a record failed"), BrokerUnavailableError("no answer")]
)
def test_an_abort_after_a_seek_reads_again_from_where_the_seek_went(error: SdkError) -> None:
    """What was committed before the seek does not move the consumer past what it asked for."""
    with shop(20, transaction_records=1) as messaging:
        consumer = billing(messaging)
        with running(consumer):
            wait_until(passing(messaging, lambda: len(results(messaging)) == 20))
            messaging.broker.fail("commit_transaction", error)
            consumer.seek("beginning")
            wait_until(passing(messaging, lambda: len(results(messaging)) >= 40))
        assert results(messaging) == sorted([*range(20), *range(20)])


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_each_result_is_there_once_in_order(seed: int) -> None:
    """Random faults, failures and rebalances: one result each, in the order of its key."""
    chance = random.Random(seed)
    steps: list[tuple[Operation, SdkError]] = [
        *FAULTS[1:],
        ("abort_transaction", BrokerUnavailableError("no coordinator")),
    ]
    with shop(0, transaction_records=9, retry=InPlaceRetryOptions(retry_count=50)) as messaging:
        for number in range(60):
            messaging.producer.produce(new_order(number), key=f"k{number % 5}").result(PATIENCE)
        consumer = messaging.consumer(GROUP, exactly_once=True, concurrency=4)
        lock = threading.Lock()

        def roll() -> float:
            with lock:
                return chance.random()

        def bill(order: OrderCreated) -> None:
            key = f"k{number_of(order) % 5}"
            if roll() < 0.05:
                raise ValueError("before")
            messaging.producer.produce(declined(number_of(order)), key=key)
            if roll() < 0.05:
                raise ValueError("after")

        with running(consumer.handle(OrderCreated, bill)):
            planned = [*chance.choices(steps, k=12), *[None] * 3]

            def over() -> bool:
                if planned and roll() < 0.1:
                    fault = planned.pop(chance.randrange(len(planned)))
                    if fault is None:
                        messaging.broker.faults.rebalance(GROUP)
                    else:
                        messaging.broker.fail(*fault)
                return len(results(messaging)) >= 60

            wait_until(passing(messaging, over))
        assert results(messaging) == list(range(60))
        seen: dict[int, list[int]] = {}
        for event in messaging.broker.events(PaymentDeclined, RESULTS):
            seen.setdefault(number_of(event) % 5, []).append(number_of(event))
        assert all(numbers == sorted(numbers) for numbers in seen.values())


def test_the_embedded_broker_is_refused() -> None:
    """A broker that cannot isolate transactions is refused when the consumer is made."""
    with (
        sdk.connect("embedded", contracts="contracts") as messaging,
        pytest.raises(ConfigurationError, match=r"embedded broker.*Remedy"),
    ):
        messaging.consumer(GROUP, exactly_once=True)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_handler_that_runs_once_cannot_publish_in_the_transaction(
    tmp_path: Path, awaited: bool
) -> None:
    """Its inbox would not let it run again after an abort; it fails, and its row is rolled back."""
    tables, database = Tables(), f"{tmp_path}/shop.db"
    # Without a pool, no connection outlasts its use.
    plain = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    asynchronous = create_async_engine(f"sqlite+aiosqlite:///{database}", poolclass=NullPool)
    tables.metadata.create_all(plain)
    inbox: Inbox[Any] = Inbox("billing", asynchronous if awaited else plain, tables=tables)
    with shop(1, dead_letter=DeadLetterOptions()) as messaging:
        consumer = messaging.consumer(GROUP, exactly_once=True)

        def bill(order: OrderCreated, _: Any) -> None:
            messaging.producer.produce(declined(number_of(order)))

        async def bill_awaited(order: OrderCreated, session: Any) -> None:
            bill(order, session)

        handler: Any = bill_awaited if awaited else bill
        consumer.handle(OrderCreated, handler, once=inbox)
        finish(consumer, messaging)
        assert results(messaging) == []
        assert len(told(messaging, RecordDeadLettered)) == 1
    with plain.connect() as connection:
        assert connection.execute(select(tables.inbox)).all() == []


def test_ordered_retry_topics_are_refused() -> None:
    """The order of keys across retry topics cannot be kept exactly once, and that is said."""
    with (
        shop(0, retry_topics=RetryTopicsOptions(delays_ms=(1000,), ordered=True)) as messaging,
        pytest.raises(ConfigurationError, match="ordered"),
    ):
        messaging.consumer(GROUP, exactly_once=True)
