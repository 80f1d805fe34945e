"""Counts repeated warnings instead of writing them, and writes each stack trace once."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Any

from attrs import define

from sdk.clock import Clock, SystemClock
from sdk.redaction import causes

_MOST_KEYS = 1_000
_WRITTEN = "_sdk_stack_written"

_Key = tuple[str, int, str]
"""(logger, level, message before its arguments)"""


@define
class _Window:
    ends: float
    last: logging.LogRecord
    count: int = 0


class RepeatFilter(logging.Filter):
    """Lets a warning pass a few times, then counts its repeats and reports the count.

    The count is written with the first line after that time, or by `flush`.
    Lines are the same if logger, level and message template are. Add it to a handler:

        handler.addFilter(RepeatFilter(handler))

    Args:
        handler: Writes the counts.
        most: How many times a warning or an error passes.
        seconds: The period of these times and of the count.
        clock: The source of time.
    """

    def __init__(
        self,
        handler: logging.Handler,
        *,
        most: int = 10,
        seconds: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._handler = handler
        self._most = most
        self._seconds = seconds
        self._clock = clock or SystemClock()
        # Reentrant: the text of a message may log, and so may an object that is collected.
        self._lock = threading.RLock()
        self._windows: OrderedDict[_Key, _Window] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line passes; write the counts that are due."""
        if hasattr(record, "repeated"):
            return True
        now = self._clock.monotonic()
        with self._lock:
            ended = self._ended(now)
            passes = record.levelno < logging.WARNING or self._count(record, now)
        self._write(ended)
        return passes

    def flush(self) -> None:
        """Write every count and reset it."""
        with self._lock:
            ended = list(self._windows.values())
            self._windows.clear()
        self._write(ended)

    def _count(self, record: logging.LogRecord, now: float) -> bool:
        key = (record.name, record.levelno, _template(record))
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(now + self._seconds, record)
        window.last = record
        window.count += 1
        return window.count <= self._most

    def _ended(self, now: float) -> list[_Window]:
        ended = []
        while self._windows:
            window = next(iter(self._windows.values()))
            if window.ends > now and len(self._windows) <= _MOST_KEYS:
                break
            ended.append(self._windows.popitem(last=False)[1])
        return ended

    def _write(self, windows: list[_Window]) -> None:
        for window in windows:
            times = window.count - self._most
            if times > 0:
                self._handler.handle(_counted(window.last, times))


def _template(record: logging.LogRecord) -> str:
    # The message of structlog's own loggers is a dictionary.
    return str(record.msg.get("event") if isinstance(record.msg, dict) else record.msg)


def _counted(record: logging.LogRecord, times: int) -> logging.LogRecord:
    """Return a line that reports a number of repeats."""
    counted = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
    counted.repeated = times
    count = f"repeated {times} times"
    if isinstance(record.msg, dict):
        fields = {name: value for name, value in record.msg.items() if name != "exc_info"}
        text = f"{record.msg.get('event')} … {count}"
        counted.msg = {**fields, "event": text, "repeated": times}
    else:
        counted.msg, counted.args = f"{record.getMessage()} … {count}", None
    return counted


def stack_once(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out a stack trace that was written before; a processor of structlog."""
    info = fields.get("exc_info")
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        if _WRITTEN in vars(error):
            del fields["exc_info"]
            fields["event"] = f"{fields.get('event')} (the stack trace is above)"
        for link in causes(error):
            vars(link)[_WRITTEN] = True
    return fields
