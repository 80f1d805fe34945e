"""The sample service, run as other people's scripts run it: by path, from any directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.embedded import Embedded
from sdk.topics import TopicDefinition

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
TOLD = ["event", "version", "topic", "partition", "offset", "key"]


@pytest.fixture
def joined() -> Iterator[dict[str, str]]:
    """Host broker and registry, and give the variables by which other processes join."""
    with Embedded(topics=[TopicDefinition(name="orders.created", partitions=6)]) as host:
        yield {
            "SDK_ENV": "embedded",
            "SDK_KAFKA__BOOTSTRAP_SERVERS": host.bootstrap_servers,
            "SDK_REGISTRY__URL": host.url,
        }


def run(
    script: str, *options: str, folder: Path, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a sample script in a folder, without variables of ours but those given."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SDK_")}
    return subprocess.run(
        [sys.executable, str(SAMPLES / script), *options],
        cwd=folder,
        env={**clean, "PYTHONWARNINGS": "error", **(variables or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what a script printed with ``--json``."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_producer_needs_nothing_installed(tmp_path: Path) -> None:
    """Without any setting the producer publishes both versions on embedded parts."""
    sent = objects(run("order_service/producer.py", "--count", "4", "--json", folder=tmp_path))
    assert [each["version"] for each in sent] == [1, 2, 1, 2]
    assert [list(each) for each in sent] == [TOLD] * 4
    assert {each["topic"] for each in sent} == {"orders.created"}
    assert {each["event"] for each in sent} == {"orders.OrderCreated"}


def test_consumer_reads_every_version_as_the_newest(tmp_path: Path, joined: dict[str, str]) -> None:
    """A consumer in another process reads both versions as version 2, defaults filled in."""
    producer, consumer = "order_service/producer.py", "order_service/consumer.py"
    sent = objects(run(producer, "--count", "6", "--json", folder=tmp_path, variables=joined))
    options = ("--count", "6", "--timeout", "40", "--json")
    read = objects(run(consumer, *options, folder=tmp_path, variables=joined))
    places = {(each["partition"], each["offset"]): each for each in sent}
    assert len(read) == 6
    for each in read:
        source = places[each["partition"], each["offset"]]
        assert each["key"] == source["key"] == each["fields"]["order_id"]
        assert each["version"] == 2
        assert each["written_version"] == source["version"]
        if source["version"] == 1:
            assert each["fields"]["currency"] == "EUR"
            assert each["fields"]["lines"] == []


def test_one_version_can_be_chosen(tmp_path: Path) -> None:
    """With ``--version`` only that version is published, and people get readable lines."""
    done = run("order_service/producer.py", "--count", "2", "--version", "1", folder=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("orders.OrderCreated v1 → orders.created [") for line in lines)


def test_consumer_gives_up_after_its_time_out(tmp_path: Path) -> None:
    """A consumer that does not get its events in time ends with exit code 1."""
    done = run("order_service/consumer.py", "--count", "1", "--timeout", "0.5", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def test_settings_error_is_one_line(tmp_path: Path) -> None:
    """An environment that does not exist is told in one line, without a traceback."""
    done = run("order_service/producer.py", "--env", "prodution", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: environment 'prodution' is unknown")
    assert "production" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_shows_the_whole_way(tmp_path: Path) -> None:
    """The demo ends well after showing contracts, registry and both versions."""
    done = run("demo.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for title in ("1  Contracts", "2  Schema Registry", "3  Published", "4  Consumed"):
        assert title in done.stdout
    assert done.stdout.count("orders.created ") == 6
    assert "Done in" in done.stdout


@pytest.mark.parametrize("script", ["demo.py", "order_service/producer.py"])
def test_who_reads_the_output_may_leave(tmp_path: Path, script: str) -> None:
    """A script ends quietly when its output is no longer read, as in ``| head``."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SDK_")}
    with subprocess.Popen(
        [sys.executable, str(SAMPLES / script)],
        cwd=tmp_path,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in told
    assert "BrokenPipe" not in told
