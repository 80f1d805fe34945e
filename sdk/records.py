"""Kafka records as values: sent and received records, and delivery reports.

Classes with an instance per message are named tuples, at a third of the cost of frozen attrs ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from attrs import frozen

BEGINNING = -2
"""Stands for the first offset of a partition, in `TopicPartition`; Kafka's own number."""

END = -1
"""Stands for the offset that the next record of a partition will have; Kafka's own number."""

Header = tuple[str, bytes | None]
"""A header as Kafka carries it: names may repeat, values may be null, order is kept."""


class ProducerRecord(NamedTuple):
    """A record on its way to Kafka.

    Attributes:
        topic: Destination.
        value: Serialized event; None is a tombstone.
        key: Serialized key.
        headers: In order, repeats kept.
        partition: None leaves the choice to the partitioner.
        timestamp: Milliseconds since the epoch; None means now.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    partition: int | None = None
    timestamp: int | None = None


class ConsumerRecord(NamedTuple):
    """A record received from Kafka.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its offset.
        value: Serialized event; None is a tombstone.
        key: Serialized key.
        headers: In order, repeats kept.
        timestamp: Milliseconds since the epoch, or None.
        appended: Whether the timestamp is the broker's (``LogAppendTime``), not the producer's.
    """

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    timestamp: int | None = None
    appended: bool = False

    @property
    def place(self) -> dict[str, object]:
        """Topic, partition and offset: the ``extra`` of a log line about this record."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}

    def header(self, name: str) -> bytes | None:
        """Return the value of the last header called ``name``, or None."""
        for known, value in reversed(self.headers):
            if known == name:
                return value
        return None


@frozen(kw_only=True)
class Tombstone:
    """A null value: the key was deleted (compaction removes it from the topic).

    Attributes:
        event_class: The class whose handler receives it.
        key: The record key.
        record: The record.
    """

    event_class: type[Any]
    key: bytes | None
    record: ConsumerRecord

    @property
    def key_text(self) -> str | None:
        """The key as text, the format of str, int and UUID keys; None if it is not text."""
        try:
            return None if self.key is None else self.key.decode()
        except UnicodeDecodeError:
            return None


class DeliveryReport(NamedTuple):
    """The broker's acknowledgement of a record.

    Attributes:
        topic: Topic of the record.
        partition: Its partition.
        offset: Its offset.
        timestamp: Its timestamp on the broker, milliseconds since the epoch, or None.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int | None = None


@frozen(kw_only=True)
class TopicPartition:
    """A partition of a topic, with an offset where one is needed.

    Attributes:
        topic: Topic name.
        partition: Partition number.
        offset: Next offset to be read, `BEGINNING`, `END`, or None.
    """

    topic: str
    partition: int
    offset: int | None = None
