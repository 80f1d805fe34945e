"""The relay: publishes what has been committed to the outbox, in order, at least once."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from sdk.abstractions import Observer
from sdk.errors import ConfigurationError, SdkError
from sdk.happenings import OutboxMeasured, OutboxRelayed
from sdk.observers import Observers
from sdk.outbox.claims import Claim, claim_for
from sdk.outbox.database import reason
from sdk.outbox.queue import PRUNED_ROWS, backlog, mark_refused, mark_sent, next_rows, prune
from sdk.outbox.sending import FINAL, Sender
from sdk.outbox.tables import Tables
from sdk.outbox.wakeups import Wakeups, wakeups_for
from sdk.publishing.producer import Producer
from sdk.retry import doubled

logger = logging.getLogger(__name__)

_STAND_BY_SECONDS = 1.0
_PRUNE_SECONDS = 10.0
_MEASURE_SECONDS = 5.0
_LONGEST_PAUSE = 10.0


class Relay:
    """Publishes the rows of an outbox; several relays may run, one of which is active.

    A row is marked after the broker has acknowledged it. A relay that dies in between leaves rows
    that are published again, with the same CloudEvents ids, by which an `Inbox` recognizes them.
    While Kafka is unavailable the relay waits and skips nothing. A record that is rejected (it is
    too large) gets its error in the row and is skipped.

    If deliveries time out, a later record of a key may be published before an earlier one that has
    expired. Use a producer with a ``producer.delivery_timeout_ms`` longer than any outage, as the
    command ``sdk outbox relay`` does.

    Args:
        engine: The service's database; a synchronous engine.
        producer: Publishes the records.
        tables: The tables, if they have a prefix or schema.
        batch: Rows that are published together.
        poll_seconds: Longest wait between two polls.
        keep: How long sent rows are kept; None deletes each at once.
        observers: Called with `OutboxRelayed` and `OutboxMeasured`; by default those of the
            producer.

    Raises:
        ConfigurationError: The engine is asynchronous.
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
        observers: Iterable[Observer] = (),
    ) -> None:
        if isinstance(engine, AsyncEngine):
            raise ConfigurationError(
                "a relay needs a synchronous engine, also for run_async",
                remedy="make one for the same database with sqlalchemy.create_engine",
            )
        self._engine = engine
        self._tables = tables or Tables()
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._keep = keep
        given = tuple(observers)
        self._observers = Observers(given) if given else producer.observers
        self._outboxes = producer.observers.outboxes
        self._claim: Claim = claim_for(engine.dialect.name, self._tables)
        self._stopped = threading.Event()
        self._sender = Sender(producer, self._stopped)
        self._thread: threading.Thread | None = None
        self._next_prune = self._next_measure = 0.0
        self._publishing = False
        self._failures = 0
        self._failure: str | None = None

    def run(self) -> None:
        """Publish until `stop` is called, in this thread.

        Raises:
            ClosedError: The producer is closed.
            FencedError: The producer was fenced.
        """
        wakeups = wakeups_for(self._engine, self._tables)
        self._failures = 0
        try:
            while not self._stopped.is_set():
                try:
                    self._work(wakeups)
                except FINAL as error:
                    self._failure = reason(error)
                    raise
                except Exception as error:  # noqa: BLE001 - rows would wait forever otherwise
                    self._pause(error)
        finally:
            wakeups.close()
            self._stopped.clear()

    def _pause(self, error: Exception) -> None:
        self._failures += 1
        self._failure = reason(error)
        seconds = doubled(0.5, self._failures, _LONGEST_PAUSE)
        known = isinstance(error, SQLAlchemyError | SdkError)
        logger.warning(
            "the relay pauses for %.1f s: %s",
            seconds,
            self._failure,
            exc_info=None if known else error,
        )
        self._stopped.wait(seconds)

    async def run_async(self) -> None:
        """Publish in a new thread until `stop` is called or this task is cancelled."""
        work = asyncio.ensure_future(asyncio.to_thread(self.run))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self.stop()
            await work
            raise

    def start(self) -> Self:
        """Publish in a background thread until `close`."""

        def run() -> None:
            try:
                self.run()
            except SdkError as error:
                logger.error("the relay has stopped with pending rows: %s", error)

        self._thread = threading.Thread(target=run, name="sdk-relay", daemon=True)
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

    def status(self) -> dict[str, Any]:
        """Return the relay's state, for probes; a standby relay is ready too.

        Returns:
            ``live``, ``ready``, whether it is the one that is ``publishing``, the topics that are
            ``paused`` because nothing can be written to them, and the database's ``error``.
        """
        return {
            "live": True,
            "ready": self._failure is None,
            "publishing": self._publishing,
            "paused": self._sender.paused,
            "error": self._failure,
        }

    def _work(self, wakeups: Wakeups) -> None:
        """Publish on one connection, which holds the claim, until stopped or a failure."""
        with self._engine.connect() as connection:
            try:
                while not self._stopped.is_set():
                    if not self._hold(connection):
                        self._failures, self._failure = 0, None
                        self._stopped.wait(min(_STAND_BY_SECONDS, self._poll_seconds))
                        continue
                    published = self.publish_batch(connection)
                    self._failures, self._failure = 0, None
                    self._clean_up(connection)
                    if not published:
                        wakeups.wait(self._poll_seconds, self._stopped)
            finally:
                self._release(connection)

    def _hold(self, connection: Connection) -> bool:
        with connection.begin():
            self._publishing = self._claim.hold(connection)
        return self._publishing

    def _release(self, connection: Connection) -> None:
        self._publishing = False
        if connection.invalidated or connection.closed:
            return
        try:
            if connection.in_transaction():
                connection.rollback()
            with connection.begin():
                self._claim.give_up(connection)
        except SQLAlchemyError as error:
            connection.invalidate()  # the claim goes with it
            logger.debug("the claim was not released: %s", reason(error))

    def publish_batch(self, connection: Connection) -> int:
        """Publish the next rows and mark them; return how many were published or refused.

        A row that was not acknowledged stays, and so do later rows with its topic and key.

        Raises:
            SQLAlchemyError: The database failed.
            ClosedError: The producer is closed.
            FencedError: The producer was fenced.
        """
        with connection.begin():
            rows = next_rows(connection, self._tables, self._batch, self._sender.paused)
        if not rows:
            return 0
        sent = self._sender.send(rows, lambda: self._meanwhile(connection))
        with connection.begin():
            mark_sent(connection, self._tables, sent.acknowledged, keep=self._keep is not None)
            mark_refused(connection, self._tables, sent.refused)
        for position, error in sent.refused.items():
            logger.error("row %d of the outbox can never be sent: %s", position, error)
        if self._observers and sent.acknowledged:
            self._observers.notify(OutboxRelayed(self._tables.channel, len(sent.acknowledged)))
        return len(sent.acknowledged) + len(sent.refused)

    def _meanwhile(self, connection: Connection) -> None:
        """Keep the claim and report the pending rows while Kafka does not answer."""
        self._hold(connection)
        self._measure(connection)

    def _clean_up(self, connection: Connection) -> None:
        self._measure(connection)
        if self._keep is not None and time.monotonic() >= self._next_prune:
            with connection.begin():
                pruned = prune(connection, self._tables, self._keep)
            # After a full batch more rows may be due, which are deleted at the next opportunity.
            self._next_prune = time.monotonic() + (0 if pruned == PRUNED_ROWS else _PRUNE_SECONDS)

    def _measure(self, connection: Connection) -> None:
        started = time.monotonic()
        if started < self._next_measure:
            return
        with connection.begin():
            found = backlog(connection, self._tables)
        # Counting many pending rows takes time, most of which should go into publishing.
        now = time.monotonic()
        self._next_measure = now + max(_MEASURE_SECONDS, 20 * (now - started))
        name = self._tables.channel
        measured = OutboxMeasured(name, found.rows, found.oldest, found.failed)
        self._outboxes[name] = measured
        self._observers.notify(measured)
