"""Values that are made once, even if several threads need them at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from copy import copy
from functools import cached_property
from typing import Any, Generic, Self, TypeVar, overload

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A cache without eviction, for values that are expensive to make.

    The first thread that needs a key makes the value; the others wait for it. A failure is raised
    in all of them and not kept, so that the next call tries again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[K, Future[V]] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of ``key``, making it if necessary."""
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - raised in all waiting threads
                with self._lock:
                    del self._futures[key]
                future.set_exception(error)
        failure = future.exception()
        if failure is None or mine:
            return future.result()
        raise copy(failure) from failure  # each thread may add its own context

    def known(self, key: K) -> V | None:
        """Return the value of ``key`` if it has been made, without waiting."""
        future = self._futures.get(key)
        return future.result() if future is not None and future.done() else None


class locked_cached_property(cached_property[V]):  # noqa: N801 - named like its base
    """A `functools.cached_property` that is made under the ``_lock`` of its instance."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...

    @overload
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> V: ...

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Self | V:
        if instance is None:
            return self
        with instance._lock:
            value: V = super().__get__(instance, owner)
        return value
