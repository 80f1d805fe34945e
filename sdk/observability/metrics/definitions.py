"""What is measured: the one table that outputs, dashboards, alert rules and documents go by."""

from __future__ import annotations

from typing import Final

from attrs import frozen

# From a local broker's answer to a handler that waits for another system.
SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)  # fmt: skip
BYTES: Final = (64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0)


@frozen
class Metric:
    """One metric.

    Attributes:
        name: Name in Prometheus, without the suffix of counters.
        kind: ``counter``, ``gauge`` or ``histogram``.
        help: What it tells.
        labels: Names of its labels.
        unit: ``seconds``, ``bytes`` or empty, as the name's last part says.
        buckets: Upper bounds of a histogram.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"sdk_{name}", "counter", text, labels)


def _gauge(name: str, text: str, *labels: str, unit: str = "") -> Metric:
    return Metric(f"sdk_{name}", "gauge", text, labels, unit)


def _seconds(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"sdk_{name}_seconds", "histogram", text, labels, "seconds", SECONDS)


SENT = _counter("records_sent", "Records that the broker has acknowledged.", "topic")
SENT_BYTES = Metric(
    "sdk_record_size_bytes",
    "histogram",
    "Size of the values of acknowledged records.",
    ("topic",),
    "bytes",
    BYTES,
)
SEND_FAILED = _counter("records_send_failed", "Records that failed for good.", "topic", "error")
SEND_SECONDS = _seconds("send", "From produce to the acknowledgement.", "topic")
IN_FLIGHT = _gauge("records_in_flight", "Records that wait for their acknowledgement.", "topic")
QUEUE_SECONDS = _seconds("queue_wait", "Time for which a full queue was waited for.", "topic")

RECEIVED = _counter("records_received", "Records that were read.", "topic")
HANDLED = _counter("records_handled", "Records whose handler returned.", "group", "topic", "event")
FAILED = _counter(
    "records_failed",
    "Failures to read or handle a record, by the class that the failure policy gave them.",
    *("group", "topic", "event", "failure", "error"),
)
SKIPPED = _counter(
    "records_skipped", "Records that were passed over.", "group", "topic", "event", "reason"
)
RETRIED = _counter(
    "records_retried",
    "Retries, by where they happen: a retry topic, or none for those in place.",
    *("group", "topic", "retry_topic"),
)
DEAD_LETTERED = _counter(
    "records_dead_lettered", "Records sent to a dead-letter topic.", "group", "topic", "reason"
)
HANDLER_SECONDS = _seconds("handler", "Time in the handler.", "group", "topic", "event")
END_TO_END_SECONDS = _seconds(
    "end_to_end", "From the record's timestamp until it was handled.", "group", "topic", "event"
)

LAG = _gauge(
    "consumer_lag", "Records behind the end of a partition.", "group", "topic", "partition"
)
PARTITIONS = _gauge("partitions_assigned", "Partitions that this member has.", "group", "topic")
PAUSED = _gauge("partitions_paused", "Partitions that rest, by why.", "group", "reason")
REBALANCES = _counter(
    "rebalances", "Changes of the assignment: assigned, revoked or lost.", "group", "change"
)
COMMIT_FAILED = _counter("commits_failed", "Commits that failed.", "group", "error")
CIRCUIT_OPEN = _gauge("circuit_open", "1 while a dependency is known to be down.", "dependency")
STOPPED = _counter("consumers_stopped", "Consumers that ended by a failure.", "group", "error")

REGISTRY_SECONDS = _seconds("registry_request", "Requests to the schema registry.", "operation")
REGISTRY_FAILED = _counter(
    "registry_requests_failed", "Requests that the registry did not answer.", "operation", "error"
)
SCHEMAS = _counter("schemas_resolved", "Schemas whose id was found or registered.", "subject")

OUTBOX_RELAYED = _counter("outbox_relayed", "Rows that were published.", "outbox")
OUTBOX_WAITING = _gauge("outbox_waiting", "Committed rows that are not yet published.", "outbox")
OUTBOX_OLDEST = _gauge(
    "outbox_oldest_seconds", "Age of the oldest row that waits.", "outbox", unit="seconds"
)
OUTBOX_FAILED = _gauge("outbox_failed", "Rows that can never be published.", "outbox")

EXECUTOR = _gauge("codec_executor", "1 for the executor that encodes and decodes.", "executor")

METRICS: Final[tuple[Metric, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
