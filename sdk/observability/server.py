"""A small HTTP server for orchestrators and scrapers: liveness, readiness, status, metrics."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self

from sdk.errors import ConfigurationError

_JSON = "application/json"


class HasText(Protocol):
    """Metrics that can be scraped."""

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics and their media type."""


class StatusServer:
    """Answers whether the service lives and is ready, and why not; in a thread of its own.

    ``/live`` and ``/ready`` answer 200 or 503, ``/status`` explains itself as JSON, ``/metrics`` is
    scraped by Prometheus.

        with StatusServer(messaging.status, metrics=metrics, host="0.0.0.0", port=9100):
            consumer.run()

    Args:
        status: Returns what ``/status`` shows, with the keys ``live`` and ``ready``.
        metrics: What ``/metrics`` shows, such as a `PrometheusMetrics`.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.

    Raises:
        ConfigurationError: The address cannot be listened at.

    Attributes:
        port: The port.
    """

    def __init__(
        self,
        status: Callable[[], dict[str, Any]],
        *,
        metrics: HasText | None = None,
        host: str = "127.0.0.1",
        port: int = 9100,
    ) -> None:
        handler = type("_Handler", (_Handler,), {"status": staticmethod(status), "shown": metrics})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"the status server cannot listen at {host}:{port}: {error}",
                remedy="choose another port",
            ) from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="sdk-status", daemon=True
        )

    def start(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop answering."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    status: Callable[[], dict[str, Any]]
    shown: HasText | None
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Answer one request."""
        match self.path.partition("?")[0]:
            case "/live" | "/ready" as path:
                found = type(self).status()
                good = bool(found.get(path[1:]))
                self._answer(200 if good else 503, _JSON, json.dumps({path[1:]: good}).encode())
            case "/status":
                found = type(self).status()
                text = json.dumps(found, default=str, indent=2).encode()
                self._answer(200 if found.get("ready") else 503, _JSON, text)
            case "/metrics" if self.shown is not None:
                body, media_type = self.shown.text(self.headers.get("Accept", ""))
                self._answer(200, media_type, body)
            case _:
                self._answer(404, "text/plain; charset=utf-8", b"not found\n")

    def _answer(self, code: int, media_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base's name
        """Log nothing: probes come every few seconds."""
