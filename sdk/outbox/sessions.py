"""One interface to SQLAlchemy's connections and sessions, synchronous and asynchronous."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, scoped_session

from sdk.errors import ConfigurationError, DatabaseError

_FAILED = 3
"""A transaction's state for libpq, PQTRANS_INERROR."""

SyncSession = Connection | Session | scoped_session[Any]
AnyAsyncSession = AsyncConnection | AsyncSession


def is_async(session: SyncSession | AnyAsyncSession) -> bool:
    """Whether statements of this session have to be awaited."""
    return isinstance(session, AsyncConnection | AsyncSession)


def dialect_name(session: SyncSession | AnyAsyncSession) -> str:
    """Return the name of the database's dialect, such as ``postgresql``."""
    if isinstance(session, Connection | AsyncConnection):
        return session.dialect.name
    return str(session.get_bind().dialect.name)


def check_begun(connection: Connection) -> None:
    """Raise an error for a connection that commits each statement by itself.

    Raises:
        ConfigurationError: What a handler writes could not be rolled back.
    """
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "in_transaction"):  # SQLite's; it may also have begun by a statement
        alone = driver.isolation_level is None and not driver.in_transaction
    else:
        alone = getattr(driver, "autocommit", False) is True
    if alone:
        raise ConfigurationError(
            "the inbox needs transactions, and its connections commit each statement",
            remedy="create its engine without isolation_level='AUTOCOMMIT'",
        )


def check_unfailed(connection: Connection) -> None:
    """Raise an error for a transaction that PostgreSQL would roll back without saying so.

    Raises:
        DatabaseError: A statement has failed in it, and the handler has hidden that.
    """
    info = getattr(connection.connection.driver_connection, "info", None)
    if getattr(info, "transaction_status", None) == _FAILED:
        raise DatabaseError(
            "a statement of the handler has failed, so that its transaction cannot be committed",
            remedy="let the handler raise the error, or use session.begin_nested() around what"
            " may fail",
        )


def connection_of(session: SyncSession, table: Table) -> Connection:
    """Return the connection on which a session uses a table.

    Raises:
        PendingRollbackError: The session's transaction has failed.
    """
    if isinstance(session, Connection):
        return session
    return session.connection(bind_arguments={"clause": table})


async def async_connection_of(session: AnyAsyncSession, table: Table) -> Connection:
    """Return what `connection_of` does, for an asynchronous session."""
    if isinstance(session, AsyncSession):
        session = await session.connection(bind_arguments={"clause": table})
    connection = session.sync_connection
    assert connection is not None
    return connection
