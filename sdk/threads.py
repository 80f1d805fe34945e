"""Operating system threads: a check that they are real, and calls in a new one."""

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
    """Raise an error if threads have been replaced by greenlets (gevent, eventlet).

    Acknowledgements are polled in a thread that blocks inside librdkafka. As a greenlet of the
    only thread it would block all greenlets, including their timeouts.

    Raises:
        ConfigurationError: ``threading`` has been monkey-patched.
    """
    if not isinstance(_thread.start_new_thread, BuiltinFunctionType):
        raise ConfigurationError(
            f"threads have been replaced by {_thread.start_new_thread.__module__},"
            " and the Kafka client needs threads of the operating system",
            remedy="leave them alone, as gevent.monkey.patch_all(thread=False) does, or publish"
            " from a separate process",
        )


def in_thread(call: Callable[[], T]) -> Future[T]:
    """Call a function in a new thread with this context; cancelling the future does not stop it.

    The threads of the event loop's executor may all be waiting for this call.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised by the future
            future.set_exception(error)

    threading.Thread(
        target=copy_context().run, args=(run,), name="sdk-transaction", daemon=True
    ).start()
    return future
