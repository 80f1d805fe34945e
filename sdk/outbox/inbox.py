"""The inbox: a handler's effects and the note that they were made, in one database transaction."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, overload

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sdk.cloud_events import ID, SOURCE
from sdk.errors import ConfigurationError, DeserializationError
from sdk.outbox.sessions import AnyAsyncSession, SyncSession, dialect_name, is_async
from sdk.outbox.tables import Tables

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class HasHeaders(Protocol):
    """A record, or a handler's context."""

    def header(self, name: str) -> bytes | None:
        """Return the value of the last header called ``name``, or None."""


class Inbox:
    """Notes which events a consumer has handled, by their CloudEvents source and id.

        @consumer.handle(OrderCreated)
        def bill(event: OrderCreated, context: Context) -> None:
            with Session(engine) as session, session.begin():
                if inbox.once(session, context):
                    session.add(Invoice.of(event))

    Args:
        consumer: Name of what is done once, such as the consumer group.
        tables: The tables, where they have a prefix or schema of their own.

    Attributes:
        tables: The tables.
    """

    def __init__(self, consumer: str, tables: Tables | None = None) -> None:
        self._consumer = consumer
        self.tables = tables or Tables()

    @overload
    def once(self, session: SyncSession, record: HasHeaders) -> bool: ...

    @overload
    def once(self, session: AnyAsyncSession, record: HasHeaders) -> Awaitable[bool]: ...

    def once(
        self, session: SyncSession | AnyAsyncSession, record: HasHeaders
    ) -> bool | Awaitable[bool]:
        """Note an event in the transaction of ``session``; return whether it is the first time.

        Of two transactions that do so at the same time, the second waits for the first to end.
        With an `AsyncSession` or `AsyncConnection`, await the answer.

        Args:
            session: Connection or session of SQLAlchemy, in the handler's own transaction.
            record: The record, or the handler's context.

        Raises:
            DeserializationError: The record carries no CloudEvents id or source.
            ConfigurationError: The database is neither PostgreSQL nor SQLite.
        """
        dialect = dialect_name(session)
        if dialect not in _INSERTS:
            raise ConfigurationError(
                f"the inbox does not support the dialect {dialect!r}",
                remedy=f"use one of {', '.join(_INSERTS)}",
            )
        row = {
            "consumer": self._consumer,
            "source": _text(record, SOURCE),
            "id": _text(record, ID),
        }
        table = self.tables.inbox
        # Counts of rows are not to be trusted: drivers and sessions may not know them.
        statement = (
            _INSERTS[dialect](table).values(row).on_conflict_do_nothing().returning(table.c.id)
        )
        if is_async(session):
            return _first_async(session, statement)  # type: ignore[arg-type]
        result: Any = session.execute(statement)
        return result.first() is not None

    def prune(self, session: Connection | Session, keep: timedelta) -> int:
        """Forget what was handled longer ago than ``keep``; return how much that was.

        Keep entries for as long as an event may come again: the retention of the topic.
        """
        table = self.tables.inbox
        due = table.c.handled_at < datetime.now(UTC) - keep
        result: Any = session.execute(delete(table).where(due))
        return int(result.rowcount)


async def _first_async(session: AnyAsyncSession, statement: Any) -> bool:
    result: Any = await session.execute(statement)
    return result.first() is not None


def _text(record: HasHeaders, name: str) -> str:
    value = record.header(name)
    if value:
        return value.decode(errors="replace")
    raise DeserializationError(
        f"the record carries no {name} header, by which the inbox knows events",
        remedy="have its producer send the CloudEvents headers (producer.cloud_events)",
    )
