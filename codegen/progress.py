"""A progress bar for a person who watches a run that takes more than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final, TextIO, TypeVar

_Item = TypeVar("_Item")

_WIDTH: Final = 30
_PATIENCE: Final = 1.0
_INTERVAL: Final = 0.1


class Progress:
    """Shows the progress of a run, on a terminal only, after its first second."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._next = clock() + _PATIENCE if self._stream.isatty() else float("inf")
        self._shown = False

    def track(self, label: str, items: Collection[_Item]) -> Iterator[_Item]:
        """Yield items, and show their count."""
        for done, item in enumerate(items):
            if self._clock() >= self._next:
                self._show(label, done, len(items))
            yield item

    def finish(self) -> None:
        """Remove the bar, so that what is printed next starts on an empty line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False

    def _show(self, label: str, done: int, total: int) -> None:
        filled = "#" * (_WIDTH * done // total)
        self._stream.write(f"\r\x1b[K{label:<10} [{filled:<{_WIDTH}}] {done}/{total}")
        self._stream.flush()
        self._shown = True
        self._next = self._clock() + _INTERVAL
