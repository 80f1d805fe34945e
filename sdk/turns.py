"""Turns: one at a time, in the order of asking; threads wait for theirs, and tasks await it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future


class Turns:
    """A first-come, first-served lock for threads and event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[Future[None]] = deque()

    def wait(self, timeout: float) -> None:
        """Block this thread until it is its turn.

        Raises:
            TimeoutError: It was not within ``timeout`` seconds.
        """
        turn = self._ask()
        try:
            turn.result(timeout)
        except BaseException:
            self._give_back(turn)
            raise

    async def arrive(self, timeout: float) -> None:
        """Await the turn; as `wait`, without blocking the event loop."""
        turn = self._ask()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wrap_future(turn)
        except BaseException:
            self._give_back(turn)
            raise

    def pass_on(self) -> None:
        """Give the turn to the next one, if any waits."""
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    turn.set_result(None)
                    return
            self._taken = False

    def _ask(self) -> Future[None]:
        turn: Future[None] = Future()
        with self._lock:
            if self._taken:
                self._waiting.append(turn)
            else:
                self._taken = True
                turn.set_result(None)
        return turn

    def _give_back(self, turn: Future[None]) -> None:
        """Go without a turn, which may have come at the same moment."""
        if not turn.cancel():
            self.pass_on()
