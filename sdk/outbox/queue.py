"""The outbox's table as a queue: the next rows, their outcomes, the number pending."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    any_,
    bindparam,
    delete,
    func,
    select,
    update,
)

from sdk.outbox.rows import RECORD_COLUMNS
from sdk.outbox.tables import Tables

PRUNED_ROWS = 5_000
"""Most rows that are deleted in one transaction."""

_PARAMETERS = 900
"""Older versions of SQLite accept 999 in a statement."""


@frozen
class Backlog:
    """The committed rows that are not yet published.

    Attributes:
        rows: How many.
        oldest: Seconds since the oldest of them was added; 0 if there is none.
        failed: How many failed permanently; their column ``error`` has the reason.
    """

    rows: int
    oldest: float
    failed: int


def next_rows(
    connection: Connection, tables: Tables, limit: int, without: Collection[str] = ()
) -> Sequence[Any]:
    """Return the oldest pending rows: position, then the columns for `record_of`.

    Args:
        connection: In a transaction.
        tables: The tables.
        limit: Most rows.
        without: Topics whose rows are left out.
    """
    table = tables.outbox
    wanted = select(table.c.position, *(table.c[name] for name in RECORD_COLUMNS))
    wanted = wanted.where(tables.waiting).order_by(table.c.position).limit(limit)
    if without:
        wanted = wanted.where(table.c.aggregatetype.not_in(without))
    return connection.execute(wanted).all()


def mark_sent(
    connection: Connection, tables: Tables, positions: list[int], *, keep: bool = True
) -> None:
    """Mark rows as sent, or delete them."""
    table, now = tables.outbox, datetime.now(UTC)
    for these in _at(connection, tables, positions):
        if keep:
            connection.execute(update(table).where(these).values(sent_at=now))
        else:
            connection.execute(delete(table).where(these))


def mark_refused(connection: Connection, tables: Tables, errors: Mapping[int, str]) -> None:
    """Store the errors of rows, by position, that can never be sent."""
    table = tables.outbox
    for position, error in errors.items():
        connection.execute(update(table).where(table.c.position == position).values(error=error))


def backlog(connection: Connection, tables: Tables) -> Backlog:
    """Return the backlog; only the indexes of pending and of failed rows are read."""
    table, count = tables.outbox, func.count()
    rows = connection.scalar(select(count).select_from(table).where(tables.waiting)) or 0
    failed = connection.scalar(select(count).select_from(table).where(table.c.error.is_not(None)))
    first = connection.scalar(
        select(table.c.created_at).where(tables.waiting).order_by(table.c.position).limit(1)
    )
    return Backlog(rows, _age(first), failed or 0)


def prune(connection: Connection, tables: Tables, keep: timedelta) -> int:
    """Delete up to 5,000 of the oldest rows that were sent longer ago than ``keep``.

    Rows are read in the order of their primary key, so no index by time is needed.

    Returns:
        How many were deleted.
    """
    table = tables.outbox
    oldest = connection.execute(
        select(table.c.position, table.c.sent_at)
        .where(table.c.sent_at.is_not(None))
        .order_by(table.c.position)
        .limit(PRUNED_ROWS)
    )
    due = [position for position, sent_at in oldest if _age(sent_at) > keep.total_seconds()]
    mark_sent(connection, tables, due, keep=False)
    return len(due)


def _at(
    connection: Connection, tables: Tables, positions: list[int]
) -> Iterator[ColumnElement[bool]]:
    """Yield conditions for some rows; one array where the database has arrays."""
    column = tables.outbox.c.position
    if connection.dialect.name == "postgresql":
        if positions:
            yield column == any_(bindparam(None, positions, type_=ARRAY(BigInteger)))
        return
    for start in range(0, len(positions), _PARAMETERS):
        yield column.in_(positions[start : start + _PARAMETERS])


def _age(moment: datetime | None) -> float:
    if moment is None:
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (datetime.now(UTC) - aware).total_seconds())
