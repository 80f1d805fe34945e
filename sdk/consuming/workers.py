"""Workers: threads or tasks of an event loop that handle lanes, as many as needed."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sdk.consuming.dispatch import Opened
from sdk.consuming.handlers import Call, is_coroutine_function
from sdk.consuming.lanes import Lanes
from sdk.consuming.partition import Lane
from sdk.consuming.processing import drive

Open = Callable[[Lane], Iterable[Opened]]
Work = Callable[[Lane, Iterable[Opened]], Coroutine[Any, Any, None]]

_YIELD_SECONDS = 0.005
"""After this time, a task yields to the others of its event loop."""


class ThreadWorkers:
    """Threads that handle lanes: the caller's, and others as needed.

    Args:
        lanes: The lanes to handle.
        open_run: Opens the run of a lane.
        work: Handles the opened run.
        count: Most threads, including the caller's.
        name: Prefix of the threads' names.
    """

    def __init__(self, lanes: Lanes, open_run: Open, work: Work, count: int, name: str) -> None:
        self._lanes = lanes
        self._open = open_run
        self._work = work
        self._count = count
        self._name = name
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        lanes.more_workers = self._start_another

    def run(self) -> None:
        """Work in this thread until the lanes are closed."""
        while (lane := self._lanes.take()) is not None:
            drive(self._work(lane, self._open(lane)))

    def join(self, timeout: float) -> None:
        """Wait for the other threads, after the lanes were closed."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start_another(self) -> None:
        with self._lock:
            number = len(self._threads) + 2
            if number > self._count:
                return
            thread = threading.Thread(target=self.run, name=f"{self._name}-{number}", daemon=True)
            self._threads.append(thread)
        thread.start()


class LoopWorkers:
    """Tasks of an event loop that handle lanes, whose records a thread opens.

    Opening a record may ask the registry, for which an event loop must not wait.

    Args:
        lanes: The lanes to handle.
        open_run: Opens the run of a lane.
        work: Handles the opened run.
        count: Most tasks.
        loop: The event loop.
    """

    def __init__(
        self,
        lanes: Lanes,
        open_run: Open,
        work: Work,
        count: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._lanes = lanes
        self._open = open_run
        self._work = work
        self._count = count
        self._loop = loop
        self._opened: deque[tuple[Lane, list[Opened]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False

    def feed(self) -> None:
        """Open lanes for the tasks, in this thread, until the lanes are closed."""
        while (lane := self._lanes.take()) is not None:
            self._opened.append((lane, list(self._open(lane))))
            if not self._waking:
                self._waking = True
                self._loop.call_soon_threadsafe(self._start)

    def cancel(self) -> None:
        """Cancel the running handlers and begin no others; called in the event loop."""
        self._lanes.close()
        while self._opened:
            lane, _ = self._opened.popleft()
            self._lanes.give_back(lane, lane.run)
        for task in self._tasks:
            task.cancel()

    def _start(self) -> None:
        self._waking = False
        for _ in range(min(len(self._opened), self._count - len(self._tasks))):
            task = self._loop.create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()  # what was opened after this task had looked for the last time

    async def _serve(self) -> None:
        began = time.monotonic()
        while self._opened:
            lane, opened = self._opened.popleft()
            await self._work(lane, opened)
            if time.monotonic() - began > _YIELD_SECONDS:
                await asyncio.sleep(0)
                began = time.monotonic()


def outside_loop(pool: ThreadPoolExecutor) -> Callable[[Call], Call]:
    """Return a wrapper that makes coroutine functions of plain ones, run in a pool."""

    def wrap(call: Call) -> Call:
        if is_coroutine_function(call):
            return call

        async def run(*arguments: Any) -> None:
            context = contextvars.copy_context()
            await asyncio.get_running_loop().run_in_executor(pool, context.run, call, *arguments)

        return run

    return wrap
