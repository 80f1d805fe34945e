"""Outbox, relay and inbox on SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, insert
from sqlalchemy.ext.asyncio import create_async_engine

from sdk.abstractions import OnDelivery
from sdk.errors import BrokerUnavailableError, ConfigurationError, SdkError
from sdk.outbox import Relay
from sdk.outbox.claims import LeaseRow
from sdk.publishing.producer import Producer
from sdk.records import ProducerRecord
from tests.inbox_suite import InboxSuite
from tests.outbox_suite import OutboxSuite, Shop, open_shop, wait_until
from tests.unit.messaging.shop import OrderCreated


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A database in a file, in which writers wait for each other."""
    path = tmp_path / "shop.db"
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _write_ahead(connection: object, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]

    yield from open_shop(engine, f"sqlite+aiosqlite:///{path}")


class Silent:
    """A client whose broker never answers.

    Attributes:
        taken: The records that it was given.
    """

    def __init__(self) -> None:
        self.taken: list[ProducerRecord] = []

    def produce(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Keep a record."""
        self.taken.append(record)

    def after_deliveries(self, call: Callable[[], None]) -> None:
        """Never call."""

    def flush(self, timeout: float) -> int:
        """Return that nothing is left."""
        return 0

    def close(self, timeout: float) -> int:
        """Return that nothing is left."""
        return 0

    def connection_error(self) -> SdkError | None:
        """Return why there is no answer."""
        return BrokerUnavailableError("nobody listens")


class TestSqlite(OutboxSuite):
    """The suite."""

    def test_relay_can_be_stopped_while_kafka_does_not_answer(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It gives up waiting, says why, and does not change the row."""
        client = Silent()
        with Producer(client, shop.messaging.encoder) as producer:
            relay = Relay(shop.engine, producer, shop.tables).start()
            shop.add("o1")
            wait_until(lambda: client.taken)
            assert relay.status()["publishing"]
            relay.close()
        assert shop.waiting() == 1
        assert "stopped while 1 rows wait for Kafka: nobody listens" in caplog.text

    def test_old_versions_that_accept_few_parameters_are_no_obstacle(self, shop: Shop) -> None:
        """Rows that were published are marked; otherwise they would be published again for ever."""

        @event.listens_for(shop.engine, "checkout")
        def _as_before_3_32(connection: sqlite3.Connection, *_: object) -> None:
            connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)

        with shop.engine.begin() as connection:
            for number in range(1_200):
                shop.outbox.add(connection, OrderCreated(order_id=str(number)))
        assert shop.publish() == 1_200
        assert shop.waiting() == 0

    @pytest.mark.parametrize(("ahead", "taken"), [(5, False), (3600, True)])
    def test_a_clock_that_is_set_back_does_not_extend_a_dead_relays_lease(
        self, shop: Shop, ahead: float, taken: bool
    ) -> None:
        """A lease is taken over if it would last longer than any lease does."""
        claim = LeaseRow(shop.tables)
        with shop.engine.begin() as connection:
            until = time.time() + ahead
            name = shop.tables.channel
            connection.execute(insert(shop.tables.lease).values(name=name, owner="x", until=until))
            assert claim.hold(connection) is taken

    def test_a_relay_that_has_stopped_for_good_is_not_ready(self, shop: Shop) -> None:
        """Its thread has ended with pending rows, and a probe must see that."""
        with Producer(Silent(), shop.messaging.encoder) as producer:
            producer.close()
            shop.add("o1")
            relay = Relay(shop.engine, producer, shop.tables).start()
            try:
                wait_until(lambda: not relay.status()["ready"])
            finally:
                relay.close()
        assert "closed" in relay.status()["error"]


class TestSqliteInbox(InboxSuite):
    """The inbox's suite."""


def test_a_relay_refuses_an_asynchronous_engine(shop: Shop) -> None:
    """It would pause again and again without ever reading a row."""
    asynchronous: Any = create_async_engine("sqlite+aiosqlite://")
    with (
        Producer(Silent(), shop.messaging.encoder) as producer,
        pytest.raises(ConfigurationError, match="synchronous engine"),
    ):
        Relay(asynchronous, producer)
