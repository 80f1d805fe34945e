"""Logging with structlog, configured only if the settings enable it.

The SDK's modules log to stdlib loggers named ``sdk.…``, librdkafka's lines among them as
``sdk.librdkafka``. By default only these are set up; the rest of the process is the application's.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, TextIO
from uuid import UUID

from sdk.clock import Clock
from sdk.errors import ConfigurationError
from sdk.observability.context import add_message_context
from sdk.observability.repeats import RepeatFilter, stack_once
from sdk.settings import LoggingOptions

EventDict = MutableMapping[str, Any]
_Processor = Callable[[Any, str, EventDict], EventDict]


class _Handler(logging.StreamHandler[TextIO]):
    """The handler of `configure_logging`, identified by its class.

    Attributes:
        overrides: Names of the loggers with their own level.
    """

    def __init__(self, stream: TextIO, options: LoggingOptions, clock: Clock | None) -> None:
        super().__init__(stream)
        self.overrides = tuple(options.overrides)
        self._repeats = RepeatFilter(
            self, most=options.repeats, seconds=options.repeat_seconds, clock=clock
        )
        if options.repeats:
            self.addFilter(self._repeats)

    def close(self) -> None:
        """Write the counts of repeated warnings."""
        self._repeats.flush()
        super().close()


def configure_logging(
    options: LoggingOptions,
    stream: TextIO | None = None,
    *,
    service: str | None = None,
    environment: str | None = None,
    clock: Clock | None = None,
) -> None:
    """Render log records as configured, those of the SDK or of the whole process.

    With the scope ``sdk``, records of the SDK are written here and by no other handler, and neither
    the root logger nor structlog's configuration is touched. With ``everything``, the root logger
    gets the handler and the level, in place of handlers that write to the console; handlers of
    other kinds stay. structlog's loggers then use the same handler, unless the application has
    configured structlog itself. Loggers named in ``overrides`` get their levels in both cases. A
    second call replaces the configuration of the first.

    Lines have the fields of the record being handled. Repeated warnings are counted, and a stack
    trace is written once, however often its exception is logged.

    Args:
        options: Scope, levels, format and fields; ``options.configure`` is up to the caller.
        stream: Where lines go; standard error by default.
        service: Name of the service, if ``options.service`` is not set.
        environment: Name of the environment.
        clock: Determines when the counts of warnings are written.

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
    handler = _Handler(target, options, clock)
    always = {
        "machine_name": platform.node() if options.machine_name else None,
        "service": options.service or service,
        "environment": environment if options.environment else None,
    }
    handler.setFormatter(_formatter(options, target, always))
    _install(handler, options)
    if options.scope == "sdk" or structlog.is_configured():
        return
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
    root, own = logging.getLogger(), logging.getLogger("sdk")
    for logger in (root, own):
        for former in [known for known in logger.handlers if isinstance(known, _Handler)]:
            logger.removeHandler(former)
            former.close()
            for name in (*former.overrides, "sdk"):
                logging.getLogger(name).setLevel(logging.NOTSET)
    everything = options.scope == "everything"
    own.propagate = everything
    target = root if everything else own
    if everything:
        for other in [known for known in root.handlers if _writes_to_console(known)]:
            root.removeHandler(other)
    target.addHandler(handler)
    target.setLevel(options.level)
    for name, level in options.overrides.items():
        logging.getLogger(name).setLevel(level)


def _writes_to_console(handler: logging.Handler) -> bool:
    # Subclasses, such as the one for files, have other purposes.
    return type(handler) is logging.StreamHandler and handler.stream in (sys.stdout, sys.stderr)


def _formatter(
    options: LoggingOptions, stream: TextIO, always: Mapping[str, str | None]
) -> logging.Formatter:
    import structlog

    render: list[Any]
    if options.format == "json":
        render = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(_to_json),
        ]
    else:
        colours = stream.isatty() and "NO_COLOR" not in os.environ
        # Plain tracebacks: the prettier ones print local variables, secrets among them.
        plain = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, _add_extra],
        processors=[
            add_message_context,
            stack_once,
            _enricher(options, {name: value for name, value in always.items() if value}),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *render,
        ],
    )


def _enricher(options: LoggingOptions, always: Mapping[str, str]) -> _Processor:
    """Return a processor that adds fields of the log record and of every line."""

    def enrich(_: Any, __: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        event["level"] = record.levelname.lower()
        event["logger"] = record.name
        event["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat(
            timespec="microseconds"
        )
        if options.thread_id:
            event["thread_id"] = record.thread
        for name, value in always.items():
            event.setdefault(name, value)
        return event

    return enrich


def _to_json(event: EventDict, **_: Any) -> str:
    """Return a line's JSON; unsupported values become strings, and no line is lost."""
    try:
        return json.dumps(event, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return json.dumps({str(key): _encodable(value) for key, value in event.items()})


def _encodable(value: object) -> object:
    """Return a value for JSON even if it has keys of other types or contains itself."""
    try:
        named = {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else value
        return json.loads(json.dumps(named, default=_plain))
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _plain(value: object) -> object:
    """Return a value in its usual JSON form."""
    if isinstance(value, UUID | Decimal | PurePath):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return repr(value)


_OWN_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _add_extra(_: Any, __: str, event: EventDict) -> EventDict:
    """Add the ``extra`` of a stdlib call; ``event`` is the message in structlog."""
    for name, value in event["_record"].__dict__.items():
        if name not in _OWN_ATTRIBUTES:
            event["event_type" if name == "event" else name] = value
    return event


def _catch_exception(_: Any, __: str, event: EventDict) -> EventDict:
    """Keep the current exception: a handler may format the record in another thread."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()
    return event
