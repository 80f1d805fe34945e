"""Tests of the inbox, and of handlers that run once, for any database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from attrs import define, evolve
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, registry, sessionmaker
from sqlalchemy.pool import NullPool

from sdk.consuming.consumer import Consumer
from sdk.consuming.context import Context
from sdk.errors import BatchFailed, ConfigurationError, UnidentifiedError
from sdk.happenings import Happening, RecordDeadLettered
from sdk.messaging import Messaging
from sdk.outbox import Inbox
from sdk.records import ConsumerRecord
from sdk.settings import (
    ConsumerOptions,
    DeadLetterOptions,
    InPlaceRetryOptions,
    load_settings,
)
from sdk.testing import connect, run_until_idle
from tests.outbox_suite import Shop
from tests.unit.messaging.shop import CATALOG, OrderCreated


class InboxSuite:
    """Tests; a subclass gives the fixture `shop`."""

    def test_inbox_is_true_once(self, shop: Shop) -> None:
        """An event counts once for each consumer; a rollback forgets it."""
        billing, mail = Inbox("billing", tables=shop.tables), Inbox("mail", tables=shop.tables)
        record = received(("ce_source", b"/orders"), ("ce_id", b"1"))
        with shop.engine.connect() as connection:
            assert billing.once(connection, record)
            connection.rollback()
        with Session(shop.engine) as session, session.begin():
            assert billing.once(session, record)
            assert not billing.once(session, record)
            assert mail.once(session, record)
        with shop.engine.begin() as connection:
            assert not billing.once(connection, record)
            assert billing.once(connection, received(("ce_source", b"/x"), ("ce_id", b"1")))

    def test_inbox_with_await(self, shop: Shop) -> None:
        """An asynchronous session is awaited."""

        async def handle() -> list[bool]:
            engine = create_async_engine(shop.async_url, poolclass=NullPool)
            record = received(("ce_source", b"/orders"), ("ce_id", b"1"))
            inbox = Inbox("billing", tables=shop.tables)
            async with AsyncSession(engine) as session, session.begin():
                found = [await inbox.once(session, record), await inbox.once(session, record)]
            await engine.dispose()
            return found

        assert asyncio.run(handle()) == [True, False]

    def test_inbox_needs_an_id(self, shop: Shop) -> None:
        """A record without CloudEvents headers is refused, with the remedy."""
        with shop.engine.begin() as connection, pytest.raises(UnidentifiedError) as caught:
            Inbox("billing", tables=shop.tables).once(connection, received(("ce_id", b"1")))
        assert "ce_source" in str(caught.value)

    def test_inbox_forgets_by_age(self, shop: Shop) -> None:
        """Pruning keeps rows younger than the given age."""
        inbox = Inbox("billing", tables=shop.tables)
        with shop.engine.begin() as connection:
            inbox.once(connection, received(("ce_source", b"/orders"), ("ce_id", b"1")))
        with shop.engine.begin() as connection:
            assert inbox.prune(connection, timedelta(hours=1)) == 0
            assert inbox.prune(connection, timedelta(seconds=-5)) == 1

    def test_inbox_forgets_nothing_of_another_consumer(self, shop: Shop) -> None:
        """Another consumer may have to keep its rows for longer."""
        billing, mail = Inbox("billing", tables=shop.tables), Inbox("mail", tables=shop.tables)
        record = received(("ce_source", b"/orders"), ("ce_id", b"1"))
        with shop.engine.begin() as connection:
            billing.once(connection, record)
            mail.once(connection, record)
            assert mail.prune(connection, timedelta(seconds=-5)) == 1
            assert not billing.once(connection, record)

    def test_concurrent_handlers_of_one_event_run_once(self, shop: Shop) -> None:
        """Only one of several concurrent transactions handles an event."""
        inbox, record = (
            Inbox("billing", tables=shop.tables),
            received(("ce_source", b"/o"), ("ce_id", b"1")),
        )
        effects: list[int] = []

        def handle(number: int) -> None:
            with shop.engine.begin() as connection:
                if inbox.once(connection, record):
                    effects.append(number)

        threads = [threading.Thread(target=handle, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(effects) == 1

    @pytest.mark.parametrize("value", [b"", b"\xff", b"a\0b"])
    def test_ids_that_cannot_be_distinguished_are_refused(self, shop: Shop, value: bytes) -> None:
        """An id that the database cannot store exactly is refused: two could look the same."""
        record = received(("ce_source", b"/o"), ("ce_id", value))
        with shop.engine.begin() as connection, pytest.raises(UnidentifiedError):
            Inbox("billing", tables=shop.tables).once(connection, record)

    @pytest.mark.parametrize("kind", ["session", "connection"])
    def test_handler_runs_once_in_its_transaction(self, shop: Shop, kind: str) -> None:
        """An event that comes twice is handled once, by a session or a connection."""
        sessions: Any = sessionmaker(shop.engine) if kind == "session" else shop.engine
        with consuming(shop, sessions) as (consumer, inbox, finish):

            @consumer.handle(OrderCreated, once=inbox)
            def bill(order: OrderCreated, session: Session | Connection) -> None:
                session.execute(insert(shop.accounts).values(id=int(order.order_id)))

            finish([1, 2, 1, 1, 3])
        assert accounts(shop) == [1, 2, 3]

    @pytest.mark.parametrize("kind", ["session", "connection"])
    def test_coroutine_runs_once_in_its_transaction(self, shop: Shop, kind: str) -> None:
        """The same holds of a coroutine function and sessions that are awaited."""
        engine = create_async_engine(shop.async_url, poolclass=NullPool)
        sessions: Any = async_sessionmaker(engine) if kind == "session" else engine
        with consuming(shop, sessions) as (consumer, inbox, finish):

            @consumer.handle(OrderCreated, once=inbox)
            async def bill(
                order: OrderCreated, context: Context, session: AsyncSession | AsyncConnection
            ) -> None:
                assert context.event_id is not None
                await session.execute(insert(shop.accounts).values(id=int(order.order_id)))

            finish([1, 2, 1])
        assert accounts(shop) == [1, 2]

    def test_failed_attempt_leaves_no_note_and_is_made_again(self, shop: Shop) -> None:
        """A failed handler's writes are rolled back with the inbox row; the retry counts."""
        attempts = list[int]()
        with consuming(shop, sessionmaker(shop.engine), retries=1) as (consumer, inbox, finish):

            @consumer.handle(OrderCreated, once=inbox)
            def bill(order: OrderCreated, context: Context, session: Session) -> None:
                session.execute(insert(shop.accounts).values(id=int(order.order_id)))
                attempts.append(context.attempt)
                if context.attempt == 1:
                    raise ValueError("not yet")

            finish([1, 1])
        assert attempts == [1, 2]
        assert accounts(shop) == [1]

    @pytest.mark.parametrize("awaited", [False, True])
    def test_flush_whose_failure_a_handler_hides_fails_its_attempt(
        self, shop: Shop, awaited: bool
    ) -> None:
        """The session has rolled everything back: the event does not count as handled."""
        mapping, attempts = registry(), list[int]()
        mapping.map_imperatively(Account, shop.accounts)
        sessions: Any = sessionmaker(shop.engine)
        if awaited:
            sessions = async_sessionmaker(create_async_engine(shop.async_url, poolclass=NullPool))
        with shop.engine.begin() as connection:
            connection.execute(insert(shop.accounts).values(id=7))
        with consuming(shop, sessions, retries=1) as (consumer, inbox, finish):

            def bill(order: OrderCreated, context: Context, session: Session) -> None:
                attempts.append(context.attempt)
                session.add(Account(id=int(order.order_id)))
                if context.attempt == 1:
                    session.add(Account(id=7))
                with suppress(IntegrityError):
                    session.flush()

            async def bill_awaited(
                order: OrderCreated, context: Context, session: AsyncSession
            ) -> None:
                await session.run_sync(lambda plain: bill(order, context, plain))

            handler: Any = bill_awaited if awaited else bill
            consumer.handle(OrderCreated, handler, once=inbox)
            finish([1])
        mapping.dispose()
        assert attempts == [1, 2]
        assert accounts(shop) == [1, 7]

    @pytest.mark.parametrize("kind", ["session", "connection", "awaited"])
    def test_connections_that_commit_each_statement_are_refused(
        self, shop: Shop, kind: str
    ) -> None:
        """A failed handler's event would count as handled."""
        engine = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
        sessions: Any = sessionmaker(engine) if kind == "session" else engine
        if kind == "awaited":
            sessions = create_async_engine(
                shop.async_url, poolclass=NullPool, isolation_level="AUTOCOMMIT"
            )
        inbox: Inbox[Any] = Inbox("billing", sessions, tables=shop.tables)
        record = received(("ce_source", b"/orders"), ("ce_id", b"1"))

        async def perform() -> None:
            done = inbox.perform([record], lambda session, _: session.no_such_thing())
            if inbox.asynchronous:
                await done

        with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
            asyncio.run(perform())
        with shop.engine.begin() as connection:
            assert inbox.once(connection, record)

    def test_dead_letter_leaves_no_note_so_that_its_replay_counts(self, shop: Shop) -> None:
        """An event that became a dead letter is handled when it comes again."""
        broken = [True]
        with consuming(shop, sessionmaker(shop.engine)) as (consumer, inbox, finish):

            @consumer.handle(OrderCreated, once=inbox)
            def bill(order: OrderCreated, session: Session) -> None:
                session.execute(insert(shop.accounts).values(id=int(order.order_id)))
                if broken[0]:
                    raise ValueError("broken")

            seen = finish([1])
            assert [each.reason for each in seen if isinstance(each, RecordDeadLettered)] == [
                "handler"
            ]
            broken[0] = False
            finish([1])
        assert accounts(shop) == [1]

    def test_event_without_id_is_a_dead_letter_at_once(self, shop: Shop) -> None:
        """No retry gives an event an id; what is missing, and the remedy, are told."""
        with consuming(shop, sessionmaker(shop.engine), retries=3) as (consumer, inbox, finish):
            consumer.handle(OrderCreated, lambda _, session: session.get_bind(), once=inbox)
            seen = finish([None])
        (dead,) = [each for each in seen if isinstance(each, RecordDeadLettered)]
        assert dead.reason == "poison"

    def test_batch_is_one_transaction_of_what_is_new(self, shop: Shop) -> None:
        """A batch handler gets each event once, whether it comes again soon or later."""
        batches = list[list[str]]()
        with consuming(shop, sessionmaker(shop.engine)) as (consumer, inbox, finish):

            @consumer.handle(OrderCreated, once=inbox, batch_size=10, batch_seconds=0.05)
            def bill(orders: list[OrderCreated], session: Session) -> None:
                batches.append([order.order_id for order in orders])
                for order in orders:
                    session.execute(insert(shop.accounts).values(id=int(order.order_id)))

            finish([1, 2, 1])
            finish([2, 3, 1])
            finish([3])
        assert batches == [["1", "2"], ["3"]]
        assert accounts(shop) == [1, 2, 3]

    @pytest.mark.parametrize("awaited", [False, True])
    def test_failed_part_of_a_batch_does_not_take_the_rest_along(
        self, shop: Shop, awaited: bool
    ) -> None:
        """`BatchFailed` rolls the batch back; the events that it does not name run again."""
        sessions: Any = sessionmaker(shop.engine)
        if awaited:
            sessions = async_sessionmaker(create_async_engine(shop.async_url, poolclass=NullPool))
        with consuming(shop, sessions) as (consumer, inbox, finish):

            def statements(orders: list[OrderCreated]) -> Iterator[Any]:
                for index, order in enumerate(orders):
                    yield insert(shop.accounts).values(id=int(order.order_id))
                    if order.order_id == "2":
                        raise BatchFailed({index: ValueError("no stock")})

            def bill(orders: list[OrderCreated], contexts: list[Context], session: Any) -> None:
                assert len(orders) == len(contexts)
                for statement in statements(orders):
                    session.execute(statement)

            async def bill_awaited(orders: list[OrderCreated], session: AsyncSession) -> None:
                for statement in statements(orders):
                    await session.execute(statement)

            consumer.handle(
                OrderCreated,
                bill_awaited if awaited else bill,
                once=inbox,
                batch_size=10,
                batch_seconds=0.05,
            )
            seen = finish([1, 2, None, 3])
        reasons = [each.reason for each in seen if isinstance(each, RecordDeadLettered)]
        assert sorted(reasons) == ["handler", "poison"]
        assert accounts(shop) == [1, 3]

    def test_batch_that_names_no_failed_event_fails_whole(self, shop: Shop) -> None:
        """After a rollback, no event of the batch counts as handled."""
        with consuming(shop, sessionmaker(shop.engine)) as (consumer, inbox, finish):

            @consumer.handle(OrderCreated, once=inbox, batch_size=10, batch_seconds=0.05)
            def bill(orders: list[OrderCreated], session: Session) -> None:
                raise BatchFailed({})

            seen = finish([1, 2])
        assert len([each for each in seen if isinstance(each, RecordDeadLettered)]) == 2

    def test_handlers_that_cannot_be_called_so_are_refused(self, shop: Shop) -> None:
        """Handler, form and sessions must fit each other; the error says how."""

        def plain(order: OrderCreated, session: Session) -> None: ...

        async def awaited(order: OrderCreated, session: Session) -> None: ...

        def alone(order: OrderCreated) -> None: ...

        sync = Inbox("billing", sessionmaker(shop.engine), tables=shop.tables)
        twin = Inbox(
            "billing", async_sessionmaker(create_async_engine(shop.async_url, poolclass=NullPool))
        )
        with consuming(shop, None) as (consumer, _, _finish):
            handle: Any = consumer.handle
            for function, inbox, said in (
                (awaited, sync, "async_sessionmaker"),
                (plain, twin, "async_sessionmaker"),
                (alone, sync, "(event, session)"),
                (plain, Inbox("billing"), "sessionmaker(engine)"),
            ):
                with pytest.raises(ConfigurationError) as caught:
                    handle(OrderCreated, function, once=inbox)
                assert said in str(caught.value)

    def test_plain_function_that_returns_a_coroutine_is_rolled_back(self, shop: Shop) -> None:
        """A handler that returns an awaitable fails: its work would follow the commit."""

        async def later() -> None: ...

        def bill(order: OrderCreated, session: Session) -> Any:
            session.execute(insert(shop.accounts).values(id=1))
            coroutine = later()
            coroutine.close()
            return coroutine

        with consuming(shop, sessionmaker(shop.engine)) as (consumer, inbox, finish):
            consumer.handle(OrderCreated, bill, once=inbox)
            seen = finish([1])
        assert [each for each in seen if isinstance(each, RecordDeadLettered)]
        assert accounts(shop) == []


@define(slots=False)
class Account:
    """A row that handlers write."""

    id: int


Finish = Callable[[list[int | None]], list[Happening]]
"""Publishes orders, each number with its own id and None without one, and handles them."""


@contextmanager
def consuming(
    shop: Shop, sessions: Any, *, retries: int = 0
) -> Iterator[tuple[Consumer, Inbox[Any], Finish]]:
    """Return a consumer with dead letters and an inbox, and a function that sends it orders."""
    seen = list[Happening]()
    options = ConsumerOptions(
        retry=InPlaceRetryOptions(retry_count=retries, base_delay_ms=1),
        dead_letter=DeadLetterOptions(),
    )
    settings = evolve(load_settings("embedded"), consumer=options)
    with connect(CATALOG, settings=settings, observers=[seen.append]) as messaging:
        consumer = messaging.consumer("billing")

        def finish(numbers: list[int | None]) -> list[Happening]:
            for number in numbers:
                publish(messaging, number)
            run_until_idle(consumer, messaging.broker, "billing")
            return seen

        yield consumer, Inbox("billing", sessions, tables=shop.tables), finish


def publish(messaging: Messaging, number: int | None) -> None:
    """Publish an order with an id derived from its number."""
    record = messaging.encoder.record(OrderCreated(order_id=str(number or 0)), partition=0)
    headers = [(name, value) for name, value in record.headers if name != "ce_id"]
    if number is not None:
        headers.append(("ce_id", str(number).encode()))
    messaging.producer.send(record._replace(headers=tuple(headers))).result(5)


def accounts(shop: Shop) -> list[int]:
    """The rows that handlers have written."""
    with shop.engine.connect() as connection:
        return list(connection.scalars(select(shop.accounts.c.id).order_by(shop.accounts.c.id)))


def received(*headers: tuple[str, bytes | None]) -> ConsumerRecord:
    """A record with headers."""
    return ConsumerRecord("orders", 0, 0, b"", None, headers)
