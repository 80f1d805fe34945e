"""The command ``sdk outbox``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text, update

from sdk.cli.command import sdk
from sdk.outbox import Outbox, Tables
from sdk.testing import InMemoryBroker, connect
from tests.unit.messaging.shop import CATALOG, OrderCreated


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(sdk, ["outbox", *arguments])


def test_ddl_creates_the_tables(tmp_path: Path) -> None:
    """The statements for SQLite are executable, with a prefix of one's own."""
    ended = run("ddl", "--dialect", "sqlite", "--prefix", "shop_")
    assert ended.exit_code == 0
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        for statement in ended.output.split(";"):
            connection.execute(text(statement))
        tables = connection.scalars(text("select name from sqlite_master where type='table'")).all()
    engine.dispose()
    assert {"shop_outbox", "shop_inbox", "shop_relay_lease"} <= set(tables)


def test_status_counts_what_waits(tmp_path: Path) -> None:
    """Waiting rows are counted; rows that can never be sent end in exit code 1."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine, tables = create_engine(url), Tables()
    tables.metadata.create_all(engine)
    with connect(CATALOG, broker=InMemoryBroker()) as messaging:
        outbox = Outbox(messaging.encoder, tables)
        with engine.begin() as connection:
            outbox.add(connection, OrderCreated(order_id="o1"))
    ended = run("status", "--database", url, "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.output)["rows"] == 1
    with engine.begin() as connection:
        connection.execute(update(tables.outbox).values(error="too large"))
    engine.dispose()
    ended = run("status", "--database", url)
    assert ended.exit_code == 1
    assert "1 can never be sent" in ended.output


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("no url", 2, "is not a URL"),
        ("postgresql+unknown://user:hunter2@h/d", 2, "is not a URL"),
        ("sqlite:////nowhere/at/all.db", 4, "did not answer"),
        ("postgresql+psycopg://user:hunter2@127.0.0.1:1/d", 4, "did not answer"),
    ],
)
def test_wrong_databases_are_said_without_their_password(url: str, code: int, said: str) -> None:
    """A URL that cannot be used ends in one line and an exit code."""
    ended = run("status", "--database", url)
    assert ended.exit_code == code
    assert said in ended.output
    assert "hunter2" not in ended.output
