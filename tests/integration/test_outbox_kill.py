"""The outbox while its service and its relays are killed: nothing lost, nothing out of order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from contracts.orders import OrderCreated
from sqlalchemy import Engine, create_engine, select

import sdk
from sdk import avro
from sdk.outbox import Inbox
from sdk.outbox.queue import backlog
from sdk.records import ConsumerRecord
from tests.integration.outbox_service import KEYS, placed, tables
from tests.servers.java import MissingTool
from tests.servers.postgres import PostgresServer
from tests.servers.target import Target

ROOT = Path(__file__).parents[2]
ORDERS = int(os.environ.get("OUTBOX_ORDERS", "2000"))
"""A long run: OUTBOX_ORDERS=100000 pytest -o timeout=0 tests/integration/test_outbox_kill.py."""


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database with the service's tables."""
    try:
        server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    except MissingTool as error:
        pytest.fail(f"cannot run the real servers: {error}", pytrace=False)
    with server:
        made = create_engine(server.url)
        tables.metadata.create_all(made)
        yield made
        made.dispose()


@pytest.fixture
def environment(
    kafka: Target, registry: Target, unique: Callable[[str], str], tmp_path: Path
) -> dict[str, str]:
    """What the processes are told: servers, and a topic of this test's own."""
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f"""[default]
contracts = "contracts"
[default.kafka]
bootstrap_servers = {kafka.address.split(",")!r}
[default.producer]
delivery_timeout_ms = 20000
[default.registry]
url = {registry.address!r}
auto_register = true
[default.routing]
provision = "create"
[[default.topics]]
event = "OrderCreated"
name = "{unique("outbox")}"
partitions = 3
[production]
"""
    )
    return {
        **os.environ,
        "SDK_SETTINGS": str(settings),
        "SDK_ENV": "production",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "samples"), str(ROOT)]),
    }


def test_kills_lose_and_invent_nothing(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """Just the committed orders arrive, in order for each key; the inbox applies each once."""
    url = engine.url.render_as_string(hide_password=False)
    with ExitStack() as stack:
        relays = [
            _start(stack, environment, "-m", "sdk", "outbox", "relay", "--database", url)
            for _ in "ab"
        ]
        service: Any = None
        for seed in range(1000):
            service = _start(
                stack,
                environment,
                "-m",
                "tests.integration.outbox_service",
                url,
                str(ORDERS),
                str(seed),
            )
            if seed >= 3:
                break
            _wait_for(engine, service, ORDERS * (seed + 1) // 5)
            service.kill()
            if seed < 2:  # the relay that works, sooner or later
                relays[seed].kill()
                relays.append(
                    _start(stack, environment, "-m", "sdk", "outbox", "relay", "--database", url)
                )
        assert service.wait(120 + ORDERS / 50) == 0
        deadline = time.monotonic() + 60 + ORDERS / 200
        while _waiting(engine):
            assert time.monotonic() < deadline, "the relays are not done"
            time.sleep(0.1)
        for relay in relays:
            relay.send_signal(signal.SIGTERM)
        assert {relay.wait(30) for relay in relays} <= {0, -signal.SIGKILL}
    with engine.connect() as connection:
        committed = connection.scalars(select(placed.c.number).order_by(placed.c.number)).all()
    assert len(committed) > ORDERS / 2
    first_seen, applied = _read(engine, tmp_path)
    assert sorted(first_seen) == committed
    assert sorted(applied) == committed
    for key in range(KEYS):
        of_key = [number for number in first_seen if number % KEYS == key]
        assert of_key == sorted(of_key)


def _start(
    stack: ExitStack, environment: dict[str, str], *arguments: str
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, *arguments], env=environment, cwd=ROOT)
    stack.callback(process.kill)
    return process


def _wait_for(engine: Engine, service: subprocess.Popen[bytes], number: int) -> None:
    """Wait until an order of at least this number was committed."""
    deadline = time.monotonic() + 60 + number / 50
    while time.monotonic() < deadline:
        assert service.poll() is None, "the service ended"
        with engine.connect() as connection:
            if connection.scalar(select(placed.c.number).where(placed.c.number >= number).limit(1)):
                return
        time.sleep(0.02)
    raise TimeoutError(f"order {number} was not placed")


def _waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        return backlog(connection, tables).rows


def _read(engine: Engine, folder: Path) -> tuple[list[int], list[int]]:
    """Return the orders as they first arrived, and those that the inbox let by."""
    inbox, seen, applied = Inbox("test", tables=tables), dict[int, None](), list[int]()
    settings = sdk.load_settings("production", settings=folder / "settings.toml")
    with engine.connect() as connection:
        for record in _records(settings):
            assert record.value is not None
            number = int(avro.decode(OrderCreated, record.value[5:]).total_amount)
            seen[number] = None
            with connection.begin():
                if inbox.once(connection, record):
                    applied.append(number)
    return list(seen), applied


def _records(settings: sdk.Settings) -> list[ConsumerRecord]:
    """Read the topic to its end."""
    topic = settings.topics[0].name
    client = Consumer(
        {
            "bootstrap.servers": ",".join(settings.kafka.bootstrap_servers),
            "group.id": "reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    partitions = client.list_topics(topic, 10).topics[topic].partitions
    client.assign([TopicPartition(topic, number, 0) for number in partitions])
    left = sum(client.get_watermark_offsets(TopicPartition(topic, n), 10)[1] for n in partitions)
    found = []
    while left > 0:
        for message in client.consume(1000, 10):
            assert message.error() is None
            left -= 1
            found.append(
                ConsumerRecord(
                    topic,
                    message.partition(),
                    message.offset(),
                    message.value(),
                    message.key(),
                    tuple(message.headers() or ()),
                )
            )
    client.close()
    return found
