"""Consuming clients of the in-memory broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from sdk.errors import BrokerError, ClosedError, ConfigurationError
from sdk.records import ConsumerRecord, TopicPartition
from sdk.testing.groups import Group

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker


class InMemoryConsumer:
    """A `BrokerConsumer` of an `InMemoryBroker`."""

    def __init__(self, broker: InMemoryBroker, group: Group, auto_offset_reset: str) -> None:
        if auto_offset_reset not in {"earliest", "latest"}:
            raise ConfigurationError(f"no such offset reset: {auto_offset_reset!r}")
        self._broker = broker
        self._group = group
        self._reset = auto_offset_reset
        self._positions: dict[tuple[str, int], int] = {}
        self._paused: set[tuple[str, int]] = set()
        self._topics: tuple[str, ...] = ()
        self._callbacks: _Callbacks | None = None

    def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], None],
        on_revoked: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        """Join the group for these topics."""
        with self._broker.changed:
            self._topics = tuple(topics)
            self._callbacks = _Callbacks(on_assigned, on_revoked)
            self._group.join(self, self._topics)
            self._broker.changed.notify_all()

    def poll(self, timeout: float, max_records: int) -> list[ConsumerRecord]:
        """Return up to ``max_records`` records, waiting ``timeout`` seconds for the first."""
        deadline = time.monotonic() + timeout
        while True:
            error = self._broker.fault("poll")
            if error is not None:
                raise error
            self._rebalance()
            with self._broker.changed:
                records = self._take(max_records)
                left = deadline - time.monotonic()
                if records or left <= 0:
                    return records
                self._broker.changed.wait(min(left, 0.05))

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Commit the next offsets to be read, and wait for the answer."""
        error = self._broker.fault("commit")
        if error is not None:
            raise error
        with self._broker.changed:
            for place in offsets:
                if self._group.owner((place.topic, place.partition)) is not self:
                    raise BrokerError(
                        "the partition belongs to another member of the group",
                        topic=place.topic,
                        partition=place.partition,
                    )
            for place in offsets:
                self._group.committed[place.topic, place.partition] = place.offset or 0

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver nothing of these partitions until `resume`."""
        self._paused.update((place.topic, place.partition) for place in partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver these partitions again."""
        self._paused.difference_update((place.topic, place.partition) for place in partitions)

    def seek(self, partition: TopicPartition) -> None:
        """Go on reading from ``partition.offset``."""
        self._positions[partition.topic, partition.partition] = partition.offset or 0

    def close(self) -> None:
        """Leave the group and release the client."""
        self._revoke(self._group.owned(self))
        self.crash()

    def crash(self) -> None:
        """Vanish from the group without a word, as a killed process does."""
        with self._broker.changed:
            self._group.leave(self)
            self._callbacks = None
            self._broker.changed.notify_all()

    def _rebalance(self) -> None:
        callbacks = self._callbacks
        if callbacks is None:
            raise ClosedError("the consuming client is not subscribed")
        with self._broker.changed:
            counts = {topic: self._broker.partitions(topic) for topic in self._group.topics()}
            self._group.balance(counts)
            excess = self._group.excess(self)
        self._revoke(excess)
        with self._broker.changed:
            gained = self._group.acquire(self)
            for place in gained:
                self._positions[place] = self._start(place)
        if gained:
            callbacks.on_assigned(_places(gained, self._positions))

    def _revoke(self, partitions: list[tuple[str, int]]) -> None:
        if not partitions or self._callbacks is None:
            return
        self._callbacks.on_revoked(_places(partitions, {}))
        with self._broker.changed:
            for place in partitions:
                self._positions.pop(place, None)
                self._paused.discard(place)
                self._group.release(place)
            self._broker.changed.notify_all()

    def _start(self, place: tuple[str, int]) -> int:
        committed = self._group.committed.get(place)
        if committed is not None:
            return committed
        return 0 if self._reset == "earliest" else len(self._broker.log(*place))

    def _take(self, limit: int) -> list[ConsumerRecord]:
        taken: list[ConsumerRecord] = []
        for place, position in self._positions.items():
            if place not in self._paused and len(taken) < limit:
                found = self._broker.log(*place)[position : position + limit - len(taken)]
                taken.extend(found)
                self._positions[place] = position + len(found)
        return taken


@frozen
class _Callbacks:
    on_assigned: Callable[[Sequence[TopicPartition]], None]
    on_revoked: Callable[[Sequence[TopicPartition]], None]


def _places(
    partitions: Sequence[tuple[str, int]], positions: dict[tuple[str, int], Any]
) -> list[TopicPartition]:
    return [
        TopicPartition(topic=topic, partition=partition, offset=positions.get((topic, partition)))
        for topic, partition in partitions
    ]
