"""Which event led to which: identifiers that a handler's own events carry on.

Every event that is published while another one is being handled names it as its cause, and shares
its correlation id with all that follow from the same first event. Both are CloudEvents extension
attributes; trace context (W3C) is passed on beside them.
"""

from __future__ import annotations

from contextvars import ContextVar

from sdk.cloud_events import CAUSATION_ID, CORRELATION_ID, ID
from sdk.records import ConsumerRecord, Header, ProducerRecord

TRACE_PARENT = "traceparent"
TRACE_HEADERS = (TRACE_PARENT, "tracestate", "baggage")
"""Names of the W3C Trace Context and Baggage specifications."""

Handled = tuple[ConsumerRecord, str, int]
"""A record, the full name of its event, and how many attempts in place have failed before."""

handled: ContextVar[Handled | None] = ContextVar("sdk_handled", default=None)
"""What is being handled here; consumers set it, in their threads and tasks."""


def carry_on(
    record: ProducerRecord, trace_headers: tuple[str, ...] = TRACE_HEADERS
) -> ProducerRecord:
    """Tie a record to the one that is being handled: what encoders do last with each record.

    Headers that the record has already stay as they are. Where spans are made, those of the trace
    context tell more than the handled record's.

    The causation id is the id of the handled record; the correlation id is the handled record's,
    or its id where it has none and so began the chain.
    """
    handling = handled.get()
    if handling is None:
        return record
    cause = handling[0]
    present = {name for name, _ in record.headers}
    came = dict(cause.headers)  # of repeated headers the last counts
    identifier = came.get(ID)
    wanted: list[Header] = [
        (CORRELATION_ID, came.get(CORRELATION_ID) or identifier),
        (CAUSATION_ID, identifier),
        *((name, came.get(name)) for name in trace_headers),
    ]
    added = [pair for pair in wanted if pair[1] is not None and pair[0] not in present]
    return record._replace(headers=(*record.headers, *added)) if added else record
