"""Decides which of several relays is active: one per outbox, so that order is kept.

One relay publishes far more than a database writes, so the others only stand by. That is simpler
than dividing the keys among relays, and the order of a key cannot break when relays start or stop.
See ``benchmarks/outbox.py``.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Connection, cast, func, insert, select, update
from sqlalchemy.dialects.postgresql import OID, REGCLASS
from sqlalchemy.exc import IntegrityError

from sdk.outbox.tables import Tables

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
"""How long the relay of a killed process keeps the others waiting."""

_LONGEST_LEASE = 2 * LEASE_SECONDS
"""How far ahead a lease may end where clocks differ a little, seconds."""

_LOCKS = 0x53444B << 32  # oids have 32 bits
_KEEP_ALIVE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Claim(Protocol):
    """The right to publish, held by one relay at a time."""

    def hold(self, connection: Connection) -> bool:
        """Acquire or keep the claim; return whether this relay holds it."""

    def give_up(self, connection: Connection) -> None:
        """Let another relay take over at once."""


class AdvisoryLock:
    """A session-level advisory lock of PostgreSQL, released when the relay's connection ends.

    The lock belongs to the table that the search path finds. A relay whose machine disappears
    without closing its connection loses it after about 25 seconds, by TCP keep-alive probes.

    Args:
        tables: The tables whose relays compete.
    """

    def __init__(self, tables: Tables) -> None:
        self._table = tables.outbox
        self._held: tuple[object, int] | None = None

    def hold(self, connection: Connection) -> bool:
        """Take the lock, unless this connection has it already."""
        session = connection.connection.driver_connection
        if self._held is not None and self._held[0] is session:
            return True
        self._held = None
        name = connection.dialect.identifier_preparer.format_table(self._table)
        # Fails where the table does not exist.
        number = _LOCKS | int(connection.scalar(select(cast(cast(name, REGCLASS), OID))) or 0)
        if not connection.scalar(select(func.pg_try_advisory_lock(number))):
            return False
        for setting, value in _KEEP_ALIVE.items():
            connection.execute(select(func.set_config(setting, value, False)))
        self._held = (session, number)
        return True

    def give_up(self, connection: Connection) -> None:
        """Release the lock."""
        held, self._held = self._held, None
        if held is not None:
            connection.execute(select(func.pg_advisory_unlock(held[1])))


class LeaseRow:
    """A row with the active relay and its expiry, for other databases.

    The clocks of the relays' machines must be synchronized.

    Args:
        tables: The tables whose relays compete.
    """

    def __init__(self, tables: Tables) -> None:
        self._table = tables.lease
        self._name = tables.channel
        self._owner = uuid4().hex

    def hold(self, connection: Connection) -> bool:
        """Acquire the lease if it is free or expired, or extend it."""
        now, table = time.time(), self._table
        mine = (
            (table.c.owner == self._owner)
            | (table.c.until < now)
            | (table.c.until > now + _LONGEST_LEASE)  # a clock was set back
        )
        updated = connection.execute(
            update(table)
            .where(table.c.name == self._name, mine)
            .values(owner=self._owner, until=now + LEASE_SECONDS)
        )
        if updated.rowcount:
            return True
        if connection.scalar(select(table.c.owner).where(table.c.name == self._name)) is not None:
            return False
        try:
            with connection.begin_nested():
                connection.execute(
                    insert(table).values(
                        name=self._name, owner=self._owner, until=now + LEASE_SECONDS
                    )
                )
        except IntegrityError:  # another relay was faster
            return False
        return True

    def give_up(self, connection: Connection) -> None:
        """Expire the lease now."""
        connection.execute(
            update(self._table)
            .where(self._table.c.name == self._name, self._table.c.owner == self._owner)
            .values(until=0.0)
        )


def claim_for(dialect: str, tables: Tables) -> Claim:
    """Return the claim that a database supports."""
    return AdvisoryLock(tables) if dialect == "postgresql" else LeaseRow(tables)
