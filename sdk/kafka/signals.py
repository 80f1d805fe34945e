"""Deferring signals during callbacks, where exceptions of their handlers would be lost."""

from __future__ import annotations

import signal
import threading

# `signal` wraps these and converts to enumerations, which takes ten times as long, and publishing
# defers signals every few records.
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

    Python runs them in the main thread between any two instructions. Inside a callback, the client
    would discard their exception, and with it the outcome of a record.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    deferred: list[int] = []
    try:
        with ExitStack() as restored:
            for number in _DEFERRED:
                handler = getsignal(number)
                if callable(handler):
                    restored.callback(set_handler, number, handler)
                    set_handler(number, lambda number, _: deferred.append(number))
            yield
    finally:
        for each in deferred:
            signal.raise_signal(each)


def interruption() -> BaseException:
    """Return the exception of a signal handler, which the client has replaced."""
    handler = signal.getsignal(signal.SIGTERM)
    if isinstance(handler, TerminationExit) and handler.came:
        return handler.exit()
    return KeyboardInterrupt()
