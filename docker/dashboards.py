"""Writes Grafana's dashboard and Prometheus's alert rules from the definitions of the metrics.

python docker/dashboards.py [--check]

Queries are made of `sdk.observability.metrics.definitions` alone, so that they can name neither a
metric nor a label that does not exist. With ``--check`` nothing is written, and files that differ
are an error. The table of alerts in docs/observability.md is written from here too.
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
    """Return the series of a metric; a value that begins with ``!`` is excluded, ``~`` a pattern.

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
    """Return a gauge, over all instances."""
    return f"{how} {by(metric, *labels)} ({select(metric, **where)})"


def grew(metric: Metric, *labels: str, suffix: str = "", **where: str) -> str:
    """Return what has happened within a minute; the first time as well, which `increase` misses."""
    now = select(metric, suffix, **where)
    window = select(metric, suffix, "[1m]", **where)
    first = f"({now} unless {now} offset 1m)"
    return f"sum {by(metric, *labels)} ((increase({window}) > 0) or {first}) > 0"


# --- alerts ---


@frozen
class Alert:
    """One alert rule.

    Attributes:
        name: Of the rule.
        symptom: What is wrong, for the table.
        metric: Which metric tells.
        expression: In PromQL.
        summary: With labels.
        log: Beginning of the log line that tells more.
        todo: What to do.
        wait: How long it must hold.
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
        "look at what the handler waits for; raise `consumer.concurrency` if it can bear it",
        "15s",
        "ticket",
    ),
    Alert(
        "SdkHandlerStuck",
        "a handler that does not return",
        m.IN_WORK,
        f"{top(m.IN_WORK, 'group', how='max')} > 30",
        f"a handler of group {_GROUP} has been at work for more than 30 seconds",
        "… has been in work for …",
        "see `in_work` of `/status` for the record; give the handler's calls time-outs",
    ),
    Alert(
        "SdkPartitionStuck",
        "a stuck partition",
        m.OLDEST,
        f"{top(m.OLDEST, 'group', 'topic', 'partition', how='max')} > 20"
        f" and max {by(m.POSITION, 'group', 'topic', 'partition')}"
        f" (delta({select(m.POSITION, '', '[20s]')})) == 0",
        f"nothing of {_TOPIC} [{{{{ $labels.partition }}}}] is done in group {_GROUP}",
        "… rests for … / … could not be forwarded",
        "see `partitions` of `/status`: `resting` says why, `in_work` which record is in hand",
        "10s",
    ),
    Alert(
        "SdkLagGrowing",
        "consumers that do not keep up",
        m.LAG,
        f"sum {by(m.LAG, 'group', 'topic')} (deriv({select(m.LAG, '', '[5m]')})) > 0"
        f" and {top(m.LAG, 'group', 'topic')} > 1000",
        f"group {_GROUP} falls behind on {_TOPIC}",
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
        "`sdk dlt show`; see which producer wrote it, and against which registry",
    ),
    Alert(
        "SdkDeadLetters",
        "records that are given up",
        m.DEAD_LETTERED,
        grew(m.DEAD_LETTERED, "group", "topic", "reason"),
        f"group {_GROUP} gives up records of {_TOPIC}: {{{{ $labels.reason }}}}",
        "none: the dead letter's headers carry the exception",
        "`sdk dlt list`, correct the cause, `sdk dlt replay`",
    ),
    Alert(
        "SdkRegistryUnavailable",
        "a registry outage",
        m.REGISTRY_FAILED,
        grew(m.REGISTRY_FAILED, "error", error="RegistryUnavailableError"),
        "the schema registry does not answer",
        "schema-registry is down: …",
        "nothing is lost: partitions rest until it answers; see `registry` of `/status`",
    ),
    Alert(
        "SdkDependencyDown",
        "something that a handler needs is down",
        m.CIRCUIT_OPEN,
        f"{top(m.CIRCUIT_OPEN, 'group', 'dependency', how='max')} > 0",
        f"group {_GROUP} waits for {{{{ $labels.dependency }}}}",
        "… is down: …",
        "bring it back; records are handled from where they rest",
        "15s",
    ),
    Alert(
        "SdkProducerQueueFull",
        "a full queue",
        m.QUEUE_SECONDS,
        grew(m.QUEUE_SECONDS, "topic", suffix="_count"),
        f"records for {_TOPIC} wait for room in the producer's queue",
        "the local queue stayed full for …",
        "see whether Kafka is slow (`sdk_send_seconds`) or away; else produce more slowly",
    ),
    Alert(
        "SdkSendFailed",
        "records that are not delivered",
        m.SEND_FAILED,
        grew(m.SEND_FAILED, "topic", "error"),
        f"records for {_TOPIC} fail: {{{{ $labels.error }}}}",
        "not delivered: …",
        "the error's remedy; their callers have had it too",
    ),
    Alert(
        "SdkMemberFenced",
        "a fenced member",
        m.STOPPED,
        grew(m.STOPPED, "group", "error", error="FencedError"),
        f"a member of group {_GROUP} was fenced: another instance has taken over",
        "the consumer has stopped: …",
        "give each instance an id of its own (`group.instance.id`, `producer.transactional_id`)",
    ),
    Alert(
        "SdkConsumerStopped",
        "a consumer that an error has ended",
        m.STOPPED,
        grew(m.STOPPED, "group", "error"),
        f"a consumer of group {_GROUP} has ended: {{{{ $labels.error }}}}",
        "the consumer has stopped: …",
        "`error` of `/status`; nothing past the record was committed; `/live` lets it be restarted",
    ),
    Alert(
        "SdkPartitionsLost",
        "partitions taken away without being asked",
        m.REBALANCES,
        grew(m.REBALANCES, "group", change="lost"),
        f"a member of group {_GROUP} has lost its partitions",
        "lost … without being asked",
        "see whether the process or the network was stalled for the session time-out",
    ),
    Alert(
        "SdkCommitsFail",
        "commits that fail",
        m.COMMIT_FAILED,
        grew(m.COMMIT_FAILED, "group", "error"),
        f"commits of group {_GROUP} fail: {{{{ $labels.error }}}}",
        "a commit failed and will be made again: …",
        "one by itself comes with a rebalance; many mean records will be handled again",
        "1m",
        "ticket",
    ),
    Alert(
        "SdkOutboxBehind",
        "an outbox that is not emptied",
        m.OUTBOX_OLDEST,
        f"{top(m.OUTBOX_OLDEST, 'outbox', how='max')} > 30",
        "rows of outbox {{ $labels.outbox }} have waited for more than 30 seconds",
        "the relay rests for …",
        "see whether a relay runs, and whether Kafka answers it",
    ),
    Alert(
        "SdkOutboxFailed",
        "rows that can never be published",
        m.OUTBOX_FAILED,
        f"{top(m.OUTBOX_FAILED, 'outbox', how='max')} > 0",
        "rows of outbox {{ $labels.outbox }} can never be published",
        "row … of the outbox can never be sent: …",
        "look at the column `error` of these rows",
    ),
    Alert(
        "SdkBrokerUnreachable",
        "a broker that cannot be reached",
        m.KAFKA_UP,
        f"{top(m.KAFKA_UP, 'client', 'broker', how='min')} < 1",
        "{{ $labels.client }} cannot reach {{ $labels.broker }}",
        "Kafka cannot be reached: …",
        "see the broker; idle connections are closed by brokers and are opened again when needed",
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
        Panel("Consumers that run", "short", {top(m.RUNNING, "group"): "{{group}}"}),
        Panel("Records behind", "short", {top(m.LAG, "group", "topic"): "{{group}} {{topic}}"}),
        Panel(
            "Oldest record not done", "s",
            {top(m.OLDEST, "group", "topic", how="max"): "{{group}} {{topic}}"},
        ),
        Panel(
            "Failures a second", "short",
            {rate(m.FAILED, "group", "failure", "error"): "{{group}} {{failure}} {{error}}"},
        ),
    ),
    "Publishing": (
        Panel("Records a second", "short", {rate(m.SENT, "topic"): "{{topic}}"}),
        Panel("Bytes a second", "Bps", {rate(m.SENT_BYTES, "topic"): "{{topic}}"}),
        Panel("Until acknowledged", "s", _percentiles(m.SEND_SECONDS, "topic")),
        Panel("Not acknowledged yet", "short", {top(m.QUEUED): "records"}),
        Panel(
            "Waiting for room in the queue", "s",
            {rate(m.QUEUE_SECONDS, "topic", suffix="_sum"): "{{topic}}: seconds a second"},
        ),
        Panel(
            "Not delivered, a second", "short",
            {rate(m.SEND_FAILED, "topic", "error"): "{{topic}} {{error}}"},
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
        Panel("Time in handlers", "s", _percentiles(m.HANDLER_SECONDS, "group", "event")),
        Panel("From event to handled", "s", _percentiles(m.END_TO_END_SECONDS, "group", "event")),
        Panel("Slowest handler at work", "s", {top(m.IN_WORK, "group", how="max"): "{{group}}"}),
        Panel("Lanes busy", "short", {top(m.LANES, "group"): "{{group}}"}),
        Panel(
            "Read and not done", "short",
            {top(m.IN_FLIGHT, "group", "topic"): "{{group}} {{topic}}"},
        ),
    ),
    "What goes wrong": (
        Panel(
            "Retries a second", "short",
            {rate(m.RETRIED, "group", "topic", "retry_topic"): "{{group}} {{retry_topic}}"},
        ),
        Panel(
            "Dead letters a second", "short",
            {rate(m.DEAD_LETTERED, "group", "topic", "reason"): "{{group}} {{topic}} {{reason}}"},
        ),
        Panel(
            "Skipped a second", "short",
            {rate(m.SKIPPED, "group", "event", "reason"): "{{group}} {{event}} {{reason}}"},
        ),
        Panel(
            "Circuits open", "short",
            {top(m.CIRCUIT_OPEN, "group", "dependency"): "{{group}} {{dependency}}"},
        ),
        Panel(
            "Consumers ended", "short", {rate(m.STOPPED, "group", "error"): "{{group}} {{error}}"}
        ),
        Panel(
            "Commits that fail, a second", "short",
            {rate(m.COMMIT_FAILED, "group", "error"): "{{group}} {{error}}"},
        ),
    ),
    "Partitions": (
        Panel("Assigned", "short", {top(m.PARTITIONS, "group", "topic"): "{{group}} {{topic}}"}),
        Panel(
            "Resting", "short",
            {top(m.RESTING, "group", "topic", "reason"): "{{group}} {{topic}}: {{reason}}"},
        ),
        Panel(
            "Rebalances a second", "short",
            {rate(m.REBALANCES, "group", "change"): "{{group}} {{change}}"},
        ),
        Panel(
            "Done a second, by partition", "short",
            {
                f"sum {by(m.POSITION, 'group', 'topic', 'partition')}"
                f" (deriv({select(m.POSITION, '', '[1m]')}))": "{{group}} {{topic}} [{{partition}}]"
            },
        ),
        Panel(
            "Behind, by partition", "short",
            {top(m.LAG, "group", "topic", "partition"): "{{group}} {{topic}} [{{partition}}]"},
        ),
    ),
    "Registry, outbox and codec": (
        Panel("Requests to the registry", "s", _percentiles(m.REGISTRY_SECONDS, "operation")),
        Panel(
            "Registry: not answered, a second", "short",
            {rate(m.REGISTRY_FAILED, "operation", "error"): "{{operation}} {{error}}"},
        ),
        Panel("Records without a request", "short", {rate(m.CACHE_HITS, "use"): "{{use}}"}),
        Panel(
            "Outbox", "short",
            {
                top(m.OUTBOX_WAITING, "outbox", how="max"): "waiting: {{outbox}}",
                top(m.OUTBOX_FAILED, "outbox", how="max"): "never to be published: {{outbox}}",
                rate(m.OUTBOX_RELAYED, "outbox"): "published a second: {{outbox}}",
            },
        ),
        Panel(
            "Outbox: oldest row", "s", {top(m.OUTBOX_OLDEST, "outbox", how="max"): "{{outbox}}"}
        ),
        Panel("Codec", "short", {top(m.EXECUTOR, "executor"): "{{executor}}"}),
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
