"""The pytest plugin, in a separate pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATIENCE = 60

TESTS = """
import sys
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest


def test_nothing_is_loaded_for_tests_that_ask_for_nothing():
    loaded = {"attrs", "sdk.messaging", "sdk.testing.broker", "confluent_kafka", "hypothesis"}
    assert not loaded & set(sys.modules)


@pytest.fixture
def messaging_options():
    return {"contracts": "contracts"}


def order(number):
    from contracts.orders.order_created import v1

    return v1.OrderCreated(
        order_id=UUID(int=number),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        total_amount=Decimal("9.90"),
    )


@pytest.mark.parametrize("number", [1, 2])
def test_fixtures_belong_together(messaging, broker, clock, number):
    assert messaging.broker is broker
    assert broker.clock is clock
    assert broker.everything() == []
    clock.advance(60)
    messaging.producer.produce(order(number)).result(5)
    (record,) = broker.everything()
    assert record.timestamp == int(clock.time() * 1000)


class TestOverriding:
    @pytest.fixture
    def clock(self):
        from sdk.testing import VirtualClock

        return VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))

    def test_users_own_fixture_wins(self, messaging, broker):
        assert broker.clock.time() == datetime(2030, 1, 1, tzinfo=UTC).timestamp()
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin in a temporary folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "sdk.testing.plugin"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SDK_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "samples")])
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_fixtures_work_and_load_nothing_early(tmp_path: Path) -> None:
    """Tests get a connection, a broker and a clock, each fresh, and may override each."""
    (tmp_path / "test_service.py").write_text(TESTS)
    done = run(tmp_path, "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_fixtures_are_described(tmp_path: Path) -> None:
    """``pytest --fixtures`` explains each."""
    done = run(tmp_path, "--fixtures")
    for name in ("messaging", "broker", "clock", "messaging_options"):
        assert f"\n{name} -- " in done.stdout
    assert "no docstring available" not in done.stdout.partition("sdk.testing.plugin")[2]


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    """The distribution names a module that exists and has the fixtures."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module = import_module(project["entry-points"]["pytest11"]["sdk"])
    assert module.__name__ == "sdk.testing.plugin"
    assert hasattr(module, "messaging")
