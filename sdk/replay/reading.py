"""Reading a topic once, from its beginning to its present end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from sdk.abstractions import BrokerConsumer
from sdk.errors import BrokerUnavailableError, SdkError
from sdk.records import ConsumerRecord, TopicPartition

_POLL_SECONDS = 0.2
_ASK_SECONDS = 10.0


@frozen(kw_only=True)
class TopicReader:
    """Reads topics without side effects: in a separate group, without commits.

    Attributes:
        connect: Consumer group → a client.
        join_timeout: Seconds within which the group must have its partitions.
        quiet: Seconds without a record after which a topic is at its end, even if the last offsets
            have no records (deleted, compacted, or transaction markers). Its broker must also
            answer within this time.
    """

    connect: Callable[[str], BrokerConsumer]
    join_timeout: float = 30.0
    quiet: float = 3.0

    def read(self, topic: str) -> Iterator[ConsumerRecord]:
        """Yield the records that are in a topic now; later ones are omitted.

        Raises:
            BrokerError: Kafka gave no usable answer.
        """
        client = self.connect(f"sdk-dlt-{uuid.uuid4()}")
        try:
            yield from self._read(client, topic)
        finally:
            client.close()

    def _read(self, client: BrokerConsumer, topic: str) -> Iterator[ConsumerRecord]:
        assigned = _Assigned()
        client.subscribe([topic], assigned, from_beginning=[topic])
        ends: dict[int, int] = {}
        reached: set[int] = set()
        following: dict[int, int] = {}
        last_read, empty = time.monotonic(), 0
        while True:
            records = client.poll(_POLL_SECONDS, 500)
            empty = 0 if records else empty + 1
            fresh = [each for each in assigned.partitions if each.partition not in ends]
            if fresh or records:
                last_read = time.monotonic()
            for end in client.end_offsets(fresh, _ASK_SECONDS) if fresh else ():
                ends[end.partition] = end.offset or 0
                if not end.offset:
                    reached.add(end.partition)
            for record in records:
                # A partition that was lost, and assigned again, is read from its beginning.
                if following.get(record.partition, 0) <= record.offset < ends[record.partition]:
                    following[record.partition] = record.offset + 1
                    yield record
                if record.offset + 1 >= ends[record.partition]:
                    reached.add(record.partition)
            if ends and reached >= ends.keys():
                return
            silent = time.monotonic() - last_read
            # Time alone may have passed elsewhere, such as in whoever takes the records.
            if ends and silent > self.quiet and empty * _POLL_SECONDS >= self.quiet:
                left = [each for each in assigned.partitions if each.partition not in reached]
                if self._answers(client, left):
                    return
                last_read, empty = time.monotonic(), 0
            if not ends and silent > self.join_timeout:
                raise BrokerUnavailableError(
                    f"no partition was assigned within {self.join_timeout:g} s",
                    topic=topic,
                    remedy="check the brokers, and that this user may join groups",
                )

    def _answers(self, client: BrokerConsumer, partitions: Sequence[TopicPartition]) -> bool:
        """Return whether records would have come by now, if there were any.

        Raises:
            BrokerError: A broker does not answer.
        """
        for partition in partitions:
            asked = time.monotonic()
            client.end_offsets([partition], _ASK_SECONDS)
            if time.monotonic() - asked > self.quiet:
                return False
        return True


class _Assigned:
    """Collects the assigned partitions; the only member of a group loses none."""

    def __init__(self) -> None:
        self.partitions: list[TopicPartition] = []

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Add partitions."""
        self.partitions.extend(partitions)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Do nothing: nothing is committed."""

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Do nothing."""

    def on_committed(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Do nothing: nothing is committed."""
