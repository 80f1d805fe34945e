"""Adds the record being handled to every log line of any logger."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from sdk.cloud_events import ID
from sdk.consuming.retry_topics import attempt_of
from sdk.correlation import TRACE_PARENT, handled
from sdk.records import ConsumerRecord


def message_context() -> dict[str, Any]:
    """Return the fields of the record that this thread or task handles, and of the current span.

    Outside a handler there are only those of the span. Without a span, trace and span are those of
    the publisher, from the record's headers.

    The key may be personal data, so only its hash is returned.
    """
    handling = handled.get()
    found = {} if handling is None else _fields(*handling)
    found.update(_current_span())
    return found


def _current_span() -> dict[str, str]:
    # If OpenTelemetry is not imported, there is no span.
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def _fields(record: ConsumerRecord, event: str, failed: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "event": event,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "attempt": attempt_of(record) + failed,
    }
    if record.key is not None:
        found["key_hash"] = hashlib.blake2b(record.key, digest_size=6).hexdigest()
    identifier = record.header(ID)
    if identifier is not None:
        found["event_id"] = identifier.decode(errors="replace")
    trace = record.header(TRACE_PARENT)
    if trace is not None and trace.count(b"-") == 3:
        _, trace_id, span_id, _ = trace.decode(errors="replace").split("-")
        found.update(trace_id=trace_id, span_id=span_id)
    return found


class MessageContextFilter(logging.Filter):
    """Adds the fields of the record being handled to log records of the standard library.

    Add it to a handler, so that the lines of every logger get them:

        handler.addFilter(MessageContextFilter())
        handler.setFormatter(logging.Formatter("%(message)s %(topic)s[%(partition)s]", defaults=…))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; those that the call passed as ``extra`` are kept."""
        for name, value in message_context().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def add_message_context(
    _: Any, __: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the fields of the record being handled; a processor of structlog.

    In structlog ``event`` is the message, so the event's name is ``event_type``.
    """
    for name, value in message_context().items():
        fields.setdefault("event_type" if name == "event" else name, value)
    return fields
