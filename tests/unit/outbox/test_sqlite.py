"""Outbox, relay and inbox on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event

from tests.inbox_suite import InboxSuite
from tests.outbox_suite import OutboxSuite, Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A database in a file, in which writers wait for each other."""
    path = tmp_path / "shop.db"
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _write_ahead(connection: object, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]

    yield from open_shop(engine, f"sqlite+aiosqlite:///{path}")


class TestSqlite(OutboxSuite):
    """The suite."""


class TestSqliteInbox(InboxSuite):
    """The inbox's suite."""
