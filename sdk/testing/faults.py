"""Planned failures of the in-memory broker."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Literal, get_args

from sdk.errors import ConfigurationError, SdkError

Operation = Literal["deliver", "poll", "commit", "describe", "create"]
"""What can be made to fail."""

_OPERATIONS: Final = get_args(Operation)


class Faults:
    """Errors that operations are to end in, in order.

    An operation fails once for each planned error; `stop` makes all of them fail until `start`.
    """

    def __init__(self) -> None:
        self._planned: dict[str, deque[SdkError]] = {}
        self._outage: SdkError | None = None
        self._lock = threading.Lock()

    def plan(self, operation: Operation, *errors: SdkError) -> None:
        """Let the next calls of an operation end in these errors, one each.

        Raises:
            ConfigurationError: There is no such operation.
        """
        if operation not in _OPERATIONS:
            raise ConfigurationError(
                f"{operation!r} cannot be made to fail", remedy=f"use {', '.join(_OPERATIONS)}"
            )
        with self._lock:
            self._planned.setdefault(operation, deque()).extend(errors)

    def stop(self, error: SdkError) -> None:
        """Let every operation end in ``error`` until `start`."""
        self._outage = error

    def start(self) -> None:
        """End what `stop` began; planned errors stay planned."""
        self._outage = None

    def take(self, operation: Operation) -> SdkError | None:
        """Return the error that a call of an operation ends in, or None."""
        with self._lock:
            planned = self._planned.get(operation)
            return planned.popleft() if planned else self._outage

    def raise_planned(self, operation: Operation) -> None:
        """Raise the error that a call of an operation ends in, if any."""
        error = self.take(operation)
        if error is not None:
            raise error
