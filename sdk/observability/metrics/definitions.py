"""The metrics: one table for outputs, dashboard, alert rules and documentation."""

from __future__ import annotations

from typing import Final

from attrs import frozen

# From a local broker's answer to a handler that waits for another system.
SECONDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)  # fmt: skip
# From there to a consumer that was down over the weekend.
AGES: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
    *(900.0, 3600.0, 14400.0, 86400.0, 259200.0),
)  # fmt: skip


@frozen(eq=False)  # there is one of each, and a key of every update: its identity is enough
class Metric:
    """One metric.

    Attributes:
        name: Name in Prometheus, without the suffix of counters.
        kind: ``counter``, ``gauge`` or ``histogram``.
        help: Its description.
        labels: Names of its labels.
        unit: ``seconds``, ``bytes`` or empty; also the last part of the name.
        buckets: Upper bounds of a histogram.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str, unit: str = "") -> Metric:
    return Metric(f"sdk_{name}", "counter", text, labels, unit)


def _gauge(name: str, text: str, *labels: str, unit: str = "") -> Metric:
    return Metric(f"sdk_{name}", "gauge", text, labels, unit)


def _seconds(name: str, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Metric:
    return Metric(f"sdk_{name}_seconds", "histogram", text, labels, "seconds", buckets)


SENT = _counter("records_sent", "Records that the broker has acknowledged.", "topic")
SENT_BYTES = _counter("sent_bytes", "Bytes of their values.", "topic", unit="bytes")
SEND_FAILED = _counter("records_send_failed", "Records that failed for good.", "topic", "error")
SEND_SECONDS = _seconds("send", "From produce to the acknowledgement.", "topic")
QUEUED = _gauge("producer_queue_records", "Records not yet acknowledged, of all topics.")
QUEUE_SECONDS = _seconds("queue_wait", "Time spent waiting for a full queue.", "topic")
TRANSACTION_SECONDS = _seconds("transaction", "Duration of transactions, by outcome.", "outcome")

RECEIVED = _counter("records_received", "Records that were read.", "group", "topic")
HANDLED = _counter("records_handled", "Records whose handler returned.", "group", "topic", "event")
FAILED = _counter(
    "records_failed",
    "Failures to read or handle a record, by class of failure.",
    *("group", "topic", "event", "failure", "error"),
)
SKIPPED = _counter("records_skipped", "Skipped records.", "group", "topic", "event", "reason")
RETRIED = _counter(
    "records_retried",
    "Retries by retry topic; an empty one for retries in place.",
    *("group", "topic", "retry_topic"),
)
DEAD_LETTERED = _counter(
    "records_dead_lettered", "Records sent to a dead-letter topic.", "group", "topic", "reason"
)
HANDLER_SECONDS = _seconds(
    "handler",
    "Time in the handler; of a batch handler, each event's share.",
    *("group", "topic", "event"),
)
END_TO_END_SECONDS = _seconds(
    "end_to_end", "From the record's timestamp until it was handled.",
    *("group", "topic", "event"), buckets=AGES,
)  # fmt: skip

_PARTITION = ("group", "topic", "partition")
RUNNING = _gauge(
    "consumer_running", "1 while a consumer runs and is a member of its group.", "group"
)
LAG = _gauge("consumer_lag_records", "Records behind the end of a partition.", *_PARTITION)
POSITION = _gauge("consumer_position", "Offset of the first unhandled record.", *_PARTITION)
IN_FLIGHT = _gauge(
    "consumer_in_flight_records", "Records that were read and not yet handled.", *_PARTITION
)
OLDEST = _gauge(
    "oldest_unhandled_seconds", "Age of the oldest record that was read and not yet handled.",
    *_PARTITION, unit="seconds",
)  # fmt: skip
IN_WORK = _gauge(
    "oldest_in_work_seconds", "Running time of the longest running handler.", "group",
    unit="seconds",
)  # fmt: skip
LANES = _gauge("lanes_busy", "Lanes with a running handler.", "group")
PARTITIONS = _gauge("partitions_assigned", "Partitions assigned to this member.", "group", "topic")
PAUSED = _gauge(
    "partitions_paused",
    "Paused partitions, by reason.",
    *("group", "topic", "reason"),
)
REBALANCES = _counter(
    "rebalances", "Changes of the assignment: assigned, revoked or lost.", "group", "change"
)
COMMIT_FAILED = _counter("commits_failed", "Commits that failed.", "group", "error")
CIRCUIT_OPEN = _gauge(
    "circuit_open", "1 while a dependency is known to be down.", "group", "dependency"
)
STOPPED = _counter(
    "consumers_stopped", "Consumers that were stopped by an error.", "group", "error"
)

REGISTRY_SECONDS = _seconds("registry_request", "Requests to the schema registry.", "operation")
REGISTRY_FAILED = _counter(
    "registry_requests_failed", "Requests that the registry did not answer.", "operation", "error"
)
CACHE_HITS = _counter(
    "registry_cache_hits", "Records written or read without a request to the registry.", "use"
)

OUTBOX_RELAYED = _counter("outbox_relayed", "Rows that were published.", "outbox")
OUTBOX_WAITING = _gauge("outbox_waiting", "Committed rows that are not yet published.", "outbox")
OUTBOX_OLDEST = _gauge(
    "outbox_oldest_seconds", "Age of the oldest pending row.", "outbox", unit="seconds"
)
OUTBOX_FAILED = _gauge("outbox_failed", "Rows that can never be published.", "outbox")

EXECUTOR = _gauge("codec_executor", "1 for the executor in use.", "executor")

_BROKER = ("client", "broker")
KAFKA_UP = _gauge("kafka_broker_up", "1 while the client is connected to a broker.", *_BROKER)
ROUND_TRIP = _gauge(
    "kafka_round_trip_seconds", "99th percentile of a broker's recent response times.", *_BROKER,
    unit="seconds",
)  # fmt: skip
THROTTLED = _gauge(
    "kafka_throttled_seconds", "Mean throttling time by a broker.",
    *_BROKER, unit="seconds",
)  # fmt: skip
BATCH_BYTES = _gauge("kafka_batch_bytes", "Mean size of sent batches.", "topic", unit="bytes")
BATCH_RECORDS = _gauge("kafka_batch_records", "Mean number of records in sent batches.", "topic")

METRICS: Final[tuple[Metric, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
