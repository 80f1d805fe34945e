"""The state of a consumer, for probes and gauges."""

from __future__ import annotations

from attrs import field, frozen

from sdk.consuming.intake import Intake
from sdk.consuming.partition import Partition
from sdk.records import ConsumerRecord


@frozen(kw_only=True)
class PartitionHealth:
    """The state of a partition.

    Attributes:
        topic: Topic name.
        partition: Partition number.
        offset: The next offset to be committed; None before a record was read.
        lag: Records between it and the end, by the last measurement; None without one.
        in_flight: Records that were read and are not done.
        oldest_seconds: Age of the oldest of them, by its timestamp; 0 without any.
        paused: Why it is paused; None if it is not.
    """

    topic: str
    partition: int
    offset: int | None = None
    lag: int | None = None
    in_flight: int = 0
    oldest_seconds: float = 0.0
    paused: str | None = None


@frozen(kw_only=True)
class Health:
    """The state of a consumer.

    Attributes:
        group: Consumer group.
        running: Whether it runs.
        joined: Whether its group has answered.
        partitions: The assigned partitions.
        lanes_busy: How many lanes are being worked on.
        in_work: The record that has been in its handler for longest, in words; None without any.
        in_work_seconds: How long it has been there.
        overdue: Records that have been in work for too long, in words.
        circuits: Dependencies that are down, each with the seconds until one record tries again.
        error: The error that stopped it, or None.
    """

    group: str = ""
    running: bool
    joined: bool
    partitions: tuple[PartitionHealth, ...] = ()
    lanes_busy: int = 0
    in_work: str | None = None
    in_work_seconds: float = 0.0
    overdue: tuple[str, ...] = ()
    circuits: dict[str, float] = field(factory=dict)
    error: BaseException | None = field(default=None, eq=False)

    @property
    def ready(self) -> bool:
        """Whether it handles events, as far as known."""
        return self.running and self.joined and not self.overdue


def health_of(intake: Intake, group: str, now: float, error: BaseException | None) -> Health:
    """Return the state of a running consumer.

    Args:
        intake: The intake of the run.
        group: Consumer group.
        now: Seconds since the epoch.
        error: The error that stops it, or None.
    """
    record, seconds = intake.watch.longest()
    assigned = list(intake.partitions.items())
    return Health(
        group=group,
        running=not intake.stopping,
        joined=intake.joined,
        partitions=tuple(
            PartitionHealth(
                topic=topic,
                partition=number,
                offset=partition.watermark.offset,
                lag=intake.watch.lag.get((topic, number)),
                in_flight=partition.watermark.count,
                oldest_seconds=_age(_oldest(partition), now),
                paused=intake.pauses.reasons.get((topic, number))
                or intake.circuits.reason(topic, number),
            )
            for (topic, number), partition in assigned
        ),
        lanes_busy=intake.watch.busy,
        in_work=record,
        in_work_seconds=seconds,
        overdue=intake.watch.overdue,
        circuits=intake.circuits.waits([place for place, _ in assigned]),
        error=error,
    )


def _oldest(partition: Partition) -> ConsumerRecord | None:
    """Return the first unhandled record of a partition, which is the first of a lane."""
    heads = [head for lane in list(partition.lanes.values()) if (head := lane.head) is not None]
    return min(heads, key=lambda record: record.offset, default=None)


def _age(record: ConsumerRecord | None, now: float) -> float:
    if record is None or record.timestamp is None:
        return 0.0
    return max(0.0, now - record.timestamp / 1000)
