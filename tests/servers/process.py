"""Server processes: started, waited for, killed; never left behind, even by a crash of ours."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

_LOG_TAIL_LINES = 40


class ServerFailed(RuntimeError):
    """A server did not start or stop as it should; the message ends with its log."""


class ServerProcess:
    """One server, with its log in a file, in its own process group.

    Args:
        name: What it is called in messages.
        command: Program and arguments.
        folder: Working directory; the log is written there.
        ready: Called with the log of this start until it returns True.
        environment: Variables beyond our own.
        start_seconds: Longest wait for readiness.

    Attributes:
        started: The servers that were started and not stopped since, for the report of a failure.
    """

    started: ClassVar[list[ServerProcess]] = []

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        ready: Callable[[str], bool],
        environment: dict[str, str] | None = None,
        start_seconds: float = 150,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [str(part) for part in command]
        self._folder = folder
        self._ready = ready
        self._environment = environment or {}
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def launch(self) -> None:
        """Start the process without waiting for readiness."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self not in self.started:
            self.started.append(self)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=_own_environment() | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _watchdog.watch(self._process.pid)

    def wait_ready(self) -> None:
        """Wait until the server answers.

        Raises:
            ServerFailed: It ended, or took too long.
        """
        deadline = time.monotonic() + self._start_seconds
        while not self._ready(self._latest_log()):
            if not self.running:
                raise ServerFailed(f"{self.name} ended at start\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{self.name} was not ready in {self._start_seconds} s\n{self.log_tail()}"
                )
            time.sleep(0.05)

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.launch()
        self.wait_ready()

    def kill(self) -> None:
        """End the process as ``kill -9`` does."""
        self._signal(signal.SIGKILL)
        self._reap(60)

    def stop(self, seconds: float = 15) -> None:
        """End the process politely, and by force where that takes longer than ``seconds``."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._reap(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        if self in self.started:
            self.started.remove(self)

    def freeze(self) -> None:
        """Stop the process where it stands, as a long pause of its machine would."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """Return the last lines of the log, for messages."""
        lines = self._latest_log().splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([f"--- end of {self.log} ---", *lines])

    def _latest_log(self) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _reap(self, seconds: float) -> None:
        if self._process is not None:
            self._process.wait(seconds)
            _watchdog.forget(self._process.pid)


class _Watchdog:
    """A child process that kills the servers as soon as our process is gone, however it went.

    It reads process ids from a pipe that only we hold open for writing; the end of the pipe is
    our end. It has its own session, which Ctrl-C does not reach.
    """

    def __init__(self) -> None:
        self._pipe = -1
        self._owner = 0

    def watch(self, pid: int) -> None:
        """Kill the process group ``pid`` when we are gone."""
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """The process group ``pid`` has ended; its id may be given to another."""
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        if self._owner != os.getpid():
            reading, self._pipe = os.pipe()
            child = subprocess.Popen(
                [sys.executable, "-S", "-E", Path(__file__).with_name("watchdog.py")],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            child.returncode = 0  # it outlives us on purpose and is not waited for
            os.close(reading)
            self._owner = os.getpid()
        os.write(self._pipe, line.encode())


_watchdog = _Watchdog()
_given_out: set[int] = set()


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1 below the range of outgoing connections.

    A port of that range could be taken by a client while its server is being restarted. No port is
    given out twice: what it was given out for may not listen yet, or be down at the moment.
    """
    for _ in range(1000):
        port = random.randrange(15_000, 30_000)
        if port in _given_out:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _given_out.add(port)
                return port
    raise RuntimeError("no free TCP port on 127.0.0.1")


def _own_environment() -> dict[str, str]:
    """Return our environment without variables that affect the JVM or are ours alone."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SDK_", "KAFKA_", "JAVA_TOOL", "QUARKUS_", "APICURIO_"))
    }
