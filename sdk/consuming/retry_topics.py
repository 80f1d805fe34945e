"""Retry topics: their names, and the headers of their records.

Names and headers follow Spring for Apache Kafka, so that Java services can read our retries, and we
theirs. Malformed headers are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve

from sdk.consuming.headers import (
    ATTEMPTS,
    BACKOFF_TIMESTAMP,
    ORIGINAL_TIMESTAMP,
    RETRY_NAMES,
    read_integer,
)
from sdk.errors import ConfigurationError
from sdk.records import ConsumerRecord
from sdk.settings import ConsumerOptions
from sdk.settings.checking import TOPIC_NAME_RULE, is_topic_name
from sdk.topics import TopicDefinition, dead_letter_topic_name, retry_suffixes


class RetryTopics:
    """The retry topics and the dead-letter topic of each topic that a consumer group reads.

    Args:
        delays_ms: Delay before each further attempt, milliseconds; none without retry topics.
        retry_group: Consumer group, if the retry topics carry its name.
        dead_letter_group: Consumer group, if the dead-letter topics carry its name.
        ordered: Whether later records of a key wait behind the one that is being retried.
        group: The consumer group; retries of other groups, which share the topics, are skipped.

    Attributes:
        ordered: As given.
    """

    def __init__(
        self,
        delays_ms: Sequence[int] = (),
        *,
        retry_group: str | None = None,
        dead_letter_group: str | None = None,
        ordered: bool = False,
        group: str | None = None,
    ) -> None:
        self.ordered = ordered
        self._group = None if group is None else group.encode()
        suffixes = retry_suffixes(delays_ms, retry_group) if delays_ms else ()
        self._stages = tuple(zip(suffixes, (delay / 1000 for delay in delays_ms), strict=True))
        self._suffixes = tuple(dict.fromkeys(suffixes))
        self._dead_letter_group = dead_letter_group

    @classmethod
    def configured(cls, options: ConsumerOptions, group: str) -> RetryTopics:
        """Return the topics of a consumer group with the ``[consumer]`` table."""
        retries, dead = options.retry_topics, options.dead_letters
        return cls(
            retries.delays_ms if retries else (),
            retry_group=group if retries and retries.per_group else None,
            dead_letter_group=group if dead and dead.per_group else None,
            ordered=retries is not None and retries.ordered,
            group=group,
        )

    def names(self, topic: str) -> tuple[str, ...]:
        """Return the retry topics of a source topic, in the order of their delays.

        Raises:
            ConfigurationError: A name would not be a topic name.
        """
        return tuple(_checked(topic + suffix) for suffix in self._suffixes)

    def dead_letter(self, topic: str) -> str:
        """Return the dead-letter topic of a source topic or of one of its retry topics.

        Raises:
            ConfigurationError: The name would not be a topic name.
        """
        return _checked(dead_letter_topic_name(self.source(topic), self._dead_letter_group))

    def is_retry(self, topic: str) -> bool:
        """Return whether ``topic`` is one of these retry topics."""
        return bool(self._suffixes) and topic.endswith(self._suffixes)

    def is_others(self, record: ConsumerRecord) -> bool:
        """Return whether a record of a retry topic failed in another consumer group."""
        group = record.header(RETRY_NAMES.group)
        return None not in (group, self._group) and group != self._group

    def source(self, topic: str) -> str:
        """Return the source topic of ``topic``; a topic that is not a retry topic is its own."""
        if self.is_retry(topic):
            longest = max((end for end in self._suffixes if topic.endswith(end)), key=len)
            return topic[: -len(longest)]
        return topic

    def attempt(self, record: ConsumerRecord) -> int:
        """Return `attempt_of` a record of a retry topic, 1 for others.

        A dead letter that was copied to a source topic, or is read as one, may still have the
        headers of its former attempts.
        """
        return attempt_of(record) if self.is_retry(record.topic) else 1

    def next(self, record: ConsumerRecord) -> tuple[str, float] | None:
        """Return the retry topic of the next attempt at a failed record.

        Returns:
            Retry topic and delay in seconds, or None if no attempt is left.
        """
        attempt = self.attempt(record)
        if attempt > len(self._stages):
            return None
        suffix, delay = self._stages[attempt - 1]
        return _checked(self.source(record.topic) + suffix), delay

    def definitions(
        self, sources: Iterable[TopicDefinition], options: ConsumerOptions
    ) -> list[TopicDefinition]:
        """Return the definitions of the retry and dead-letter topics of source topics.

        Each has its source's partition count and replication factor, so that a record keeps its
        partition.

        Args:
            sources: The topics that are consumed.
            options: Retention of the topics, and whether there are dead letters.
        """
        retries, dead = options.retry_topics, options.dead_letters
        made = []
        for source in sources:
            if retries is not None:
                config = {"retention.ms": str(retries.retention_ms)}
                made += [evolve(source, name=n, config=config) for n in self.names(source.name)]
            if dead is not None:
                config = {"retention.ms": str(dead.retention_ms)}
                made.append(evolve(source, name=self.dead_letter(source.name), config=config))
        return made


def attempt_of(record: ConsumerRecord) -> int:
    """Return the number of the delivery: 1 on the source topic, more in a retry topic.

    As in Spring, one byte is accepted as well as four, and a malformed header counts as 1.
    """
    data = record.header(ATTEMPTS) if record.headers else None
    if data is None or len(data) not in (1, 4):
        return 1
    return max(1, int.from_bytes(data, "big", signed=len(data) == 4))


def due_at(record: ConsumerRecord) -> float | None:
    """Return when a record of a retry topic may be handled, seconds since the epoch.

    Returns:
        None without a valid header: the record is due now.
    """
    milliseconds = read_integer(record.header(BACKOFF_TIMESTAMP))
    return None if milliseconds is None else milliseconds / 1000


def original_timestamp(record: ConsumerRecord) -> int | None:
    """Return the timestamp of the record that was retried, milliseconds since the epoch.

    A record in a retry topic has a new timestamp, as in Spring: the retention of the topic counts
    from it, so that an old event is not deleted while it waits.
    """
    original = read_integer(record.header(ORIGINAL_TIMESTAMP))
    if original is None:
        return record.timestamp
    return None if original < 0 else original


def _checked(name: str) -> str:
    if not is_topic_name(name):
        raise ConfigurationError(
            f"the retry or dead-letter topic {name!r} would not be a topic name",
            topic=name,
            remedy=f"{TOPIC_NAME_RULE}; with per_group, this holds for the group as well",
        )
    return name
