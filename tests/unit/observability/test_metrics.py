"""Metrics: what each happening and the state of connections do to them, in both outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from sdk import happenings as on
from sdk.consuming.health import Health, PartitionHealth
from sdk.errors import (
    BrokerUnavailableError,
    ConfigurationError,
    DeliveryTimeoutError,
    RegistryUnavailableError,
)
from sdk.observability.health import State
from sdk.observability.metrics import METRICS, OpenTelemetryMetrics, PrometheusMetrics, meter
from sdk.records import ConsumerRecord, ProducerRecord, TopicPartition

Read = Callable[..., float | None]
SENT = ProducerRecord("orders", b"12345", b"o1")
CAME = ConsumerRecord("orders", 3, 7, b"12345", b"o1", (), 1)
ONE, TWO = (TopicPartition(topic="orders", partition=n) for n in (1, 2))
WHERE = {"group": "billing", "topic": "orders"}
EVENT = "orders.OrderCreated"


@pytest.fixture(params=["prometheus", "opentelemetry"])
def output(request: pytest.FixtureRequest) -> tuple[Any, Read]:
    """A meter, and what reads a metric: name, labels → value (a histogram's count)."""
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
    made = MeterProvider(metric_readers=[reader]).get_meter("test")

    def read_otel(name: str, **labels: str) -> float | None:
        data = reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for metric in resource.scope_metrics[0].metrics:
                for point in metric.data.data_points if metric.name == name else ():
                    if dict(point.attributes or {}) == labels:
                        return float(getattr(point, "count", None) or getattr(point, "value", 0))
        return None

    return OpenTelemetryMetrics(made), read_otel


class Watched:
    """A connection's state, set by a test."""

    def __init__(self, *consumers: Health, queued: int | None = None) -> None:
        self.consumers = consumers
        self.queued = queued

    def state(self) -> State:
        """Return it."""
        return State(
            environment="test",
            brokers=("kafka:9092",),
            registry=("http://registry",),
            queued=self.queued,
            consumers=self.consumers,
            outboxes={},
        )


def test_publishing(output: tuple[Any, Read]) -> None:
    """Sent and failed records are counted by topic and error, and times count for all of them."""
    observe, read = output
    observe(on.RecordsDelivered("orders", 500, (0.01, 0.02, 0.01, 3.0, 0.01)))
    observe(on.DeliveryFailed(SENT, DeliveryTimeoutError("late")))
    observe(on.QueueWaited("orders", 0.5))
    observe(on.QueueWaited("orders", 10.0, gave_up=True))
    assert read("sdk_records_sent", topic="orders") == 5
    assert read("sdk_sent_bytes", topic="orders") == 500
    assert read("sdk_send_seconds", topic="orders") == 5
    failed = read("sdk_records_send_failed", topic="orders", error="DeliveryTimeoutError")
    assert failed == 1
    assert read("sdk_records_send_failed", topic="orders", error="QueueFullError") == 1
    assert read("sdk_queue_wait_seconds", topic="orders") == 2


def test_transactions(output: tuple[Any, Read]) -> None:
    """Transactions are timed by how they end."""
    observe, read = output
    observe(on.TransactionCommitted("billing-1", 3, 0.1))
    observe(on.TransactionAborted("billing-1", 3, 0.1, ValueError("no")))
    assert read("sdk_transaction_seconds", outcome="committed") == 1
    assert read("sdk_transaction_seconds", outcome="ValueError") == 1


def test_consuming(output: tuple[Any, Read]) -> None:
    """Handled, failed, retried, skipped and dead-lettered records are counted by reason."""
    observe, read = output
    observe(on.RecordsReceived("billing", "orders", 4))
    observe(on.RecordsHandled("billing", "orders", EVENT, [0.02, 0.2, 0.02], [61.0, -1.0]))
    observe(on.RecordFailed(CAME, EVENT, "billing", ValueError("x"), "handler"))
    observe(on.RecordRetried(CAME, "billing", "orders-retry-1000", 1.0, 1))
    observe(on.RecordDeadLettered(CAME, "billing", "orders-dlt", "handler"))
    observe(on.RecordSkipped(CAME, None, "billing", "unknown"))
    observe(on.ConsumerStopped("billing", ValueError("x")))
    observe(on.CommitFailed("billing", (ONE,), BrokerUnavailableError("x")))
    assert read("sdk_records_received", **WHERE) == 4
    assert read("sdk_records_handled", **WHERE, event=EVENT) == 3
    assert read("sdk_handler_seconds", **WHERE, event=EVENT) == 3
    assert read("sdk_end_to_end_seconds", **WHERE, event=EVENT) == 2
    labels = {**WHERE, "event": EVENT, "failure": "handler", "error": "ValueError"}
    assert read("sdk_records_failed", **labels) == 1
    assert read("sdk_records_retried", **WHERE, retry_topic="orders-retry-1000") == 1
    assert read("sdk_records_dead_lettered", **WHERE, reason="handler") == 1
    assert read("sdk_records_skipped", **WHERE, event="", reason="unknown") == 1
    assert read("sdk_consumers_stopped", group="billing", error="ValueError") == 1
    assert read("sdk_commits_failed", group="billing", error="BrokerUnavailableError") == 1


def test_partitions(output: tuple[Any, Read]) -> None:
    """Gauges follow the state of connections; what is given up is no longer reported."""
    observe, read = output
    one = PartitionHealth(
        topic="orders", partition=1, lag=12, in_flight=3, oldest_seconds=90.0, paused="db is down"
    )
    two = PartitionHealth(topic="orders", partition=2)
    consumer = Health(
        group="billing",
        running=True,
        joined=True,
        partitions=(one, two),
        lanes_busy=2,
        in_work="a record",
        in_work_seconds=45.0,
        circuits={"db": 3.0},
    )
    connection = Watched(consumer, queued=7)
    observe.watch(connection.state)
    observe(on.PartitionsAssigned("billing", (ONE, TWO)))
    observe(on.PartitionsLost("billing", (ONE,)))
    assert read("sdk_producer_queue_records") == 7
    assert read("sdk_consumer_running", group="billing") == 1
    assert read("sdk_lanes_busy", group="billing") == 2
    assert read("sdk_oldest_in_work_seconds", group="billing") == 45
    assert read("sdk_circuit_open", group="billing", dependency="db") == 1
    assert read("sdk_partitions_assigned", **WHERE) == 2
    assert read("sdk_partitions_paused", **WHERE, reason="db is down") == 1
    assert read("sdk_consumer_lag_records", **WHERE, partition="1") == 12
    assert read("sdk_consumer_lag_records", **WHERE, partition="2") is None
    assert read("sdk_consumer_in_flight_records", **WHERE, partition="1") == 3
    assert read("sdk_oldest_unhandled_seconds", **WHERE, partition="1") == 90
    assert read("sdk_rebalances", group="billing", change="lost") == 1
    connection.consumers = (Health(group="billing", running=True, joined=True, partitions=(two,)),)
    assert read("sdk_partitions_assigned", **WHERE) == 1
    assert read("sdk_consumer_lag_records", **WHERE, partition="1") is None
    del connection
    assert read("sdk_consumer_running", group="billing") is None


def test_registry_and_outbox(output: tuple[Any, Read]) -> None:
    """Requests and their outages, what needed none, and waiting rows are told."""
    observe, read = output
    observe(on.RegistryRequested("schema", None, 0.1, RegistryUnavailableError("x")))
    observe(on.RegistryRequested("schema", None, 0.1, None))
    observe(on.RecordsReceived("billing", "orders", 10))
    observe(on.OutboxRelayed("sdk_outbox", 9))
    observe(on.OutboxMeasured("sdk_outbox", 4, 2.5, 1))
    assert read("sdk_registry_request_seconds", operation="schema") == 2
    error = "RegistryUnavailableError"
    assert read("sdk_registry_requests_failed", operation="schema", error=error) == 1
    assert read("sdk_registry_cache_hits", use="read") == 8
    assert read("sdk_outbox_relayed", outbox="sdk_outbox") == 9
    assert read("sdk_outbox_waiting", outbox="sdk_outbox") == 4
    assert read("sdk_outbox_oldest_seconds", outbox="sdk_outbox") == 2.5
    assert read("sdk_outbox_failed", outbox="sdk_outbox") == 1


def test_statistics_of_the_client(output: tuple[Any, Read]) -> None:
    """Round trip, throttling and batches are told by broker and topic, in seconds and bytes."""
    observe, read = output
    broker = {"nodename": "kafka:9092", "state": "UP", "rtt": {"p99": 2500}, "throttle": {"avg": 3}}
    topic = {"topic": "orders", "batchsize": {"avg": 4096}, "batchcnt": {"avg": 40}}
    statistics = {
        "type": "producer",
        "brokers": {"kafka:9092/1": {**broker, "nodeid": 1}, "boot": {**broker, "nodeid": -1}},
        "topics": {"orders": topic},
    }
    observe(on.StatisticsReported("producer", statistics))
    where = {"client": "producer", "broker": "kafka:9092"}
    assert read("sdk_kafka_broker_up", **where) == 1
    assert read("sdk_kafka_round_trip_seconds", **where) == 0.0025
    assert read("sdk_kafka_throttled_seconds", **where) == 0.003
    assert read("sdk_kafka_batch_bytes", topic="orders") == 4096
    assert read("sdk_kafka_batch_records", topic="orders") == 40


def test_executor(output: tuple[Any, Read]) -> None:
    """Which executor encodes and decodes is told by one label."""
    _, read = output
    names = ("native", "compiled", "interpreter")
    values = [read("sdk_codec_executor", executor=name) for name in names]
    assert sorted(values, key=str) == [1, None, None]


def test_unknown_events_make_few_labels(output: tuple[Any, Read]) -> None:
    """Event names of strangers share one label value once there are very many."""
    observe, read = output
    for number in range(500):
        observe(on.RecordSkipped(CAME, f"x.Event{number}", "billing", "unknown"))
    assert read("sdk_records_skipped", **WHERE, reason="unknown", event="other") == 300


def test_unknown_happenings_are_passed_over(output: tuple[Any, Read]) -> None:
    """A happening of a later release breaks nothing."""

    class Later(on.Happening):
        pass

    output[0](Later())


def test_buckets_hold_what_was_seen() -> None:
    """A value stands in the first bucket whose bound it does not exceed, and in all after it."""
    metrics = PrometheusMetrics()
    metrics(on.QueueWaited("orders", 0.25))
    metrics(on.QueueWaited("orders", 100.0))

    def bucket(bound: str) -> float | None:
        labels = {"topic": "orders", "le": bound}
        return metrics.registry.get_sample_value("sdk_queue_wait_seconds_bucket", labels)

    assert (bucket("0.1"), bucket("0.25"), bucket("60.0"), bucket("+Inf")) == (0, 1, 1, 2)
    total = metrics.registry.get_sample_value("sdk_queue_wait_seconds_sum", {"topic": "orders"})
    assert total == 100.25


def test_batches_fill_the_buckets_of_their_values() -> None:
    """Each value of a batch is counted in its own bucket, in whatever order they come."""
    metrics = PrometheusMetrics()
    seconds = [0.7, 0.00005, 100.0, 0.0001, 0.0002, 0.3]
    metrics(on.RecordsHandled("billing", "orders", EVENT, seconds, [-3.0, 2.0]))

    def read(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, {**WHERE, "event": EVENT, **labels})

    bounds = ("0.0001", "0.00025", "0.25", "0.5", "1.0", "60.0", "+Inf")
    found = [read("sdk_handler_seconds_bucket", le=bound) for bound in bounds]
    assert found == [2, 3, 3, 4, 5, 5, 6]
    assert read("sdk_handler_seconds_sum") == pytest.approx(sum(seconds))
    assert read("sdk_end_to_end_seconds_sum") == 2.0
    assert read("sdk_end_to_end_seconds_bucket", le="0.005") == 1


def test_names_are_prometheus_names() -> None:
    """Names are unique, start with ``sdk_``, and end with their unit."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("sdk_")
        assert metric.name.endswith(metric.unit)
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert not {"key", "id", "offset"} & set(metric.labels)


def test_one_registry_holds_them_once() -> None:
    """A second set in the same registry is refused with the remedy."""
    registry = CollectorRegistry()
    PrometheusMetrics(registry)
    with pytest.raises(ConfigurationError, match="already"):
        PrometheusMetrics(registry)


def test_meters_by_name() -> None:
    """The setting chooses the output."""
    assert isinstance(meter("prometheus"), PrometheusMetrics)
    assert isinstance(meter("opentelemetry"), OpenTelemetryMetrics)
