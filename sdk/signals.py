"""Handles SIGTERM and SIGINT, unless the application handles them itself.

Python turns Ctrl-C into KeyboardInterrupt, which runs ``with`` blocks and exit handlers; SIGTERM
ends the process at once, and undelivered or uncommitted records are lost. Handlers can
only be set in the main thread, and handlers set by others are never replaced.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


def exit_on_sigterm() -> Callable[[], None]:
    """Turn SIGTERM into SystemExit, so that open connections are flushed and closed.

    Nothing changes if SIGTERM has a handler already, or outside the main thread.

    Returns:
        A function that ends this; the last caller's restores the default.
    """
    if threading.current_thread() is not threading.main_thread():
        return _nothing
    handler = signal.getsignal(signal.SIGTERM)
    if handler is signal.SIG_DFL:
        handler = TerminationExit()
        signal.signal(signal.SIGTERM, handler)
    if not isinstance(handler, TerminationExit):
        return _nothing
    handler.users += 1
    return handler.release


@contextmanager
def stop_on_signals(stop: Callable[[int], None]) -> Iterator[None]:
    """Call a function when SIGTERM or SIGINT comes inside the block.

    The second signal interrupts at once: KeyboardInterrupt for SIGINT, SystemExit for SIGTERM.
    Signals with handlers of the application keep them; outside the main thread nothing changes.

    Args:
        stop: Called with the signal's number, in the main thread, between two instructions.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            stop(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(128 + number)

    with ExitStack() as restored:
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if _is_free(before):
                restored.callback(_restore, number, handle, before)
                signal.signal(number, handle)
        yield


class TerminationExit:
    """The handler that turns SIGTERM into SystemExit, as long as it has users.

    Attributes:
        users: How many connections rely on it.
        came: Whether the signal has arrived.
    """

    def __init__(self) -> None:
        self.users = 0
        self.came = False
        self._process = os.getpid()

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle the signal; called as by `signal.signal`."""
        if self.users and os.getpid() == self._process:
            self.came = True
            raise self.exit()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def exit(self) -> SystemExit:
        """Return the exception, with the exit status that shells give such a process."""
        return SystemExit(128 + signal.SIGTERM)

    def release(self) -> None:
        """End one use of it."""
        self.users -= 1
        main = threading.current_thread() is threading.main_thread()
        # In other threads the handler cannot be removed; without users it acts as the default.
        if not self.users and main and signal.getsignal(signal.SIGTERM) is self:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_free(handler: object) -> bool:
    return handler in {signal.SIG_DFL, signal.default_int_handler} or isinstance(
        handler, TerminationExit
    )


def _restore(number: int, handler: object, before: signal._HANDLER) -> None:
    if signal.getsignal(number) is handler:
        signal.signal(number, before)


def _nothing() -> None:
    """Do nothing: there is nothing to end."""
