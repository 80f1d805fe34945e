"""The alert rules, for Prometheus and for the documentation."""

from __future__ import annotations

import yaml
from attrs import frozen
from promql import by, grew, mean, select, top

from sdk.observability.metrics import definitions as m
from sdk.observability.metrics.definitions import Metric


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
        "cannot reach Kafka: …",
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
