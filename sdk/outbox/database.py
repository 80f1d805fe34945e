"""Databases that commands open by URL; errors never show the URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from sdk.errors import ConfigurationError, DatabaseError
from sdk.outbox.queue import Backlog, backlog
from sdk.outbox.tables import Tables


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open an engine for a URL and close its connections at the end.

    Args:
        url: SQLAlchemy URL, such as ``postgresql+psycopg://user@host/name``.

    Raises:
        ConfigurationError: It is not a URL, or its driver is not installed.
    """
    try:
        engine = create_engine(url)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the database needs a driver that is not installed: {error.name}",
            remedy=f"pip install {error.name}",
        ) from error
    except (ArgumentError, NoSuchModuleError, ValueError):
        # SQLAlchemy's own text would show the URL, and with it a password.
        raise ConfigurationError(
            "the database is not a URL that SQLAlchemy knows",
            remedy="such as postgresql+psycopg://user@host/name",
        ) from None
    try:
        yield engine
    finally:
        engine.dispose()


def measure(engine: Engine, tables: Tables) -> Backlog:
    """Return the number and age of pending rows.

    Raises:
        DatabaseError: The database gave no usable answer.
    """
    try:
        with engine.connect() as connection:
            return backlog(connection, tables)
    except SQLAlchemyError as error:
        raise DatabaseError(
            f"the database did not answer: {reason(error)}", remedy=_remedy(error)
        ) from error


def reason(error: Exception) -> str:
    """Return the message of a driver in one line, without the statement and its values."""
    message = str(getattr(error, "orig", None) or error).partition("\n")[0]
    remedy = _remedy(error)
    return f"{message}: {remedy}" if remedy else message


def _remedy(error: Exception) -> str | None:
    driver = getattr(error, "orig", None)
    missing = getattr(driver, "sqlstate", "") == "42P01" or "no such table" in str(driver)
    return "create the tables, by the statements of: sdk outbox ddl" if missing else None
