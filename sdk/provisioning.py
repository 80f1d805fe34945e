"""Creates or verifies topics at start; never changes or deletes them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from sdk.abstractions import BrokerAdmin
from sdk.errors import ConfigurationError
from sdk.topics import TopicDefinition

logger = logging.getLogger(__name__)

_VISIBLE_SECONDS = 10.0


def provision(admin: BrokerAdmin, declared: Iterable[TopicDefinition], mode: str) -> None:
    """Create missing topics, or verify that all are as declared.

    Args:
        admin: Client of the broker.
        declared: The declared topics; the broker chooses values that they leave out.
        mode: ``none`` does nothing, ``create`` creates missing topics and logs differences,
            ``verify`` raises an error for missing and different topics.

    Raises:
        ConfigurationError: Under ``verify``, a topic is missing or differs; both are reported.
        BrokerError: Kafka gave no usable answer.
    """
    if mode == "none":
        return
    definitions = sorted(declared, key=lambda topic: topic.name)
    found = admin.describe([topic.name for topic in definitions])
    missing = [topic for topic in definitions if topic.name not in found]
    drift = [line for topic in definitions for line in _drift(topic, found.get(topic.name))]
    if mode == "create":
        admin.create(missing)
        _await(admin, [topic.name for topic in missing])
        for topic in missing:
            logger.info("created topic %s", topic.name, extra={"topic": topic.name})
        for line in drift:
            logger.warning("%s", line)
        return
    complaints = [f"topic {topic.name} does not exist" for topic in missing] + drift
    if complaints:
        raise ConfigurationError(
            "the topics are not as declared: " + "; ".join(complaints),
            topic=missing[0].name if missing else None,
            remedy="correct the broker or the table [[topics]]; routing.provision = 'create'"
            " makes missing topics",
        )


def _drift(declared: TopicDefinition, found: TopicDefinition | None) -> list[str]:
    """Return a line for each value that differs, with both values side by side."""
    if found is None:
        return []
    lines = []
    fixed = (
        ("partitions", declared.partitions, found.partitions),
        ("replication", declared.replication, found.replication),
    )
    for name, wanted, actual in fixed:
        if wanted is not None and wanted != actual:
            lines.append(
                f"topic {declared.name}: {name} declared {wanted}, actual {actual}"
                " (cannot be changed from here: an operator must, or the declaration)"
            )
    # A broker that reports no configuration at all, such as the embedded one, has none.
    for name, value in sorted(declared.config.items() if found.config else ()):
        current = found.config.get(name)
        if value != current:
            lines.append(f"topic {declared.name}: {name} declared {value}, actual {current}")
    return lines


def _await(admin: BrokerAdmin, names: Sequence[str]) -> None:
    """Wait until new topics are visible: the other brokers get them a moment later."""
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while names and len(admin.describe(names)) < len(names) and time.monotonic() < deadline:
        time.sleep(0.05)
