"""Metrics: what each happening does to them, in both outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from sdk import happenings as on
from sdk.errors import BrokerUnavailableError, ConfigurationError, DeliveryTimeoutError
from sdk.observability.metrics import METRICS, OpenTelemetryMetrics, PrometheusMetrics
from sdk.records import ConsumerRecord, DeliveryReport, ProducerRecord, TopicPartition

Read = Callable[..., float | None]
SENT = ProducerRecord("orders", b"12345", b"o1")
CAME = ConsumerRecord("orders", 3, 7, b"12345", b"o1", (), 1)
ONE, TWO = (TopicPartition(topic="orders", partition=n) for n in (1, 2))


@pytest.fixture(params=["prometheus", "opentelemetry"])
def output(request: pytest.FixtureRequest) -> tuple[Any, Read]:
    """An observer, and what reads a metric: name, labels → value (a histogram's count)."""
    if request.param == "prometheus":
        metrics = PrometheusMetrics()

        def read(name: str, **labels: str) -> float | None:
            for suffix in ("", "_total", "_count"):
                found = metrics.registry.get_sample_value(f"{name}{suffix}", labels)
                if found is not None:
                    return found
            return None

        return metrics, read
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("test")

    def read_otel(name: str, **labels: str) -> float | None:
        data = reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for metric in resource.scope_metrics[0].metrics:
                for point in metric.data.data_points if metric.name == name else ():
                    if dict(point.attributes or {}) == labels:
                        return float(getattr(point, "count", None) or getattr(point, "value", 0))
        return None

    return OpenTelemetryMetrics(meter), read_otel


def test_publishing(output: tuple[Any, Read]) -> None:
    """Sent, failed and waiting records are counted by topic and error."""
    observe, read = output
    for _ in range(3):
        observe(on.RecordQueued(SENT))
    observe(on.RecordDelivered(SENT, DeliveryReport("orders", 0, 1), 0.01))
    observe(on.DeliveryFailed(SENT, DeliveryTimeoutError("late")))
    observe(on.QueueWaited("orders", 0.5))
    assert read("sdk_records_sent", topic="orders") == 1
    assert read("sdk_send_seconds", topic="orders") == 1
    assert read("sdk_records_in_flight", topic="orders") == 1
    failed = read("sdk_records_send_failed", topic="orders", error="DeliveryTimeoutError")
    assert failed == 1
    assert read("sdk_queue_wait_seconds", topic="orders") == 1


def test_consuming(output: tuple[Any, Read]) -> None:
    """Handled, failed, retried, skipped and dead-lettered records are counted by reason."""
    observe, read = output
    event = "orders.OrderCreated"
    observe(on.RecordReceived(CAME))
    observe(on.RecordHandled(CAME, event, "billing", 0.02))
    observe(on.RecordFailed(CAME, event, "billing", ValueError("x"), "handler"))
    observe(on.RecordRetried(CAME, "billing", "orders-retry-1000", 1.0, 1))
    observe(on.RecordDeadLettered(CAME, "billing", "orders-dlt", "handler"))
    observe(on.RecordSkipped(CAME, None, "billing", "unknown"))
    where = {"group": "billing", "topic": "orders"}
    assert read("sdk_records_received", topic="orders") == 1
    assert read("sdk_records_handled", **where, event=event) == 1
    assert read("sdk_handler_seconds", **where, event=event) == 1
    assert read("sdk_end_to_end_seconds", **where, event=event) == 1
    labels = {**where, "event": event, "failure": "handler", "error": "ValueError"}
    assert read("sdk_records_failed", **labels) == 1
    assert read("sdk_records_retried", **where, retry_topic="orders-retry-1000") == 1
    assert read("sdk_records_dead_lettered", **where, reason="handler") == 1
    assert read("sdk_records_skipped", **where, event="", reason="unknown") == 1


def test_partitions(output: tuple[Any, Read]) -> None:
    """Assignment, lag and pauses follow the partitions; what is given up is no longer reported."""
    observe, read = output
    observe(on.PartitionsAssigned("billing", (ONE, TWO)))
    observe(on.LagMeasured("billing", ONE, 12))
    observe(on.PartitionsPaused("billing", (ONE, TWO), "registry"))
    observe(on.PartitionsPaused("billing", (ONE,), "registry"))
    assert read("sdk_partitions_assigned", group="billing", topic="orders") == 2
    assert read("sdk_consumer_lag", group="billing", topic="orders", partition="1") == 12
    assert read("sdk_partitions_paused", group="billing", reason="registry") == 2
    observe(on.PartitionsResumed("billing", (TWO,)))
    observe(on.PartitionsLost("billing", (ONE,)))
    assert read("sdk_partitions_assigned", group="billing", topic="orders") == 1
    assert read("sdk_consumer_lag", group="billing", topic="orders", partition="1") is None
    assert read("sdk_partitions_paused", group="billing", reason="registry") == 0
    assert read("sdk_rebalances", group="billing", change="lost") == 1


def test_registry_circuits_and_outbox(output: tuple[Any, Read]) -> None:
    """Requests, open circuits and waiting rows are told."""
    observe, read = output
    observe(on.RegistryRequested("look up", "orders", 0.1, BrokerUnavailableError("x")))
    observe(on.CircuitOpened("payments-db", 5.0))
    observe(on.OutboxMeasured("sdk_outbox", 4, 2.5, 1))
    assert read("sdk_registry_request_seconds", operation="look up") == 1
    assert read("sdk_circuit_open", dependency="payments-db") == 1
    observe(on.CircuitClosed("payments-db"))
    assert read("sdk_circuit_open", dependency="payments-db") == 0
    assert read("sdk_outbox_waiting", outbox="sdk_outbox") == 4
    assert read("sdk_outbox_oldest_seconds", outbox="sdk_outbox") == 2.5


def test_unknown_events_make_few_labels(output: tuple[Any, Read]) -> None:
    """Event names of strangers share one label value once there are very many."""
    observe, read = output
    for number in range(500):
        observe(on.RecordSkipped(CAME, f"x.Event{number}", "billing", "unknown"))
    where = {"group": "billing", "topic": "orders", "reason": "unknown"}
    assert read("sdk_records_skipped", **where, event="other") == 300


def test_unknown_happenings_are_passed_over(output: tuple[Any, Read]) -> None:
    """A happening of a later release breaks nothing."""

    class Later(on.Happening):
        pass

    output[0](Later())


def test_names_are_prometheus_names() -> None:
    """Names are unique, start with ``sdk_``, and end with their unit."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("sdk_")
        assert metric.name.endswith(metric.unit)
        assert bool(metric.buckets) == (metric.kind == "histogram")


def test_one_registry_holds_them_once() -> None:
    """A second set in the same registry is refused with the remedy."""
    registry = CollectorRegistry()
    PrometheusMetrics(registry)
    with pytest.raises(ConfigurationError, match="already"):
        PrometheusMetrics(registry)
