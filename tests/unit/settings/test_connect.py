"""`sdk.connect` finds what is wrong with settings and routes before any client is built."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

CODE = """
import sdk
from sdk.errors import ConfigurationError
try:
    sdk.connect("docker", settings="settings.toml")
except ConfigurationError as error:
    print(error)
"""

ADDRESSES = """
[default]
contracts = "contracts"
[docker.kafka]
bootstrap_servers = "127.0.0.1:{port}"
[docker.registry]
url = "http://127.0.0.1:{port}"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[docker.retry]\nretrycount = 1\n",
            "settings.toml [docker]: retry.retrycount is an unknown",
        ),
        (
            "[[docker.topics]]\nevent = 'OrderCraeted'\nname = 'x'\n",
            "settings.toml [[docker.topics]]: entry of 'OrderCraeted': no event is called",
        ),
        (
            "[[docker.topics]]\nevent = 'OrderCreated'\nname = 'a'\n"
            "[[docker.topics]]\nevent = 'orders.OrderCreated'\nname = 'b'\n",
            "settings.toml [[docker.topics]] has two routes: a and b (event orders.OrderCreated)",
        ),
        (
            "[docker.routing]\nstrategy = 'explicit'\n",
            "has no route for delivery.ShipmentDelivered, delivery.ShipmentDispatched, orders.",
        ),
    ],
)
def test_wrong_settings(tmp_path: Path, text: str, told: str) -> None:
    """The error names the file, before any connection to a server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        addresses = ADDRESSES.format(port=server.getsockname()[1])
        (tmp_path / "settings.toml").write_text(addresses + text)
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'samples'}"},
            capture_output=True,
            text=True,
            check=False,
        )
        with pytest.raises(BlockingIOError):
            server.accept()
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
