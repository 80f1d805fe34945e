"""Deferring signals while the client calls us: what their handlers raise there would be lost."""

from __future__ import annotations

import signal
import threading

# `signal` wraps these, and makes members of enumerations of what they take and return: that takes
# ten times as long, and publishing defers signals every few records.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from sdk.signals import TerminationExit

_DEFERRED: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Run the handlers of SIGINT and SIGTERM after the block instead of inside it.

    Python runs them in the main thread between any two of its instructions. Where that is inside
    a callback, the client drops what they raise, and with it the outcome of a record.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    try:
        with ExitStack() as restored:
            for number in _DEFERRED:
                handler = getsignal(number)
                if callable(handler):
                    restored.callback(set_handler, number, handler)
                    set_handler(number, lambda number, _: came.append(number))
            yield
    finally:
        for each in came:
            signal.raise_signal(each)


def interruption() -> BaseException:
    """Return what a signal handler has just raised, where the client has replaced it."""
    handler = signal.getsignal(signal.SIGTERM)
    if isinstance(handler, TerminationExit) and handler.came:
        return handler.exit()
    return KeyboardInterrupt()
