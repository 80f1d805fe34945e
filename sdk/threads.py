"""Threads of the operating system: whether they are what they seem, and calls in one."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from types import BuiltinFunctionType
from typing import TypeVar

from sdk.errors import ConfigurationError

T = TypeVar("T")


def require_os_threads() -> None:
    """Refuse to work where threads have been replaced by coroutines (gevent, eventlet).

    Acknowledgements are taken in a thread that waits inside librdkafka. As a coroutine of the
    only thread it would stop all others, and none of their time-outs would end it.

    Raises:
        ConfigurationError: ``threading`` has been monkey-patched.
    """
    if not isinstance(_thread.start_new_thread, BuiltinFunctionType):
        raise ConfigurationError(
            f"threads have been replaced by {_thread.start_new_thread.__module__},"
            " and the Kafka client needs those of the operating system",
            remedy="leave them alone, as gevent.monkey.patch_all(thread=False) does, or publish"
            " from a process of its own",
        )


def in_thread(call: Callable[[], T]) -> Future[T]:
    """Call a function in a thread of its own, in this context; it is not cancelled with its future.

    An event loop's own threads may all be waiting for what this one is to do.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it reaches whoever waits
            future.set_exception(error)

    threading.Thread(
        target=copy_context().run, args=(run,), name="sdk-transaction", daemon=True
    ).start()
    return future
