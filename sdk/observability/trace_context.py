"""Trace context in headers of records, and between the attempts at one."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry import baggage, propagate
from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from sdk.cloud_events import ID
from sdk.consuming.headers import ATTEMPT_SPANS
from sdk.correlation import TRACE_HEADERS, TRACE_PARENT
from sdk.records import ConsumerRecord, Header, ProducerRecord

_KEPT = 10_000
_SPAN = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def has_context(headers: Iterable[Header]) -> bool:
    """Return whether headers carry a trace context."""
    return TRACE_PARENT in [name for name, _ in headers]


class _Format:
    """Whether the global propagator writes the headers of W3C Trace Context."""

    _propagator: object = None
    _w3c = False

    def __bool__(self) -> bool:
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._w3c = propagator.fields == _FIELDS
            self._propagator = propagator
        return self._w3c


_FIELDS = set(TRACE_HEADERS)
_w3c = _Format()


def injected(record: ProducerRecord, context: Context) -> ProducerRecord:
    """Return a record that carries a context and its baggage."""
    span = get_current_span(context).get_span_context()
    if _w3c and not (span.trace_state or baggage.get_all(context)):
        if not span.is_valid:
            return record
        return record._replace(headers=(*record.headers, (TRACE_PARENT, _text(span))))
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    if not carrier:
        return record
    added = [(name, value.encode()) for name, value in carrier.items()]
    kept = [header for header in record.headers if header[0] not in carrier]
    return record._replace(headers=(*kept, *added))


def without_span() -> Context:
    """Return the current context without its span, for a new trace."""
    context = get_current()
    if get_current_span(context) is INVALID_SPAN:
        return context
    return set_span_in_context(INVALID_SPAN, context)


def extracted(headers: Iterable[Header]) -> Context:
    """Return the context and the baggage that headers carry."""
    fields = _FIELDS if _w3c else propagate.get_global_textmap().fields
    found = {name: value for name, value in headers if name in fields and value is not None}
    context = without_span()
    if not found:
        return context
    span = _span(found[TRACE_PARENT]) if _w3c and found.keys() == {TRACE_PARENT} else None
    if span is not None:
        return set_span_in_context(NonRecordingSpan(span), context)
    carrier = {name: value.decode("ascii", "replace") for name, value in found.items()}
    return propagate.extract(carrier, context)


def links_to(
    origins: Iterable[Context], records: Sequence[ConsumerRecord] | None = None
) -> list[Link]:
    """Return links to contexts; for a batch, with attributes that identify its records."""
    links = []
    for index, origin in enumerate(origins):
        span = get_current_span(origin).get_span_context()
        if span.is_valid:
            links.append(Link(span, None if records is None else _place(records[index])))
    return links


def _place(record: ConsumerRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"messaging.kafka.offset": record.offset}
    identifier = record.header(ID)
    if identifier is not None:
        found["messaging.message.id"] = identifier.decode(errors="replace")
    return found


class Attempts:
    """The spans of the first and the last attempt at recently failed records.

    They are kept here between attempts in place, and in a header through retry topics.
    """

    def __init__(self) -> None:
        self._spans: OrderedDict[tuple[str, int, int], list[SpanContext]] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, record: ConsumerRecord) -> list[SpanContext]:
        """Return the spans of the first and the last attempt, of the only one, or none."""
        known = self._spans.get(record[:3])
        return _spans(record.headers) if known is None else known

    def failed(self, record: ConsumerRecord, span: SpanContext) -> None:
        """Remember an attempt that failed."""
        if span.is_valid:
            spans = [*self.at(record)[:1], span]
            with self._lock:
                self._spans[record[:3]] = spans
                if len(self._spans) > _KEPT:
                    self._spans.popitem(last=False)

    def headers(self, record: ConsumerRecord) -> list[Header]:
        """Return the headers that carry them when a record is forwarded."""
        spans = self.at(record)
        return [(ATTEMPT_SPANS, b",".join(map(_text, spans)))] if spans else []


def last_attempt(record: ProducerRecord) -> Context | None:
    """Return the context of the attempt that forwarded a record; None if there was none."""
    spans = _spans(record.headers)
    return set_span_in_context(NonRecordingSpan(spans[-1])) if spans else None


def _spans(headers: Iterable[Header]) -> list[SpanContext]:
    value = next((value for name, value in headers if name == ATTEMPT_SPANS), None)
    found = map(_span, (value or b"").split(b",")[:2])
    return [span for span in found if span is not None]


def _span(text: bytes) -> SpanContext | None:
    """Return the span in a ``traceparent`` of a known version; None in any other."""
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    trace, span, flags = match.groups()
    found = SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)))
    return found if found.is_valid else None


def _text(span: SpanContext) -> bytes:
    return b"00-%032x-%016x-%02x" % (span.trace_id, span.span_id, span.trace_flags)
