"""The inbox: a handler's writes and the record of its event, in one database transaction."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Never, Protocol, TypeVar, overload

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session

from sdk.cloud_events import ID, SOURCE
from sdk.errors import ConfigurationError, UnidentifiedError
from sdk.outbox.sessions import (
    AnyAsyncSession,
    SyncSession,
    async_connection_of,
    check_begun,
    check_unfailed,
    connection_of,
    dialect_name,
    is_async,
)
from sdk.outbox.tables import Tables

logger = logging.getLogger(__name__)

S = TypeVar("S")
_S_co = TypeVar("_S_co", covariant=True)

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class HasHeaders(Protocol):
    """A record, or a handler's context."""

    def header(self, name: str) -> bytes | None:
        """Return the value of the last header called ``name``, or None."""


class Sessions(Protocol[_S_co]):
    """Begins transactions: a sessionmaker, an Engine, an async_sessionmaker or an AsyncEngine."""

    def begin(self) -> AbstractContextManager[_S_co] | AbstractAsyncContextManager[_S_co]:
        """Return a transaction: its block commits at the end and rolls back on an exception."""


class Inbox(Generic[S]):
    """Records which events a consumer has handled, by their CloudEvents source and id.

        inbox = Inbox("billing", sessionmaker(engine))

        @consumer.handle(OrderCreated, once=inbox)
        def bill(order: OrderCreated, session: Session) -> None:
            session.add(Invoice.of(order))

    Args:
        consumer: Name of the work that is done once, such as the consumer group.
        sessions: Begins the transactions of handlers: a ``sessionmaker`` or an engine, which give
            plain functions a `Session` or `Connection`, or their asynchronous counterparts for
            coroutine functions. Needed for ``once=`` only.
        tables: The tables, if they have a prefix or schema.

    Attributes:
        tables: The tables.
    """

    @overload
    def __init__(
        self: Inbox[Never], consumer: str, sessions: None = None, *, tables: Tables | None = None
    ) -> None: ...

    @overload
    def __init__(
        self, consumer: str, sessions: Sessions[S], *, tables: Tables | None = None
    ) -> None: ...

    def __init__(
        self, consumer: str, sessions: Any = None, *, tables: Tables | None = None
    ) -> None:
        self._consumer = consumer
        self._sessions = sessions
        self.tables = tables or Tables()

    @property
    def asynchronous(self) -> bool:
        """Whether handlers get sessions that are awaited.

        Raises:
            ConfigurationError: The inbox was made without sessions.
        """
        if self._sessions is None:
            raise ConfigurationError(
                "the inbox has no sessions to run handlers in",
                remedy="pass a sessionmaker: Inbox('billing', sessionmaker(engine))",
            )
        return isinstance(self._sessions, AsyncEngine | async_sessionmaker)

    @overload
    def once(self, session: SyncSession, record: HasHeaders) -> bool: ...

    @overload
    def once(self, session: AnyAsyncSession, record: HasHeaders) -> Awaitable[bool]: ...

    def once(
        self, session: SyncSession | AnyAsyncSession, record: HasHeaders
    ) -> bool | Awaitable[bool]:
        """Record an event in the transaction of ``session``; return whether it is new.

        If two transactions record the same event, the second waits for the first to end.
        With an `AsyncSession` or `AsyncConnection`, await the answer.

        Args:
            session: Connection or session of SQLAlchemy, in the handler's own transaction.
            record: The record, or the handler's context.

        Raises:
            UnidentifiedError: The record carries no CloudEvents id or source.
            ConfigurationError: The database is neither PostgreSQL nor SQLite.
        """
        statement = self._insert(session, [_identity(record)])
        if is_async(session):
            return _first(session, statement)  # type: ignore[arg-type]
        result: Any = session.execute(statement)
        return result.first() is not None

    def check(self, record: HasHeaders) -> None:
        """Raise an error for a record without a unique identity.

        Raises:
            UnidentifiedError: It carries no CloudEvents id or source.
        """
        _identity(record)

    def perform(self, records: Sequence[HasHeaders], work: Callable[[S, list[int]], object]) -> Any:
        """Record events and call a function in one transaction, as ``once=`` does.

        Args:
            records: The records of the events.
            work: Called with the session and the positions of new events; not called if there are
                none. An exception rolls everything back.

        Returns:
            None; with asynchronous sessions, an awaitable.

        Raises:
            UnidentifiedError: A record carries no CloudEvents id or source.
        """
        identities = [_identity(record) for record in records]
        if self.asynchronous:
            return self._perform_async(identities, work)
        table = self.tables.inbox
        with self._sessions.begin() as session:
            check_begun(connection_of(session, table))
            result = session.execute(self._insert(session, sorted(set(identities))))
            new = _new(identities, result)
            if new and inspect.isawaitable(work(session, new)):
                # It would run after the transaction, if at all.
                raise ConfigurationError(
                    "a handler that is a plain function returned an awaitable",
                    remedy="write the handler with async def, with asynchronous sessions",
                )
            if session.in_transaction():  # the handler has not ended it itself
                check_unfailed(connection_of(session, table))
        return None

    async def _perform_async(
        self, identities: list[tuple[str, str]], work: Callable[[S, list[int]], Any]
    ) -> None:
        table = self.tables.inbox
        async with self._sessions.begin() as session:
            check_begun(await async_connection_of(session, table))
            result = await session.execute(self._insert(session, sorted(set(identities))))
            new = _new(identities, result)
            if new:
                await work(session, new)
            if session.in_transaction():  # the handler has not ended it itself
                check_unfailed(await async_connection_of(session, table))

    def _insert(
        self, session: SyncSession | AnyAsyncSession, identities: list[tuple[str, str]]
    ) -> Any:
        """Return the statement that inserts events and returns the new ones.

        The events are sorted, so that transactions with the same events cannot deadlock.
        """
        dialect = dialect_name(session)
        if dialect not in _INSERTS:
            raise ConfigurationError(
                f"the inbox does not support the dialect {dialect!r}",
                remedy=f"use one of {', '.join(_INSERTS)}",
            )
        table = self.tables.inbox
        rows = [
            {"consumer": self._consumer, "source": source, "id": event_id}
            for source, event_id in identities
        ]
        # Row counts are unreliable: drivers and sessions may not know them.
        return (
            _INSERTS[dialect](table)
            .values(rows if len(rows) > 1 else rows[0])
            .on_conflict_do_nothing()
            .returning(table.c.source, table.c.id)
        )

    def prune(self, session: Connection | Session, keep: timedelta) -> int:
        """Delete this consumer's rows of events handled longer ago than ``keep``; return how many.

        Keep rows for as long as an event may be repeated: the retention of the topic and of its
        dead letters.
        """
        table = self.tables.inbox
        # Others may have to keep theirs for longer.
        due = (table.c.consumer == self._consumer) & (table.c.handled_at < datetime.now(UTC) - keep)
        result: Any = session.execute(delete(table).where(due))
        return int(result.rowcount)


async def _first(session: AnyAsyncSession, statement: Any) -> bool:
    result: Any = await session.execute(statement)
    return result.first() is not None


def _new(identities: list[tuple[str, str]], inserted: Any) -> list[int]:
    """Return the positions of the events that were inserted; of repeated ones the first."""
    left = {(source, event_id) for source, event_id in inserted}
    new = []
    for position, identity in enumerate(identities):
        if identity in left:
            left.remove(identity)
            new.append(position)
        else:
            logger.debug("event %s of %s was handled before", identity[1], identity[0])
    return new


def _identity(record: HasHeaders) -> tuple[str, str]:
    """Return source and id of an event."""
    return _text(record, SOURCE), _text(record, ID)


def _text(record: HasHeaders, name: str) -> str:
    value = record.header(name) or b""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""  # a replacement character could stand for other bytes too
    if text and "\0" not in text:
        return text
    raise UnidentifiedError(
        f"the record has no usable {name} header, which the inbox needs: {value!r}",
        remedy="have its producer send the CloudEvents headers (producer.cloud_events)",
    )
