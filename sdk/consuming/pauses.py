"""Pauses: which partitions the client does not deliver, and why."""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field

from sdk.abstractions import BrokerConsumer
from sdk.clock import Clock
from sdk.consuming.offsets import Place, as_partitions
from sdk.happenings import PartitionsPaused, PartitionsResumed
from sdk.observers import Observers


@define(eq=False, repr=False, kw_only=True)
class Pauses:
    """Pauses and resumes the partitions of a client.

    Args:
        broker: The client.
        group: Consumer group.
        clock: Determines when records are due.
        observers: Notified of pauses.

    Attributes:
        requested: Partitions that the application has paused.
        full: Whether the limit of records in flight is reached.
        reasons: The paused partitions, each with the reason.
    """

    _broker: BrokerConsumer
    _group: str
    _clock: Clock
    _observers: Observers
    requested: set[Place] = field(factory=set, init=False)
    full: bool = field(default=False, init=False)
    reasons: dict[Place, str] = field(factory=dict, init=False)
    _due: dict[Place, float] = field(factory=dict, init=False)

    def delay(self, place: Place, seconds: float) -> None:
        """Pause a partition until its next record is due."""
        self._due[place] = self._clock.monotonic() + seconds

    def is_delayed(self, place: Place) -> bool:
        """Whether the next record of a partition is not due yet."""
        return place in self._due

    def end_delay(self, place: Place) -> None:
        """End the delay of a partition, which is read from another position."""
        self._due.pop(place, None)

    def forget(self, place: Place) -> None:
        """Forget a partition that is no longer assigned."""
        self._due.pop(place, None)
        self.reasons.pop(place, None)

    def apply(self, assigned: Collection[Place], rebuilt: Collection[Place]) -> None:
        """Make the client deliver only the partitions that may be read now.

        Args:
            assigned: All partitions.
            rebuilt: Those whose key order is being rebuilt.

        Raises:
            BrokerError: Kafka refuses us.
        """
        if not (self.full or self._due or self.requested or self.reasons or rebuilt):
            return
        now = self._clock.monotonic()
        self._due = {place: due for place, due in self._due.items() if due > now}
        wanted = {
            place: reason
            for reason, places in (
                ("key order is being rebuilt", rebuilt),
                ("retry not due", self._due),
                ("paused by the application", self.requested),
                ("in-flight limit reached", assigned if self.full else ()),
            )
            for place in places
            if place in assigned
        }
        paused = wanted.keys() - self.reasons.keys()
        resumed = as_partitions(self.reasons.keys() - wanted.keys())
        if paused:
            self._broker.pause(as_partitions(paused))
            for reason in {wanted[place] for place in paused}:
                concerned = as_partitions(place for place in paused if wanted[place] == reason)
                self._observers.notify(PartitionsPaused(self._group, tuple(concerned), reason))
        if resumed:
            self._broker.resume(resumed)
            self._observers.notify(PartitionsResumed(self._group, tuple(resumed)))
        self.reasons = wanted
