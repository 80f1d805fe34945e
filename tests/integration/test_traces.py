"""Traces on Apache Kafka: failures are found by their spans alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from contracts.orders.order_created.v2 import OrderCreated
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import sdk
from sdk.settings import DeadLetterOptions, InPlaceRetryOptions, RetryTopicsOptions
from tests.integration.wiring import number_of, order, settings_for, wait_until
from tests.servers.target import Target


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_failed_order_is_one_trace(
    kafka: Target, registry: Target, unique: Callable[[str], str], *, in_loop: bool
) -> None:
    """Request, attempts, retry topic and dead letter are one trace; a fine order is another."""
    topic, exporter, provider = unique("orders"), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = settings_for(
        kafka.address,
        registry.address,
        topic,
        consumer={
            "retry": InPlaceRetryOptions(retry_count=1, base_delay_ms=10),
            "retry_topics": RetryTopicsOptions(delays_ms=(200,)),
            "dead_letter": DeadLetterOptions(),
        },
    )

    def bill(event: OrderCreated) -> None:
        if number_of(event) == 2:
            raise ValueError("no stock")

    async def bill_in_loop(event: OrderCreated) -> None:
        bill(event)

    def named(name: str) -> list[ReadableSpan]:
        return [span for span in exporter.get_finished_spans() if span.name == name]

    def trace(span: ReadableSpan) -> int:
        return span.context.trace_id

    handler: Any = bill_in_loop if in_loop else bill
    with sdk.connect(settings=settings, uses=[OrderCreated], tracer_provider=provider) as messaging:
        tracer = provider.get_tracer("test")
        for number in (1, 2):
            with tracer.start_as_current_span(f"request {number}"):
                messaging.producer.produce(order(number)).result(30)
        consumer = messaging.consumer(unique("billing")).handle(OrderCreated, handler).start()
        wait_until(lambda: bool(named(f"send {topic}-dlt")) and len(named(f"process {topic}")) == 3)
        consumer.close(30)
    (failing,) = named("request 2")
    failed = [span for span in exporter.get_finished_spans() if trace(span) == trace(failing)]
    told = sorted(span.name for span in failed if not span.name.startswith("registry"))
    assert told == sorted(
        [
            "request 2",
            f"send {topic}",
            *[f"process {topic}"] * 2,
            f"send {topic}-retry",
            f"process {topic}-retry",
            f"send {topic}-dlt",
        ]
    )
    wrong = {span.name for span in failed if span.status.status_code is StatusCode.ERROR}
    assert {f"process {topic}", f"process {topic}-retry"} <= wrong
    (dead,) = named(f"send {topic}-dlt")
    assert (dead.attributes or {})["messaging.kafka.offset"] == 0
    (fine,) = [span for span in named(f"process {topic}") if trace(span) != trace(failing)]
    assert fine.status.status_code is StatusCode.UNSET
    assert named(f"commit {topic}")
