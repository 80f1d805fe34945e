"""Assigned partitions, and the lanes in which their records are handled."""

from __future__ import annotations

from typing import Any

from sdk.consuming.offsets import Watermark
from sdk.consuming.outcome import Outcome
from sdk.consuming.retry_topics import attempt_of
from sdk.records import ConsumerRecord


class Partition:
    """One assignment of a partition; a later one is another object.

    Attributes:
        topic: Topic name.
        number: Partition number.
        watermark: The offset up to which it is done.
        halted: Nothing past ``until`` may be handled: it is being revoked, is paused, or was
            dropped. Checked before every record.
        until: Offset of the last record that is still handled, which closes the gaps below
            records that are done; -1 is none.
        dropped: It was revoked, or is read from another position.
        paused: The application has paused it.
        active: How many of its lanes are being worked on.
        lanes: Key of the lane → lane.
        failed: Offset → the state of a record that failed and is tried again.
    """

    __slots__ = (
        "active",
        "dropped",
        "failed",
        "halted",
        "lanes",
        "number",
        "paused",
        "set_aside",
        "topic",
        "until",
        "watermark",
    )

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.watermark = Watermark()
        self.halted = False
        self.until = -1
        self.dropped = False
        self.paused = False
        self.active = 0
        self.lanes: dict[Any, Lane] = {}
        self.set_aside: list[Lane] = []
        self.failed: dict[int, Failed] = {}

    @property
    def settled(self) -> bool:
        """Whether no handler is running, and nothing is done after an unhandled record."""
        offset = self.watermark.offset
        return not self.active and (offset is None or offset > self.watermark.reached)

    def renewed(self) -> Partition:
        """Return a partition to read again; it keeps the attempts of failed records."""
        again = Partition(self.topic, self.number)
        again.paused = again.halted = self.paused
        again.failed = self.failed
        return again

    def forget_failures(self) -> None:
        """Forget the attempts of failed records that are done."""
        offset = self.watermark.offset
        for known in [each for each in self.failed if offset is not None and each < offset]:
            del self.failed[known]

    def has_pending(self, record: ConsumerRecord) -> bool:
        """Whether an outcome was decided and has not been applied yet."""
        known = self.failed.get(record.offset)
        return known is not None and known.pending is not None

    def __str__(self) -> str:
        return f"{self.topic} [{self.number}]"


class Failed:
    """A failed record that will be retried.

    Attributes:
        attempts: How many attempts in place have failed.
        due: When the next one may be made, by the clock's monotonic time.
        pending: The outcome that has not been applied yet, such as a forward that failed.
        forwards: How many forwards have failed.
    """

    __slots__ = ("attempts", "due", "forwards", "pending")

    def __init__(self) -> None:
        self.attempts = 0
        self.due = 0.0
        self.pending: Outcome | None = None
        self.forwards = 0


class Lane:
    """Records to be handled one after the other.

    Attributes:
        partition: Their partition.
        key: Key of the lane within its partition.
        records: The queued records.
        run: The records of the worker that has the lane.
        current: The record being handled.
        parked: Whether the lane waits for a time.
        wanted: A parked lane is ready early when it holds this many records; 0 means never.
        since: When an incomplete batch began to wait, by the clock's monotonic time.
    """

    __slots__ = ("current", "key", "parked", "partition", "records", "run", "since", "wanted")

    def __init__(self, partition: Partition, key: Any) -> None:
        self.partition = partition
        self.key = key
        self.records: list[ConsumerRecord] = []
        self.run: list[ConsumerRecord] = []
        self.current: ConsumerRecord | None = None
        self.parked = False
        self.wanted = 0
        self.since: float | None = None

    @property
    def head(self) -> ConsumerRecord | None:
        """Its first unhandled record, as seen from another thread."""
        return self.current or next(iter(self.run or self.records), None)


def attempt_at(partition: Partition, record: ConsumerRecord) -> int:
    """Return the number of the next attempt, from 1, including those in retry topics."""
    known = partition.failed.get(record.offset)
    return attempt_of(record) + (0 if known is None else known.attempts)
