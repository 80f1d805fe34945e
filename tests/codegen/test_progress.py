"""The progress bar: for people, and only when there is something to wait for."""

from __future__ import annotations

import io
from collections.abc import Iterator

from codegen.progress import Progress


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        """A terminal."""
        return True


def clock(*moments: float) -> Iterator[float]:
    """Yield moments, then the last one for ever."""
    yield from moments
    while True:
        yield moments[-1]


def test_a_long_run_on_a_terminal_shows_a_bar_and_cleans_up() -> None:
    """After a second the bar appears; at the end the line is empty again."""
    stream, ticks = Terminal(), clock(0, 0.5, 1.5)
    progress = Progress(stream, lambda: next(ticks))
    assert list(progress.track("reading", [1, 2, 3])) == [1, 2, 3]
    assert "reading" in stream.getvalue()
    assert "1/3" in stream.getvalue()
    progress.finish()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_short_run_shows_nothing() -> None:
    """Under a second there is nothing to watch."""
    stream, ticks = Terminal(), clock(0, 0.9)
    progress = Progress(stream, lambda: next(ticks))
    list(progress.track("reading", [1, 2]))
    progress.finish()
    assert stream.getvalue() == ""


def test_a_log_is_never_filled_with_bars() -> None:
    """Where no person watches, nothing is shown however long it takes."""
    stream, ticks = io.StringIO(), clock(0, 100)
    progress = Progress(stream, lambda: next(ticks))
    list(progress.track("reading", [1, 2]))
    assert stream.getvalue() == ""
