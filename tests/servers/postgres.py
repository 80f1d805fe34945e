"""PostgreSQL, from the programs of the machine's package, with a new data directory."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.java import MissingTool
from tests.servers.process import ServerProcess, free_port

_FOLDERS = "/usr/lib/postgresql"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresServer:
    """A server of our own; a context manager that starts and ends it.

    Args:
        folder: For the log.
        settings: Further settings, such as ``max_connections=200``.
        durable: Whether commits survive a crash of the machine, which tests that only
            kill processes do without.
    """

    def __init__(self, folder: Path, *settings: str, durable: bool = True) -> None:
        self.port = free_port()
        # pytest's folders are closed to the server's user, and the data must not be.
        self._own = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self._own / "data"
        self._bin = _programs()
        options = [*settings, *(() if durable else _FAST)]
        self.process = ServerProcess(
            "postgres",
            [
                *_as_server_user(),
                self._bin / "postgres",
                *("-D", self._data, "-k", self._own, "-p", str(self.port)),
                *("-c", "listen_addresses=127.0.0.1"),
                *(part for option in options for part in ("-c", option)),
            ],
            folder,  # the log's, and where the server is started: it must not need to read it
            ready=lambda log: "ready to accept connections" in log,
        )

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the server, with psycopg as the driver."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            shutil.chown(self._own, "postgres")
        subprocess.run(
            [
                *_as_server_user(),
                self._bin / "initdb",
                *("-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=self._own,
        )
        self.process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.stop()
        shutil.rmtree(self._own, ignore_errors=True)


def _programs() -> Path:
    """Return the folder of the newest installed version's programs."""
    found = sorted(Path(_FOLDERS).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    if program is None:
        raise MissingTool("PostgreSQL is not installed: apt-get install postgresql")
    return Path(program).parent


def _as_server_user() -> list[str]:
    """Return the prefix that runs a command as another user: the server refuses to run as root."""
    return ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
