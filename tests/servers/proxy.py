"""A TCP proxy between client and server, which a test can slow down, silence or cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType

from tests.servers.process import free_port

_TICK = 0.05
_CHUNK = 65_536


class TcpProxy:
    """Forwards connections to a port of 127.0.0.1; a context manager.

    Attributes:
        port: Where it listens; known before it starts.
        target: The port that it forwards to.
        delay: Seconds by which each chunk of at most 64 KiB is late, in either direction.
    """

    def __init__(self, target: int = 0) -> None:
        self.port = free_port()
        self.target = target
        self.delay = 0.0
        self._flowing = threading.Event()
        self._refusing = False
        self._ending = threading.Event()
        self._cut = threading.Event()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to accept connections."""
        listener = socket.create_server(("127.0.0.1", self.port))
        listener.settimeout(_TICK)
        self._listener = listener
        self._flowing.set()
        self._begin(self._accept, listener)

    def stop(self) -> None:
        """Cut every connection and end."""
        self._ending.set()
        self._flowing.set()
        for thread in self._threads:
            thread.join(10)
        if self._listener is not None:
            self._listener.close()

    def hold(self) -> None:
        """Let nothing pass in either direction; connections stay open, as half-open ones do."""
        self._flowing.clear()

    def cut(self, *, refuse: bool = False) -> None:
        """Reset every connection.

        Args:
            refuse: Reset new ones as well, until `release`.
        """
        self._refusing = refuse
        former, self._cut = self._cut, threading.Event()
        former.set()

    def release(self) -> None:
        """Forward again: end of `hold` and of refusing."""
        self._refusing = False
        self._flowing.set()

    def __enter__(self) -> TcpProxy:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._ending.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            cut = self._cut  # before the check below: one of the two sees a concurrent cut
            if self._refusing:
                _reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                _reset(client)
                continue
            self._begin(self._connect, client, server, cut)

    def _connect(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        """Run one connection to its end, then close both sides with a reset."""
        ended = threading.Event()
        for each in (client, server):
            each.settimeout(_TICK)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps = [
            threading.Thread(target=self._pump, args=(*ends, cut, ended), daemon=True)
            for ends in ((client, server), (server, client))
        ]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        _reset(client)
        _reset(server)

    def _pump(
        self,
        source: socket.socket,
        sink: socket.socket,
        cut: threading.Event,
        ended: threading.Event,
    ) -> None:
        """Forward one direction until either side ends or the connection is cut."""
        with contextlib.suppress(OSError):
            while not (cut.is_set() or ended.is_set() or self._ending.is_set()):
                if not self._flowing.wait(_TICK):
                    continue
                try:
                    data = source.recv(_CHUNK)
                except TimeoutError:
                    continue
                if not data:
                    break
                time.sleep(self.delay)
                while not self._flowing.wait(_TICK) and not cut.is_set():
                    pass
                _send(sink, data, cut)
        ended.set()


def _send(sink: socket.socket, data: bytes, cut: threading.Event) -> None:
    rest = memoryview(data)
    while rest and not cut.is_set():
        with contextlib.suppress(TimeoutError):
            rest = rest[sink.send(rest) :]


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
