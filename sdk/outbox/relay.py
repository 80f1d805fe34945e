"""The relay: publishes what has been committed to the outbox, in order, at least once."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

from attrs import frozen
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Table,
    any_,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from sdk.errors import MessageTooLargeError, SdkError, SerializationError
from sdk.happenings import OutboxMeasured, OutboxRelayed
from sdk.observers import Observers
from sdk.outbox.claims import Claim, claim_for
from sdk.outbox.rows import record_of
from sdk.outbox.tables import Tables
from sdk.outbox.wakeups import Wakeups, wakeups_for
from sdk.publishing.delivery import Delivery
from sdk.publishing.producer import Producer

logger = logging.getLogger(__name__)

_STAND_BY_SECONDS = 1.0
_PRUNE_SECONDS = 10.0
_PRUNE_ROWS = 5_000
_MEASURE_SECONDS = 5.0
_LONGEST_REST = 30.0


@frozen
class Backlog:
    """What has been committed and is not yet published.

    Attributes:
        rows: How many.
        oldest: Seconds since the oldest of them was added; 0 if there is none.
        failed: How many can never be sent; their column ``error`` says why.
    """

    rows: int
    oldest: float
    failed: int


class Relay:
    """Publishes the rows of an outbox; several relays may run, of which one works at a time.

    A row is marked after the broker has acknowledged it. A relay that dies in between leaves rows
    that are published again, with the same CloudEvents ids, by which an `Inbox` knows them. While
    Kafka is away the relay rests, longer each time, and nothing is passed over; a record that no
    broker takes (it is too large) is marked with its error and left behind.

    Args:
        engine: The service's database; a synchronous engine.
        producer: Publishes the records.
        tables: The tables, where they have a prefix or schema of their own.
        batch: Rows that are published together.
        poll_seconds: Longest wait between two looks, where nothing notifies the relay.
        keep: How long sent rows are kept; None deletes each at once.
        observers: See what happens.
    """

    def __init__(
        self,
        engine: Engine,
        producer: Producer,
        tables: Tables | None = None,
        *,
        batch: int = 5_000,
        poll_seconds: float = 1.0,
        keep: timedelta | None = timedelta(days=1),
        observers: Observers | None = None,
    ) -> None:
        self._engine = engine
        self._producer = producer
        self._tables = tables or Tables()
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._keep = keep
        self._observers = observers or Observers()
        self._claim: Claim = claim_for(engine.dialect.name, self._tables)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._next_prune = self._next_measure = 0.0
        self._failures = 0

    # --- life ---

    def run(self) -> None:
        """Publish until `stop` is called, in this thread."""
        wakeups = wakeups_for(self._engine, self._tables)
        self._failures = 0
        try:
            while not self._stopped.is_set():
                try:
                    self._work(wakeups)
                except (SQLAlchemyError, SdkError) as error:
                    self._failures += 1
                    rest = min(0.5 * 2 ** (self._failures - 1), _LONGEST_REST)
                    logger.warning("the relay rests for %.1f s: %s", rest, error)
                    self._stopped.wait(rest)
        finally:
            wakeups.close()
            self._stopped.clear()

    async def run_async(self) -> None:
        """Publish until `stop` is called or this task is cancelled, in a thread of its own."""
        work = asyncio.ensure_future(asyncio.to_thread(self.run))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self.stop()
            await work
            raise

    def start(self) -> Self:
        """Publish in a background thread until `close`."""
        self._thread = threading.Thread(target=self.run, name="sdk-relay", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let `run` finish its batch and return."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and wait for the background thread."""
        self.stop()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- work ---

    def _work(self, wakeups: Wakeups) -> None:
        """Publish on one connection, which holds the claim, until stopped or a failure."""
        with self._engine.connect() as connection:
            try:
                while not self._stopped.is_set():
                    if not self._hold(connection):
                        self._stopped.wait(min(_STAND_BY_SECONDS, self._poll_seconds))
                        continue
                    published = self.publish_batch(connection)
                    self._failures = 0
                    if not published:
                        self._keep_house(connection)
                        wakeups.wait(self._poll_seconds, self._stopped)
            finally:
                self._release(connection)

    def _hold(self, connection: Connection) -> bool:
        with connection.begin():
            return self._claim.hold(connection)

    def _release(self, connection: Connection) -> None:
        if connection.invalidated or connection.closed:
            return
        try:
            if connection.in_transaction():
                connection.rollback()
            with connection.begin():
                self._claim.give_up(connection)
        except SQLAlchemyError as error:
            logger.debug("the claim goes with the connection: %s", error)

    def publish_batch(self, connection: Connection) -> int:
        """Publish the next rows and mark them; return how many were published.

        Raises:
            SdkError: A record was not acknowledged; it and those after it stay as they are.
            SQLAlchemyError: The database failed.
        """
        with connection.begin():
            rows = self._next_rows(connection)
        if not rows:
            return 0
        sent, refused, failure = self._publish(rows)
        with connection.begin():
            self._mark(connection, sent)
            for position, error in refused:
                self._refuse(connection, position, error)
        if self._observers and sent:
            self._observers.notify(OutboxRelayed(self._tables.channel, len(sent)))
        if failure is not None:
            raise failure
        return len(sent) + len(refused)

    def _next_rows(self, connection: Connection) -> Sequence[RowMapping]:
        table = self._tables.outbox
        wanted = (
            select(
                table.c.position,
                table.c.aggregatetype,
                table.c.payload,
                table.c.key,
                table.c.headers,
                table.c.partition,
                table.c.timestamp,
            )
            .where(table.c.sent_at.is_(None), table.c.error.is_(None))
            .order_by(table.c.position)
            .limit(self._batch)
        )
        return connection.execute(wanted).mappings().all()

    def _publish(
        self, rows: Sequence[RowMapping]
    ) -> tuple[list[int], list[tuple[int, SdkError]], SdkError | None]:
        """Send rows and wait; return what was acknowledged, what was refused and what failed."""
        pending: list[tuple[int, Delivery]] = []
        refused: list[tuple[int, SdkError]] = []
        failure: SdkError | None = None
        for row in rows:
            try:
                pending.append((row["position"], self._producer.send(record_of(row))))
            except (MessageTooLargeError, SerializationError) as error:
                refused.append((row["position"], error))
            except SdkError as error:
                failure = error
                break
        sent: list[int] = []
        for position, delivery in pending:
            try:
                delivery.result()
            except MessageTooLargeError as error:
                refused.append((position, error))
            except SdkError as error:
                failure = failure or error
            else:
                # What follows a failure is published again after it, so that order is kept.
                if failure is None:
                    sent.append(position)
        return sent, refused, failure

    def _mark(self, connection: Connection, positions: list[int]) -> None:
        if not positions:
            return
        table = self._tables.outbox
        these = _at(connection, table, positions)
        if self._keep is None:
            connection.execute(delete(table).where(these))
        else:
            connection.execute(update(table).where(these).values(sent_at=datetime.now(UTC)))

    def _refuse(self, connection: Connection, position: int, error: SdkError) -> None:
        logger.error("row %d of the outbox can never be sent: %s", position, error)
        table = self._tables.outbox
        connection.execute(
            update(table).where(table.c.position == position).values(error=str(error))
        )

    # --- housekeeping ---

    def _keep_house(self, connection: Connection) -> None:
        now = time.monotonic()
        if self._observers and now >= self._next_measure:
            self._next_measure = now + _MEASURE_SECONDS
            with connection.begin():
                found = backlog(connection, self._tables)
            self._observers.notify(
                OutboxMeasured(self._tables.channel, found.rows, found.oldest, found.failed)
            )
        if self._keep is not None and now >= self._next_prune:
            with connection.begin():
                pruned = prune(connection, self._tables, self._keep)
            # More may be due: a full round is followed by another at the next opportunity.
            self._next_prune = now if pruned == _PRUNE_ROWS else now + _PRUNE_SECONDS


def _at(connection: Connection, table: Table, positions: list[int]) -> ColumnElement[bool]:
    """Return the condition for some rows; as one array where the database has arrays."""
    if connection.dialect.name == "postgresql":
        return table.c.position == any_(bindparam(None, positions, type_=ARRAY(BigInteger)))
    return table.c.position.in_(positions)


def backlog(connection: Connection, tables: Tables) -> Backlog:
    """Return what waits in an outbox; it reads the index of waiting rows alone."""
    table = tables.outbox
    waiting = (table.c.sent_at.is_(None), table.c.error.is_(None))
    rows = connection.scalar(select(func.count()).select_from(table).where(*waiting)) or 0
    first = connection.scalar(
        select(table.c.created_at).where(*waiting).order_by(table.c.position).limit(1)
    )
    failed = (
        connection.scalar(select(func.count()).select_from(table).where(table.c.error.is_not(None)))
        or 0
    )
    return Backlog(rows, _age(first), failed)


def _age(moment: datetime | None) -> float:
    if moment is None:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (datetime.now(UTC) - aware).total_seconds())


def prune(connection: Connection, tables: Tables, keep: timedelta) -> int:
    """Delete up to 5,000 of the oldest rows that were sent longer ago than ``keep``.

    Rows are looked at in the order of their primary key, so no index by time is needed.

    Returns:
        How many were deleted.
    """
    table = tables.outbox
    oldest = connection.execute(
        select(table.c.position, table.c.sent_at).order_by(table.c.position).limit(_PRUNE_ROWS)
    ).all()
    due = [
        position
        for position, sent_at in oldest
        if sent_at is not None and _age(sent_at) > keep.total_seconds()
    ]
    if due:
        connection.execute(delete(table).where(_at(connection, table, due)))
    return len(due)
