"""The loop of a consumer: poll, hand over, commit what is done; partitions come and go."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from sdk.abstractions import BrokerConsumer
from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    RegistryUnavailableError,
    SdkError,
)
from sdk.records import ConsumerRecord, TopicPartition

logger = logging.getLogger(__name__)

Place = tuple[str, int]
"""(topic, partition)"""

_POLL_SECONDS = 0.2
_COMMIT_SECONDS = 1.0
_KEEP_ALIVE_SECONDS = 10.0


class ConsumerLoop:
    """One membership in a consumer group, from `consume` to `leave`.

    Args:
        broker: The client.
        hand_over: Handles a record; returning means that it is done.
        wait: Attempt, from 1 → seconds for which a partition rests when the registry is out of
            reach.
        max_records: Records taken at once.
    """

    def __init__(
        self,
        broker: BrokerConsumer,
        hand_over: Callable[[ConsumerRecord], None],
        wait: Callable[[int], float],
        max_records: int,
    ) -> None:
        self._broker = broker
        self._hand_over = hand_over
        self._wait = wait
        self._max_records = max_records
        self._taken: deque[ConsumerRecord] = deque()
        self._assigned: set[Place] = set()
        self._done: dict[Place, int] = {}
        self._attempts: dict[Place, int] = {}
        self._resting: dict[Place, float] = {}
        self._last_poll = 0.0
        self._last_commit = time.monotonic()

    def consume(self, topics: Sequence[str], stopped: Callable[[], bool]) -> None:
        """Consume until ``stopped`` returns True.

        Args:
            topics: To be subscribed to.
            stopped: Looked at after every record.
        """
        self._broker.subscribe(topics, self)
        while not stopped():
            self._wake_rested()
            self._poll(_POLL_SECONDS, self._max_records)
            while self._taken and not stopped():
                self._process(self._taken.popleft())
                self._keep_up()
            self._commit(self._done)

    def leave(self) -> None:
        """Commit what is done and leave the group."""
        self._taken.clear()
        try:
            self._commit(self._done)
        except BrokerError as error:
            logger.warning("leaving the group without a last commit: %s", error)
        self._broker.close()

    def _poll(self, timeout: float, max_records: int) -> None:
        self._last_poll = time.monotonic()
        # In a statement of its own: a revocation inside the call may change what is taken.
        records = self._broker.poll(timeout, max_records)
        self._taken.extend(records)

    def _process(self, record: ConsumerRecord) -> None:
        place = (record.topic, record.partition)
        try:
            self._hand_over(record)
        except RegistryUnavailableError as error:
            self._rest(place, record.offset, error)
        else:
            self._done[place] = record.offset + 1
            self._attempts.pop(place, None)

    def _keep_up(self) -> None:
        """Commit, and stay a member, while handlers take their time over what was polled."""
        now = time.monotonic()
        if now - self._last_commit > _COMMIT_SECONDS:
            self._commit(self._done)
        if self._taken and now - self._last_poll > _KEEP_ALIVE_SECONDS:
            self._broker.pause(_places(self._assigned))
            self._poll(0, 1)
            self._broker.resume(_places(self._assigned - self._resting.keys()))

    def _rest(self, place: Place, offset: int, error: RegistryUnavailableError) -> None:
        """Read nothing of a partition for a while, then go on at ``offset``."""
        attempt = self._attempts[place] = self._attempts.get(place, 0) + 1
        seconds = self._wait(attempt)
        topic, partition = place
        logger.warning(
            "%s [%d] waits %.1f s at offset %d: %s", topic, partition, seconds, offset, error
        )
        self._drop({place})
        self._broker.pause(_places([place]))
        self._broker.seek(TopicPartition(topic=topic, partition=partition, offset=offset))
        self._resting[place] = time.monotonic() + seconds

    def _wake_rested(self) -> None:
        now = time.monotonic()
        rested = [place for place, until in self._resting.items() if until <= now]
        for place in rested:
            del self._resting[place]
        if rested:
            self._broker.resume(_places(rested))

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Take partitions."""
        self._assigned |= {(place.topic, place.partition) for place in partitions}

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Give partitions up, with a last commit."""
        places = {(place.topic, place.partition) for place in partitions}
        self._drop(places)
        leaving = {place: self._done.pop(place) for place in places & self._done.keys()}
        try:
            self._commit(leaving)
        except BrokerError as error:
            logger.warning("partitions were revoked before a last commit: %s", error)
        self._assigned -= places
        for place in places:
            self._resting.pop(place, None)
            self._attempts.pop(place, None)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions."""
        places = {(place.topic, place.partition) for place in partitions}
        for place in places:
            self._done.pop(place, None)
        self.on_revoked(partitions)

    def on_committed(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Pass over an answer: commits are made synchronously here."""

    def _drop(self, places: set[Place]) -> None:
        self._taken = deque(
            record for record in self._taken if (record.topic, record.partition) not in places
        )

    def _commit(self, done: dict[Place, int]) -> None:
        self._last_commit = time.monotonic()
        if not done:
            return
        offsets = [
            TopicPartition(topic=topic, partition=partition, offset=offset)
            for (topic, partition), offset in done.items()
        ]
        try:
            self._broker.commit_sync(offsets, 30.0)
        except (AuthenticationError, AuthorizationError):
            raise
        except BrokerError as error:
            # A rebalance or an outage: the offsets stay done, and the next commit tells them.
            logger.warning("will commit again: %s", error)
        else:
            done.clear()


def _places(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(topic=topic, partition=partition) for topic, partition in places]
