"""Correlation: identifiers that link an event to the one whose handler published it.

An event that is published while another one is handled gets that event's id as its causation id,
and the same correlation id, both CloudEvents extension attributes. The trace context (W3C) is
propagated too.
"""

from __future__ import annotations

from contextvars import ContextVar

from sdk.cloud_events import CAUSATION_ID, CORRELATION_ID, ID
from sdk.records import ConsumerRecord, Header, ProducerRecord

TRACE_PARENT = "traceparent"
TRACE_HEADERS = (TRACE_PARENT, "tracestate", "baggage")
"""Header names from the W3C Trace Context and Baggage specifications."""

Handled = tuple[ConsumerRecord, str, int]
"""A record, the full name of its event, and the number of earlier failed attempts in place."""

handled: ContextVar[Handled | None] = ContextVar("sdk_handled", default=None)
"""The record that this thread or task is handling; set by consumers."""


def correlate(
    record: ProducerRecord, trace_headers: tuple[str, ...] = TRACE_HEADERS
) -> ProducerRecord:
    """Add the headers that link a record to the one that is being handled.

    The causation id is the id of the handled record; the correlation id is the handled record's, or
    its id if it has none. Headers that the record has already are kept.

    Args:
        record: The record.
        trace_headers: Headers of the trace context to copy; none if spans are created.
    """
    handling = handled.get()
    if handling is None:
        return record
    cause = handling[0]
    present = {name for name, _ in record.headers}
    original = dict(cause.headers)  # the last one of repeated headers
    identifier = original.get(ID)
    wanted: list[Header] = [
        (CORRELATION_ID, original.get(CORRELATION_ID) or identifier),
        (CAUSATION_ID, identifier),
        *((name, original.get(name)) for name in trace_headers),
    ]
    added = [pair for pair in wanted if pair[1] is not None and pair[0] not in present]
    return record._replace(headers=(*record.headers, *added)) if added else record
