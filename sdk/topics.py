"""Topics: definitions, subject name strategies, and the way from an event to its topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

SubjectNameStrategy = Callable[[str, str], str]
"""(topic, record full name) → registry subject of the value schema."""


@frozen(kw_only=True)
class TopicDefinition:
    """A topic as it should be.

    Attributes:
        name: Topic name.
        partitions: Partition count, or None for the broker's default.
        replication: Replication factor, or None for the broker's default.
        config: Topic configuration, such as ``{"retention.ms": "604800000"}``.
    """

    name: str
    partitions: int | None = None
    replication: int | None = None
    config: Mapping[str, str] = field(factory=dict)


def record_name(topic: str, full_name: str) -> str:
    """RecordNameStrategy: one subject for an event, whatever the topic."""
    return full_name


def topic_name(topic: str, full_name: str) -> str:
    """TopicNameStrategy: one subject for a topic."""
    return f"{topic}-value"


def topic_record_name(topic: str, full_name: str) -> str:
    """TopicRecordNameStrategy: one subject for each event of each topic."""
    return f"{topic}-{full_name}"


SUBJECT_STRATEGIES: Mapping[str, SubjectNameStrategy] = {
    "record": record_name,
    "topic": topic_name,
    "topic_record": topic_record_name,
}
