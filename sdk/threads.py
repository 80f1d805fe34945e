"""Whether threads are what they seem."""

from __future__ import annotations

import _thread
from types import BuiltinFunctionType

from sdk.errors import ConfigurationError


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
