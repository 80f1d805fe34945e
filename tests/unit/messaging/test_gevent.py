"""Processes whose threads are coroutines: refused at once, instead of a standstill."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SCRIPT = """
    from gevent import monkey
    monkey.patch_all({patched})

    import sdk
    from sdk.errors import ConfigurationError
    from sdk.settings import (
        KafkaOptions, ProducerOptions, RegistryOptions, Settings, TopicOptions
    )
    from tests.unit.messaging.story import new_order

    settings = Settings(
        environment="test",
        kafka=KafkaOptions(bootstrap_servers=("{server}",)),
        registry=RegistryOptions(url=("http://127.0.0.1:1",)),
        producer=ProducerOptions(format="json"),
        topics=(TopicOptions(event="OrderCreated", name="orders.created"),),
        contracts="contracts",
    )
    try:
        with sdk.connect(settings=settings) as messaging:
            print(messaging.producer.produce(new_order(1)).result(30).offset)
    except ConfigurationError as error:
        print(error)
"""


def run(patched: str, server: str) -> str:
    """Return what the script prints; fail when it does not end."""
    script = textwrap.dedent(SCRIPT.format(patched=patched, server=server))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'samples'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("server", ["127.0.0.1:1", "embedded"])
def test_patched_threads_are_refused(server: str) -> None:
    """After gevent has replaced threads, a connection says so and what to do."""
    printed = run("", server)
    assert "replaced by gevent" in printed
    assert "patch_all(thread=False)" in printed


def test_patched_sockets_are_fine() -> None:
    """With real threads beside gevent's sockets, events are published."""
    assert run("thread=False", "embedded") == "0\n"
