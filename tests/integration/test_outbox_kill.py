"""The outbox while its service and its relays are killed: nothing lost, nothing out of order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from contracts.orders import OrderCreated
from sqlalchemy import Engine, Table, create_engine, func, select

import sdk
from sdk import avro
from sdk.outbox.queue import backlog
from sdk.records import ConsumerRecord
from tests.integration.outbox_service import KEYS, applied, metadata, placed, tables
from tests.servers.java import MissingTool
from tests.servers.postgres import PostgresServer
from tests.servers.target import Target

ROOT = Path(__file__).parents[2]
ORDERS = int(os.environ.get("OUTBOX_ORDERS", "1000"))
"""A long run: OUTBOX_ORDERS=100000 pytest -s -o timeout=0 tests/integration/test_outbox_kill.py."""


@pytest.fixture(params=["postgresql", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with the tables of the services."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'shop.db'}?timeout=60"
        if request.param == "postgresql":
            try:
                server = PostgresServer(tmp_path)
            except MissingTool as error:
                pytest.fail(f"cannot run the real servers: {error}", pytrace=False)
            url = stack.enter_context(server).url
        made = create_engine(url)
        stack.callback(made.dispose)
        if request.param == "sqlite":
            with made.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        metadata.create_all(made)
        yield made


@pytest.fixture
def environment(
    kafka: Target, registry: Target, unique: Callable[[str], str], tmp_path: Path
) -> dict[str, str]:
    """The environment of the processes: servers, and a topic of this test."""
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f"""[default]
contracts = "contracts"
[default.kafka]
bootstrap_servers = {kafka.address.split(",")!r}
[default.producer]
delivery_timeout_ms = 20000
[default.consumer]
session_timeout_ms = 6000
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


@pytest.mark.timeout(400)
def test_kills_lose_and_invent_nothing(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    """Just the committed orders arrive, in order for each key; each is applied once."""
    started = time.monotonic()
    url = engine.url.render_as_string(hide_password=False)
    relay = ("-m", "sdk", "outbox", "relay", "--database", url)
    module = ("-m", "tests.integration.outbox_service")
    commands: dict[str, tuple[str, ...]] = {
        "place": (*module, "place", url, str(ORDERS), "0"),
        "relay 1": relay,
        "relay 2": relay,
        "apply": (*module, "apply", url),
    }
    chance = random.Random(ORDERS)
    victims = list(commands) * max(1, ORDERS // 20_000)
    chance.shuffle(victims)
    moments = sorted(chance.randrange(1, ORDERS * 9 // 10) for _ in victims)
    with ExitStack() as stack:
        running = {name: _start(stack, environment, *commands[name]) for name in commands}
        for seed, (moment, victim) in enumerate(zip(moments, victims, strict=True), start=1):
            _wait_for(engine, running["place"], moment)
            running[victim].kill()
            running[victim].wait()
            command = commands[victim]
            if victim == "place":
                command = (*command[:-1], str(seed))
            running[victim] = _start(stack, environment, *command)
        assert running["place"].wait(120 + ORDERS / 50) == 0
        with engine.connect() as connection:
            committed = connection.scalars(select(placed.c.number).order_by(placed.c.number)).all()
        _until(lambda: _count(engine, tables.inbox), len(committed))
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        # A signal ends at once what was started last and is not ready yet.
        ended = {process.wait(90) for process in running.values()}
        assert ended <= {0, -signal.SIGTERM, 128 + signal.SIGTERM}
    assert len(committed) > ORDERS / 2
    with engine.connect() as connection:
        assert backlog(connection, tables).rows == 0
        done = connection.scalars(select(applied.c.number).order_by(applied.c.position)).all()
    arrived = _arrived(tmp_path)
    first_seen = list(dict.fromkeys(arrived))
    for numbers in (first_seen, done):
        assert sorted(numbers) == committed
        for key in range(KEYS):
            of_key = [number for number in numbers if number % KEYS == key]
            assert of_key == sorted(of_key)
    print(
        f"{engine.dialect.name}: {len(committed):,} of {ORDERS:,} orders committed,"
        f" {len(arrived) - len(first_seen):,} events repeated, {len(victims)} kills,"
        f" {time.monotonic() - started:.0f} s"
    )


def _start(
    stack: ExitStack, environment: dict[str, str], *arguments: str
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, *arguments], env=environment, cwd=ROOT)
    stack.callback(process.kill)
    return process


def _wait_for(engine: Engine, service: subprocess.Popen[bytes], number: int) -> None:
    """Wait until an order of at least this number was committed."""

    def reached() -> int:
        assert service.poll() in {None, 0}, "the service failed"
        with engine.connect() as connection:
            return connection.scalar(select(func.max(placed.c.number))) or 0

    _until(reached, number)


def _count(engine: Engine, table: Table) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def _until(count: Callable[[], int], wanted: int) -> None:
    """Wait until a count is reached, as long as it goes up."""
    reached, deadline = -1, time.monotonic() + 90
    while (now := count()) < wanted:
        if now > reached:
            reached, deadline = now, time.monotonic() + 90
        assert time.monotonic() < deadline, f"stuck at {now} of {wanted}"
        time.sleep(0.05)


def _arrived(folder: Path) -> list[int]:
    """Return the orders as they stand in the topic, partition by partition, repeats included."""
    settings = sdk.load_settings("production", settings=folder / "settings.toml")
    return [
        int(avro.decode(OrderCreated, (record.value or b"")[5:]).total_amount)
        for record in _records(settings)
    ]


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
    partitions = client.list_topics(topic, 60).topics[topic].partitions
    client.assign([TopicPartition(topic, number, 0) for number in partitions])
    left = sum(client.get_watermark_offsets(TopicPartition(topic, n), 60)[1] for n in partitions)
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
