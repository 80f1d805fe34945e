"""The harness itself: what it starts answers, and never outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from tests.servers.kafka import KafkaCluster
from tests.servers.process import ServerProcess, free_port
from tests.servers.target import Target, named


def test_kafka_stores_and_returns_a_message(kafka: Target, unique: Callable[[str], str]) -> None:
    """A message that the raw client sends comes back with its key and headers."""
    topic = unique("smoke")
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic(topic, 3)])[topic].result(30)
    producer = Producer({"bootstrap.servers": kafka.address, "enable.idempotence": True})
    producer.produce(topic, b"value", b"key", headers=[("h", b"1"), ("h", None)])
    assert producer.flush(30) == 0

    consumer = Consumer(
        {
            "bootstrap.servers": kafka.address,
            "group.id": unique("group"),
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    message = consumer.poll(90)
    consumer.close()

    assert message is not None
    assert message.error() is None
    assert (message.key(), message.value()) == (b"key", b"value")
    assert message.headers() == [("h", b"1"), ("h", None)]


def test_registry_registers_and_returns_a_schema(
    registry: Target, unique: Callable[[str], str]
) -> None:
    """A schema that the unmodified client registers is found by its id."""
    schema = f'{{"type":"record","name":"{unique("R").replace("-", "_")}","fields":[]}}'
    with SchemaRegistryClient({"url": registry.address, "timeout": 30}) as client:
        schema_id = client.register_schema(unique("subject"), Schema(schema, "AVRO"))
        assert "record" in (client.get_schema(schema_id).schema_str or "")


def test_a_killed_broker_comes_back_with_its_messages(
    own_kafka: Callable[..., KafkaCluster], tmp_path: Path
) -> None:
    """Messages acknowledged before ``kill -9`` are still there after the restart."""
    with own_kafka(tmp_path) as cluster:
        address = cluster.bootstrap_servers
        admin = AdminClient({"bootstrap.servers": address})
        admin.create_topics([NewTopic("kept", 1)])["kept"].result(30)
        producer = Producer({"bootstrap.servers": address})
        producer.produce("kept", b"value")
        assert producer.flush(30) == 0
        broker = cluster.brokers[0].process
        broker.kill()
        broker.start()
        consumer = Consumer(
            {"bootstrap.servers": address, "group.id": "g", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe(["kept"])
        message = consumer.poll(90)
        consumer.close()
    assert message is not None
    assert message.value() == b"value"


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_process_that_started_them(
    end: signal.Signals, tmp_path: Path
) -> None:
    """However the test run ends, its servers end too."""
    pid_file = tmp_path / "pid"
    script = (
        "import sys, time; from pathlib import Path; from tests.servers.process import *\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "server = ServerProcess('sleeper', sleeper, folder, ready=lambda log: True)\n"
        "server.start(); (folder / 'new').write_text(str(server.pid))\n"
        "(folder / 'new').rename(folder / 'pid'); time.sleep(600)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    _wait_until(pid_file.exists)
    server = int(pid_file.read_text())
    assert _lives(server)
    run.send_signal(end)
    run.wait(60)
    _wait_until(lambda: not _lives(server))


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    """The error carries the last lines of what the server wrote."""
    command = [sys.executable, "-c", "import sys; sys.exit('no such luck')"]
    server = ServerProcess("unlucky", command, tmp_path, ready=lambda log: False)
    with pytest.raises(RuntimeError, match=r"unlucky ended at start(.|\n)*no such luck"):
        server.start()
    server.stop()


def test_servers_named_by_the_environment_are_not_ours() -> None:
    """A named server is used and never harmed; ``embedded`` names none."""
    variable = "SDK_REGISTRY__URL"
    assert named(variable, {}) is None
    assert named(variable, {variable: "embedded"}) is None
    assert named(variable, {variable: "http://r"}) == Target(address="http://r", owned=False)


def test_free_ports_can_be_bound_again_at_once() -> None:
    """A port that was given out lies below the range of outgoing connections."""
    assert all(15_000 <= free_port() < 30_000 for _ in range(50))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return not state.stdout.startswith("Z") and bool(state.stdout)


def _wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
