"""Traces with the OpenTelemetry API, from service to service.

Spans follow the semantic conventions for messaging, release 1.44: ``send <topic>`` until the broker
has acknowledged a record, ``process <topic>`` around a handler, ``commit <topic>``. Context and
baggage travel in headers, by the global propagator (W3C Trace Context and Baggage by default).
Sampling and export are the application's: install and configure OpenTelemetry's SDK.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    get_current_span,
    get_tracer,
    set_span_in_context,
)

from sdk.cloud_events import CORRELATION_ID, ID
from sdk.consuming.dead_letters import qualified_name
from sdk.errors import SdkError
from sdk.happenings import CommitFailed, Happening, OffsetsCommitted, RegistryRequested
from sdk.observability.trace_context import (
    Attempts,
    extracted,
    has_context,
    injected,
    last_attempt,
    links_to,
    without_span,
)
from sdk.records import ConsumerRecord, DeliveryReport, ProducerRecord, TopicPartition
from sdk.redaction import hide_credentials
from sdk.settings import TracingOptions

_NAME = "avro-messaging-sdk"
_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
_ATTRIBUTES = {ID: "messaging.message.id", CORRELATION_ID: "messaging.message.conversation_id"}

_Attributes = dict[str, Any]


class MessageTracing:
    """Makes the spans of one connection; given to `sdk.connect` by the ``[tracing]`` table.

    Args:
        options: The table.
        provider: Makes the tracer; by default the global provider.
        client_id: Name of the Kafka clients.
        secrets: Texts that no span may contain.
    """

    def __init__(
        self,
        options: TracingOptions,
        provider: TracerProvider | None = None,
        *,
        client_id: str | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self.options = options
        self.tracer: Tracer = get_tracer(_NAME, None, provider, _SCHEMA)
        self.attempts = Attempts()
        self._client = {"messaging.client.id": client_id} if client_id else {}
        self._secrets = tuple(secrets)

    def inject(self, record: ProducerRecord) -> ProducerRecord:
        """Give a record the current context, unless it has one: an `Interceptor`.

        For records that are stored before they are sent, as by an outbox.
        """
        return record if has_context(record.headers) else injected(record, get_current())

    def send(self, record: ProducerRecord, *, raw: bool) -> tuple[ProducerRecord, SendSpan]:
        """Begin a ``send`` span.

        Args:
            record: To be sent.
            raw: Do not change it. Without a current span, its span continues that of the attempt
                after which it is forwarded, or else the context that it carries.

        Returns:
            The record, with the context of the span unless it had a context already, and the
            function that ends the span, to be called with the outcome.
        """
        topic = record.topic
        own = raw or has_context(record.headers)
        context, links = get_current(), []
        if own:
            origin = extracted(record.headers)
            links = links_to([origin])
            if not _in_a_span():
                context = last_attempt(record) or origin
        span = self.tracer.start_span(
            f"send {topic}",
            context,
            SpanKind.CLIENT if own else SpanKind.PRODUCER,
            self.attributes("send", "send", topic, record),
            links,
        )
        if not own:
            record = injected(record, set_span_in_context(span, context))
        return record, SendSpan(self, span)

    def __call__(
        self, records: Sequence[ConsumerRecord], event: str | None, group: str, attempt: int, /
    ) -> ProcessSpan:
        """Return a ``process`` span to be entered around a handler: an `AroundHandler`."""
        return ProcessSpan(self, records, event, group, attempt)

    def observe(self, happening: Happening) -> None:
        """Make spans of commits, and of requests to the registry within a span: an `Observer`."""
        match happening:
            case OffsetsCommitted(group, offsets) if self.options.commits:
                self._past(*self._commit(group, offsets), happening.seconds, None)
            case CommitFailed(group, offsets, error) if self.options.commits:
                self._past(*self._commit(group, offsets), happening.seconds, error)
            case RegistryRequested(operation, subject, seconds, error) if _in_a_span():
                attributes = {} if subject is None else {"sdk.registry.subject": subject}
                self._past(f"registry {operation}", attributes, seconds, error)

    def failed(self, span: Span, error: BaseException) -> None:
        """Record a failure on a span, without credentials."""
        kind = qualified_name(error)
        message = hide_credentials(str(error), self._secrets)
        span.set_status(Status(StatusCode.ERROR, message))
        span.set_attribute("error.type", kind)
        stack = "".join(traceback.format_exception(error))
        span.add_event(
            "exception",
            {
                "exception.type": kind,
                "exception.message": message,
                "exception.stacktrace": hide_credentials(stack, self._secrets),
            },
        )

    def _commit(self, group: str, offsets: Sequence[TopicPartition]) -> tuple[str, _Attributes]:
        topics = {each.topic for each in offsets}
        topic = topics.pop() if len(topics) == 1 else None
        attributes = self.attributes("commit", "settle", topic)
        attributes["messaging.consumer.group.name"] = group
        if len(offsets) == 1:
            attributes["messaging.destination.partition.id"] = str(offsets[0].partition)
            attributes["messaging.kafka.offset"] = offsets[0].offset
        return "commit" if topic is None else f"commit {topic}", attributes

    def _past(
        self, name: str, attributes: _Attributes, seconds: float, error: SdkError | None
    ) -> None:
        """Create a span for an operation that has just ended."""
        now = time.time_ns()
        span = self.tracer.start_span(
            name, None, SpanKind.CLIENT, attributes, start_time=now - int(seconds * 1e9)
        )
        if error is not None:
            self.failed(span, error)
        span.end(now)

    def attributes(
        self,
        name: str,
        kind: str,
        topic: str | None,
        record: ProducerRecord | ConsumerRecord | None = None,
    ) -> _Attributes:
        """Return the attributes of an operation on a topic, or on one of its records."""
        found: _Attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": name,
            "messaging.operation.type": kind,
            **self._client,
        }
        if topic is not None:
            found["messaging.destination.name"] = topic
        if record is not None:
            found.update(self._of_record(record))
        return found

    def _of_record(self, record: ProducerRecord | ConsumerRecord) -> _Attributes:
        found: _Attributes = {}
        for name, value in record.headers:
            if value is not None and name in _ATTRIBUTES:
                found[_ATTRIBUTES[name]] = value.decode(errors="replace")
        if record.value is None:
            found["messaging.kafka.message.tombstone"] = True
        else:
            found["messaging.message.body.size"] = len(record.value)
        if self.options.message_key and record.key is not None:
            found["messaging.kafka.message.key"] = record.key.decode(errors="backslashreplace")
        return found


def _in_a_span() -> bool:
    return get_current_span().get_span_context().is_valid


class SendSpan:
    """Ends a ``send`` span: an `OnDelivery`."""

    __slots__ = ("_span", "_tracing")

    def __init__(self, tracing: MessageTracing, span: Span) -> None:
        self._tracing = tracing
        self._span = span

    def __call__(self, report: DeliveryReport | None, error: SdkError | None) -> None:
        """Record the outcome and end the span."""
        span = self._span
        if error is not None:
            self._tracing.failed(span, error)
        elif report is not None:
            span.set_attributes(
                {
                    "messaging.destination.partition.id": str(report.partition),
                    "messaging.kafka.offset": report.offset,
                }
            )
        span.end()


class ProcessSpan:
    """A ``process`` span, current while it is entered, with the publisher's baggage.

    It links to the context of every record and, for later attempts, to the first one. The span
    of a single record continues the publisher's trace.
    """

    __slots__ = ("_attempt", "_event", "_group", "_records", "_span", "_token", "_tracing")

    def __init__(
        self,
        tracing: MessageTracing,
        records: Sequence[ConsumerRecord],
        event: str | None,
        group: str,
        attempt: int,
    ) -> None:
        self._tracing = tracing
        self._records = records
        self._event = event
        self._group = group
        self._attempt = attempt

    def __enter__(self) -> None:
        tracing, records = self._tracing, self._records
        first = records[0]
        origins = [extracted(record.headers) for record in records]
        links = links_to(origins, records if len(records) > 1 else None)
        if len(records) > 1:
            context = without_span()
        else:
            if self._attempt > 1:
                links += [Link(span) for span in tracing.attempts.at(first)]
            context = origins[0]
            if not tracing.options.continue_trace:
                context = set_span_in_context(INVALID_SPAN, context)
        self._span = tracing.tracer.start_span(
            f"process {first.topic}", context, SpanKind.CONSUMER, self._attributes(), links
        )
        self._token = attach(set_span_in_context(self._span, context))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        detach(self._token)
        if error is not None:
            self._tracing.failed(self._span, error)
            for record in self._records:
                self._tracing.attempts.failed(record, self._span.get_span_context())
        self._span.end()

    def _attributes(self) -> _Attributes:
        tracing, records = self._tracing, self._records
        first, single = records[0], len(records) == 1
        found = tracing.attributes("process", "process", first.topic, first if single else None)
        found["messaging.destination.partition.id"] = str(first.partition)
        found["messaging.consumer.group.name"] = self._group
        if single:
            found["messaging.kafka.offset"] = first.offset
        else:
            found["messaging.batch.message_count"] = len(records)
        if self._event is not None:
            found["cloudevents.event_type"] = self._event
        if self._attempt > 1:
            found["sdk.attempt"] = self._attempt
        return found
