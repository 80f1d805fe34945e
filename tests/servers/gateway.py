"""An HTTP gateway in front of a registry, with the behaviour of real gateways."""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
import urllib.parse
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from attrs import field, frozen

_PASSED_ON = ("content-type", "accept", "confluent-accept-unknown-properties")


@frozen(kw_only=True)
class Answer:
    """An answer of the gateway itself, without the registry.

    Attributes:
        status: HTTP status.
        body: Its body.
        headers: Its headers.
        hang: Seconds of silence before it.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=dict)
    hang: float = 0


class Gateway:
    """Serves a registry below a path prefix; a context manager.

    Args:
        upstream: URL of the registry, with its own path.
        prefix: Path below which it is served here.
        basic: User name and password that it asks for.
        bearer: Token that it asks for.
        keystore: PEM file with key and certificate: serve TLS.

    Attributes:
        requests: Method and path of each request so far.
    """

    def __init__(
        self,
        upstream: str,
        *,
        prefix: str = "",
        basic: tuple[str, str] | None = None,
        bearer: str | None = None,
        keystore: Path | None = None,
    ) -> None:
        self.requests: list[str] = []
        self._upstream = urllib.parse.urlsplit(upstream)
        self._prefix = prefix
        self._credentials = None
        if basic is not None:
            self._credentials = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        elif bearer is not None:
            self._credentials = f"Bearer {bearer}"
        self._answers: list[Answer] = []
        self._always: Answer | None = None
        self._ending = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._scheme = "http"
        if keystore is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(keystore)
            # The handshake runs in the connection's own thread: a client that refuses our
            # certificate must not end the loop that accepts.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._scheme = "https"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        """The registry's URL for a client."""
        return f"{self._scheme}://localhost:{self._server.server_port}{self._prefix}"

    def next(self, *answers: Answer) -> None:
        """Give these answers to the next requests, one each."""
        self._answers.extend(answers)

    def always(self, answer: Answer | None) -> None:
        """Give this answer to every request from now on; None asks the registry again."""
        self._always = answer

    def __enter__(self) -> Gateway:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to one request."""
        self.requests.append(f"{method} {path}")
        answer = self._answers.pop(0) if self._answers else self._always
        if answer is not None:
            self._ending.wait(answer.hang)
            return answer
        if self._credentials and headers.get("authorization") != self._credentials:
            page = b"<html><body><h1>401 Authorization Required</h1></body></html>"
            return Answer(status=401, body=page, headers={"Content-Type": "text/html"})
        if not path.startswith(self._prefix):
            page = b"<html><body><h1>404 Not Found</h1></body></html>"
            return Answer(status=404, body=page, headers={"Content-Type": "text/html"})
        return self._ask(method, path.removeprefix(self._prefix), headers, body)

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        assert self._upstream.hostname is not None
        connection = http.client.HTTPConnection(
            self._upstream.hostname, self._upstream.port, timeout=30
        )
        try:
            passed_on = {name: headers[name] for name in _PASSED_ON if name in headers}
            connection.request(method, self._upstream.path + path, body or None, passed_on)
            answer = connection.getresponse()
            kind = {"Content-Type": answer.getheader("Content-Type") or "application/json"}
            return Answer(status=answer.status, body=answer.read(), headers=kind)
        except OSError:
            page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Answer(status=502, body=page, headers={"Content-Type": "text/html"})
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = gateway.reply(self.command, self.path, headers, self.rfile.read(length))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or refuses our certificate, is what some tests are about."""


def error_page(status: int, title: str) -> Answer:
    """Return an error page as a gateway writes it."""
    page = f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
    page += f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>nginx</center>\r\n"
    page += "</body>\r\n</html>\r\n"
    return Answer(status=status, body=page.encode(), headers={"Content-Type": "text/html"})
