"""Determines where partitions without a usable offset are read from."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaException
from confluent_kafka import TopicPartition as Place

from sdk.errors import BrokerError, BrokerUnavailableError
from sdk.kafka.failures import broker_failure
from sdk.retry import doubled

logger = logging.getLogger(__name__)

_FIRST_SECONDS = 0.2
_LONGEST_SECONDS = 5.0
_NONE = -1


def committed_offsets(client: Any, places: list[Place], timeout: float) -> list[Place]:
    """Return partitions with the offsets that the client's group has committed.

    Args:
        client: A `confluent_kafka.Consumer`.
        places: Which partitions.
        timeout: Seconds.

    Raises:
        BrokerUnavailableError: Kafka cannot say yet, such as while an open transaction holds
            offsets of the group; that does not mean that nothing is committed.
        BrokerError: Kafka refuses to say.
    """
    doing = "ask for committed offsets"
    try:
        answers: list[Place] = client.committed(places, timeout)
    except KafkaException as error:
        raise broker_failure(error.args[0], doing) from error
    for place in answers:
        if place.error is not None:
            raise broker_failure(place.error, doing, topic=place.topic, partition=place.partition)
    return answers


class StartingOffsets:
    """Does what ``auto.offset.reset`` does, for a client that has it set to ``error``.

    librdkafka takes an offset that an open transaction holds for one that does not exist if the
    assignment changes while it asks, and then starts by ``auto.offset.reset``: a group whose
    offsets are committed in transactions would read whole partitions again, or miss records.

    Args:
        client: A `confluent_kafka.Consumer` whose partitions are assigned incrementally.
        reset: ``earliest``, ``latest`` or ``error``.

    Attributes:
        from_beginning: Topics for which ``reset`` is always ``earliest``.
    """

    def __init__(self, client: Any, reset: str) -> None:
        self.from_beginning: Collection[str] = ()
        self._client = client
        self._reset = reset
        self._waiting: dict[tuple[str, int], int | None] = {}
        self._failures = 0
        self._not_before = 0.0

    def wait(self, topic: str, partition: int, offset: int | None) -> None:
        """Record that a partition cannot be read.

        Args:
            topic: Of the partition.
            partition: Its number.
            offset: That does not exist; None if the group seems to have committed none.
        """
        self._waiting[topic, partition] = offset

    def forget(self, places: Iterable[Place]) -> None:
        """Forget partitions that are no longer assigned."""
        for place in places:
            self._waiting.pop((place.topic, place.partition), None)

    def resolve(self) -> None:
        """Ask what is committed of the partitions that wait, and let them be read from there.

        Raises:
            BrokerError: Kafka refuses to say, or there is no offset and that is an error.
        """
        if not self._waiting or time.monotonic() < self._not_before:
            return
        # It blocks the thread that also answers the group, so the first questions are short.
        timeout = doubled(_FIRST_SECONDS, self._failures + 1, _LONGEST_SECONDS)
        places = [Place(*place) for place, offset in self._waiting.items() if offset is None]
        try:
            answers = committed_offsets(self._client, places, timeout) if places else []
        except BrokerUnavailableError as error:
            logger.debug("where to start is not known yet: %s", error)
            self._failures += 1
            self._not_before = time.monotonic() + timeout
            return
        self._failures = 0
        known = {(place.topic, place.partition): place.offset for place in answers}
        for (topic, partition), missing in list(self._waiting.items()):
            offset = known.get((topic, partition), _NONE)
            if offset < 0:
                offset = self._start(topic, partition, missing)
            self._assign(Place(topic, partition, offset))

    def _start(self, topic: str, partition: int, missing: int | None) -> int:
        from_beginning = self._reset == "earliest" or topic in self.from_beginning
        if self._reset == "error" and not from_beginning:
            raise BrokerError(
                "the group has committed no offset"
                if missing is None
                else f"offset {missing} does not exist",
                topic=topic,
                partition=partition,
                remedy="commit an offset, or set consumer.auto_offset_reset",
            )
        if missing is not None:
            logger.warning(
                "offset %d of %s [%d] does not exist; reading starts at the %s",
                missing,
                topic,
                partition,
                "beginning" if from_beginning else "end",
            )
        return OFFSET_BEGINNING if from_beginning else OFFSET_END

    def _assign(self, place: Place) -> None:
        """Assign a partition again, because the client cannot seek in one that it does not read."""
        try:
            if place in self._client.assignment():
                self._client.incremental_unassign([place])
            self._client.incremental_assign([place])
        except KafkaException as error:
            logger.debug("%s [%d] cannot be assigned now: %s", place.topic, place.partition, error)
        else:
            self.forget([place])
