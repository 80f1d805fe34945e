"""Where partitions without a usable offset are read from."""

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
        client: A `confluent_kafka.Consumer`.
        reset: ``earliest``, ``latest`` or ``error``.
    """

    def __init__(self, client: Any, reset: str) -> None:
        self.from_beginning: Collection[str] = ()
        self._client = client
        self._reset = reset
        self._unknown: set[tuple[str, int]] = set()
        self._failures = 0
        self._not_before = 0.0

    def decide(self, topic: str, partition: int, offset: int | None) -> bool:
        """Let a partition that cannot be read from an offset be read from elsewhere.

        Args:
            topic: Of the partition.
            partition: Its number.
            offset: That does not exist; None if the group seems to have committed none.

        Returns:
            False if the settings say that this is an error.
        """
        if offset is None:
            self._unknown.add((topic, partition))
            return True
        if self._is_error(topic):
            return False
        logger.warning(
            "%s [%d] has no record at offset %d any longer; it is read on from its %s",
            topic,
            partition,
            offset,
            "beginning" if self._start(topic) == OFFSET_BEGINNING else "end",
        )
        self._seek(Place(topic, partition, self._start(topic)))
        return True

    def forget(self, places: Iterable[Place]) -> None:
        """Forget partitions that are no longer assigned."""
        self._unknown.difference_update((place.topic, place.partition) for place in places)

    def resolve(self) -> None:
        """Ask what is committed of the partitions that wait for it, and let them be read.

        Raises:
            BrokerError: Kafka refuses to say, or nothing is committed and that is an error.
        """
        if not self._unknown or time.monotonic() < self._not_before:
            return
        places = [Place(topic, partition) for topic, partition in self._unknown]
        # It blocks the thread that also answers the group, so the first questions are short.
        timeout = doubled(_FIRST_SECONDS, self._failures + 1, _LONGEST_SECONDS)
        try:
            answers = committed_offsets(self._client, places, timeout)
        except BrokerUnavailableError as error:
            logger.debug("where to start is not known yet: %s", error)
            self._failures += 1
            self._not_before = time.monotonic() + timeout
            return
        self._failures = 0
        self._unknown.clear()
        for place in answers:
            if place.offset < 0:
                if self._is_error(place.topic):
                    raise BrokerError(
                        "the group has committed no offset",
                        topic=place.topic,
                        partition=place.partition,
                        remedy="commit one, or set consumer.auto_offset_reset",
                    )
                place.offset = self._start(place.topic)
            self._seek(place)

    def _is_error(self, topic: str) -> bool:
        return self._reset == "error" and topic not in self.from_beginning

    def _start(self, topic: str) -> int:
        first = self._reset == "earliest" or topic in self.from_beginning
        return OFFSET_BEGINNING if first else OFFSET_END

    def _seek(self, place: Place) -> None:
        try:
            self._client.seek(place)
        except KafkaException as error:
            raise broker_failure(
                error.args[0], "seek", topic=place.topic, partition=place.partition
            ) from error
