"""Logging through structlog, set up only when settings ask for it.

Our modules log to stdlib loggers named ``sdk.…``, as do libraries of the host, librdkafka's lines
come as ``sdk.librdkafka``, and the host may use structlog itself; one handler renders them all.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

from sdk.errors import ConfigurationError
from sdk.settings import LoggingOptions

EventDict = MutableMapping[str, Any]
_Processor = Callable[[Any, str, EventDict], EventDict]


class _Handler(logging.StreamHandler[TextIO]):
    """The one handler of `configure_logging`, found again by its class.

    Attributes:
        overrides: Names of the loggers that were given a level of their own.
    """

    def __init__(self, stream: TextIO, overrides: Iterable[str]) -> None:
        super().__init__(stream)
        self.overrides = tuple(overrides)


def configure_logging(options: LoggingOptions, stream: TextIO | None = None) -> None:
    """Send all log records of the process to one place, in one form.

    The root logger and the loggers of ``overrides`` get their levels; other handlers stay as they
    are. A second call replaces what the first has set up. structlog's own loggers take the same
    way.

    Args:
        options: Levels, form and enrichment; ``options.configure`` is the caller's to heed.
        stream: Where lines go; standard error by default.

    Raises:
        ConfigurationError: structlog is not installed.
    """
    try:
        import structlog
    except ImportError as error:
        raise ConfigurationError(
            "logging.configure needs structlog",
            remedy="pip install 'avro-messaging-sdk[logging]'",
        ) from error
    target = stream if stream is not None else sys.stderr
    handler = _Handler(target, options.overrides)
    handler.setFormatter(_formatter(options, target))
    _install(handler, options)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            _catch_exception,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _install(handler: _Handler, options: LoggingOptions) -> None:
    root = logging.getLogger()
    for former in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(former)
        for name in former.overrides:
            logging.getLogger(name).setLevel(logging.NOTSET)
    root.addHandler(handler)
    root.setLevel(options.level)
    for name, level in options.overrides.items():
        logging.getLogger(name).setLevel(level)


def _formatter(options: LoggingOptions, stream: TextIO) -> logging.Formatter:
    import structlog

    render: list[Any]
    if options.format == "json":
        render = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        colours = stream.isatty() and "NO_COLOR" not in os.environ
        # Plain tracebacks: the prettier ones print local variables, secrets among them.
        plain = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, _add_extra],
        processors=[
            _enricher(options),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *render,
        ],
    )


def _enricher(options: LoggingOptions) -> _Processor:
    """Return a processor that adds what the log record and the machine know."""
    machine = platform.node()

    def enrich(_: Any, __: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        event["level"] = record.levelname.lower()
        event["logger"] = record.name
        event["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat(
            timespec="microseconds"
        )
        if options.thread_id:
            event["thread_id"] = record.thread
        if options.machine_name:
            event["machine_name"] = machine
        return event

    return enrich


_OWN_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _add_extra(_: Any, __: str, event: EventDict) -> EventDict:
    """Add the ``extra`` of a stdlib call; the message keeps its name."""
    for name, value in event["_record"].__dict__.items():
        if name not in _OWN_ATTRIBUTES:
            event["extra_event" if name == "event" else name] = value
    return event


def _catch_exception(_: Any, __: str, event: EventDict) -> EventDict:
    """Hold on to the exception at hand, before a handler of another thread formats the record."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()
    return event
