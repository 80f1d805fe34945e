"""Adapter of librdkafka's consumer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import Consumer as Client
from confluent_kafka import TopicPartition as Place

from sdk.abstractions import ConsumerListener, TokenSource
from sdk.errors import BrokerError, BrokerUnavailableError, FencedError, SdkError
from sdk.kafka.calls import Call
from sdk.kafka.config import consumer_config, make_client
from sdk.kafka.failures import broker_failure, is_missing
from sdk.kafka.health import ClientHealth
from sdk.kafka.starting_offsets import StartingOffsets, committed_offsets
from sdk.records import END, ConsumerRecord, TopicPartition
from sdk.settings import ConsumerOptions, KafkaOptions

logger = logging.getLogger(__name__)

_ASK_SECONDS = 10.0

_new_tuple: Callable[[type[ConsumerRecord], tuple[Any, ...]], ConsumerRecord] = tuple.__new__

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
        read_committed: As for `Broker.consumer`.
        more: Further keys for librdkafka.

    Raises:
        ConfigurationError: librdkafka refuses a setting; the message names ours.
    """

    def __init__(
        self,
        kafka: KafkaOptions,
        options: ConsumerOptions,
        group_id: str,
        token: TokenSource | None = None,
        *,
        read_committed: bool | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self._commit = f"commit offsets of group {group_id}"
        self._consume = f"consume in group {group_id}"
        self._health = ClientHealth("reach Kafka")
        config = consumer_config(kafka, options, group_id, token, read_committed)
        self._client: Any = make_client(
            Client,
            config | {"on_commit": self._on_commit} | dict(more or {}),
            {"consumer": options.librdkafka, "kafka": kafka.librdkafka},
            self._health,
        )
        self._listener: ConsumerListener | None = None
        self._resets = options.auto_offset_reset != "earliest"
        self._cooperative = "cooperative" in config.get(
            "partition.assignment.strategy", "cooperative"
        )
        self._starts = (
            StartingOffsets(self._client, options.auto_offset_reset) if read_committed else None
        )
        self._revoked: set[tuple[str, int]] = set()
        self._missing: set[str] = set()
        self._committing: Call | None = None
        self._called_back = False

    def subscribe(
        self,
        topics: Sequence[str],
        listener: ConsumerListener,
        *,
        pattern: str | None = None,
        from_beginning: Collection[str] = (),
    ) -> None:
        """Join the group for these topics, and for those whose names match a pattern."""
        self._listener = listener
        if self._starts is not None:
            self._starts.from_beginning = from_beginning

        def leaving(call: Callable[[Sequence[TopicPartition]], None], places: list[Place]) -> None:
            self._revoked.update((place.topic, place.partition) for place in places)
            if self._starts is not None:
                self._starts.forget(places)
            # Else the client keeps a pause until the partition is assigned again.
            self._client.resume(places)
            self._called_back = True
            try:
                call(_ours(places))
            finally:
                self._called_back = False

        def assigned(_client: Any, places: list[Place]) -> None:
            late = [place for place in places if place.topic in from_beginning]
            if late and self._resets and self._starts is None:
                self._assign_from_beginning(late, places)
            listener.on_assigned(_ours(places))

        patterns = (
            [] if pattern is None else [pattern if pattern.startswith("^") else f"^{pattern}"]
        )
        self._client.subscribe(
            [*topics, *patterns],
            on_assign=assigned,
            on_revoke=lambda _client, places: leaving(listener.on_revoked, places),
            on_lost=lambda _client, places: leaving(listener.on_lost, places),
        )

    def poll(self, timeout: float, max_records: int) -> list[ConsumerRecord]:
        """Return up to ``max_records`` records, waiting ``timeout`` seconds for the first."""
        if self._starts is not None:
            self._starts.resolve()
        try:
            first = self._client.poll(timeout)
            if first is None:
                self._raise_unhealthy()
                return []
            messages = [first]
            if max_records > 1:
                # Takes available records; waiting for a full batch would only add delay.
                self._revoked.clear()
                messages += self._client.consume(max_records - 1, 0)
                if (first.topic(), first.partition()) in self._revoked:
                    del messages[0]
        except KafkaException as error:
            # A fatal error is raised, once, where others are called back.
            raise broker_failure(error.args[0], self._consume) from error
        records = []
        messages.reverse()
        while messages:
            message = messages.pop()
            if message.error() is None or self._raise_for(message):
                records.append(_record(message))
        return records

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Commit the next offsets to read; the listener is called with the answer."""
        try:
            self._client.commit(offsets=_theirs(offsets), asynchronous=True)
        except KafkaException as error:
            raise broker_failure(error.args[0], self._commit) from error

    def commit_sync(self, offsets: Sequence[TopicPartition], timeout: float) -> None:
        """Commit the next offsets to read, and wait ``timeout`` seconds for the answer.

        While the client calls the listener, the limit is librdkafka's own: the session timeout
        where the coordinator is unavailable, else ``socket.timeout.ms``.
        """
        places = _theirs(offsets)

        def commit() -> Sequence[Place]:
            return self._client.commit(offsets=places, asynchronous=False) or ()

        call = Call("sdk-commit", commit)
        try:
            # librdkafka's call has no limit, and the answer may be queued behind a pending join.
            # While it calls back it blocks other threads, but then no join is pending.
            answer = commit() if self._called_back else call.within(timeout)
        except TimeoutError as error:
            self._committing = call
            raise BrokerUnavailableError(
                f"no answer to a commit within {timeout:g} s",
                remedy="its records may be handled again; check the brokers and the network",
            ) from error
        except KafkaException as error:
            raise broker_failure(error.args[0], self._commit) from error
        for place in answer:
            if place.error is not None:
                raise broker_failure(
                    place.error, "commit an offset", topic=place.topic, partition=place.partition
                )

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Pause these partitions until `resume`."""
        self._call("pause", self._client.pause, partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Resume these partitions."""
        self._call("resume", self._client.resume, partitions)

    def seek(self, partition: TopicPartition) -> None:
        """Continue reading at ``partition.offset``, which may be `BEGINNING` or `END`."""
        try:
            self._client.seek(_theirs([partition])[0])
        except KafkaException as error:
            raise broker_failure(
                error.args[0], "seek", topic=partition.topic, partition=partition.partition
            ) from error

    def committed(
        self, partitions: Sequence[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        """Return partitions with the offsets that the group has committed; None without one."""
        places = [Place(each.topic, each.partition) for each in partitions]
        return _ours(committed_offsets(self._client, places, timeout))

    def end_offsets(
        self, partitions: Sequence[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        """Return partitions with their ends; with a timeout of 0 those that are known."""
        found = []
        for partition in partitions:
            place = Place(partition.topic, partition.partition)
            try:
                known = self._client.get_watermark_offsets(
                    place, **({"timeout": timeout} if timeout else {"cached": True})
                )
            except KafkaException as error:
                raise broker_failure(
                    error.args[0], "ask for an end", topic=place.topic, partition=place.partition
                ) from error
            if known is not None and known[1] >= 0:
                found.append(_ours([Place(place.topic, place.partition, known[1])])[0])
            elif timeout:
                raise BrokerUnavailableError(
                    "the end of the partition is unknown",
                    topic=place.topic,
                    partition=place.partition,
                )
        return found

    def offsets_for_time(
        self, partitions: Sequence[TopicPartition], timestamp: int, timeout: float
    ) -> list[TopicPartition]:
        """Return the first offset of each partition whose record is not older than a time."""
        places = [Place(each.topic, each.partition, timestamp) for each in partitions]
        try:
            answers = self._client.offsets_for_times(places, timeout)
        except KafkaException as error:
            raise broker_failure(error.args[0], "find offsets by time") from error
        return [
            TopicPartition(
                topic=place.topic,
                partition=place.partition,
                offset=place.offset if place.offset >= 0 else END,
            )
            for place in answers
        ]

    def group_metadata(self) -> object:
        """Return this client's group metadata, for `TransactionalProducer.send_offsets`."""
        return self._client.consumer_group_metadata()

    def close(self) -> None:
        """Leave the group and release the client."""
        committing = self._committing
        if committing is None or not committing.is_alive():
            self._client.close()
            return

        def close_later() -> None:
            # The client must not be freed while a call is inside it.
            committing.join()
            self._client.close()

        threading.Thread(target=close_later, name="sdk-close", daemon=True).start()

    def _on_commit(self, error: KafkaError | None, places: Sequence[Place]) -> None:
        if self._listener is None:
            return
        for place, answer in zip(places, _ours(places), strict=True):
            refused = place.error or error
            failure: SdkError | None = None
            if refused is not None:
                failure = broker_failure(
                    refused, "commit an offset", topic=place.topic, partition=place.partition
                )
            self._listener.on_committed([answer], failure)

    def _assign_from_beginning(self, late: list[Place], places: list[Place]) -> None:
        """Assign partitions; late ones start at their beginning if nothing is committed."""
        known = committed_offsets(self._client, late, _ASK_SECONDS)
        starts = {
            (place.topic, place.partition): OFFSET_BEGINNING for place in known if place.offset < 0
        }
        for place in places:
            place.offset = starts.get((place.topic, place.partition), place.offset)
        assign = self._client.incremental_assign if self._cooperative else self._client.assign
        assign(places)

    def _call(
        self, doing: str, call: Callable[[list[Place]], None], partitions: Sequence[TopicPartition]
    ) -> None:
        # librdkafka silently ignores unassigned partitions.
        assigned = {(place.topic, place.partition) for place in self._client.assignment()}
        for each in partitions:
            if (each.topic, each.partition) not in assigned:
                raise BrokerError(
                    f"cannot {doing} a partition that is not assigned to this client",
                    topic=each.topic,
                    partition=each.partition,
                )
        try:
            call([Place(each.topic, each.partition) for each in partitions])
        except KafkaException as error:
            raise broker_failure(error.args[0], f"{doing} partitions") from error

    def _raise_unhealthy(self) -> None:
        error = self._health.fatal or self._health.refusal
        if error is not None:
            raise error.with_traceback(None)

    def _raise_for(self, message: Message) -> bool:
        """Raise for a permanent error; else return False."""
        error = message.error()
        if error is None or error.code() in _PASSING:
            return False
        topic = message.topic()
        if error.code() == KafkaError._AUTO_OFFSET_RESET and self._starts is not None:
            self._starts.wait(str(topic), message.partition() or 0, message.offset())
            return False
        failure = broker_failure(error, self._consume, topic=topic)
        if is_missing(error):
            if topic not in self._missing:
                self._missing.add(str(topic))
                logger.warning("waiting for a topic: %s", failure)
            return False
        if isinstance(failure, BrokerUnavailableError) and not error.fatal():
            logger.warning("%s", failure)
            return False
        if isinstance(failure, BrokerError | FencedError) or error.fatal():
            raise failure
        logger.warning("%s", failure)
        return False


def _record(message: Any) -> ConsumerRecord:
    kind, timestamp = message.timestamp()
    headers = message.headers()
    # As ConsumerRecord(…) does, without the Python function that a named tuple calls.
    return _new_tuple(
        ConsumerRecord,
        (
            message.topic(),
            message.partition(),
            message.offset(),
            message.value(),
            message.key(),
            tuple(headers) if headers else (),
            timestamp if kind else None,
            kind == TIMESTAMP_LOG_APPEND_TIME,
        ),
    )


def _ours(places: Iterable[Place]) -> list[TopicPartition]:
    return [
        TopicPartition(
            topic=place.topic,
            partition=place.partition,
            offset=place.offset if place.offset >= 0 else None,
        )
        for place in places
    ]


def _theirs(partitions: Iterable[TopicPartition]) -> list[Place]:
    return [Place(each.topic, each.partition, each.offset or 0) for each in partitions]
