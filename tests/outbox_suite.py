"""Tests of the outbox and its relay, for any database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from attrs import frozen
from sqlalchemy import Column, Engine, Integer, MetaData, Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from sdk.cloud_events import ID
from sdk.errors import (
    BrokerUnavailableError,
    MessageTooLargeError,
    SerializationError,
)
from sdk.happenings import Happening, OutboxMeasured, OutboxRelayed
from sdk.messaging import Messaging
from sdk.outbox import Inbox, Outbox, Relay, Tables
from sdk.outbox.queue import backlog, prune
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.testing import InMemoryBroker, connect
from tests.debezium import EventRouter
from tests.unit.messaging.shop import CATALOG, OrderCreated

TOPIC = "orders.order-created"
DEBEZIUM = {
    "table.field.event.key": "key",
    "route.topic.replacement": "${routedByValue}",
    "route.tombstone.on.empty.payload": "true",
    "table.fields.additional.placement": "id:header:ce_id,source:header:ce_source,"
    "type:header:ce_type",
}
"""The connector options of docs/outbox.md."""


@frozen
class Shop:
    """Everything that a test needs."""

    engine: Engine
    async_url: str
    tables: Tables
    accounts: Table
    broker: InMemoryBroker
    messaging: Messaging

    @property
    def outbox(self) -> Outbox:
        """The outbox."""
        return Outbox(self.messaging.encoder, self.tables)

    def relay(self, **options: Any) -> Relay:
        """A relay that looks often."""
        return Relay(
            self.engine,
            self.messaging.producer,
            self.tables,
            **{"poll_seconds": 0.02, **options},
        )

    def add(self, *names: str) -> None:
        """Commit one order after the other."""
        for name in names:
            with self.engine.begin() as connection:
                self.outbox.add(connection, OrderCreated(order_id=name))

    def publish(self, **options: Any) -> int:
        """Publish one batch."""
        with self.engine.connect() as connection:
            return self.relay(**options).publish_batch(connection)

    def arrived(self) -> list[str]:
        """Keys of the broker's records, in order."""
        return [(record.key or b"").decode() for record in self.broker.records(TOPIC)]

    def waiting(self) -> int:
        """How many rows are not published."""
        with self.engine.connect() as connection:
            return backlog(connection, self.tables).rows


def open_shop(engine: Engine, async_url: str) -> Iterator[Shop]:
    """Make the tables, and remove them in the end."""
    metadata = MetaData()
    accounts = Table("accounts", metadata, Column("id", Integer, primary_key=True))
    tables = Tables(metadata)
    metadata.create_all(engine)
    broker = InMemoryBroker()
    with connect(CATALOG, broker=broker) as messaging:
        yield Shop(engine, async_url, tables, accounts, broker, messaging)
    metadata.drop_all(engine)
    engine.dispose()


class OutboxSuite:
    """Tests; a subclass gives the fixture `shop`."""

    def test_committed_events_are_published_in_order(self, shop: Shop) -> None:
        """Committed events arrive in the order of the commits, once."""
        names = [f"o{n}" for n in range(25)]
        shop.add(*names)
        assert shop.publish(batch=10) == 10
        with shop.relay(batch=10):
            wait_until(lambda: shop.waiting() == 0)
        assert shop.arrived() == names

    def test_rollback_publishes_nothing(self, shop: Shop) -> None:
        """Events of a transaction that is rolled back are gone with its rows."""
        with Session(shop.engine) as session:
            session.execute(insert(shop.accounts).values(id=1))
            shop.outbox.add(session, OrderCreated(order_id="never"))
            session.rollback()
        assert shop.publish() == 0
        assert shop.arrived() == []

    def test_connection_session_and_their_asynchronous_twins_are_taken(self, shop: Shop) -> None:
        """One call serves Core and ORM, with and without await."""

        async def add_async() -> None:
            engine = create_async_engine(shop.async_url)
            async with AsyncSession(engine) as session, session.begin():
                await shop.outbox.add(session, OrderCreated(order_id="async session"))
            async with engine.begin() as connection:
                await shop.outbox.add(connection, OrderCreated(order_id="async connection"))
            await engine.dispose()

        shop.add("connection")
        with Session(shop.engine) as session, session.begin():
            shop.outbox.add(session, OrderCreated(order_id="session"))
        asyncio.run(add_async())
        shop.publish()
        assert shop.arrived() == ["connection", "session", "async session", "async connection"]

    def test_record_is_byte_for_byte_what_the_producer_sends(self, shop: Shop) -> None:
        """Value, key and headers equal those of a direct produce; the id is the row's."""
        order = OrderCreated(order_id="o1")
        headers = [("a", b"\xff"), ("a", None), ("ümläut", "text"), (ID, "fixed")]
        with shop.engine.begin() as connection:
            shop.outbox.add(connection, order, headers=headers)
        shop.messaging.producer.produce(order, headers=headers).result(5)
        shop.publish()
        direct, relayed = shop.broker.records(TOPIC)
        assert (relayed.value, relayed.key) == (direct.value, direct.key)
        without_time = [header for header in relayed.headers if header[0] != "ce_time"]
        assert without_time == [header for header in direct.headers if header[0] != "ce_time"]

    def test_added_id_is_the_cloud_events_id(self, shop: Shop) -> None:
        """The id that `add` returns is in the row and in the header of the record."""
        with shop.engine.begin() as connection:
            event_id = shop.outbox.add(connection, OrderCreated(order_id="o1"))
            assert connection.scalar(select(shop.tables.outbox.c.id)) == event_id
        shop.publish()
        assert shop.broker.records(TOPIC)[0].header(ID) == str(event_id).encode()

    def test_debezium_finds_what_it_needs_by_its_default_columns(self, shop: Shop) -> None:
        """With no option at all, id, key, payload and the routed name are found."""
        with shop.engine.begin() as connection:
            event_id = shop.outbox.add(connection, OrderCreated(order_id="o1"))
        (routed,) = routed_rows(shop, EventRouter({}))
        assert routed.topic == f"outbox.event.{TOPIC}"
        assert routed.key == b"o1"
        assert routed.headers == (("id", str(event_id).encode()),)
        assert routed.value == shop.messaging.encoder.record(OrderCreated(order_id="o1")).value

    def test_debezium_sends_what_the_relay_sends(self, shop: Shop) -> None:
        """With the documented options, topic, key and value are the same, and so are headers."""
        with shop.engine.begin() as connection:
            shop.outbox.add(connection, OrderCreated(order_id="o1"), headers={"own": "x"})
            shop.outbox.add(connection, OrderCreated(order_id="ü"), key="other")
            shop.outbox.add_record(connection, shop.messaging.encoder.tombstone(OrderCreated, "o1"))
            shop.outbox.add(connection, OrderCreated(order_id="o2"), key=None)
        routed = routed_rows(shop, EventRouter(DEBEZIUM))
        shop.publish()
        relayed = {record.header(ID): record for record in shop.broker.records(TOPIC)}
        assert len(relayed) == len(routed) == 4
        for each in routed:
            headers = dict(each.headers)
            same = relayed[headers["ce_id"]]
            assert (each.topic, each.key, each.value) == (same.topic, same.key, same.value)
            for name in ("ce_id", "ce_source"):
                assert headers[name] == same.header(name)
            if each.value is not None:
                assert headers["ce_type"] == same.header("ce_type")

    def test_event_that_both_relay_and_debezium_sent_is_handled_once(self, shop: Shop) -> None:
        """A team can move to change data capture while events are under way."""
        shop.add("o1")
        (routed,) = routed_rows(shop, EventRouter(DEBEZIUM))
        shop.publish()
        (relayed,) = shop.broker.records(TOPIC)
        copy = ConsumerRecord(TOPIC, 0, 1, routed.value, routed.key, routed.headers)
        read = shop.messaging.serializer.open(copy).read(OrderCreated)
        assert read == OrderCreated(order_id="o1")
        inbox = Inbox("billing", tables=shop.tables)
        with shop.engine.begin() as connection:
            assert inbox.once(connection, relayed)
            assert not inbox.once(connection, copy)

    def test_tombstones_and_raw_records(self, shop: Shop) -> None:
        """A given record is published unchanged."""
        tombstone = shop.messaging.encoder.tombstone(OrderCreated, "o1")
        with shop.engine.begin() as connection:
            shop.outbox.add_record(connection, tombstone)
            shop.outbox.add_record(connection, ProducerRecord("raw", b"\0\1", b"\xff\0", (), 1, 5))
        shop.publish()
        (record,) = shop.broker.records(TOPIC)
        assert (record.key, record.value) == (b"o1", None)
        (raw,) = shop.broker.records("raw")
        assert (raw.key, raw.value, raw.partition, raw.timestamp) == (b"\xff\0", b"\0\1", 1, 5)

    def test_unfit_event_leaves_the_transaction_usable(self, shop: Shop) -> None:
        """An event that cannot be encoded is refused before anything is written."""
        broken = OrderCreated(order_id=7)  # type: ignore[arg-type]
        with shop.engine.begin() as connection:
            with pytest.raises(SerializationError):
                shop.outbox.add(connection, broken)
            shop.outbox.add(connection, OrderCreated(order_id="fine"))
        shop.publish()
        assert shop.arrived() == ["fine"]

    def test_failure_holds_back_what_follows_of_its_key_alone(self, shop: Shop) -> None:
        """A row that failed and those of its key come again, in order; other keys are done."""
        with shop.engine.begin() as connection:
            for number, key in enumerate("aba"):
                order = OrderCreated(order_id=key)
                shop.outbox.add(connection, order, headers=[("n", str(number))])
        shop.broker.fail("deliver", BrokerUnavailableError("away"))
        assert shop.publish() == 1
        assert shop.waiting() == 2
        with shop.relay():
            wait_until(lambda: shop.waiting() == 0)
        numbers = [record.header("n") for record in shop.broker.records(TOPIC)]
        assert numbers[-2:] == [b"0", b"2"]
        assert numbers.count(b"1") == 1

    def test_topic_that_fails_is_paused_alone(self, shop: Shop) -> None:
        """Rows for a topic that cannot be written to do not keep those behind them."""
        with shop.engine.begin() as connection:
            for topic in ("gone", "gone", "fine"):
                shop.outbox.add_record(connection, ProducerRecord(topic, b"", topic.encode()))
        relay = shop.relay(batch=2)
        shop.broker.fail("deliver", *[BrokerUnavailableError("no such topic")] * 2)
        with shop.engine.connect() as connection:
            assert relay.publish_batch(connection) == 0
            assert relay.publish_batch(connection) == 1
            assert len(shop.broker.records("fine")) == 1
            wait_until(lambda: relay.publish_batch(connection) == 2)
        assert len(shop.broker.records("gone")) == 2

    def test_row_of_another_writer_that_cannot_be_read_is_refused(self, shop: Shop) -> None:
        """Headers that are not ours are an error of their row, not the relay's end."""
        shop.add("o1", "o2")
        table = shop.tables.outbox
        with shop.engine.begin() as connection:
            connection.execute(update(table).where(table.c.aggregateid == "o1").values(headers="?"))
        assert shop.publish() == 2
        assert shop.arrived() == ["o2"]
        with shop.engine.connect() as connection:
            assert backlog(connection, shop.tables).failed == 1

    def test_what_waits_is_reported_while_the_relay_is_busy(self, shop: Shop) -> None:
        """The backlog is measured after a batch, not only when there is nothing to do."""
        seen: list[Happening] = []
        shop.add("o1", "o2", "o3")
        with shop.engine.connect() as connection:
            relay = shop.relay(batch=1, observers=[seen.append])
            relay.publish_batch(connection)
            relay._clean_up(connection)
        (measured,) = [each for each in seen if isinstance(each, OutboxMeasured)]
        assert measured.rows == 2
        assert measured.oldest > 0

    def test_record_that_no_broker_takes_is_marked_and_passed(self, shop: Shop) -> None:
        """A record that is too large is left behind with its error; what follows goes on."""
        shop.add("o1", "o2")
        shop.broker.fail("deliver", MessageTooLargeError("too large"))
        assert shop.publish() == 2
        assert shop.arrived() == ["o2"]
        with shop.engine.connect() as connection:
            found = backlog(connection, shop.tables)
            table = shop.tables.outbox
            errors = connection.scalars(select(table.c.error).order_by(table.c.position)).all()
        assert (found.rows, found.failed) == (0, 1)
        assert errors[0] is not None
        assert "too large" in errors[0]

    def test_one_relay_works_and_another_takes_over(self, shop: Shop) -> None:
        """The second relay stands by until the first has stopped."""
        first, second = shop.relay(), shop.relay()
        with shop.engine.connect() as one, shop.engine.connect() as other:
            assert first._hold(one)
            assert not second._hold(other)
            first._release(one)
            assert second._hold(other)
            second._release(other)

    def test_two_relays_publish_each_row_once(self, shop: Shop) -> None:
        """Relays side by side neither repeat nor reorder while both live."""
        names = [f"o{n}" for n in range(200)]
        with shop.relay(batch=7), shop.relay(batch=7):
            shop.add(*names)
            wait_until(lambda: shop.waiting() == 0)
        assert shop.arrived() == names

    def test_sent_rows_are_kept_and_pruned_by_age(self, shop: Shop) -> None:
        """Rows sent longer ago than the given time are deleted; waiting ones never are."""
        shop.add("old", "new", "waiting")
        shop.publish(batch=2)
        with shop.engine.begin() as connection:
            table = shop.tables.outbox
            first = connection.scalar(select(func.min(table.c.position)))
            moment = connection.scalar(select(table.c.sent_at).where(table.c.position == first))
            assert moment is not None
            connection.execute(
                update(table)
                .where(table.c.position == first)
                .values(sent_at=moment - timedelta(days=2))
            )
        with shop.engine.begin() as connection:
            assert prune(connection, shop.tables, timedelta(days=1)) == 1
            left = connection.scalars(select(shop.tables.outbox.c.aggregateid)).all()
        assert sorted(str(key) for key in left) == ["new", "waiting"]

    def test_rows_can_be_deleted_at_once(self, shop: Shop) -> None:
        """Without a time to keep them, rows are deleted when they are acknowledged."""
        shop.add("o1")
        shop.publish(keep=None)
        with shop.engine.connect() as connection:
            assert connection.scalar(select(func.count()).select_from(shop.tables.outbox)) == 0

    def test_observers_see_what_was_relayed_and_what_waits(self, shop: Shop) -> None:
        """Counts of published and waiting rows reach the observers."""
        seen: list[Happening] = []
        shop.add("o1", "o2")
        with shop.relay(observers=[seen.append]):
            wait_until(lambda: any(isinstance(each, OutboxMeasured) for each in seen))
        assert OutboxRelayed("sdk_outbox", 2) in seen
        assert OutboxMeasured("sdk_outbox", 0, 0.0, 0) in seen

    def test_relay_runs_as_a_task(self, shop: Shop) -> None:
        """A cancelled task stops the relay after its batch."""

        async def serve() -> None:
            task = asyncio.create_task(shop.relay().run_async())
            while await asyncio.to_thread(shop.waiting):
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        shop.add("o1")
        asyncio.run(asyncio.wait_for(serve(), 60))
        assert shop.arrived() == ["o1"]


def routed_rows(shop: Shop, router: EventRouter) -> list[ProducerRecord]:
    """The records that Debezium makes of the rows, in order."""
    table = shop.tables.outbox
    with shop.engine.connect() as connection:
        rows = connection.execute(select(table).order_by(table.c.position)).mappings()
        return [router.route(dict(row)) for row in rows]


def wait_until(done: Any, seconds: float = 60.0) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It did not in time.
    """
    waited = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if done():
            return
        waited.wait(0.01)
    raise TimeoutError("the condition did not come true")
