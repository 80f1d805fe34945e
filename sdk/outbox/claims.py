"""Which of several relays works: one at a time for each outbox, so that order is kept.

One relay publishes far more than a database writes, so the others only stand by. That is simpler
than sharing keys out, and the order of a key cannot break when relays come and go. See
``benchmarks/outbox.py``.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from sdk.outbox.tables import Tables

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10.0


class Claim(Protocol):
    """The right to publish, held by one relay at a time."""

    def hold(self, connection: Connection) -> bool:
        """Take the claim, or keep it; return whether this relay holds it now."""

    def give_up(self, connection: Connection) -> None:
        """Let another relay take over at once."""


class AdvisoryLock:
    """PostgreSQL's lock of a session: gone with the relay's connection, however that ends.

    Args:
        tables: The tables whose relays compete.
    """

    def __init__(self, tables: Tables) -> None:
        # Two numbers of 32 bits: a constant of ours, and the outbox.
        self._key = (0x53444B, zlib.crc32(tables.channel.encode()) - 2**31)
        self._backend: int | None = None

    def hold(self, connection: Connection) -> bool:
        """Take the lock, unless this connection has it already."""
        backend = connection.scalar(select(func.pg_backend_pid()))
        if backend != self._backend:
            taken = connection.scalar(select(func.pg_try_advisory_lock(*self._key)))
            self._backend = backend if taken else None
        return self._backend is not None

    def give_up(self, connection: Connection) -> None:
        """Release the lock."""
        if self._backend is not None:
            connection.execute(select(func.pg_advisory_unlock(*self._key)))
            self._backend = None


class Lease:
    """A row that names the relay that works and says until when, for other databases.

    Args:
        tables: The tables whose relays compete.
        seconds: How long a relay that died keeps the others waiting.
        clock: Seconds since the epoch, alike on all machines.
    """

    def __init__(
        self,
        tables: Tables,
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = tables.lease
        self._name = tables.channel
        self._seconds = seconds
        self._clock = clock
        self._owner = uuid4().hex

    def hold(self, connection: Connection) -> bool:
        """Take the lease if it is free or has run out, or prolong it."""
        now, table = self._clock(), self._table
        mine = (table.c.owner == self._owner) | (table.c.until < now)
        taken = connection.execute(
            update(table)
            .where(table.c.name == self._name, mine)
            .values(owner=self._owner, until=now + self._seconds)
        )
        if taken.rowcount:
            return True
        if connection.scalar(select(table.c.owner).where(table.c.name == self._name)) is not None:
            return False
        try:
            with connection.begin_nested():
                connection.execute(
                    insert(table).values(
                        name=self._name, owner=self._owner, until=now + self._seconds
                    )
                )
        except IntegrityError:  # another relay was faster
            return False
        return True

    def give_up(self, connection: Connection) -> None:
        """Let the lease run out now."""
        connection.execute(
            update(self._table)
            .where(self._table.c.name == self._name, self._table.c.owner == self._owner)
            .values(until=0.0)
        )


def claim_for(dialect: str, tables: Tables) -> Claim:
    """Return the claim that a database supports."""
    return AdvisoryLock(tables) if dialect == "postgresql" else Lease(tables)
