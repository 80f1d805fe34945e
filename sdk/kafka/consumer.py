"""librdkafka's consumer behind our seam."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from sdk.abstractions import TokenSource
from sdk.errors import AuthorizationError, BrokerError, BrokerUnavailableError, FencedError
from sdk.kafka.config import consumer_config, make_client
from sdk.kafka.failures import broker_failure, is_missing
from sdk.kafka.health import Trouble
from sdk.records import ConsumerRecord, TopicPartition
from sdk.settings import ConsumerOptions, KafkaOptions

logger = logging.getLogger(__name__)

_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError._PARTITION_EOF,
    KafkaError._TRANSPORT,
}


class ConfluentConsumer:
    """A `BrokerConsumer` on librdkafka; used by one thread.

    Args:
        kafka: Servers and credentials; never the word ``embedded``.
        options: The ``[consumer]`` table.
        group_id: Consumer group.
        token: Source of OAUTHBEARER tokens.

    Raises:
        ConfigurationError: librdkafka refuses a setting; the message names ours.
    """

    def __init__(
        self,
        kafka: KafkaOptions,
        options: ConsumerOptions,
        group_id: str,
        token: TokenSource | None = None,
    ) -> None:
        self._trouble = Trouble("reach Kafka")
        config = consumer_config(kafka, options, group_id, token)
        self._client: Any = make_client(
            Client,
            config | {"error_cb": self._trouble.hear},
            {"consumer": options.librdkafka, "kafka": kafka.librdkafka},
        )
        self._missing: set[str] = set()

    def subscribe(
        self,
        topics: Sequence[str],
        on_assigned: Callable[[Sequence[TopicPartition]], None],
        on_revoked: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        """Join the group for these topics."""

        def assigned(_client: Client, places: list[Place]) -> None:
            on_assigned(_ours(places))

        def revoked(_client: Client, places: list[Place]) -> None:
            on_revoked(_ours(places))

        self._client.subscribe(list(topics), on_assign=assigned, on_revoke=revoked, on_lost=revoked)

    def poll(self, timeout: float, max_records: int) -> list[ConsumerRecord]:
        """Return up to ``max_records`` records, waiting ``timeout`` seconds for the first."""
        try:
            first = self._client.poll(timeout)
            if first is None:
                self._raise_trouble()
                return []
            messages = [first]
            if max_records > 1:
                # What is there already; waiting for a full batch would only add delay.
                messages += self._client.consume(max_records - 1, 0)
        except KafkaException as error:
            # A fatal error is raised, once, where others are called back.
            raise broker_failure(error.args[0], "consume") from error
        return [
            _record(message)
            for message in messages
            if message.error() is None or self._raise_for(message)
        ]

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Commit the next offsets to be read, and wait for the answer."""
        places = [Place(place.topic, place.partition, place.offset or 0) for place in offsets]
        try:
            answers = self._client.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            raise broker_failure(error.args[0], "commit offsets") from error
        for answer in answers or ():
            if answer.error is not None:
                raise broker_failure(
                    answer.error, "commit an offset", topic=answer.topic, partition=answer.partition
                )

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver nothing of these partitions until `resume`."""
        self._client.pause(_theirs(partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Deliver these partitions again."""
        self._client.resume(_theirs(partitions))

    def seek(self, partition: TopicPartition) -> None:
        """Go on reading from ``partition.offset``."""
        place = Place(partition.topic, partition.partition, partition.offset or 0)
        try:
            self._client.seek(place)
        except KafkaException as error:
            raise broker_failure(error.args[0], "seek", topic=partition.topic) from error

    def close(self) -> None:
        """Leave the group and release the client."""
        self._client.close()

    def _raise_trouble(self) -> None:
        error = self._trouble.fatal or self._trouble.refusal
        if error is not None:
            raise error.with_traceback(None)

    def _raise_for(self, message: Message) -> bool:
        """Raise for an error that will not pass by itself; else return False."""
        error = message.error()
        if error is None or error.code() in _PASSING:
            return False
        topic = message.topic()
        failure = broker_failure(error, "consume", topic=topic)
        if is_missing(error):
            if topic not in self._missing:
                self._missing.add(str(topic))
                logger.warning("waiting for a topic: %s", failure)
            return False
        if isinstance(failure, BrokerUnavailableError) and not error.fatal():
            logger.warning("%s", failure)
            return False
        if isinstance(failure, AuthorizationError | BrokerError | FencedError) or error.fatal():
            raise failure
        logger.warning("%s", failure)
        return False


def _record(message: Any) -> ConsumerRecord:
    kind, timestamp = message.timestamp()
    headers = message.headers()
    return ConsumerRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        message.value(),
        message.key(),
        tuple(headers) if headers else (),
        timestamp if kind else None,
    )


def _ours(places: Sequence[Place]) -> list[TopicPartition]:
    return [
        TopicPartition(
            topic=place.topic,
            partition=place.partition,
            offset=place.offset if place.offset >= 0 else None,
        )
        for place in places
    ]


def _theirs(places: Sequence[TopicPartition]) -> list[Place]:
    return [Place(place.topic, place.partition) for place in places]
