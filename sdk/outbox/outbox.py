"""The outbox: events are written into the caller's own database transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any, overload
from uuid import UUID

from sqlalchemy import Insert, func, insert

from sdk.checks import HeaderInput, check_record
from sdk.events import Event
from sdk.outbox.rows import row_of
from sdk.outbox.sessions import AnyAsyncSession, SyncSession, dialect_name, is_async
from sdk.outbox.tables import Tables
from sdk.publishing.encoder import FROM_EVENT, Encoder
from sdk.records import ProducerRecord


class Outbox:
    """Writes events as rows that a `Relay` publishes once their transaction has committed.

    A row contains the final bytes: the event is encoded, routed and keyed when it is added, so that
    this cannot fail later.

    Args:
        encoder: ``messaging.encoder``.
        tables: The tables, if they have a prefix or schema.

    Attributes:
        tables: The tables.
    """

    def __init__(self, encoder: Encoder, tables: Tables | None = None) -> None:
        self._encoder = encoder
        self.tables = tables or Tables()
        plain = insert(self.tables.outbox)
        # The relays are notified when the transaction commits, and not if it is rolled back.
        notify = func.pg_notify(self.tables.channel, "")
        self._inserts: dict[str, Insert] = {"postgresql": plain.returning(notify)}
        self._plain = plain

    @overload
    def add(
        self,
        session: SyncSession,
        event: Event,
        *,
        key: object = ...,
        headers: HeaderInput = ...,
        topic: str | None = ...,
        partition: int | None = ...,
    ) -> UUID: ...

    @overload
    def add(
        self,
        session: AnyAsyncSession,
        event: Event,
        *,
        key: object = ...,
        headers: HeaderInput = ...,
        topic: str | None = ...,
        partition: int | None = ...,
    ) -> Awaitable[UUID]: ...

    def add(
        self,
        session: SyncSession | AnyAsyncSession,
        event: Event,
        *,
        key: object = FROM_EVENT,
        headers: HeaderInput = (),
        topic: str | None = None,
        partition: int | None = None,
    ) -> UUID | Awaitable[UUID]:
        """Write an event into the transaction of ``session``; it is published if that commits.

        With an `AsyncSession` or `AsyncConnection`, await the answer.

        Args:
            session: SQLAlchemy connection or session, in the caller's transaction.
            event: Instance of a generated event class.
            key: As in `Producer.produce`.
            headers: As in `Producer.produce`.
            topic: As in `Producer.produce`.
            partition: As in `Producer.produce`.

        Returns:
            The CloudEvents id of the event.

        Raises:
            SerializationError: The event does not fit its schema.
            RoutingError: The event has no topic.
            RegistryError: The schema id is unavailable; `Messaging.warm_up` at start prevents it.
        """
        name = event.__event__.full_name if hasattr(event, "__event__") else None
        make = partial(
            self._encoder.record, event, key=key, headers=headers, topic=topic, partition=partition
        )
        if not is_async(session):
            return self.add_record(session, make(), event=name)
        ready = name is not None and self._encoder.ready(
            event, key, self._encoder.topic_of(type(event), topic)
        )
        return self._add_async(session, make, name, ready=ready)  # type: ignore[arg-type]

    async def _add_async(
        self, session: AnyAsyncSession, make: Any, name: str | None, *, ready: bool
    ) -> UUID:
        # A request to the registry must not block the event loop.
        record = make() if ready else await asyncio.to_thread(make)
        return await self.add_record(session, record, event=name)

    @overload
    def add_record(
        self, session: SyncSession, record: ProducerRecord, *, event: str | None = ...
    ) -> UUID: ...

    @overload
    def add_record(
        self, session: AnyAsyncSession, record: ProducerRecord, *, event: str | None = ...
    ) -> Awaitable[UUID]: ...

    def add_record(
        self,
        session: SyncSession | AnyAsyncSession,
        record: ProducerRecord,
        *,
        event: str | None = None,
    ) -> UUID | Awaitable[UUID]:
        """Write a record, such as a tombstone, unchanged into the transaction of ``session``.

        Args:
            session: As in `add`.
            record: The record, such as that of `Encoder.tombstone`.
            event: Full name of its event, if any.

        Raises:
            SerializationError: No client could send the record.
        """
        check_record(record)
        row = row_of(record, event)
        statement = self._inserts.get(dialect_name(session), self._plain)
        done: Any = session.execute(statement, row)
        event_id: UUID = row["id"]
        return _after(done, event_id) if is_async(session) else event_id


async def _after(done: Awaitable[object], event_id: UUID) -> UUID:
    await done
    return event_id
