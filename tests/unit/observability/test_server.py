"""The status server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from sdk import happenings as on
from sdk.errors import ConfigurationError
from sdk.observability.metrics import PrometheusMetrics
from sdk.observability.server import StatusServer
from sdk.records import ProducerRecord


def get(server: StatusServer, path: str) -> tuple[int, bytes, str]:
    """Request a path: status, body, media type."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers["Content-Type"]


def test_probes_answer_by_status() -> None:
    """A service that lives and is not ready fails its readiness probe alone, and says why."""
    status: dict[str, Any] = {"live": True, "ready": False, "why": "no partitions"}
    with StatusServer(lambda: status, port=0) as server:
        assert get(server, "/live")[0] == 200
        assert get(server, "/ready")[0] == 503
        code, body, media_type = get(server, "/status")
        assert (code, media_type) == (503, "application/json")
        assert json.loads(body)["why"] == "no partitions"
        status["ready"] = True
        assert get(server, "/ready?verbose")[0] == 200
        assert get(server, "/metrics")[0] == 404


def test_metrics_are_scraped() -> None:
    """The metrics are served in Prometheus's text format."""
    metrics = PrometheusMetrics()
    metrics(on.RecordQueued(ProducerRecord("orders", b"")))
    with StatusServer(lambda: {"live": True}, metrics=metrics, port=0) as server:
        code, body, media_type = get(server, "/metrics")
    assert code == 200
    assert media_type.startswith("text/plain")
    assert b'sdk_records_in_flight{topic="orders"} 1.0' in body


def test_port_in_use_is_said() -> None:
    """A second server at the same port is refused with the remedy."""
    with (
        StatusServer(lambda: {}, port=0) as server,
        pytest.raises(ConfigurationError, match="cannot listen"),
    ):
        StatusServer(lambda: {}, port=server.port)
