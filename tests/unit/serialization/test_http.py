"""Connections to a registry: kept, renewed, and never waited for without end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException, IncompleteRead

import pytest

from sdk.registry.http import HttpClient

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers the first request of each connection with given bytes, then runs a function."""

    def __init__(self, answer: bytes, *, hang_up: bool) -> None:
        self.connections = 0
        self._answer, self._hang_up = answer, hang_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError), ThreadPoolExecutor() as pool:
            while True:
                peer, _ = self._listener.accept()
                self.connections += 1
                pool.submit(self._talk, peer)

    def _talk(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            while peer.recv(65536):
                peer.sendall(self._answer)
                if self._hang_up:
                    break
        self.closed.set()


@contextmanager
def serving(answer: bytes = ANSWER, *, hang_up: bool = False) -> Iterator[Server]:
    """Run a server."""
    server = Server(answer, hang_up=hang_up)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client_of(server: Server) -> Iterator[HttpClient]:
    """Make a client, and close it before its server ends."""
    client = HttpClient(server.url, timeout=60, headers={})
    try:
        yield client
    finally:
        client.close()


def test_requests_share_a_connection() -> None:
    """A connection stays open for the next request."""
    with serving() as server, client_of(server) as client:
        for _ in range(5):
            assert client.request("GET", "/x").body == b"{}"
        assert server.connections == 1


def test_a_connection_that_was_closed_while_idle_is_renewed() -> None:
    """Servers close idle connections without a word; that is no outage."""
    with serving(hang_up=True) as server, client_of(server) as client:
        for number in range(1, 4):
            assert client.request("GET", "/x").status == 200
            assert server.closed.wait(60)
            server.closed.clear()
            assert server.connections == number


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_leaves_the_parents_connections_alone() -> None:
    """Two processes that write into one connection would read each other's answers."""
    with serving() as server, client_of(server) as client:
        client.request("GET", "/x")
        child = os.fork()
        if child == 0:  # nothing but the request may run here
            with suppress(BaseException):
                os._exit(client.request("GET", "/x").status - 200)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert server.connections == 2
        client.request("GET", "/x")
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", IncompleteRead),
        (b"SSH-2.0-OpenSSH\r\n", HTTPException),
        (b"", ConnectionError),
    ],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes, kind: type[Exception]) -> None:
    """A body that is cut off, another protocol, and a server that hangs up."""
    with (
        serving(answer, hang_up=True) as server,
        client_of(server) as client,
        pytest.raises(kind),
    ):
        client.request("GET", "/x")
