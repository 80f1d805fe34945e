"""Probes and metrics over HTTP: by the server, and mounted as WSGI and ASGI applications."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sdk import happenings as on
from sdk.errors import ConfigurationError
from sdk.observability.metrics import PrometheusMetrics
from sdk.observability.server import StatusApp, StatusServer

Get = Callable[[str], tuple[int, bytes, str]]
STATUS: dict[str, Any] = {"live": True, "ready": False, "reasons": ["no partitions"]}


def over_http(server: StatusServer, path: str) -> tuple[int, bytes, str]:
    """Request a path: status, body, media type."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=60) as answer:
            return answer.status, answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers["Content-Type"]


@pytest.fixture(params=["server", "mounted"])
def get(request: pytest.FixtureRequest) -> Iterator[Get]:
    """Return a function that requests a path of a service that is live but not ready."""
    metrics = PrometheusMetrics()
    metrics(on.QueueWaited("orders", 0.5))
    if request.param == "server":
        with StatusServer(lambda: STATUS, metrics=metrics, port=0) as server:
            yield lambda path: over_http(server, path)
        return
    app = FastAPI()
    app.mount("/ops", StatusApp(lambda: STATUS, metrics=metrics).asgi)

    async def mounted(path: str) -> tuple[int, bytes, str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answer = await client.get(f"/ops{path}")
        return answer.status_code, answer.content, answer.headers["content-type"]

    yield lambda path: asyncio.run(mounted(path))


def test_probes_answer_by_status(get: Get) -> None:
    """A service that lives and is not ready fails its readiness probe alone, and says why."""
    assert get("/live")[0] == 200
    assert get("/ready?verbose")[0] == 503
    code, body, media_type = get("/status")
    assert (code, media_type) == (503, "application/json")
    assert json.loads(body)["reasons"] == ["no partitions"]
    assert get("/orders")[0] == 404


def test_metrics_are_scraped(get: Get) -> None:
    """The metrics are served in Prometheus's text format."""
    code, body, media_type = get("/metrics")
    assert code == 200
    assert media_type.startswith("text/plain")
    assert b'sdk_queue_wait_seconds_count{topic="orders"} 1.0' in body


def test_without_metrics_there_are_none() -> None:
    """Without Prometheus metrics, there is nothing to scrape."""
    assert StatusApp(lambda: {"live": True}).answer("/metrics")[0] == 404


def test_port_in_use_is_said() -> None:
    """A second server at the same port is refused with the remedy."""
    with (
        StatusServer(lambda: {}, port=0) as server,
        pytest.raises(ConfigurationError, match="cannot listen"),
    ):
        StatusServer(lambda: {}, port=server.port)
