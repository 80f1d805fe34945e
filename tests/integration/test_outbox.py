"""Outbox, relay and inbox on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from sdk.consuming.context import Context
from sdk.outbox import ddl
from tests.inbox_suite import InboxSuite, accounts, consuming
from tests.outbox_suite import OutboxSuite, Shop, open_shop, wait_until
from tests.servers.java import MissingTool
from tests.servers.postgres import PostgresServer
from tests.unit.messaging.shop import OrderCreated


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The server that the tests of this module share."""
    try:
        server = PostgresServer(tmp_path_factory.mktemp("postgres"), durable=False)
    except MissingTool as error:
        pytest.fail(f"cannot run the real servers: {error}", pytrace=False)
    with server:
        yield server


@pytest.fixture
def shop(postgres: PostgresServer) -> Iterator[Shop]:
    """Fresh tables."""
    yield from open_shop(create_engine(postgres.url), postgres.url)


class TestPostgresInbox(InboxSuite):
    """The inbox's suite, and what PostgreSQL adds."""

    @pytest.mark.parametrize("kind", ["session", "connection", "awaited"])
    def test_statement_whose_failure_a_handler_hides_fails_its_attempt(
        self, shop: Shop, kind: str
    ) -> None:
        """PostgreSQL answers the commit of a failed transaction by rolling back, without error."""
        sessions: Any = sessionmaker(shop.engine) if kind == "session" else shop.engine
        if kind == "awaited":
            sessions = async_sessionmaker(create_async_engine(shop.async_url, poolclass=NullPool))
        attempts = list[int]()
        with consuming(shop, sessions, retries=1) as (consumer, inbox, finish):
            statement = insert(shop.accounts).values(id=1)

            def bill(order: OrderCreated, context: Context, session: Session) -> None:
                attempts.append(context.attempt)
                session.execute(statement)
                if context.attempt == 1:
                    with suppress(IntegrityError):
                        session.execute(statement)

            async def bill_awaited(
                order: OrderCreated, context: Context, session: AsyncSession
            ) -> None:
                await session.run_sync(lambda plain: bill(order, context, plain))

            handler: Any = bill_awaited if kind == "awaited" else bill
            consumer.handle(OrderCreated, handler, once=inbox)
            finish([1])
        assert attempts == [1, 2]
        assert accounts(shop) == [1]


class TestPostgres(OutboxSuite):
    """The outbox's suite, and what PostgreSQL adds."""

    def test_relay_is_woken_by_notification(self, shop: Shop) -> None:
        """A commit wakes the relay, long before it would look by itself."""
        with shop.relay(poll_seconds=60):
            wait_until(lambda: _listeners(shop) > 0)
            shop.add("o1")
            wait_until(lambda: shop.arrived() == ["o1"], 30)

    def test_dropped_connection_is_survived(self, shop: Shop) -> None:
        """A relay whose connections are ended by the server goes on with new ones."""
        with shop.relay():
            shop.add("o1")
            wait_until(lambda: shop.arrived() == ["o1"])
            with shop.engine.connect() as connection:
                others = "select pg_terminate_backend(pid) from pg_stat_activity"
                connection.execute(text(f"{others} where pid <> pg_backend_pid()"))
            shop.add("o2")
            wait_until(lambda: shop.waiting() == 0)
        assert shop.arrived()[-1] == "o2"

    def test_statements_of_the_command_make_the_tables(self, shop: Shop) -> None:
        """The DDL text creates what the metadata would."""
        with shop.engine.begin() as connection:
            shop.tables.metadata.drop_all(connection)
            for statement in ddl("postgresql", shop.tables).split(";"):
                if statement.strip():
                    connection.execute(text(statement))
        shop.add("o1")
        assert shop.publish() == 1

    def test_waiting_rows_are_found_by_their_index(self, shop: Shop) -> None:
        """The relay's query reads the index of waiting rows, however many were sent."""
        with shop.engine.begin() as connection:
            connection.execute(
                text(
                    "insert into sdk_outbox (id, aggregatetype, headers, sent_at)"
                    " select gen_random_uuid(), 't', '[]', now() from generate_series(1, 20000)"
                )
            )
        with shop.engine.begin() as connection:
            connection.execute(text("analyze sdk_outbox"))
            plan = connection.scalars(
                text(
                    "explain select position from sdk_outbox where sent_at is null"
                    " and error is null order by position limit 1000"
                )
            ).all()
        assert any("sdk_outbox_waiting" in line for line in plan), plan


def _listeners(shop: Shop) -> int:
    with shop.engine.connect() as connection:
        found = connection.scalar(
            text("select count(*) from pg_stat_activity where query like 'LISTEN%'")
        )
    return int(found or 0)
