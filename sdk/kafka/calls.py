"""Calls of librdkafka that may never return."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Call(threading.Thread):
    """A call of a client in a separate thread, because it has no limit or exceeds it.

    While it is alive the client must not be closed.

    Args:
        name: Of the thread.
        call: Calls the client.
    """

    def __init__(self, name: str, call: Callable[[], Any]) -> None:
        super().__init__(name=name, daemon=True)
        self._call = call
        self._answer: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call the client."""
        try:
            self._answer = self._call()
        except BaseException as error:  # noqa: BLE001 - raised where the answer is awaited
            self._error = error

    def within(self, seconds: float) -> Any:
        """Begin the call and return its answer.

        Raises:
            BaseException: As raised by the call.
            TimeoutError: There is no answer yet.
        """
        self.start()
        self.join(seconds)
        if self.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._answer
