"""Which event led to which: identifiers that a handler's own events carry on.

Every event that is published while another one is being handled names it as its cause, and shares
its correlation id with all that follow from the same first event. Both are CloudEvents extension
attributes; trace context (W3C) is passed on beside them.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType

from sdk.cloud_events import CAUSATION_ID, CORRELATION_ID, ID
from sdk.records import ConsumerRecord, Header, ProducerRecord

TRACE_HEADERS = ("traceparent", "tracestate", "baggage")
"""Names of the W3C Trace Context and Baggage specifications."""

handled: ContextVar[ConsumerRecord | None] = ContextVar("sdk_handled_record", default=None)
"""The record that is being handled here; consumers set it, in their threads and tasks."""


class within:  # noqa: N801 - read as a verb: ``with within(record)``
    """A context in which a record is being handled; tasks that start in it inherit it.

    Args:
        record: As it came from the broker.
    """

    __slots__ = ("_record", "_token")

    def __init__(self, record: ConsumerRecord) -> None:
        self._record = record

    def __enter__(self) -> None:
        self._token: Token[ConsumerRecord | None] = handled.set(self._record)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        handled.reset(self._token)


def carry_on(record: ProducerRecord) -> ProducerRecord:
    """Add the headers that tie a record to the one being handled, unless it has them; the default
    `Interceptor`.

    The correlation id is that of the handled record, or its id if it is the first of its kind; the
    causation id is its id.
    """
    cause = handled.get()
    if cause is None:
        return record
    present = {name for name, _ in record.headers}
    came = dict(cause.headers)  # of repeated headers the last counts
    identifier = came.get(ID)
    wanted: list[Header] = [
        (CORRELATION_ID, came.get(CORRELATION_ID) or identifier),
        (CAUSATION_ID, identifier),
        *((name, came.get(name)) for name in TRACE_HEADERS),
    ]
    added = [pair for pair in wanted if pair[1] is not None and pair[0] not in present]
    return record._replace(headers=(*record.headers, *added)) if added else record
