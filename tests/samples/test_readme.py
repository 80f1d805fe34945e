"""The README's snippets: the tour pasted as a newcomer would, and every other block by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sdk.settings import load_settings

ROOT = Path(__file__).parents[2]


def tour() -> str:
    """Return the tour's commands as one script, in the virtual environment that runs the tests."""
    text = (ROOT / "README.md").read_text()
    section = text.split("## A five-minute tour")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, re.S)
    activate = "source .venv/bin/activate\n"
    assert blocks[0].startswith(activate)
    return "\n".join(["set -e", blocks[0].removeprefix(activate), *blocks[1:]])


def test_tour_runs_as_written() -> None:
    """Every line of the tour works when pasted, and shows what the text around it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SDK_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-m", "-c", tour()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout + done.stderr
    assert shown.count("DeliveryReport(topic='shop.basket-filled'") == 3
    assert "refused, as it should be" in shown
    assert "voucher=None" in shown
    assert re.search(r"ackz.*did you mean.*acks", shown, re.S | re.I)
    assert "1.999 does not fit decimal(9, 2)" in shown
    assert "DeserializationError" in shown


README = (ROOT / "README.md").read_text()
PREAMBLE = """
import sdk
import sdk.avro
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4
from contracts.orders import OrderCreated

order = OrderCreated(order_id=uuid4(), created_at=datetime.now(UTC), total_amount=Decimal("9.90"))
order = sdk.avro.decode(OrderCreated, sdk.avro.encode(order))  # times in the schema's unit

def place_order(producer: sdk.Producer) -> None:
    producer.produce(order).result(timeout=10)
"""


def blocks(language: str) -> list[str]:
    """Return the snippets of a language."""
    found = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    assert found
    return found


def clean_environment() -> dict[str, str]:
    """Return variables that lead to the sample contracts and settings."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("SDK_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "samples"),
        "SDK_SETTINGS": str(ROOT / "samples" / "settings.toml"),
        "SDK_ENV": "embedded",
    }


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_snippet(number: int) -> None:
    """Each Python snippet runs, given an order, the class and the service's own function."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + blocks("python")[number]],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", range(len(blocks("toml"))))
def test_toml_snippet(tmp_path: Path, number: int) -> None:
    """Each TOML snippet is valid, and those of settings load."""
    text = blocks("toml")[number]
    assert tomllib.loads(text)
    if "[default." in text:
        path = tmp_path / "settings.toml"
        path.write_text(text)
        assert load_settings("embedded", settings=path, environ={})


@pytest.mark.parametrize("command", re.findall(r"^sdk dlt .*", README, re.M))
def test_commands_for_dead_letters(command: str) -> None:
    """The commands for dead letters are understood; there are none here, which is a finding."""
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_commands_of_the_start() -> None:
    """Every `make` target that the README names exists."""
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", README, re.M):
        assert f"\n{target}:" in makefile
