"""Traces: whole flows on the broker in memory, seen through the exported spans alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.semconv._incubating.attributes import cloudevents_attributes as ce
from opentelemetry.semconv._incubating.attributes import messaging_attributes as names
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanKind, StatusCode

from sdk.consuming.headers import ATTEMPT_SPANS
from sdk.errors import BrokerUnavailableError, MessageTooLargeError
from sdk.observability.context import message_context
from sdk.observability.tracing import MessageTracing
from sdk.records import ProducerRecord
from sdk.settings import (
    ConsumerOptions,
    DeadLetterOptions,
    InPlaceRetryOptions,
    RetryTopicsOptions,
    TracingOptions,
)
from sdk.testing import InMemoryBroker, VirtualClock, run_until_idle
from sdk.testing.connection import InMemoryMessaging
from tests.unit.messaging.shop import OrderCancelled, OrderCreated
from tests.unit.observability.spans import (
    Spans,
    connect,
    links,
    parent_id,
    span_id,
    trace_id,
)

CREATED, CANCELLED = "orders.order-created", "orders.order-cancelled"


def order(number: int = 1) -> OrderCreated:
    """Return an order."""
    return OrderCreated(order_id=f"o-{number}")


def consume(messaging: InMemoryMessaging, handler: Any, **options: Any) -> None:
    """Handle all orders that are there, and all that come of them."""
    consumer = messaging.consumer().handle(OrderCreated, handler, **options)
    run_until_idle(consumer, messaging.broker, "billing")


def seen(span: ReadableSpan, *wanted: str) -> list[Any]:
    """Return the values of some attributes."""
    return [(span.attributes or {}).get(name) for name in wanted]


def test_a_request_is_followed_from_service_to_service() -> None:
    """Request, send, process and what the handler publishes are one trace, step by step."""
    spans = Spans()
    with connect(spans) as messaging:

        def cancel(event: OrderCreated) -> None:
            messaging.producer.produce(OrderCancelled(order_id=event.order_id), key=None).result(5)

        with spans.around("request"):
            messaging.producer.produce(order())
        consume(messaging, cancel)
    chain = [spans.one(name) for name in ("request", f"send {CREATED}", f"process {CREATED}")]
    chain.append(spans.one(f"send {CANCELLED}"))
    assert [parent_id(span) for span in chain[1:]] == [span_id(span) for span in chain[:-1]]
    assert {trace_id(span) for span in chain} == {trace_id(chain[0])}
    assert links(chain[2]) == [span_id(chain[1])]
    kinds = [span.kind for span in chain[1:]]
    assert kinds == [SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.PRODUCER]


def test_attributes_are_those_of_the_conventions() -> None:
    """Spans say what was done where, by the names of the semantic conventions."""
    spans = Spans()
    with connect(spans) as messaging:
        report = messaging.producer.produce(order()).result(5)
        (record,) = messaging.broker.records(CREATED)
        consume(messaging, lambda event: None)
    place = {
        names.MESSAGING_SYSTEM: "kafka",
        names.MESSAGING_DESTINATION_NAME: CREATED,
        names.MESSAGING_DESTINATION_PARTITION_ID: str(report.partition),
        names.MESSAGING_KAFKA_OFFSET: report.offset,
    }
    about = {
        names.MESSAGING_MESSAGE_ID: dict(record.headers)["ce_id"].decode(),  # type: ignore[union-attr]
        names.MESSAGING_MESSAGE_BODY_SIZE: len(record.value or b""),
    }
    group = {names.MESSAGING_CONSUMER_GROUP_NAME: "billing"}
    assert spans.one(f"send {CREATED}").attributes == {
        **place,
        **about,
        names.MESSAGING_OPERATION_NAME: "send",
        names.MESSAGING_OPERATION_TYPE: names.MessagingOperationTypeValues.SEND.value,
    }
    assert spans.one(f"process {CREATED}").attributes == {
        **place,
        **about,
        **group,
        names.MESSAGING_OPERATION_NAME: "process",
        names.MESSAGING_OPERATION_TYPE: names.MessagingOperationTypeValues.PROCESS.value,
        ce.CLOUDEVENTS_EVENT_TYPE: "orders.OrderCreated",
    }
    assert spans.named(f"commit {CREATED}")[-1].attributes == {
        **place,
        **group,
        names.MESSAGING_KAFKA_OFFSET: 1,
        names.MESSAGING_OPERATION_NAME: "commit",
        names.MESSAGING_OPERATION_TYPE: names.MessagingOperationTypeValues.SETTLE.value,
    }
    scope = spans.one(f"send {CREATED}").instrumentation_scope
    assert scope is not None
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


def test_keys_are_shown_on_request_alone() -> None:
    """The key, which may be personal data, stands on spans only where a setting asks for it."""
    for wanted, expected in ((False, None), (True, "o-1")):
        spans = Spans()
        with connect(spans, tracing=TracingOptions(message_key=wanted)) as messaging:
            messaging.producer.produce(order()).result(5)
            consume(messaging, lambda event: None)
        for name in (f"send {CREATED}", f"process {CREATED}"):
            assert seen(spans.one(name), names.MESSAGING_KAFKA_MESSAGE_KEY) == [expected]


def test_baggage_reaches_the_handler_and_what_it_publishes() -> None:
    """Baggage of the publisher is current in the handler, and travels on from there."""
    found = []
    with connect(Spans()) as messaging:

        def cancel(event: OrderCreated) -> None:
            found.append(baggage.get_baggage("tenant"))
            messaging.producer.produce(OrderCancelled(order_id="o-1"), key=None)

        token = context.attach(baggage.set_baggage("tenant", "acme"))
        messaging.producer.produce(order())
        context.detach(token)
        consume(messaging, cancel)
        (record,) = messaging.broker.records(CANCELLED)
    assert found == ["acme"]
    assert record.header("baggage") == b"tenant=acme"


@pytest.mark.parametrize("kind", ["plain", "coroutine", "plain beside a coroutine"])
def test_handlers_run_in_their_span(kind: str) -> None:
    """The span is current in threads, in coroutines and in pools: log lines carry its ids."""
    spans, shown = Spans(), []

    def take(event: OrderCreated) -> None:
        shown.append(message_context())

    async def take_in_loop(event: OrderCreated) -> None:
        await asyncio.sleep(0)
        take(event)

    with connect(spans) as messaging:
        messaging.producer.produce(order())
        handler = take_in_loop if kind == "coroutine" else take
        beside = take_in_loop if kind.endswith("a coroutine") else None
        consume(messaging, handler, tombstone=beside)
    process = spans.one(f"process {CREATED}")
    (fields,) = shown
    assert int(fields["span_id"], 16) == span_id(process)
    assert int(fields["trace_id"], 16) == trace_id(process)


def test_nothing_is_current_between_records() -> None:
    """Once a handler has returned its span is not current, whatever thread goes on."""
    spans = Spans()
    with connect(spans) as messaging:
        for number in range(3):
            messaging.producer.produce(order(number), partition=0)
        consume(messaging, lambda event: None)
    processes = spans.named(f"process {CREATED}")
    sent = {span_id(span) for span in spans.named(f"send {CREATED}")}
    assert {parent_id(span) for span in processes} == sent
    assert len({trace_id(span) for span in processes}) == 3


def test_a_batch_links_to_each_of_its_records() -> None:
    """The span of a batch has a new trace, and a link for each record that names it."""
    spans = Spans()
    with connect(spans) as messaging:
        for number in range(3):
            messaging.producer.produce(order(number), partition=0)
        consume(messaging, lambda events: None, batch_size=3)
    batch = spans.one(f"process {CREATED}")
    sent = spans.named(f"send {CREATED}")
    assert links(batch) == [span_id(span) for span in sent]
    assert parent_id(batch) is None
    assert trace_id(batch) not in {trace_id(span) for span in sent}
    assert seen(batch, names.MESSAGING_BATCH_MESSAGE_COUNT) == [3]
    offsets = [(link.attributes or {}).get(names.MESSAGING_KAFKA_OFFSET) for link in batch.links]
    assert offsets == [0, 1, 2]


FAILING = ConsumerOptions(
    group_id="billing",
    retry=InPlaceRetryOptions(retry_count=1, base_delay_ms=10),
    retry_topics=RetryTopicsOptions(delays_ms=(1000,)),
    dead_letter=DeadLetterOptions(),
)


def test_retries_and_dead_letters_are_linked_to_the_first_attempt() -> None:
    """In place, by a retry topic or as a dead letter: one trace, linked to the first attempt."""
    spans = Spans()

    def fail(event: OrderCreated) -> None:
        raise ValueError("no stock at postgres://shop:hunter2@db")

    with connect(spans, consumer=FAILING) as messaging:
        messaging.producer.produce(order())
        consume(messaging, fail)
        (letter,) = messaging.broker.records(f"{CREATED}-dlt")
        (original,) = messaging.broker.records(CREATED)
    first, second = spans.named(f"process {CREATED}")
    third = spans.one(f"process {CREATED}-retry")
    sent = spans.one(f"send {CREATED}")
    to_retry, to_dead_letters = (spans.one(f"send {CREATED}-{end}") for end in ("retry", "dlt"))
    everything = [first, second, third, to_retry, to_dead_letters]
    assert {trace_id(span) for span in everything} == {trace_id(sent)}
    assert links(second) == [span_id(sent), span_id(first)]
    assert links(third) == [span_id(sent), span_id(first), span_id(second)]
    assert parent_id(to_retry) == span_id(second)
    assert parent_id(to_dead_letters) == span_id(third)
    assert to_retry.kind is SpanKind.CLIENT
    assert [seen(span, "sdk.attempt") for span in (first, second, third)] == [[None], [2], [2]]
    assert letter.header("traceparent") == original.header("traceparent")
    (attempts,) = [value for name, value in letter.headers if name == ATTEMPT_SPANS]
    assert attempts is not None
    assert f"{span_id(first):016x}".encode() in attempts


def test_a_failure_stands_on_its_span() -> None:
    """Status, error type and exception are recorded, without the credentials in its message."""
    spans = Spans()

    def fail(event: OrderCreated) -> None:
        raise ValueError("no stock at postgres://shop:hunter2@db")

    with connect(spans, consumer=FAILING) as messaging:
        messaging.producer.produce(order())
        consume(messaging, fail)
    failed = spans.named(f"process {CREATED}")[0]
    assert failed.status.status_code is StatusCode.ERROR
    assert seen(failed, ERROR_TYPE) == ["ValueError"]
    (event,) = failed.events
    assert event.name == "exception"
    shown = str(dict(event.attributes or {})) + str(failed.status.description)
    assert "no stock" in shown
    assert "test_tracing.py" in shown
    assert "hunter2" not in shown


def test_poison_has_a_span() -> None:
    """An unreadable record has a failed span, and its dead letter is below it."""
    spans = Spans()
    with connect(spans, consumer=FAILING) as messaging:
        record = messaging.encoder.record(order())
        messaging.producer.send(record._replace(value=b"\x00nonsense"))
        consume(messaging, lambda event: None)
    failed = spans.one(f"process {CREATED}")
    assert seen(failed, ERROR_TYPE) == ["sdk.errors.DeserializationError"]
    assert parent_id(spans.one(f"send {CREATED}-dlt")) == span_id(failed)


def test_a_record_that_is_not_acknowledged_ends_its_span_with_the_error() -> None:
    """A delivery that fails is an error of the send span, whose end is that of the delivery."""
    spans = Spans()
    broker = InMemoryBroker(clock=VirtualClock())
    with connect(spans, broker) as messaging:
        broker.fail("deliver", BrokerUnavailableError("all brokers are down"))
        with pytest.raises(BrokerUnavailableError):
            messaging.producer.produce(order()).result(5)
        broker.hold()
        messaging.producer.produce(order(2))
        assert len(spans.named(f"send {CREATED}")) == 1
        broker.release()
    failed, fine = spans.named(f"send {CREATED}")
    assert seen(failed, ERROR_TYPE) == ["sdk.errors.BrokerUnavailableError"]
    assert fine.status.status_code is StatusCode.UNSET


def test_a_record_that_cannot_be_queued_ends_its_span() -> None:
    """An exception of `produce` is an error of the span, too."""
    spans = Spans()
    small = InMemoryBroker(max_message_bytes=10)
    with connect(spans, small) as messaging, pytest.raises(MessageTooLargeError):
        messaging.producer.produce(order())
    assert seen(spans.one(f"send {CREATED}"), ERROR_TYPE) == ["sdk.errors.MessageTooLargeError"]


def test_coroutines_publish_in_their_own_context() -> None:
    """In an event loop, also while schema ids are looked up, spans have the task's as parents."""
    spans = Spans()

    async def request(messaging: InMemoryMessaging, number: int) -> None:
        with spans.around(f"request {number}"):
            await messaging.producer.produce(order(number))

    async def main() -> None:
        async with connect(spans) as messaging:
            await asyncio.gather(*(request(messaging, number) for number in range(3)))

    asyncio.run(main())
    requests = {span_id(spans.one(f"request {number}")) for number in range(3)}
    assert {parent_id(span) for span in spans.named(f"send {CREATED}")} == requests


def test_stored_records_carry_their_caller_on() -> None:
    """An encoded record carries the caller's context, which sending it later does not change."""
    spans = Spans()
    with connect(spans) as messaging:
        with spans.around("request"):
            stored = messaging.encoder.record(order())
            other = messaging.producer.record(order(2))
        messaging.producer.send(stored)
        consume(messaging, lambda event: None)
        (record,) = messaging.broker.records(CREATED)
    request, sent = spans.one("request"), spans.one(f"send {CREATED}")
    assert f"{span_id(request):016x}" in str(stored.headers)
    assert f"{span_id(request):016x}" in str(other.headers)
    assert record.headers == stored.headers
    assert (parent_id(sent), links(sent)) == (span_id(request), [span_id(request)])
    assert parent_id(spans.one(f"process {CREATED}")) == span_id(request)


def test_a_context_of_the_callers_own_is_kept() -> None:
    """A ``traceparent`` passed to `produce` reaches the consumer unchanged."""
    own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    spans = Spans()
    with connect(spans) as messaging:
        messaging.producer.produce(order(), headers={"traceparent": own})
        consume(messaging, lambda event: None)
    assert parent_id(spans.one(f"process {CREATED}")) == 0xB7AD6B7169203331
    assert links(spans.one(f"send {CREATED}")) == [0xB7AD6B7169203331]


def test_traces_may_begin_again_in_each_service() -> None:
    """With ``continue_trace = false`` a handler's trace is its own, and links to the publisher."""
    spans = Spans()
    with connect(spans, tracing=TracingOptions(continue_trace=False)) as messaging:
        messaging.producer.produce(order())
        consume(messaging, lambda event: None)
    sent, process = spans.one(f"send {CREATED}"), spans.one(f"process {CREATED}")
    assert parent_id(process) is None
    assert trace_id(process) != trace_id(sent)
    assert links(process) == [span_id(sent)]


def test_waiting_makes_no_spans() -> None:
    """Empty polls leave nothing, and commits nothing where they are not wanted."""
    spans = Spans()
    with connect(spans, tracing=TracingOptions(commits=False)) as messaging:
        messaging.producer.produce(order())
        consume(messaging, lambda event: None)
        consume_again = messaging.consumer().handle(OrderCreated, lambda event: None)
        run_until_idle(consume_again, messaging.broker, "billing")
    names_but_registry = {name for name in spans.names if not name.startswith("registry ")}
    assert names_but_registry == {f"send {CREATED}", f"process {CREATED}"}


def test_the_registry_is_seen_where_it_is_asked() -> None:
    """The requests of a first event stand below what caused them; a second event makes none."""
    spans = Spans()
    with connect(spans) as messaging:
        with spans.around("first"):
            messaging.producer.produce(order())
        with spans.around("second"):
            messaging.producer.produce(order(2))
    first, second = span_id(spans.one("first")), span_id(spans.one("second"))
    parents = {parent_id(span) for span in spans.named("registry lookup")}
    assert first in parents
    assert second not in parents


def test_settings_decide() -> None:
    """``enabled = false`` wins over a provider, and without either there are no headers."""
    spans = Spans()
    for messaging in (connect(spans, tracing=TracingOptions(enabled=False)), connect(None)):
        with messaging, spans.around("request"):
            messaging.producer.produce(order()).result(5)
            (record,) = messaging.broker.records(CREATED)
            assert record.header("traceparent") is None
    assert spans.names == {"request"}


def test_without_the_api_there_is_nothing_to_load() -> None:
    """A connection without traces loads no OpenTelemetry, and asking for it names the extra."""
    code = """
import sys
sys.modules["opentelemetry"] = None
import sdk.testing
from sdk.settings import KafkaOptions, RegistryOptions, Settings, TracingOptions
from tests.unit.messaging.shop import CATALOG, OrderCreated
def connect(enabled):
    return sdk.testing.connect(CATALOG, settings=Settings(
        environment="test",
        kafka=KafkaOptions(bootstrap_servers=("in-memory:1",)),
        registry=RegistryOptions(url=("embedded",)),
        tracing=TracingOptions(enabled=enabled),
    ))
with connect(None) as messaging:
    messaging.producer.produce(OrderCreated(order_id="o-1")).result(5)
assert not any(name.startswith("opentelemetry.") for name in sys.modules)
try:
    connect(True)
except sdk.errors.ConfigurationError as error:
    assert "[otel]" in str(error)
else:
    raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_spans_name_the_client() -> None:
    """The client id of the settings stands on spans."""
    spans = Spans()
    tracing = MessageTracing(TracingOptions(), spans.provider, client_id="shop-1")
    _, end = tracing.send(ProducerRecord(CREATED, None), raw=False)
    end(None, None)
    wanted = (names.MESSAGING_CLIENT_ID, names.MESSAGING_KAFKA_MESSAGE_TOMBSTONE)
    assert seen(spans.one(f"send {CREATED}"), *wanted) == ["shop-1", True]


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": b"\xff\x00", "baggage": b"\xff=\xff"},
        {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
        {"traceparent": None, "tracestate": "=", "baggage": ";" * 10_000, ATTEMPT_SPANS: "x,,"},
    ],
)
def test_headers_of_any_kind_do_no_harm(headers: dict[str, Any]) -> None:
    """An invalid context is ignored: the event is handled in a new trace."""
    spans, taken = Spans(), []
    with connect(spans) as messaging:
        record = messaging.encoder.record(order(), headers=headers)
        messaging.producer.send(record)
        consume(messaging, taken.append)
    assert taken == [order()]
    process = spans.one(f"process {CREATED}")
    assert (parent_id(process), links(process)) == (None, [])
