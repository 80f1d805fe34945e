"""One broker and one registry for a process, however many times it connects."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from sdk.embedded.broker import EmbeddedBroker
from sdk.embedded.host import EmbeddedRegistry

logger = logging.getLogger("sdk.embedded")


class Closable(Protocol):
    """What has an end."""

    def close(self) -> None:
        """Release what is held."""


T = TypeVar("T", bound=Closable)


class Lease(Generic[T]):
    """A share of something; the last share that is closed closes the thing itself.

    Attributes:
        value: What is shared.
    """

    def __init__(self, value: T, release: Callable[[], None]) -> None:
        self.value = value
        self._release = release
        self._once = threading.Lock()
        self._closed = False

    def __enter__(self) -> T:
        return self.value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the share back; a second call does nothing."""
        with self._once:
            closed, self._closed = self._closed, True
        if not closed:
            self._release()


class Shared(Generic[T]):
    """Makes a thing at the first lease and closes it with the last.

    A forked child does not inherit the thing: its first lease makes another.

    Args:
        make: Makes the thing.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._value: T | None = None
        self._leases = 0

    def lease(self) -> Lease[T]:
        """Return a share of the thing."""
        if os.getpid() != self._process:
            self._forget()
        with self._lock:
            if self._value is None:
                self._value = self._make()
            self._leases += 1
            return Lease(self._value, self._releaser())

    def _releaser(self) -> Callable[[], None]:
        process = self._process

        def release() -> None:
            if os.getpid() != process:
                return
            with self._lock:
                self._leases -= 1
                value = self._value
                if self._leases or value is None:
                    return
                self._value = None
            value.close()

        return release

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._value = None
        self._leases = 0


_told = threading.Event()


def warn_once() -> None:
    """Say, once in a process, that what is embedded keeps nothing."""
    if not _told.is_set():
        _told.set()
        logger.warning(
            "the embedded broker and registry keep nothing: messages and schemas are gone when "
            "this process ends"
        )


def _make_broker() -> EmbeddedBroker:
    warn_once()
    return EmbeddedBroker()


def _make_registry() -> EmbeddedRegistry:
    warn_once()
    return EmbeddedRegistry()


_broker: Shared[EmbeddedBroker] = Shared(_make_broker)
_registry: Shared[EmbeddedRegistry] = Shared(_make_registry)


def lease_broker() -> Lease[EmbeddedBroker]:
    """Return a share of this process's embedded broker.

    Raises:
        ConfigurationError: librdkafka lacks the broker.
    """
    return _broker.lease()


def lease_registry() -> Lease[EmbeddedRegistry]:
    """Return a share of this process's embedded registry."""
    return _registry.lease()
