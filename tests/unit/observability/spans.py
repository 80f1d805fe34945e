"""Shared by the tests of traces: a shop whose spans are kept, and how to read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import field, frozen
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import sdk.testing
from sdk.settings import ConsumerOptions, KafkaOptions, RegistryOptions, Settings
from sdk.testing import InMemoryBroker
from sdk.testing.connection import InMemoryMessaging
from tests.unit.messaging.shop import CATALOG


@frozen
class Spans:
    """The spans that have ended.

    Attributes:
        provider: Makes the tracers.
    """

    provider: TracerProvider = field(factory=TracerProvider)
    _exporter: InMemorySpanExporter = field(factory=InMemorySpanExporter)

    def __attrs_post_init__(self) -> None:
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name, oldest first."""
        found = [span for span in self._exporter.get_finished_spans() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (span,) = self.named(name)
        return span

    @property
    def names(self) -> set[str]:
        """The names of all spans."""
        return {span.name for span in self._exporter.get_finished_spans()}

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Run the block in a span of the application's own."""
        with self.provider.get_tracer("application").start_as_current_span(name):
            yield


def connect(
    spans: Spans | None, broker: InMemoryBroker | None = None, **tables: Any
) -> InMemoryMessaging:
    """Return a connection to the shop that makes spans; ``tables`` are those of the settings."""
    tables.setdefault("consumer", ConsumerOptions(group_id="billing"))
    settings = Settings(
        environment="test",
        kafka=KafkaOptions(bootstrap_servers=("in-memory:1",), client_id="shop-1"),
        registry=RegistryOptions(url=("embedded",)),
        **tables,
    )
    return sdk.testing.connect(
        CATALOG,
        broker=broker,
        settings=settings,
        tracer_provider=None if spans is None else spans.provider,
    )


def span_id(span: ReadableSpan) -> int:
    """Return the id of a span."""
    return span.context.span_id


def trace_id(span: ReadableSpan) -> int:
    """Return the id of the trace of a span."""
    return span.context.trace_id


def parent_id(span: ReadableSpan) -> int | None:
    """Return the id of the span that a span is a child of."""
    return None if span.parent is None else span.parent.span_id


def links(span: ReadableSpan) -> list[int]:
    """Return the ids of the spans that a span links to."""
    return [link.context.span_id for link in span.links]
