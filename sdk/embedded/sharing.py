"""One broker and one registry per process, shared by its connections."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

from sdk.closing import Closing
from sdk.embedded.broker import EmbeddedBroker
from sdk.embedded.host import EmbeddedRegistry

logger = logging.getLogger("sdk.embedded")

T = TypeVar("T", bound=Closing)


class Lease(Closing, Generic[T]):
    """A share of an object; closing the last share closes the object.

    Attributes:
        value: The object.
    """

    def __init__(self, value: T, release: Callable[[], None]) -> None:
        self.value = value
        self._release: Callable[[], None] | None = release
        self._process = os.getpid()

    def close(self) -> None:
        """Release the share; a second call, or one in a forked child, does nothing."""
        release, self._release = self._release, None
        if release is not None and os.getpid() == self._process:
            release()


class Shared(Generic[T]):
    """Creates an object for the first lease and closes it with the last.

    A forked child does not inherit the object: its first lease creates another.
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._lock = threading.Lock()
        self._value: T | None = None
        self._leases = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def lease(self) -> Lease[T]:
        """Return a share of the object."""
        with self._lock:
            if self._value is None:
                warn_once()
                self._value = self._create()
            self._leases += 1
            return Lease(self._value, self._release)

    def _release(self) -> None:
        with self._lock:
            self._leases -= 1
            if not self._leases and self._value is not None:
                value, self._value = self._value, None
                value.close()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._value = None
        self._leases = 0


@cache
def warn_once() -> None:
    """Warn, once per process, that the embedded servers keep nothing."""
    logger.warning(
        "the embedded broker and registry keep nothing: messages and schemas are lost when this "
        "process ends"
    )


_broker: Shared[EmbeddedBroker] = Shared(EmbeddedBroker)
_registry: Shared[EmbeddedRegistry] = Shared(EmbeddedRegistry)


def lease_broker() -> Lease[EmbeddedBroker]:
    """Return a share of this process's embedded broker."""
    return _broker.lease()


def lease_registry() -> Lease[EmbeddedRegistry]:
    """Return a share of this process's embedded registry."""
    return _registry.lease()
