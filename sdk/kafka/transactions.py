"""librdkafka's transactional producer behind our seam."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from sdk.abstractions import TokenSource
from sdk.errors import (
    BrokerUnavailableError,
    ConfigurationError,
    FencedError,
    SdkError,
)
from sdk.kafka.calls import Call
from sdk.kafka.failures import broker_failure
from sdk.kafka.producer import ConfluentProducer
from sdk.kafka.signals import deferred_signals
from sdk.records import TopicPartition
from sdk.settings import KafkaOptions, ProducerOptions
from sdk.transactions.failures import fenced, must_be_aborted, unknown

_TURN_SECONDS = 0.1
"""Signal handlers run between two turns of a call that waits."""

_OFFSETS_TURN_SECONDS = 5.0
"""A request that sends offsets is abandoned at the end of each slice and repeated in the next."""

_LATE_SECONDS = 1.0
"""How long after its limit a request that sends offsets may answer."""

_PAUSE_SECONDS = 0.02


class ConfluentTransactionalProducer(ConfluentProducer):
    """A `TransactionalProducer` on librdkafka.

    Every call that waits is made in short turns by the thread that asks; librdkafka goes on with
    it in between, and acknowledgements are taken meanwhile.

    Args:
        kafka: Servers and credentials; never the word ``embedded``.
        options: The ``[producer]`` table.
        token: Source of OAUTHBEARER tokens.
        transactional_id: The id, without placeholders.

    Raises:
        ConfigurationError: librdkafka refuses a setting; the message names ours.
    """

    def __init__(
        self,
        kafka: KafkaOptions,
        options: ProducerOptions,
        token: TokenSource | None,
        transactional_id: str,
    ) -> None:
        super().__init__(kafka, options, token, transactional_id)
        self.transactional_id = transactional_id
        self._unanswered: Call | None = None

    def init_transactions(self, timeout: float) -> None:
        """Take the transactional id over, once, before the first `begin`."""
        self._wait("start transactions", self._client.init_transactions, timeout)

    def begin(self) -> None:
        """Open a transaction."""
        self._wait("begin a transaction", lambda _: self._client.begin_transaction(), 0)

    def send_offsets(
        self, offsets: Sequence[TopicPartition], group: object, timeout: float
    ) -> None:
        """Let the next offsets to be read be committed with the transaction.

        librdkafka waits without limit for a coordinator of the group that has gone (its issues
        5456 and 5511). The client is useless then: all that is left is to replace it.
        """
        places = [Place(each.topic, each.partition, each.offset or 0) for each in offsets]
        send = self._client.send_offsets_to_transaction

        def in_thread(turn: float) -> None:
            call = Call("sdk-offsets", lambda: send(places, group, turn))
            try:
                call.within(turn + _LATE_SECONDS)
            except TimeoutError:
                self._unanswered = call
                self._check_answered()

        self._wait("send offsets", in_thread, timeout, _OFFSETS_TURN_SECONDS)

    def commit(self, timeout: float) -> None:
        """Wait for every record, then make the transaction's records and offsets visible."""
        deadline = time.monotonic() + timeout
        self._flush(self._client, timeout)  # faster than the client's own flush
        try:
            self._wait("commit", self._client.commit_transaction, deadline - time.monotonic())
        except BrokerUnavailableError as error:
            raise unknown(error) from error

    def abort(self, timeout: float) -> None:
        """Drop the transaction's records and offsets; those that are still queued fail."""
        deadline = time.monotonic() + timeout
        self._wait("abort", self._client.abort_transaction, timeout)
        self._flush(self._client, deadline - time.monotonic())  # another thread may be reporting

    @property
    def _name(self) -> str:
        return f"with the transactional id {self.transactional_id!r}"

    def _wait(
        self,
        doing: str,
        call: Callable[[float], Any],
        timeout: float,
        longest: float = _TURN_SECONDS,
    ) -> None:
        """Call until it succeeds, fails for good, or ``timeout`` seconds have passed."""
        self._check_answered()
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            error = self._turn(call, max(0.0, min(longest, left)))
            if error is None:
                return
            failed = self._classed(doing, error)
            if not isinstance(failed, BrokerUnavailableError) or left <= 0:
                raise failed from KafkaException(error)
            time.sleep(_PAUSE_SECONDS)

    def _check_answered(self) -> None:
        if self._unanswered is not None and self._unanswered.is_alive():
            raise BrokerUnavailableError(
                f"there is no answer to the offsets that were sent {self._name}",
                remedy="the transaction is aborted; check the coordinator of the consumer group",
            )

    def _turn(self, call: Callable[[float], Any], timeout: float) -> KafkaError | None:
        with deferred_signals():
            try:
                call(timeout)
                return None
            except KafkaException as error:
                found: KafkaError = error.args[0]
                return found
            finally:
                # librdkafka flushes in these calls, and so calls back for records.
                self._report(wait=_TURN_SECONDS)

    def _classed(self, doing: str, error: KafkaError) -> SdkError:
        """Return our error, by what can be done about it."""
        failure = broker_failure(error, f"{doing} {self._name}")
        if error.fatal() or isinstance(failure, FencedError):
            return self._fatal(failure)
        if error.txn_requires_abort():
            return must_be_aborted(failure)
        refusal = self._health.refusal
        if refusal is not None:
            return type(refusal)(refusal.message, remedy=refusal.remedy)
        if error.retriable() and not isinstance(failure, BrokerUnavailableError):
            return BrokerUnavailableError(failure.message, remedy="try again, or see the brokers")
        return failure

    def _fatal(self, failure: SdkError) -> SdkError:
        if isinstance(failure, FencedError):
            return fenced(self.transactional_id)
        if "TRANSACTION_TIMEOUT" in failure.message:
            return ConfigurationError(
                "the broker allows no such producer.transaction_timeout_ms",
                path="producer.transaction_timeout_ms",
                remedy="lower it, or raise transaction.max.timeout.ms of the brokers",
            )
        return failure

    def _failure(self, error: KafkaError, topic: str, partition: int | None) -> SdkError:
        failure = super()._failure(error, topic, partition)
        if isinstance(failure, FencedError):
            return fenced(self.transactional_id, topic=topic)
        return failure
