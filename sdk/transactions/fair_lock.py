"""A first-come, first-served lock for threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future


class FairLock:
    """A lock that is granted in the order of requests; threads block, event loops await it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._waiting: deque[Future[None]] = deque()

    def acquire(self, timeout: float) -> None:
        """Block this thread until the lock is granted.

        Raises:
            TimeoutError: It was not granted within ``timeout`` seconds.
        """
        request = self._request()
        try:
            request.result(timeout)
        except BaseException:
            self._withdraw(request)
            raise

    async def acquire_async(self, timeout: float) -> None:
        """Like `acquire`, without blocking the event loop."""
        request = self._request()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wrap_future(request)
        except BaseException:
            self._withdraw(request)
            raise

    def release(self) -> None:
        """Grant the lock to the next request, if any."""
        with self._lock:
            while self._waiting:
                request = self._waiting.popleft()
                if request.set_running_or_notify_cancel():
                    request.set_result(None)
                    return
            self._held = False

    def _request(self) -> Future[None]:
        request: Future[None] = Future()
        with self._lock:
            if self._held:
                self._waiting.append(request)
            else:
                self._held = True
                request.set_result(None)
        return request

    def _withdraw(self, request: Future[None]) -> None:
        """Cancel a request, or release the lock if it was granted at the same moment."""
        if not request.cancel():
            self.release()
