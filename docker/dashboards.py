"""Writes the Grafana dashboard and the Prometheus alert rules from the metric definitions.

python docker/dashboards.py [--check]

Queries are built from `sdk.observability.metrics.definitions`, so they cannot name a metric or a
label that does not exist. With ``--check``, nothing is written and a stale file is an error. The
table of alerts in docs/observability.md is written from here too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

from sdk.observability.metrics import definitions as m
from sdk.observability.metrics.definitions import Metric

ROOT = Path(__file__).parents[1]
RULES = ROOT / "docker" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "messaging.json"
TABLE = ROOT / "docs" / "observability.md"
BEGIN, END = "<!-- alerts -->\n", "<!-- /alerts -->\n"


# --- queries ---


def select(metric: Metric, suffix: str = "", window: str = "", /, **where: str) -> str:
    """Return a selector; a value that begins with ``!`` is excluded, one with ``~`` is a pattern.

    Raises:
        ValueError: The metric has no such label.
    """
    if unknown := where.keys() - set(metric.labels):
        raise ValueError(f"{metric.name} has no label {', '.join(unknown)}")
    suffix = suffix or ("_total" if metric.kind == "counter" else "")
    signs = {"!": "!=", "~": "=~"}
    matchers = [
        f'{label}{signs[value[0]]}"{value[1:]}"' if value[:1] in signs else f'{label}="{value}"'
        for label, value in where.items()
    ]
    chosen = "{" + ",".join(matchers) + "}" if matchers else ""
    return f"{metric.name}{suffix}{chosen}{window}"


def by(metric: Metric, *labels: str) -> str:
    """Return the labels of a grouping.

    Raises:
        ValueError: The metric has no such label.
    """
    if unknown := set(labels) - set(metric.labels):
        raise ValueError(f"{metric.name} has no label {', '.join(unknown)}")
    return f"by ({', '.join(labels)})"


def rate(metric: Metric, *labels: str, suffix: str = "", **where: str) -> str:
    """Return how often something happens a second."""
    return f"sum {by(metric, *labels)} (rate({select(metric, suffix, '[1m]', **where)}))"


def mean(metric: Metric, *labels: str) -> str:
    """Return the mean of a histogram."""
    sums, counts = (rate(metric, *labels, suffix=suffix) for suffix in ("_sum", "_count"))
    return f"{sums} / {counts}"


def quantile(share: float, metric: Metric, *labels: str) -> str:
    """Return a percentile of a histogram."""
    by(metric, *labels)
    buckets = select(metric, "_bucket", "[1m]")
    return f"histogram_quantile({share}, sum by ({', '.join((*labels, 'le'))}) (rate({buckets})))"


def top(metric: Metric, *labels: str, how: str = "sum", **where: str) -> str:
    """Return a gauge aggregated over all instances."""
    return f"{how} {by(metric, *labels)} ({select(metric, **where)})"


def lately(metric: Metric, *labels: str, suffix: str = "", **where: str) -> str:
    """Return how often something has happened within a minute.

    The first time counts as well, which `increase` misses.
    """
    now = select(metric, suffix, **where)
    window = select(metric, suffix, "[1m]", **where)
    first = f"({now} unless {now} offset 1m)"
    return f"sum {by(metric, *labels)} ((increase({window}) > 0) or {first} or increase({window}))"


def grew(metric: Metric, *labels: str, suffix: str = "", **where: str) -> str:
    """Return the increase within a minute."""
    return f"{lately(metric, *labels, suffix=suffix, **where)} > 0"


# --- alerts ---


@frozen
class Alert:
    """One alert rule.

    Attributes:
        name: Of the rule.
        symptom: What is wrong, for the table.
        metric: The metric it is computed from.
        expression: In PromQL.
        summary: Text of the alert, with labels.
        log: Beginning of the log line with the details.
        todo: What to do.
        wait: How long the condition must hold.
        severity: ``page`` or ``ticket``.
    """

    name: str
    symptom: str
    metric: Metric
    expression: str
    summary: str
    log: str
    todo: str
    wait: str = "0s"
    severity: str = "page"


_GROUP = "{{ $labels.group }}"
_TOPIC = "{{ $labels.topic }}"

ALERTS = (
    Alert(
        "SdkHandlerSlow",
        "a slow handler",
        m.HANDLER_SECONDS,
        f"{mean(m.HANDLER_SECONDS, 'group', 'event')} > 1",
        f"handlers of {{{{ $labels.event }}}} in group {_GROUP} take more than a second on average",
        "none: the handler's own",
        "find out what it waits for; raise `consumer.concurrency` if that system can take it",
        "15s",
        "ticket",
    ),
    Alert(
        "SdkHandlerStuck",
        "a handler that does not return",
        m.IN_WORK,
        f"{top(m.IN_WORK, 'group', how='max')} > 30",
        f"a handler of group {_GROUP} has been running for more than 30 seconds",
        "… has been handled for …",
        "`in_work` of `/status` names the record; give the handler's calls timeouts",
    ),
    Alert(
        "SdkPartitionStuck",
        "a stuck partition",
        m.OLDEST,
        f"{top(m.OLDEST, 'group', 'topic', 'partition', how='max')} > 20"
        f" and max {by(m.POSITION, 'group', 'topic', 'partition')}"
        f" (delta({select(m.POSITION, '', '[20s]')})) == 0",
        f"group {_GROUP} makes no progress on {_TOPIC} [{{{{ $labels.partition }}}}]",
        "… is paused for … / … could not be forwarded",
        "see `partitions` of `/status`: `paused` gives the reason, `in_work` the record",
        "10s",
    ),
    Alert(
        "SdkLagGrowing",
        "growing lag",
        m.LAG,
        f"sum {by(m.LAG, 'group', 'topic')} (deriv({select(m.LAG, '', '[5m]')})) > 0"
        f" and {top(m.LAG, 'group', 'topic')} > 1000",
        f"group {_GROUP} is falling behind on {_TOPIC}",
        "none",
        "add members up to the number of partitions, or raise `consumer.concurrency`",
        "1m",
        "ticket",
    ),
    Alert(
        "SdkPoison",
        "a poison pill",
        m.FAILED,
        grew(m.FAILED, "group", "topic", failure="poison"),
        f"records of {_TOPIC} cannot be read by group {_GROUP}",
        "… failed and is skipped … / the dead letter's headers",
        "run `sdk dlt show`; find out which producer wrote it, and with which registry",
    ),
    Alert(
        "SdkDeadLetters",
        "dead letters",
        m.DEAD_LETTERED,
        grew(m.DEAD_LETTERED, "group", "topic", "reason"),
        f"group {_GROUP} dead-letters records of {_TOPIC}: {{{{ $labels.reason }}}}",
        "none: the exception is in the headers of the dead letter",
        "run `sdk dlt list`, fix the cause, run `sdk dlt replay`",
    ),
    Alert(
        "SdkRegistryUnavailable",
        "a registry outage",
        m.REGISTRY_FAILED,
        grew(m.REGISTRY_FAILED, "error", error="RegistryUnavailableError"),
        "the schema registry is unavailable",
        "schema-registry is down: …",
        "nothing is lost: partitions are paused until it answers; see `registry` of `/status`",
    ),
    Alert(
        "SdkDependencyDown",
        "a dependency of a handler is down",
        m.CIRCUIT_OPEN,
        f"{top(m.CIRCUIT_OPEN, 'group', 'dependency', how='max')} > 0",
        f"group {_GROUP} is waiting for {{{{ $labels.dependency }}}}",
        "… is down: …",
        "restore it; handling resumes where it stopped",
        "15s",
    ),
    Alert(
        "SdkProducerQueueFull",
        "a full producer queue",
        m.QUEUE_SECONDS,
        grew(m.QUEUE_SECONDS, "topic", suffix="_count"),
        f"the producer queue is full; records for {_TOPIC} are waiting",
        "the local queue stayed full for …",
        "check whether Kafka is slow (`sdk_send_seconds`) or unreachable; else produce more slowly",
    ),
    Alert(
        "SdkSendFailed",
        "failed deliveries",
        m.SEND_FAILED,
        grew(m.SEND_FAILED, "topic", "error"),
        f"records for {_TOPIC} are not delivered: {{{{ $labels.error }}}}",
        "not delivered: …",
        "follow the error's remedy; the callers of `produce` get the same error",
    ),
    Alert(
        "SdkMemberFenced",
        "a fenced member",
        m.STOPPED,
        grew(m.STOPPED, "group", "error", error="FencedError"),
        f"a member of group {_GROUP} was fenced: another instance uses its id",
        "the consumer has stopped: …",
        "give each instance its own id (`group.instance.id`, `producer.transactional_id`)",
    ),
    Alert(
        "SdkConsumerStopped",
        "a consumer ended by an error",
        m.STOPPED,
        grew(m.STOPPED, "group", "error"),
        f"a consumer of group {_GROUP} has stopped: {{{{ $labels.error }}}}",
        "the consumer has stopped: …",
        "see `error` of `/status`; nothing after the record was committed, and `/live` fails",
    ),
    Alert(
        "SdkPartitionsLost",
        "lost partitions",
        m.REBALANCES,
        grew(m.REBALANCES, "group", change="lost"),
        f"a member of group {_GROUP} has lost its partitions",
        "lost …, because the brokers got no heartbeat …",
        "check whether the process or the network stalled for longer than the session timeout",
    ),
    Alert(
        "SdkCommitsFail",
        "failed commits",
        m.COMMIT_FAILED,
        grew(m.COMMIT_FAILED, "group", "error"),
        f"commits of group {_GROUP} fail: {{{{ $labels.error }}}}",
        "a commit failed and will be repeated: …",
        "a single one is normal in a rebalance; many mean that records will be handled again",
        "1m",
        "ticket",
    ),
    Alert(
        "SdkOutboxBehind",
        "a growing outbox",
        m.OUTBOX_OLDEST,
        f"{top(m.OUTBOX_OLDEST, 'outbox', how='max')} > 30",
        "rows of outbox {{ $labels.outbox }} have waited for more than 30 seconds",
        "the relay pauses for …",
        "check that a relay is running and can reach Kafka",
    ),
    Alert(
        "SdkOutboxFailed",
        "outbox rows that can never be published",
        m.OUTBOX_FAILED,
        f"{top(m.OUTBOX_FAILED, 'outbox', how='max')} > 0",
        "rows of outbox {{ $labels.outbox }} can never be published",
        "row … of the outbox can never be sent: …",
        "see the column `error` of these rows",
    ),
    Alert(
        "SdkBrokerUnreachable",
        "an unreachable broker",
        m.KAFKA_UP,
        f"{top(m.KAFKA_UP, 'client', 'broker', how='min')} < 1",
        "{{ $labels.client }} cannot reach {{ $labels.broker }}",
        "Kafka cannot be reached: …",
        "check the broker; idle connections are closed by brokers and reopened when needed",
        "1m",
        "ticket",
    ),
)  # fmt: skip


def rules() -> str:
    """Return the alert rules as a file of Prometheus."""
    document = {
        "groups": [
            {
                "name": "avro-messaging-sdk",
                "rules": [
                    {
                        "alert": each.name,
                        "expr": each.expression,
                        **({} if each.wait == "0s" else {"for": each.wait}),
                        "labels": {"severity": each.severity},
                        "annotations": {"summary": each.summary, "description": each.todo},
                    }
                    for each in ALERTS
                ],
            }
        ]
    }
    text = yaml.safe_dump(document, sort_keys=False, width=1000, allow_unicode=True)
    return f"# Written by docker/dashboards.py from the definitions of the metrics.\n{text}"


def table() -> str:
    """Return the table of the documentation."""
    rows = [
        f"| {each.symptom} | `{each.metric.name}` | `{each.name}` | {each.log} | {each.todo} |\n"
        for each in ALERTS
    ]
    head = "| symptom | metric | alert | log line | what to do |\n|---|---|---|---|---|\n"
    return head + "".join(rows)


# --- dashboard ---


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


def queries() -> Iterator[str]:
    """Yield every query of the dashboard."""
    for panels in ROWS.values():
        for panel in panels:
            yield from panel.queries


def dashboard() -> str:
    """Return the dashboard as Grafana provisions it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        panels.append({"type": "row", "title": title, "gridPos": place, "collapsed": False})
        y += 1
        for index, panel in enumerate(row):
            place = {"x": index % 4 * 6, "y": y + index // 4 * 7, "w": 6, "h": 7}
            panels.append(_graph(panel, place))
        y += -(-len(row) // 4) * 7
    document = {
        "uid": "avro-messaging-sdk",
        "title": "Messaging",
        "tags": ["kafka"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {"name": "filter", "type": "adhoc", "datasource": _SOURCE},
            ]
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }
    return json.dumps(document, indent=2) + "\n"


_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _graph(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries.items())
        ],
    }


# --- files ---


def files() -> dict[Path, str]:
    """Return each file with the text that it should have."""
    page = TABLE.read_text()
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        RULES: rules(),
        DASHBOARD: dashboard(),
        TABLE: f"{before}{BEGIN}{table()}{END}{after}",
    }


def main() -> int:
    """Write the files, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if files differ")
    check = parser.parse_args().check
    unused = [each.name for each in m.METRICS if each.name not in dashboard()]
    if unused:
        print(f"on no panel of the dashboard: {', '.join(unused)}", file=sys.stderr)
        return 1
    stale = [
        path for path, text in files().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        if check:
            print(
                f"stale: {path.relative_to(ROOT)}; run python docker/dashboards.py", file=sys.stderr
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path])
            print(f"written: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
