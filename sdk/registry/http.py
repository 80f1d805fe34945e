"""HTTP to one server over persistent connections, with the standard library alone.

Importing Confluent's registry client takes half a second, most of the start-up time of a service.
Therefore, only `sdk.registry.rules` loads it, to apply rule sets.
"""

from __future__ import annotations

import os
import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from socket import create_connection
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from sdk.registry.proxies import Proxy

_LONGEST_BODY: Final = 64 * 1024 * 1024
_JSON_BODY: Final = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


@frozen(kw_only=True)
class Answer:
    """A server's response, of any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    proxy: Proxy | None = None


class HttpClient:
    """Sends requests to one server. Safe for use by many threads, and after a fork.

    Args:
        url: Base URL, ``http://`` or ``https://``.
        timeout: How long the server may take to connect and to answer, seconds.
        headers: Sent with every request.
        tls: For ``https://``.
        proxy: The proxy to use, or None.

    Attributes:
        address: ``host:port`` of the server.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self.address = f"{self._host}:{self._port}"
        self._path = parts.path.rstrip("/")
        self._timeout = timeout
        self._headers = dict(headers)
        self._tls = tls if parts.scheme == "https" else None
        self._proxy = proxy
        if proxy is not None and self._tls is None:
            self._path = f"http://{parts.netloc}{self._path}"
            self._headers |= proxy.headers
        self._idle: deque[HTTPConnection] = deque()
        self._process = os.getpid()

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send a request and return the answer.

        Raises:
            OSError: The server cannot be reached, or did not answer in time.
            HTTPException: The answer is not HTTP.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            idle = self._take()
            connection = idle or self._connect(deadline)
            if isinstance(connection, Answer):
                return connection
            try:
                return self._exchange(connection, method, path, body, deadline)
            except (ConnectionError, ssl.SSLError):
                # The server may have closed a connection while it was idle: try the next one.
                # Every request to a registry may be repeated.
                if idle is None:
                    raise

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> HTTPConnection | None:
        if self._process != os.getpid():  # a fork has copied the parent's connections
            self._idle.clear()
            self._process = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self, deadline: float) -> HTTPConnection | Answer:
        """Open a connection, or return the answer of a proxy that opens none."""
        if self._tls is None:
            host, port = self._host, self._port
            if self._proxy is not None:
                host, port = self._proxy.host, self._proxy.port
            return HTTPConnection(host, port, timeout=_left(deadline))
        connection = HTTPSConnection(
            self._host, self._port, timeout=_left(deadline), context=self._tls
        )
        if self._proxy is not None:
            refusal = self._tunnel(connection, self._proxy, self._tls, deadline)
            if refusal is not None:
                return refusal
        return connection

    def _tunnel(
        self, connection: HTTPSConnection, proxy: Proxy, tls: ssl.SSLContext, deadline: float
    ) -> Answer | None:
        """Open a tunnel through a proxy; return the proxy's response if it refuses."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        target = f"{host}:{self._port}"
        headers = {"Host": target, **proxy.headers}
        lines = [f"CONNECT {target} HTTP/1.1", *(f"{key}: {headers[key]}" for key in headers)]
        plain = create_connection((proxy.host, proxy.port), _left(deadline))
        try:
            plain.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            response = HTTPResponse(plain, method="CONNECT")
            response.begin()
            if response.status != 200:
                body = _read(response)
                plain.close()
                return Answer(
                    status=response.status, headers=_named(response), body=body, proxy=proxy
                )
            connection.sock = tls.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise
        return None

    def _exchange(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        deadline: float,
    ) -> Answer:
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(_left(deadline))
            headers = self._headers if body is None else {**self._headers, **_JSON_BODY}
            with suppress(OSError):  # a server that closes early may have sent the reason
                connection.request(method, self._path + path, body, headers)
            response = connection.getresponse()
            data = _read(response)
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        by_proxy = self._proxy if response.status == 407 else None
        return Answer(status=response.status, headers=_named(response), body=data, proxy=by_proxy)


def _left(deadline: float) -> float:
    """Return the seconds until a deadline."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _read(response: HTTPResponse) -> bytes:
    body = response.read(_LONGEST_BODY + 1)
    if len(body) > _LONGEST_BODY:
        raise HTTPException(f"the answer is longer than {_LONGEST_BODY} bytes")
    if response.length:  # `read` with a size does not report missing bytes
        raise IncompleteRead(body, response.length)
    return body


def _named(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
