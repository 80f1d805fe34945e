"""Topics of the in-memory broker: partition logs, and the partition of a record."""

from __future__ import annotations

import itertools

from attrs import evolve

from sdk.errors import BrokerError, ConfigurationError
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.settings.checking import TOPIC_NAME_RULE, is_topic_name
from sdk.testing.log import Log, OpenTransaction
from sdk.testing.murmur2 import partition_of
from sdk.topics import TopicDefinition


class Topic:
    """One topic; callers hold the broker's lock.

    Args:
        definition: The requested topic.
        partitions: Partition count if the definition gives none.

    Attributes:
        definition: The topic with its actual values.
        partitions: The log of each partition.
        written: All records, in the order in which they were acknowledged.

    Raises:
        ConfigurationError: Kafka would reject the name.
    """

    def __init__(self, definition: TopicDefinition, partitions: int) -> None:
        if not is_topic_name(definition.name):
            raise ConfigurationError(
                f"{definition.name!r} is not a topic name", remedy=TOPIC_NAME_RULE
            )
        count = definition.partitions or partitions
        self.definition = evolve(
            definition, partitions=count, replication=definition.replication or 1
        )
        self.partitions = [Log() for _ in range(count)]
        self.written: list[ConsumerRecord] = []
        self._turn = itertools.count()

    def append(
        self, record: ProducerRecord, transaction: OpenTransaction | None = None
    ) -> ConsumerRecord:
        """Store a record, of a transaction if one is given; return it as consumers will see it.

        Raises:
            BrokerError: The record names a partition that does not exist.
        """
        partition = self._partition(record)
        log = self.partitions[partition]
        written = ConsumerRecord(
            topic=record.topic,
            partition=partition,
            offset=log.end_offset,
            value=record.value,
            key=record.key,
            headers=record.headers,
            timestamp=record.timestamp,
        )
        log.append(written, transaction)
        self.written.append(written)
        return written

    def _partition(self, record: ProducerRecord) -> int:
        count = len(self.partitions)
        if record.partition is not None:
            if not 0 <= record.partition < count:
                raise BrokerError(
                    "no such partition", topic=record.topic, partition=record.partition
                )
            return record.partition
        return next(self._turn) % count if record.key is None else partition_of(record.key, count)
