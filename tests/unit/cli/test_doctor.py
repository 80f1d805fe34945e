"""``sdk doctor``, and how the command is started."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

from click.testing import CliRunner

from sdk.avro.codec.executors import executor
from sdk.cli.command import sdk
from sdk.errors import ConfigurationError
from sdk.testing import InMemoryBroker
from tests.unit.replay.letters import connected


def test_everything_is_fine() -> None:
    """Versions, settings and servers, one JSON object a line."""
    with connected(InMemoryBroker()) as messaging:
        result = CliRunner().invoke(
            sdk, ["doctor", "--json"], obj=lambda *_, **__: nullcontext(messaging)
        )
    found = {each["name"]: each for each in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 0, result.output
    assert found["librdkafka"]["detail"][0].isdigit()
    assert found["kafka"]["state"] == found["schema registry"]["state"] == "ok"
    assert found["codec executor"]["detail"].startswith(executor().name)
    assert found["settings files"]["state"] == "ok"


def test_wrong_settings_are_shown_beside_the_versions() -> None:
    """Versions are printed although the settings are wrong; the exit code is 4."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise ConfigurationError("SDK_ENV is missing")

    result = CliRunner().invoke(sdk, ["doctor"], obj=refuse)
    assert result.exit_code == 4
    assert "SDK_ENV is missing" in result.stdout
    assert "python" in result.stdout


def test_python_m_sdk() -> None:
    """The command runs as a module as well."""
    result = subprocess.run(
        [sys.executable, "-m", "sdk", "--help"], capture_output=True, text=True, check=True
    )
    assert "dlt" in result.stdout
    assert "doctor" in result.stdout


def test_without_click_the_extra_is_named() -> None:
    """One line says what to install."""
    code = "import sys; sys.modules['click'] = None; from sdk.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == "the sdk command needs click: pip install 'avro-messaging-sdk[cli]'\n"
