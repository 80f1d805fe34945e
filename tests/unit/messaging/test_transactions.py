"""`messaging.transaction()`: what the block publishes becomes visible whole, or not at all."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from contracts.orders import OrderCreated

import sdk
from sdk.errors import (
    AuthenticationError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DeliveryError,
    FencedError,
    SdkError,
    SerializationError,
    TransactionAbortedError,
    TransactionUnknownError,
)
from sdk.happenings import TransactionAborted, TransactionCommitted
from sdk.settings import KafkaOptions, ProducerOptions, RegistryOptions, Settings
from sdk.testing import InMemoryBroker, connect, run_until_idle
from sdk.testing.connection import InMemoryMessaging
from tests.unit.messaging.story import new_order

TOPIC = "orders.order-created"


def settings(**producer: Any) -> Settings:
    """Return settings of a service that does transactions."""
    options = {"transactional_id": "orders-{instance}", **producer}
    return Settings(
        environment="testing",
        kafka=KafkaOptions(bootstrap_servers=("embedded",)),
        registry=RegistryOptions(url=("embedded",)),
        producer=ProducerOptions(**options),
        contracts="contracts",
        instance="pod-1",
    )


@pytest.fixture
def shop() -> Iterator[InMemoryMessaging]:
    """A connection in memory."""
    with connect(settings=settings()) as messaging:
        yield messaging


def published(messaging: InMemoryMessaging) -> list[int]:
    """Return the numbers of the orders that are visible."""
    return sorted(order.order_id.int for order in messaging.broker.events(OrderCreated))


def publish(messaging: InMemoryMessaging, *numbers: int) -> list[sdk.Delivery]:
    """Publish orders in a separate transaction."""
    with messaging.transaction() as transaction:
        return [transaction.produce(new_order(number)) for number in numbers]


def abort(messaging: InMemoryMessaging, *numbers: int) -> list[sdk.Delivery]:
    """Publish orders in a transaction whose block raises."""
    deliveries: list[sdk.Delivery] = []
    with suppress(ZeroDivisionError), messaging.transaction() as transaction:
        deliveries += [transaction.produce(new_order(number)) for number in numbers]
        print(1 // 0)
    return deliveries


def test_the_end_of_the_block_commits(shop: InMemoryMessaging) -> None:
    """Acknowledged events are invisible until the block ends."""
    with shop.transaction() as transaction:
        delivery = transaction.produce(new_order(1))
        transaction.send(transaction.record(new_order(2)))
        transaction.produce_tombstone(OrderCreated, "gone")
        assert delivery.result(5).topic == TOPIC
        assert published(shop) == []
        assert len(shop.broker.records(TOPIC, uncommitted=True)) == 3
    assert published(shop) == [1, 2]
    assert delivery.result(5).topic == TOPIC


def test_an_exception_aborts(shop: InMemoryMessaging) -> None:
    """It is raised unchanged, nothing is visible, and acknowledged deliveries say so."""
    error, transaction = ZeroDivisionError(), shop.transaction()
    with pytest.raises(ZeroDivisionError) as raised, transaction:
        raise error
    assert raised.value is error
    (delivery,) = abort(shop, 1)
    assert published(shop) == []
    assert isinstance(delivery.error, TransactionAbortedError)
    assert delivery.offset is None
    with pytest.raises(TransactionAbortedError, match="ZeroDivisionError"):
        delivery.result(5)
    publish(shop, 2)
    assert published(shop) == [2]


def test_what_is_still_queued_fails_with_the_abort(shop: InMemoryMessaging) -> None:
    """A delivery that was not acknowledged fails as those that were."""
    shop.broker.hold()
    (delivery,) = abort(shop, 1)
    assert isinstance(delivery.error, TransactionAbortedError)
    shop.broker.release()
    assert shop.broker.records(TOPIC, uncommitted=True) == []


def test_an_abort_is_reported_once(
    shop: InMemoryMessaging, caplog: pytest.LogCaptureFixture
) -> None:
    """Deliveries that were aborted are neither logged one by one nor listed by `close`."""
    shop.broker.hold()
    with caplog.at_level(logging.WARNING):
        abort(shop, *range(9))
    (line,) = caplog.records
    assert vars(line)["transactional_id"] == "orders-pod-1"
    assert vars(line)["records"] == 9
    shop.close()


def test_a_failed_record_aborts(shop: InMemoryMessaging) -> None:
    """The transaction is not committed without it, even if its delivery is not awaited."""
    shop.broker.fail("deliver", DeliveryError("disk full", topic=TOPIC))
    transaction = shop.transaction()
    transaction.begin()
    transaction.produce(new_order(1))
    with pytest.raises(TransactionAbortedError, match="disk full"):
        transaction.produce(new_order(2))
    with pytest.raises(TransactionAbortedError, match="disk full") as aborted:
        transaction.commit()
    assert aborted.value.topic == TOPIC
    publish(shop, 3)
    assert published(shop) == [3]


def test_an_event_that_cannot_be_written_aborts(shop: InMemoryMessaging) -> None:
    """An exception of `produce` ends the block."""
    no_event: Any = "no event"
    transaction = shop.transaction()
    with pytest.raises(SerializationError), transaction:
        print(transaction.produce(new_order(1)), transaction.produce(no_event))
    assert published(shop) == []


def test_a_commit_that_the_broker_refuses(shop: InMemoryMessaging) -> None:
    """The transaction is aborted, and may be done again."""
    shop.broker.fail("commit_transaction", TransactionAbortedError("no"))
    with pytest.raises(TransactionAbortedError):
        publish(shop, 1)
    publish(shop, 1)
    assert published(shop) == [1]


@pytest.mark.parametrize(
    "error", [BrokerUnavailableError("no answer"), AuthenticationError("expired")]
)
def test_a_commit_without_an_answer(shop: InMemoryMessaging, error: SdkError) -> None:
    """Its outcome is unknown, so the error does not suggest a retry; the next one works.

    A refused connection is no answer either: the request may have been sent on the one before.
    """
    shop.broker.fail("commit_transaction", error)
    transaction = shop.transaction()
    transaction.begin()
    delivery = transaction.produce(new_order(1))
    with pytest.raises(TransactionUnknownError):
        transaction.commit()
    assert isinstance(delivery.error, TransactionUnknownError)
    publish(shop, 2)
    assert published(shop) == [2]


def test_a_broker_away_when_a_transaction_begins(shop: InMemoryMessaging) -> None:
    """The next transaction tries again."""
    shop.broker.fail("init_transactions", BrokerUnavailableError("away"))
    with pytest.raises(BrokerUnavailableError):
        publish(shop, 1)
    publish(shop, 1)
    assert published(shop) == [1]


def test_an_abort_without_an_answer(shop: InMemoryMessaging) -> None:
    """The exception of the block is the news; the next transaction aborts what was left."""
    shop.broker.fail("abort_transaction", BrokerUnavailableError("away"))
    abort(shop, 1)
    publish(shop, 2)
    assert published(shop) == [2]


def test_the_older_of_two_instances_is_fenced(shop: InMemoryMessaging) -> None:
    """It is told its id and the remedy, now and whenever it begins again."""
    first = shop.transaction()
    first.begin()
    delivery = first.produce(new_order(1))
    with connect(settings=settings(), broker=shop.broker) as newer:
        publish(newer, 2)
        with pytest.raises(FencedError, match=r"orders-pod-1.*\{instance\}"):
            first.commit()
        again = shop.transaction()
        with pytest.raises(FencedError, match="orders-pod-1"):
            again.begin()
        publish(newer, 3)
    assert isinstance(delivery.error, FencedError)
    assert published(shop) == [2, 3]


def test_what_a_killed_instance_has_left_is_aborted(shop: InMemoryMessaging) -> None:
    """The next instance with its id goes on at once."""
    client = shop.broker.transactional_producer("orders-pod-1")
    client.init_transactions(1)
    client.begin()
    client.produce(shop.encoder.record(new_order(1)), lambda report, error: None)
    publish(shop, 2)
    assert published(shop) == [2]


def test_what_is_open_for_too_long_is_aborted() -> None:
    """The broker says that somebody else has the id, and the transaction says what it means."""
    with connect(settings=settings(transaction_timeout_ms=1_000)) as shop:
        transaction = shop.transaction()
        transaction.begin()
        delivery = transaction.produce(new_order(1))
        threading.Event().wait(1.01)
        shop.broker.faults.expire_transactions()
        with pytest.raises(TransactionAbortedError, match="more than 1 s"):
            transaction.commit()
        assert isinstance(delivery.error, TransactionAbortedError)
        publish(shop, 2)
        assert published(shop) == [2]


def test_a_transaction_inside_another_is_refused(shop: InMemoryMessaging) -> None:
    """A nested transaction would wait for the outer one forever, so it is refused."""
    with shop.transaction() as outer:
        inner = shop.transaction()
        with pytest.raises(ConfigurationError, match="inside another one"):
            inner.begin()
        outer.produce(new_order(1))
    publish(shop, 2)
    assert published(shop) == [1, 2]


def test_a_transaction_is_used_inside_its_block_and_once(shop: InMemoryMessaging) -> None:
    """Before and after, publishing is refused, and so is another beginning."""
    transaction = shop.transaction()
    with pytest.raises(ClosedError, match="has not begun"):
        transaction.produce(new_order(1))
    with transaction:
        transaction.produce(new_order(2))
    with pytest.raises(ClosedError, match="was committed"):
        transaction.produce(new_order(3))
    with pytest.raises(ClosedError, match="already begun"):
        transaction.begin()
    with pytest.raises(ClosedError):
        transaction.commit()
    transaction.abort()
    assert published(shop) == [2]


def test_threads_take_turns(shop: InMemoryMessaging) -> None:
    """Transactions of many threads are done one after another, each whole."""

    def work(first: int) -> None:
        for number in range(first, first + 10):
            publish(shop, number, number + 1_000)

    threads = [threading.Thread(target=work, args=(100 * each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(published(shop)) == 80
    committed = [each for each in shop.happenings if isinstance(each, TransactionCommitted)]
    assert [each.records for each in committed] == [2] * 40


def test_a_turn_that_does_not_come() -> None:
    """Waiting for another transaction has an end, and says what is open."""
    with connect(settings=settings(transaction_timeout_ms=1_000)) as shop:
        with shop.transaction():
            told: list[SdkError] = []

            def other() -> None:
                try:
                    shop.transaction().begin()
                except SdkError as error:
                    told.append(error)

            thread = threading.Thread(target=other)
            thread.start()
            thread.join(60)
        (error,) = told
        assert isinstance(error, TransactionAbortedError)
        assert "orders-pod-1" in error.message
        publish(shop, 1)


def test_tasks_take_turns(shop: InMemoryMessaging) -> None:
    """In an event loop, ``async with`` does the same, for more tasks than there are threads."""

    async def work(number: int) -> None:
        async with shop.transaction() as transaction:
            await transaction.produce(new_order(number))
            await asyncio.sleep(0)
            transaction.produce(new_order(number + 1_000))

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(50)))

    asyncio.run(main())
    assert len(published(shop)) == 100


def test_an_exception_aborts_in_an_event_loop(shop: InMemoryMessaging) -> None:
    """``async with`` aborts as ``with`` does."""

    async def main() -> sdk.Delivery:
        with suppress(ZeroDivisionError):
            async with shop.transaction() as transaction:
                delivery = transaction.produce(new_order(1))
                await delivery
                print(1 // 0)
        with pytest.raises(TransactionAbortedError):
            await delivery
        return delivery

    assert isinstance(asyncio.run(main()).error, TransactionAbortedError)
    assert published(shop) == []


def test_a_block_that_would_stop_the_event_loop_is_refused(shop: InMemoryMessaging) -> None:
    """Where an event loop runs, ``with`` says to write ``async with``."""

    async def main() -> None:
        with shop.transaction():
            raise AssertionError("it has begun")

    with pytest.raises(ConfigurationError, match="async with"):
        asyncio.run(main())
    publish(shop, 1)


def test_a_task_cancelled_while_it_waits_gives_its_turn_on(shop: InMemoryMessaging) -> None:
    """Cancelling a waiting task affects neither the open transaction nor the next one."""

    async def work(number: int) -> None:
        async with shop.transaction() as transaction:
            transaction.produce(new_order(number))
            await asyncio.sleep(0.05)

    async def main() -> None:
        first = asyncio.create_task(work(1))
        await asyncio.sleep(0.02)
        second, third = asyncio.create_task(work(2)), asyncio.create_task(work(3))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, third)

    asyncio.run(main())
    assert published(shop) == [1, 3]


def test_a_cancelled_task_aborts(shop: InMemoryMessaging) -> None:
    """A task that is cancelled inside the block publishes nothing, wherever it stood."""

    async def work(number: int) -> None:
        async with shop.transaction() as transaction:
            transaction.produce(new_order(number))
            await asyncio.sleep(30)

    async def main() -> None:
        for steps in range(8):
            task = asyncio.create_task(work(steps))
            await asyncio.sleep(steps * 0.001)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        async with shop.transaction() as last:
            last.produce(new_order(99))

    asyncio.run(asyncio.wait_for(main(), 60))
    assert published(shop) == [99]


def test_what_waits_is_sent_before_the_commit(shop: InMemoryMessaging) -> None:
    """An event whose schema id is still being looked up belongs to the transaction."""

    async def main() -> None:
        async with shop.transaction() as transaction:
            first = transaction.produce(new_order(1))
            transaction.produce(new_order(2))
            assert not first.done()

    asyncio.run(main())
    assert published(shop) == [1, 2]


def test_what_cannot_be_looked_up_aborts(shop: InMemoryMessaging) -> None:
    """An event that fails in the background is not silently omitted."""
    shop.broker.faults.registry_down()

    async def main() -> None:
        async with shop.transaction() as transaction:
            transaction.produce(new_order(1))

    with pytest.raises(TransactionAbortedError, match="503"):
        asyncio.run(main())
    shop.broker.faults.registry_up()
    assert published(shop) == []


def test_the_producer_joins_a_transaction(shop: InMemoryMessaging) -> None:
    """Inside `joined`, what the same connection publishes belongs to the transaction."""
    with connect(settings=settings(), broker=shop.broker) as other:
        transaction = shop.transaction()
        transaction.begin()
        with transaction.joined():
            joined = shop.producer.produce(new_order(1))
            other.producer.produce(new_order(2)).result(5)
            inner = shop.transaction()
            with pytest.raises(ConfigurationError, match=r"messaging\.producer"):
                inner.begin()
        shop.producer.produce(new_order(3)).result(5)
        assert published(shop) == [2, 3]
        transaction.commit()
        assert published(shop) == [1, 2, 3]
        with transaction.joined(), pytest.raises(ClosedError):
            shop.producer.produce(new_order(4))
        assert joined.done()


def test_observers_are_notified(shop: InMemoryMessaging) -> None:
    """Each end of a transaction is a happening with its id, its records and its time."""
    publish(shop, 1, 2)
    abort(shop, 3)
    (committed,) = [each for each in shop.happenings if isinstance(each, TransactionCommitted)]
    assert (committed.transactional_id, committed.records) == ("orders-pod-1", 2)
    (aborted,) = [each for each in shop.happenings if isinstance(each, TransactionAborted)]
    assert (aborted.transactional_id, aborted.records) == ("orders-pod-1", 1)
    assert isinstance(aborted.error, TransactionAbortedError)
    assert committed.seconds > 0 < aborted.seconds


def test_closing_aborts_what_does_not_end() -> None:
    """A connection closed inside the block aborts it at once; the block then fails."""
    with connect(settings=settings(close_timeout_ms=60_000)) as shop:
        transaction = shop.transaction()
        with pytest.raises(ClosedError, match="aborted"), transaction:
            print(transaction.produce(new_order(1)), shop.close())  # type: ignore[func-returns-value]
        assert published(shop) == []
        with pytest.raises(ClosedError):
            shop.transaction()


def test_closing_waits_for_what_ends() -> None:
    """A transaction of another thread is committed before the connection is gone."""
    shop = connect(settings=settings())
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with shop.transaction() as transaction:
            begun.set()
            go_on.wait(60)
            transaction.produce(new_order(1))

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    threading.Timer(0.05, go_on.set).start()
    shop.close()
    thread.join(60)
    assert published(shop) == [1]


def test_a_transactional_id_is_needed() -> None:
    """Without the setting, the error names it and says what to write."""
    shop = connect(settings=settings(transactional_id=None))
    with shop, pytest.raises(ConfigurationError, match=r"producer\.transactional_id.*\{instance\}"):
        shop.transaction()


def test_the_instance_is_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``SDK_INSTANCE`` fills the placeholder; without it the host's name does."""
    file = tmp_path / "settings.toml"
    file.write_text(
        "[default.kafka]\nbootstrap_servers = 'embedded'\n[default.registry]\nurl = 'embedded'\n"
        "[default.producer]\ntransactional_id = 'orders-{instance}'\n"
    )
    monkeypatch.setenv("SDK_INSTANCE", "orders-7")
    with connect("contracts", settings=file, environment="embedded") as shop:
        assert shop.settings.instance == "orders-7"
        publish(shop, 1)
        (done,) = [each for each in shop.happenings if isinstance(each, TransactionCommitted)]
        assert done.transactional_id == "orders-orders-7"
    monkeypatch.delenv("SDK_INSTANCE")
    with connect("contracts", settings=file, environment="embedded") as shop:
        assert shop.settings.instance


def test_the_embedded_broker_is_refused() -> None:
    """It cannot isolate, and a test that passes there would prove nothing."""
    with sdk.connect(settings=settings()) as messaging:
        transaction = messaging.transaction()
        with pytest.raises(ConfigurationError, match=r"sdk\.testing"):
            transaction.begin()


def test_consumers_may_ask_for_everything() -> None:
    """With ``isolation_level = "read_uncommitted"`` a consumer sees what was aborted, too."""
    broker, base = InMemoryBroker(), settings()
    for level, expected in (("read_uncommitted", [1, 2]), ("read_committed", [2])):
        options = evolve(base, consumer=evolve(base.consumer, isolation_level=level))
        with connect(settings=options, broker=broker) as shop:
            if level == "read_uncommitted":
                abort(shop, 1)
                publish(shop, 2)
            taken: list[int] = []
            consumer = shop.consumer(f"group-{level}")

            def handle(order: OrderCreated, into: list[int] = taken) -> None:
                into.append(order.order_id.int)

            consumer.handle(OrderCreated, handle)
            run_until_idle(consumer, broker, f"group-{level}")
        assert sorted(taken) == expected


@contextmanager
def no_threads() -> Iterator[None]:
    """Inside the block no thread can be started."""
    before = threading.stack_size(2**46)  # more than there is
    try:
        yield
    finally:
        threading.stack_size(before)


def test_the_next_transaction_begins_although_no_thread_could_be_started(
    shop: InMemoryMessaging,
) -> None:
    """Neither the beginning nor the end of a block in an event loop keeps the others waiting."""

    async def main() -> None:
        with pytest.raises(RuntimeError), no_threads():
            async with shop.transaction():
                pytest.fail("it has not begun")
        transaction = shop.transaction()
        await transaction.__aenter__()
        transaction.produce(new_order(1))
        with pytest.raises(RuntimeError), no_threads():
            await transaction.__aexit__(None, None, None)
        async with asyncio.timeout(10), shop.transaction() as transaction:
            transaction.produce(new_order(2))

    asyncio.run(main())
    assert published(shop) == [2]
