"""Liveness, readiness, status and metrics over HTTP: a small server, or mounted in another one."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sdk.closing import Closing
from sdk.errors import ConfigurationError

_JSON = "application/json"
_REASONS = {200: "200 OK", 404: "404 Not Found", 503: "503 Service Unavailable"}


class StatusApp:
    """Reports whether the service is live and ready, with reasons.

    ``/live`` and ``/ready`` answer 200 or 503, ``/status`` explains itself as JSON, ``/metrics`` is
    scraped by Prometheus. It is mounted under any path of another application:

        app.mount("/ops", StatusApp(messaging.status, metrics=messaging.metrics).asgi)

    Args:
        status: Returns the content of ``/status``, with the keys ``live`` and ``ready``.
        metrics: The metrics of ``/metrics``, if they are a `PrometheusMetrics`.
    """

    def __init__(self, status: Callable[[], dict[str, Any]], *, metrics: object = None) -> None:
        self._status = status
        self._text = getattr(metrics, "text", None)

    def answer(self, path: str, accept: str = "") -> tuple[int, str, bytes]:
        """Return the status code, the media type and the body for a path."""
        match path:
            case "/live" | "/ready":
                good = bool(self._status().get(path[1:]))
                return 200 if good else 503, _JSON, json.dumps({path[1:]: good}).encode()
            case "/status":
                found = self._status()
                text = json.dumps(found, default=str, indent=2).encode()
                return 200 if found.get("ready") else 503, _JSON, text
            case "/metrics" if self._text is not None:
                body, media_type = self._text(accept)
                return 200, media_type, body
        return 404, "text/plain; charset=utf-8", b"not found\n"

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as a WSGI application (PEP 3333)."""
        path, accept = environ.get("PATH_INFO", ""), environ.get("HTTP_ACCEPT", "")
        code, media_type, body = self.answer(path, accept)
        headers = [("Content-Type", media_type), ("Content-Length", str(len(body)))]
        start_response(_REASONS[code], headers)
        return [body]

    async def asgi(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer as an ASGI application (version 3); scopes other than ``http`` are ended."""
        if scope["type"] != "http":
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        code, media_type, body = self.answer(path, accept)
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class StatusServer(Closing):
    """Serves a `StatusApp` in a background thread.

        with StatusServer(messaging.status, metrics=metrics, host="0.0.0.0", port=9100):
            consumer.run()

    Args:
        status: As for `StatusApp`.
        metrics: As for `StatusApp`.
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
        metrics: object = None,
        host: str = "127.0.0.1",
        port: int = 9100,
    ) -> None:
        app = StatusApp(status, metrics=metrics)
        try:
            self._server = make_server(host, port, app.wsgi, _Threads, _Quiet)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"the status server cannot listen at {host}:{port}: {error}",
                remedy="choose another port",
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="sdk-status", daemon=True
        )

    def start(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False


class _Quiet(WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base's name
        """Log nothing: probes come every few seconds."""
