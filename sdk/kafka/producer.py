"""librdkafka's producer behind our seam, with one thread that polls for delivery reports."""

from __future__ import annotations

import logging
import threading
import time
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from sdk.abstractions import OnDelivery, TokenSource
from sdk.checks import check_record
from sdk.errors import (
    AuthenticationError,
    BrokerError,
    ClosedError,
    DeliveryError,
    DeliveryTimeoutError,
    QueueFullError,
    SdkError,
)
from sdk.kafka.config import make_client, producer_config
from sdk.kafka.failures import broker_failure
from sdk.kafka.health import ClientHealth
from sdk.kafka.signals import deferred_signals, interruption
from sdk.records import DeliveryReport, ProducerRecord
from sdk.settings import KafkaOptions, ProducerOptions

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_STAND_BACK_SECONDS = 0.002
_TAKEN_WHILE_PRODUCING = 128
_STILL_BUSY = 24
_PURGE_SECONDS = 5.0
_FIRST_FLUSH_SECONDS = 0.001
_FLUSH_SECONDS = 0.1


_new_tuple: Callable[[type[DeliveryReport], tuple[Any, ...]], DeliveryReport] = tuple.__new__


class ConfluentProducer:
    """A `BrokerProducer` on librdkafka.

    Args:
        kafka: Servers and credentials; never the word ``embedded``.
        options: The ``[producer]`` table.
        token: Source of OAUTHBEARER tokens.
        transactional_id: None for a client without transactions.
        more: Further keys for librdkafka.
        ignored_append_time: An append time, milliseconds, that brokers report without meaning it;
            the time of producing is reported instead.

    Raises:
        ConfigurationError: librdkafka refuses a setting; the message names ours.
    """

    def __init__(
        self,
        kafka: KafkaOptions,
        options: ProducerOptions,
        token: TokenSource | None = None,
        transactional_id: str | None = None,
        *,
        more: Mapping[str, Any] | None = None,
        ignored_append_time: int | None = None,
    ) -> None:
        self._ignored_append_time = ignored_append_time
        self._health = ClientHealth("reach Kafka")
        config = producer_config(kafka, options, token, transactional_id) | dict(more or {})
        self._client: Any = make_client(
            Client,
            config,
            {"producer": options.librdkafka, "kafka": kafka.librdkafka},
            self._health,
        )
        self._enqueue: Callable[..., None] = self._client.produce
        # Bound once: each record under way holds it.
        self._delivered = self._settle
        self._after_deliveries: Callable[[], None] = _nothing
        # The error of a failed record depends on the client's state, which must not be queried
        # inside its callbacks: the process would abort.
        self._failed: deque[Callable[[], None]] = deque()
        # Reentrant: observers of a delivery may produce, and thereby take acknowledgements.
        self._reporting = threading.RLock()
        self._unreported = False
        self._produced = 0
        # A token is fetched by the thread that takes acknowledgements, which may take long.
        self._may_take_inline = self._takes_inline = "oauth_cb" not in config
        self._closed = threading.Event()
        self._poller = threading.Thread(
            target=self._take_acknowledgements, name="sdk-producer", daemon=True
        )
        self._poller.start()

    def produce(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Queue a checked record and return at once."""
        topic, value, key, headers, partition, timestamp = record
        if timestamp is not None and self._ignored_append_time is not None:
            on_delivery = partial(_report_at, timestamp, on_delivery)
        try:
            self._enqueue(
                topic,
                value,
                key,
                -1 if partition is None else partition,
                # One object for as long as the record is under way; `partial` makes three.
                MethodType(self._delivered, on_delivery),
                None,
                timestamp or 0,
                list(headers) if headers else None,
            )
            self._produced += 1
            if not self._produced % _TAKEN_WHILE_PRODUCING:
                # Not in an event loop: the fewer its wake-ups, the more each one completes.
                self._takes_inline = self._may_take_inline and _get_running_loop() is None
                if self._takes_inline:
                    with deferred_signals():
                        self._take(0)
        except BufferError as error:
            raise QueueFullError("the local queue is full", topic=topic) from error
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FATAL:
                self._take(0)  # has the client report what it was
            raise self._failure(error.args[0], topic, None) from error
        except (AttributeError, RuntimeError) as error:
            raise ClosedError("the producing client is closed") from error
        except TypeError as error:
            check_record(record)
            # The record is valid in this case. The client runs Python's signal handlers
            # while it reads header names, and raises this in place of what a handler raised.
            raise interruption() from error

    def queued(self) -> int:
        """Return how many records are not acknowledged yet."""
        client = self._client
        return 0 if client is None else len(client)

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty, ``timeout`` seconds at most; return what is left."""
        client = self._client
        return 0 if client is None else self._flush(client, timeout)

    def close(self, timeout: float) -> int:
        """Flush, then release the client; return the number of records not delivered.

        A second call does nothing.
        """
        client: Any = self._client
        left: int = 0
        if client is None:
            return left
        # What another thread added after the last flush would vanish with the client.
        self._enqueue = _refuse
        try:
            left = self._flush(client, timeout)
        finally:
            if left or len(client):
                client.purge()
                self._flush(client, _PURGE_SECONDS)
            self._closed.set()
            self._poller.join()
            # The last reference ends the client and librdkafka's threads.
            self._client = None
        return left

    def connection_error(self) -> SdkError | None:
        """Return why the client cannot reach Kafka now, if known."""
        return self._health.error

    def after_deliveries(self, call: Callable[[], None]) -> None:
        """Register a callback to run after each batch of delivery callbacks."""
        self._after_deliveries = call

    def _flush(self, client: Any, timeout: float) -> int:
        """Flush in short turns, between which signal handlers run; return what is left.

        While another thread takes acknowledgements, the client notices only every 10 ms, within a
        call, that nothing is left; so the first turns are shorter.
        """
        deadline, longest = time.monotonic() + timeout, _FIRST_FLUSH_SECONDS
        while True:
            turn = min(longest, deadline - time.monotonic())
            longest = min(2 * longest, _FLUSH_SECONDS)
            with deferred_signals():
                try:
                    left: int = client.flush(max(0.0, turn))
                except KafkaException as error:
                    self._health.record(error.args[0])
                    left = len(client)
                finally:
                    reported = self._report(wait=max(0.0, turn))
                if not reported:
                    left += 1  # at least
            if not left or turn <= 0:
                return left

    def _take_acknowledgements(self) -> None:
        """Take acknowledgements in a separate thread, unless another one produces at full speed.

        The client takes and gives back the interpreter lock for every acknowledgement. Against a
        thread that produces without a pause that costs more than all the rest, so that thread
        takes them itself, some after so many records, and this one stands back.
        """
        seen, busy = 0, False
        while not self._closed.is_set():
            produced = self._produced
            # Fewer keep it standing back than make it do so: a look is short, a poll may be long.
            enough = _STILL_BUSY if busy else _TAKEN_WHILE_PRODUCING
            busy = self._takes_inline and produced - seen >= enough
            seen = produced
            if busy:
                time.sleep(_STAND_BACK_SECONDS)
            else:
                self._take(_POLL_SECONDS)

    def _take(self, timeout: float) -> None:
        client = self._client
        if client is None:
            return
        try:
            try:
                taken = client.poll(timeout)
            except KafkaException as error:
                # A fatal error is raised, once, where others are called back.
                self._health.record(error.args[0])
                taken = 1
            except Exception:
                logger.exception("a delivery callback has raised an exception")
                taken = 1
            if taken or self._unreported:
                self._report()
            if self._health.refusal is not None or self._health.fatal is not None:
                # No broker accepts us: waiting for the delivery time-out would not change it.
                client.purge(blocking=False)
        except Exception:
            logger.exception("taking acknowledgements failed")

    def _settle(self, on_delivery: OnDelivery, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._failed.append(partial(self._fail, on_delivery, error, message))
            return
        if self._health.failing:
            self._health.clear()
        kind, stamped = message.timestamp()
        if stamped == self._ignored_append_time:
            stamped = _time_of_producing(message)
        # As DeliveryReport(…) does, without the Python function that a named tuple calls.
        place = (message.topic(), message.partition(), message.offset(), stamped if kind else None)
        on_delivery(_new_tuple(DeliveryReport, place), None)

    def _report(self, *, wait: float = 0.0) -> bool:
        """Report the deliveries that callbacks have recorded; return whether that is done.

        Args:
            wait: Seconds to wait for a thread that is reporting already, as flushing must; with 0,
                that thread reports these as well.
        """
        self._unreported = True
        while self._reporting.acquire(timeout=wait):
            try:
                self._unreported = False
                while self._failed:
                    self._failed.popleft()()
                self._after_deliveries()
            except BaseException:
                self._unreported = True  # the rest, by the thread that polls
                raise
            finally:
                self._reporting.release()
            if not self._unreported:
                return True
        return False

    def _fail(self, on_delivery: OnDelivery, error: KafkaError, message: Any) -> None:
        on_delivery(None, self._failure(error, message.topic(), message.partition()))

    def _failure(self, error: KafkaError, topic: str, partition: int | None) -> SdkError:
        """Return our error for a record that failed for good, with the cause as far as known.

        Args:
            error: The client's error.
            topic: Topic of the record.
            partition: Which partition the client had chosen; negative if it knew none yet, None
                where it refuses the record at once.
        """
        purged = error.code() in {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
        fatal = self._health.fatal
        if fatal is not None and (purged or error.fatal() or error.code() == KafkaError._FATAL):
            return type(fatal)(fatal.message, topic=topic, remedy=fatal.remedy)
        if purged or error.code() == KafkaError._MSG_TIMED_OUT:
            return self._not_acknowledged(topic, partition, closed=purged)
        known = None if partition is None or partition < 0 else partition
        return broker_failure(error, "deliver the record", topic=topic, partition=known)

    def _not_acknowledged(self, topic: str, partition: int | None, *, closed: bool) -> SdkError:
        """Return the error of an unanswered record, combined with the reason, if known."""
        cause = self._health.error
        unsent = self._was_never_sent(partition)
        message = "the record was not delivered"
        remedy = "a copy may exist on the broker: produce it again only if that is fine"
        failure_class: type[SdkError] = DeliveryTimeoutError
        if isinstance(cause, AuthenticationError):
            failure_class = AuthenticationError
        elif closed:
            message = "the producer was closed before the record was acknowledged"
            failure_class = DeliveryError
        elif unsent:
            failure_class = BrokerError if cause is None else type(cause)
        if cause is not None:
            message += f": {cause.message}"
        elif unsent and not closed:
            message += ": no broker knows the topic"
        if unsent:
            message += "; nothing was sent"
            if cause is not None:
                remedy = cause.remedy or ""
            elif closed:
                remedy = "raise producer.close_timeout_ms, or create the topic if it is missing"
            else:
                remedy = "create the topic, or correct its name"
        elif isinstance(cause, AuthenticationError):
            remedy = f"{cause.remedy}; {remedy}"
        known = None if partition is None or partition < 0 else partition
        return failure_class(message, topic=topic, partition=known, remedy=remedy)

    def _was_never_sent(self, partition: int | None) -> bool:
        """Whether no broker can have received a failed record: the client knew none to send it to.

        The client chooses a partition once a broker has told how many there are; a record that
        names its partition waits for a broker that knows the partition's leader.
        """
        return partition is None or partition < 0 or not self._has_reached_a_broker()

    def _has_reached_a_broker(self) -> bool:
        """Whether any broker may have sent the cluster's metadata; does not wait."""
        cluster_id = getattr(self._client, "cluster_id", None)
        if cluster_id is None:
            return True  # older clients do not report it
        try:
            return cluster_id(0) is not None
        except KafkaException:
            return False


def _time_of_producing(message: Any) -> int:
    """Return it in milliseconds since the epoch, from the time that the message has taken."""
    return int((time.time() - (message.latency() or 0.0)) * 1000)


def _report_at(
    timestamp: int, on_delivery: OnDelivery, report: DeliveryReport | None, error: SdkError | None
) -> None:
    """Report a record with its own timestamp."""
    on_delivery(report and report._replace(timestamp=timestamp), error)


def _refuse(*_: object) -> None:
    """Stand for the client of a closed producer."""
    raise RuntimeError("closed")


def _nothing() -> None:
    """Do nothing: no listener is registered yet."""
