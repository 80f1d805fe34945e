"""librdkafka's producer behind our seam, with one thread that takes its acknowledgements."""

from __future__ import annotations

import logging
import threading
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from sdk.abstractions import OnDelivery, TokenSource
from sdk.confluent.broker_failures import broker_failure
from sdk.confluent.client_config import make_client, producer_config
from sdk.confluent.trouble import Trouble
from sdk.errors import (
    AuthenticationError,
    ClosedError,
    DeliveryTimeoutError,
    QueueFullError,
    SdkError,
)
from sdk.records import DeliveryReport, ProducerRecord
from sdk.settings import KafkaOptions, ProducerOptions

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_PURGE_SECONDS = 5.0
_MOCK_APPEND_TIME = 1234
"""What librdkafka's mock cluster says of every record, though it keeps the record's own time."""


class ConfluentProducer:
    """A `BrokerProducer` on librdkafka.

    Args:
        kafka: Servers and credentials; never the word ``embedded``.
        options: The ``[producer]`` table.
        token: Source of OAUTHBEARER tokens.

    Raises:
        ConfigurationError: librdkafka refuses a setting; the message names ours.
    """

    def __init__(
        self, kafka: KafkaOptions, options: ProducerOptions, token: TokenSource | None = None
    ) -> None:
        self._trouble = Trouble("reach Kafka")
        config = producer_config(kafka, options, token) | {"error_cb": self._trouble.hear}
        self._client: Any = make_client(
            Client, config, {"producer": options.librdkafka, "kafka": kafka.librdkafka}
        )
        self._closed = threading.Event()
        self._poller = threading.Thread(
            target=self._take_acknowledgements, name="sdk-producer", daemon=True
        )
        self._poller.start()

    def produce(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Queue a record and return at once."""

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                on_delivery(self._report(record, message), None)
            else:
                on_delivery(None, self._failure(record, error))

        try:
            self._client.produce(
                record.topic,
                record.value,
                record.key,
                -1 if record.partition is None else record.partition,
                delivered,
                None,
                record.timestamp or 0,
                list(record.headers),
            )
        except BufferError as error:
            raise QueueFullError("the local queue is full", topic=record.topic) from error
        except KafkaException as error:
            raise self._failure(record, error.args[0]) from error
        except (AttributeError, RuntimeError) as error:
            raise ClosedError("the producing client is closed") from error

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty, ``timeout`` seconds at most; return what is left."""
        left: int = self._client.flush(timeout)
        return left

    def close(self, timeout: float) -> int:
        """Flush, then release the client; return the number of records not delivered."""
        client: Any = self._client
        left: int = 0
        try:
            left = client.flush(timeout)
        finally:
            if left or len(client):
                client.purge()
                client.flush(_PURGE_SECONDS)
            self._closed.set()
            self._poller.join()
            # With the last reference the client goes, and librdkafka's threads with it.
            self._client = None
        return left

    def trouble(self) -> SdkError | None:
        """Return what keeps the client from delivering anything now, if it knows."""
        return self._trouble.error

    def _take_acknowledgements(self) -> None:
        client = self._client
        while not self._closed.is_set():
            try:
                client.poll(_POLL_SECONDS)
                if self._trouble.refusal is not None:
                    # No broker takes us: waiting for the delivery time-out would not change it.
                    client.purge(blocking=False)
            except Exception:
                logger.exception("taking acknowledgements failed")

    def _report(self, record: ProducerRecord, message: Any) -> DeliveryReport:
        if self._trouble.error is not None:
            self._trouble.clear()
        kind, timestamp = message.timestamp()
        if timestamp == _MOCK_APPEND_TIME:
            timestamp = record.timestamp
        return DeliveryReport(
            topic=record.topic,
            partition=message.partition(),
            offset=message.offset(),
            timestamp=timestamp if kind else None,
        )

    def _failure(self, record: ProducerRecord, error: KafkaError) -> SdkError:
        trouble = self._trouble.error
        purged = error.code() in {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
        failure = broker_failure(
            error, "deliver the record", topic=record.topic, partition=record.partition
        )
        timed_out = purged or isinstance(failure, DeliveryTimeoutError)
        if timed_out and isinstance(trouble, AuthenticationError):
            return AuthenticationError(trouble.message, topic=record.topic, remedy=trouble.remedy)
        if purged:
            failure.message = "the producer was closed before the record was acknowledged"
            if trouble is not None:
                failure.message += f": {trouble.message}"
        return failure
