"""One interface to SQLAlchemy's connections and sessions, synchronous and asynchronous."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, scoped_session

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
