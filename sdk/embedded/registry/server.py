"""HTTP/1.1 over loopback for the registry, from the standard library alone."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import urllib.parse
import weakref
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast

from sdk.closing import Closing
from sdk.embedded.registry import answers
from sdk.embedded.registry.routing import NoContent, RawText, Request, negotiate
from sdk.embedded.registry.service import RegistryService
from sdk.errors import ConfigurationError

LOOPBACK: Final = "127.0.0.1"
"""The only address that is ever bound: nothing here checks credentials."""

_MAX_CONTENT: Final = 64 * 2**20
_CHUNK_LINE: Final = 1_024

logger = logging.getLogger("sdk.embedded")


class RegistryServer(Closing):
    """Serves a registry on a loopback port in a background thread."""

    def __init__(self, registry: RegistryService, port: int = 0) -> None:
        try:
            self._server = _Server((LOOPBACK, port), _Handler)
        except OSError as error:
            raise ConfigurationError(
                f"port {port} of {LOOPBACK} cannot be used: {error.strerror}",
                remedy="choose another port, or 0 for a free one",
            ) from error
        self._server.registry = registry
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="sdk-embedded", daemon=True
        )
        self._thread.start()
        _servers.add(self)

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving and drop the connections of clients; all registered schemas are lost."""
        _servers.discard(self)
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()
        self._thread.join()

    def abandon(self) -> None:
        """Close a forked child's copy of the socket, or clients would wait on it forever."""
        self._server.socket.close()


_servers: weakref.WeakSet[RegistryServer] = weakref.WeakSet()


def _abandon_all() -> None:
    for server in list(_servers):
        server.abandon()
    _servers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    registry: RegistryService

    def __init__(self, *args: Any) -> None:
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        with self._guard:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a client disconnected during a request", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        try:
            media_type = negotiate(self.headers.get("Accept"))
            answer = self._registry.answer(self._request())
        except answers.RestError as error:
            self._refuse(error)
        except Exception:
            logger.exception("%s %s failed", self.command, self.path)
            self._refuse(answers.internal_error())
        else:
            if isinstance(answer, NoContent):
                self._send(204, "", media_type)
            else:
                text = answer.text if isinstance(answer, RawText) else _json(answer)
                self._send(200, text, media_type)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815

    def do_OPTIONS(self) -> None:
        """Report which methods a path supports."""
        request = self._request()
        methods = sorted({*self._registry.methods(request.path), "OPTIONS"})
        self.send_response(200)
        self.send_header("Allow", ",".join(methods))
        self.send_header("Content-Length", "0")
        self.end_headers()

    @property
    def _registry(self) -> RegistryService:
        return cast("_Server", self.server).registry

    def _request(self) -> Request:
        target = urllib.parse.urlsplit(self.path)
        segments = target.path.strip("/").split("/") if target.path.strip("/") else []
        return Request(
            method=self.command,
            path=tuple(urllib.parse.unquote(segment) for segment in segments),
            query=urllib.parse.parse_qs(target.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            content=self._content(),
        )

    def _content(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _MAX_CONTENT:
            self.close_connection = True
            raise answers.too_large()
        return self.rfile.read(int(length))

    def _chunks(self) -> bytes:
        content = bytearray()
        while True:
            size = int(self.rfile.readline(_CHUNK_LINE).partition(b";")[0], 16)
            if len(content) + size > _MAX_CONTENT:
                self.close_connection = True
                raise answers.too_large()
            content += self.rfile.read(size)
            line = self.rfile.readline(_CHUNK_LINE)
            if size == 0:
                while line.strip():
                    line = self.rfile.readline(_CHUNK_LINE)
                return bytes(content)

    def _refuse(self, error: answers.RestError) -> None:
        body = {"error_code": error.code, "message": error.message}
        self._send(error.status, _json(body), _media_type(self.headers.get("Accept")))

    def _send(self, status: int, text: str, media_type: str) -> None:
        content = text.encode("utf-8", "surrogatepass")
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log requests at DEBUG only."""
        logger.debug(format, *args)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _media_type(accept: str | None) -> str:
    try:
        return negotiate(accept)
    except answers.RestError:
        return negotiate(None)
