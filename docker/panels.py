"""The panels of the Grafana dashboard."""

from __future__ import annotations

from attrs import frozen
from promql import by, lately, quantile, rate, select, top

from sdk.observability.metrics import definitions as m
from sdk.observability.metrics.definitions import Metric


@frozen
class Panel:
    """One graph: its title, unit in Grafana's words, and query → legend."""

    title: str
    unit: str
    queries: dict[str, str]


def _percentiles(metric: Metric, *labels: str) -> dict[str, str]:
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    return {quantile(share, metric, *labels): f"p{share * 100:g} {legend}" for share in (0.5, 0.99)}


ROWS: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        Panel("Consumers running", "short", {top(m.RUNNING, "group"): "{{group}}"}),
        Panel("Lag", "short", {top(m.LAG, "group", "topic"): "{{group}} {{topic}}"}),
        Panel(
            "Age of the oldest unhandled record", "s",
            {top(m.OLDEST, "group", "topic", how="max"): "{{group}} {{topic}}"},
        ),
        Panel(
            "Failures in a minute", "short",
            {lately(m.FAILED, "group", "failure", "error"): "{{group}} {{failure}} {{error}}"},
        ),
    ),
    "Publishing": (
        Panel("Records a second", "short", {rate(m.SENT, "topic"): "{{topic}}"}),
        Panel("Bytes a second", "Bps", {rate(m.SENT_BYTES, "topic"): "{{topic}}"}),
        Panel("Time to acknowledgement", "s", _percentiles(m.SEND_SECONDS, "topic")),
        Panel("Unacknowledged records", "short", {top(m.QUEUED): "records"}),
        Panel(
            "Waiting for a full queue in a minute", "s",
            {lately(m.QUEUE_SECONDS, "topic", suffix="_sum"): "{{topic}}"},
        ),
        Panel(
            "Failed deliveries in a minute", "short",
            {lately(m.SEND_FAILED, "topic", "error"): "{{topic}} {{error}}"},
        ),
        Panel(
            "Transactions a second", "short",
            {rate(m.TRANSACTION_SECONDS, "outcome", suffix="_count"): "{{outcome}}"},
        ),
    ),
    "Consuming": (
        Panel(
            "Records a second", "short",
            {
                rate(m.RECEIVED, "group", "topic"): "read: {{group}} {{topic}}",
                rate(m.HANDLED, "group", "event"): "handled: {{group}} {{event}}",
            },
        ),
        Panel("Handler time", "s", _percentiles(m.HANDLER_SECONDS, "group", "event")),
        Panel("End-to-end time", "s", _percentiles(m.END_TO_END_SECONDS, "group", "event")),
        Panel("Longest running handler", "s", {top(m.IN_WORK, "group", how="max"): "{{group}}"}),
        Panel("Busy lanes", "short", {top(m.LANES, "group"): "{{group}}"}),
        Panel(
            "Records in flight", "short",
            {top(m.IN_FLIGHT, "group", "topic"): "{{group}} {{topic}}"},
        ),
    ),
    "Failures": (
        Panel(
            "Retries in a minute", "short",
            {lately(m.RETRIED, "group", "topic", "retry_topic"): "{{group}} {{retry_topic}}"},
        ),
        Panel(
            "Dead letters in a minute", "short",
            {lately(m.DEAD_LETTERED, "group", "topic", "reason"): "{{group}} {{topic}} {{reason}}"},
        ),
        Panel(
            "Skipped in a minute", "short",
            {lately(m.SKIPPED, "group", "event", "reason"): "{{group}} {{event}} {{reason}}"},
        ),
        Panel(
            "Open circuits", "short",
            {top(m.CIRCUIT_OPEN, "group", "dependency"): "{{group}} {{dependency}}"},
        ),
        Panel(
            "Consumers ended in a minute", "short",
            {lately(m.STOPPED, "group", "error"): "{{group}} {{error}}"},
        ),
        Panel(
            "Failed commits in a minute", "short",
            {lately(m.COMMIT_FAILED, "group", "error"): "{{group}} {{error}}"},
        ),
    ),
    "Partitions": (
        Panel(
            "Assigned partitions", "short",
            {top(m.PARTITIONS, "group", "topic"): "{{group}} {{topic}}"},
        ),
        Panel(
            "Paused partitions", "short",
            {top(m.PAUSED, "group", "topic", "reason"): "{{group}} {{topic}}: {{reason}}"},
        ),
        Panel(
            "Rebalances in a minute", "short",
            {lately(m.REBALANCES, "group", "change"): "{{group}} {{change}}"},
        ),
        Panel(
            "Handled a second, by partition", "short",
            {
                f"sum {by(m.POSITION, 'group', 'topic', 'partition')}"
                f" (deriv({select(m.POSITION, '', '[1m]')}))": "{{group}} {{topic}} [{{partition}}]"
            },
        ),
        Panel(
            "Lag by partition", "short",
            {top(m.LAG, "group", "topic", "partition"): "{{group}} {{topic}} [{{partition}}]"},
        ),
    ),
    "Registry, outbox and codec": (
        Panel("Registry: time of requests", "s", _percentiles(m.REGISTRY_SECONDS, "operation")),
        Panel(
            "Registry: failed requests in a minute", "short",
            {lately(m.REGISTRY_FAILED, "operation", "error"): "{{operation}} {{error}}"},
        ),
        Panel("Registry: cache hits a second", "short", {rate(m.CACHE_HITS, "use"): "{{use}}"}),
        Panel(
            "Outbox", "short",
            {
                top(m.OUTBOX_WAITING, "outbox", how="max"): "waiting: {{outbox}}",
                top(m.OUTBOX_FAILED, "outbox", how="max"): "failed: {{outbox}}",
                rate(m.OUTBOX_RELAYED, "outbox"): "published a second: {{outbox}}",
            },
        ),
        Panel(
            "Outbox: age of the oldest row", "s",
            {top(m.OUTBOX_OLDEST, "outbox", how="max"): "{{outbox}}"},
        ),
        Panel("Executors of the codec", "short", {top(m.EXECUTOR, "executor"): "{{executor}}"}),
    ),
    "Kafka's client (metrics.statistics_interval_ms)": (
        Panel(
            "Brokers connected", "short",
            {top(m.KAFKA_UP, "client", "broker", how="min"): "{{client}} {{broker}}"},
        ),
        Panel(
            "Round trip, p99", "s",
            {top(m.ROUND_TRIP, "client", "broker", how="max"): "{{client}} {{broker}}"},
        ),
        Panel(
            "Throttled", "s",
            {top(m.THROTTLED, "client", "broker", how="max"): "{{client}} {{broker}}"},
        ),
        Panel(
            "Batches", "short",
            {
                top(m.BATCH_BYTES, "topic", how="avg"): "bytes: {{topic}}",
                top(m.BATCH_RECORDS, "topic", how="avg"): "records: {{topic}}",
            },
        ),
    ),
}  # fmt: skip
