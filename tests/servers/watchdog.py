"""Runs as a child of the tests: kills the process groups it was told of when its input ends."""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Read ``+pid`` and ``-pid`` lines until the input ends, then kill what is left."""
    watched: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line.startswith("+"):
            watched.add(pid)
        else:
            watched.discard(pid)
    for pid in watched:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
