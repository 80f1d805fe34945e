"""The web service of the samples, run by a real uvicorn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers.process import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """A server process on a free port, and a client of it."""
    port = free_port()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SDK_")}
    process = subprocess.Popen(
        f"exec {sys.executable} -m uvicorn --app-dir samples --port {port} order_service.api:app",
        shell=True,
        cwd=ROOT,
        env=clean,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            yield client, process
    finally:
        process.kill()
        process.communicate()


def wait_for(client: httpx.Client, path: str) -> httpx.Response:
    """Ask until the answer is 200, for a minute at most."""
    for _ in range(600):
        try:
            answer = client.get(path)
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == 200:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{path} was never there")


def test_order_by_http(server: tuple[httpx.Client, subprocess.Popen[str]]) -> None:
    """An order is published, comes back, and SIGTERM ends the server in good order."""
    client, process = server
    assert wait_for(client, "/ready").json() == {"ready": True}
    placed = client.post("/orders", json={"total_amount": "12.50"})
    assert placed.status_code == 201
    assert placed.json()["stored"].startswith("orders.created[")
    shown = wait_for(client, f"/orders/{placed.json()['order_id']}").json()
    assert shown["total_amount"] == "12.50"
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode in {0, -signal.SIGTERM}
    assert "Application shutdown complete" in told
    assert "Traceback" not in told
