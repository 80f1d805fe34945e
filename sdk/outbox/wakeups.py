"""Waiting between batches: for a notification of the database, or for a fixed time."""

from __future__ import annotations

import logging
import threading
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from sdk.outbox.database import reason
from sdk.outbox.tables import Tables

logger = logging.getLogger(__name__)

_SLICE_SECONDS = 0.2
"""Longest uninterrupted wait of a driver, after which a stop is noticed."""


class Wakeups:
    """Ends a relay's wait when there may be rows to publish; this one after a fixed time."""

    def wait(self, seconds: float, stopped: threading.Event) -> None:
        """Return when rows were committed, after ``seconds``, or once ``stopped`` is set."""
        stopped.wait(seconds)

    def close(self) -> None:
        """Release resources."""


class Notifications(Wakeups):
    """Listens for notifications of PostgreSQL on its own connection of psycopg.

    Args:
        engine: Makes the connection.
        tables: Their channel is listened to.
    """

    def __init__(self, engine: Engine, tables: Tables) -> None:
        self._engine = engine
        self._channel = tables.channel
        self._connection: Any = None

    def wait(self, seconds: float, stopped: threading.Event) -> None:
        """Return when rows were committed, after ``seconds``, or once ``stopped`` is set."""
        try:
            if self._connection is None:
                self._listen()
                return  # commits just before are not notified
            driver = self._connection.connection.driver_connection
            left = seconds
            while left > 0 and not stopped.is_set():
                turn = min(left, _SLICE_SECONDS)
                if any(True for _ in driver.notifies(timeout=turn, stop_after=1)):
                    return
                left -= turn
        except Exception as error:  # noqa: BLE001 - any error of a driver; polling continues
            logger.warning("cannot listen for notifications, polling instead: %s", reason(error))
            self.close()
            stopped.wait(seconds)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except SQLAlchemyError as error:
                logger.debug("closing the listening connection: %s", error)

    def _listen(self) -> None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        quoted = self._engine.dialect.identifier_preparer.quote(self._channel)
        connection.execute(text(f"LISTEN {quoted}"))
        self._connection = connection


def wakeups_for(engine: Engine, tables: Tables) -> Wakeups:
    """Return the kind of wait that a database and its driver support."""
    if engine.dialect.name == "postgresql" and engine.dialect.driver == "psycopg":
        return Notifications(engine, tables)
    return Wakeups()
