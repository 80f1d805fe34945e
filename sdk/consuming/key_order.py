"""Order of keys across retry topics: later records of a key wait behind the one in retry.

With ``[consumer.retry_topics] ordered = true`` a record is handed over only if no earlier record of
its key, from the same source partition, is still in a retry topic; otherwise it is forwarded to the
retry topic in which the earliest one stands, and so comes after it. "Earlier" is the offset in the
source partition, which the headers keep, so the order does not depend on who forwarded what when.

The state is what stands in the retry topics. After a restart or a rebalance the new owner of a
source partition reads its retry topics from the committed offsets to their ends, and calls
`in_retry` for each record, before it hands over anything of that partition. That needs the source
partition and the same partition of its retry topics to have one owner: equal partition counts, and
the ``range`` assignor (the default).
"""

from __future__ import annotations

from sdk.consuming.dead_letters import Origin, origin_of
from sdk.consuming.outcome import DONE, Done, Retry
from sdk.consuming.retry_topics import RetryTopics
from sdk.records import ConsumerRecord, TopicPartition

_Key = tuple[str, int, bytes]
"""(source topic, partition, record key)"""


class KeyOrder:
    """The records of one consumer that are in retry topics, by key.

    Args:
        topics: Which topics are retry topics.
    """

    def __init__(self, topics: RetryTopics) -> None:
        self._topics = topics
        self._waiting: dict[_Key, dict[int, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def behind(self, record: ConsumerRecord) -> Retry | Done | None:
        """Return what becomes of a record that may not be handed over yet.

        Returns:
            Where it must queue; `DONE` for a record of a source topic that stands in a retry topic
            already, because it was forwarded before a restart and read again; or None if it may
            be handed over.
        """
        key, offset = self._place(record)
        waiting = self._waiting.get(key) if key is not None else None
        if not waiting:
            return None
        if offset in waiting and not self._topics.is_retry(record.topic):
            return DONE
        first = min(waiting)
        return Retry(0.0, waiting[first]) if first < offset else None

    def in_retry(self, record: ConsumerRecord, topic: str) -> None:
        """Take note that a record stands in a retry topic: its forward was acknowledged."""
        key, offset = self._place(record)
        if key is not None:
            self._waiting.setdefault(key, {})[offset] = topic

    def done(self, record: ConsumerRecord) -> None:
        """Take note that a record was handled, skipped or dead-lettered."""
        key, offset = self._place(record)
        waiting = self._waiting.get(key) if key is not None else None
        if waiting is not None:
            waiting.pop(offset, None)
            if not waiting and key is not None:
                del self._waiting[key]

    def forget(self, partition: TopicPartition) -> None:
        """Take note that a source partition is no longer ours."""
        gone = (partition.topic, partition.partition)
        self._waiting = {key: kept for key, kept in self._waiting.items() if key[:2] != gone}

    def _place(self, record: ConsumerRecord) -> tuple[_Key | None, int]:
        """Return the key within its source partition, None without a key, and the offset there."""
        if record.key is None:
            return None, record.offset
        origin = Origin(record.topic, record.partition, record.offset)
        if self._topics.is_retry(record.topic):
            origin = origin_of(record) or origin
        return (origin.topic, origin.partition, record.key), origin.offset
