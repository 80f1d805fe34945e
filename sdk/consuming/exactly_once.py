"""Exactly once: commits consumed offsets and the records that handlers publish in one transaction.

The thread of the intake begins and ends transactions, and workers publish in them. One is open at a
time. It is closed after a number of records, or after a while: running handlers finish, and so do
the records before them, so that all finished work ends at one offset in each partition. Then the
offsets are added to the transaction, and it is committed.

A transaction with records that must not become visible is aborted. Its records are read again, and
the counts of failed attempts are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from sdk.abstractions import BrokerConsumer
from sdk.clock import Clock
from sdk.consuming.failures import FINAL
from sdk.consuming.lanes import Lanes
from sdk.consuming.offsets import Place, as_partitions, by_place, to_commit
from sdk.consuming.partition import Partition
from sdk.consuming.transactions import HandlerCall, HandlerTransactions, Sent
from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    FencedError,
    HandlerError,
    SdkError,
    TransactionAbortedError,
    TransactionUnknownError,
)
from sdk.happenings import CommitFailed, OffsetsCommitted
from sdk.observers import Observers
from sdk.records import ConsumerRecord, TopicPartition
from sdk.retry import doubled
from sdk.settings import ConsumerOptions

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.2
_ASK_SECONDS = 10.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

_PATIENCE_SECONDS = 2.0
"""How long a transaction is kept open for a record that waits to be tried again."""

_MOST = 0.8
"""Share of the broker's time limit for transactions during which one may be open."""


class ExactlyOnce:
    """Ends transactions, with the offsets of the handled records; a `Commits`.

    Args:
        transactions: The transactions in which handlers publish.
        broker: The client.
        lanes: The queues of records for handlers.
        partitions: The assigned partitions; those that are read again are replaced in it.
        record_failure: Called with (partition, record, error); counts a failed attempt or decides.
        options: Have the limits of a transaction.
        group: Consumer group.
        clock: Determines when a transaction is closed.
        observers: Notified of commits.
    """

    def __init__(
        self,
        transactions: HandlerTransactions,
        broker: BrokerConsumer,
        lanes: Lanes,
        partitions: dict[Place, Partition],
        record_failure: Callable[[Partition, ConsumerRecord, SdkError], None],
        *,
        options: ConsumerOptions,
        group: str,
        clock: Clock,
        observers: Observers,
    ) -> None:
        self._transactions = transactions
        self._broker = broker
        self._lanes = lanes
        self._partitions = partitions
        self._record_failure = record_failure
        self._records = options.transaction_records
        self._seconds = options.transaction_ms / 1000
        self._group = group
        self._clock = clock
        self._observers = observers
        self._opened: float | None = None
        self._closing: float | None = None
        self._span = 0
        self._abort_reason: BaseException | None = None
        self._calls: list[HandlerCall] = []
        self._starts: dict[Place, int] = {}
        self._leaving: list[Partition] = []
        self._ready = False
        self._unknown: dict[Place, int] = {}
        self._failures = 0
        self._resume_at = 0.0
        self._fatal: SdkError | None = None
        self.enter, self.leave = transactions.enter, transactions.leave
        self.begin_call = transactions.begin_call

    def end_call(
        self, partition: Partition, records: Sequence[ConsumerRecord], sent: Sequence[Sent]
    ) -> None:
        """Add the records that a handler published; it has returned."""
        if sent:
            self._calls.append(HandlerCall(partition, records, sent))

    def request_abort(self, reason: BaseException) -> None:
        """Abort the open transaction at the next tick: its records must not become visible."""
        self._abort_reason = self._abort_reason or reason

    @property
    def poll_seconds(self) -> float:
        """How long a poll may wait, seconds: until the open transaction is due."""
        if self._opened is None:
            return self._seconds
        return max(0.0, self._opened + self._seconds - self._clock.monotonic())

    def room(self) -> int:
        """Return how many more records may be taken now."""
        if not self._ready or self._closing is not None or self._abort_reason is not None:
            return 0
        return max(0, self._records - self._span)

    def add(self, count: int) -> None:
        """Count records that are about to be handled."""
        if self._opened is None:
            self._begin(0)
        self._span += count

    def tick(self) -> None:
        """End the open transaction if it is due, and prepare the next one.

        Raises:
            FencedError: Another instance has taken over.
            BrokerError: Kafka refuses us.
            ConfigurationError: The broker has no transactions.
        """
        if self._fatal is not None:
            raise self._fatal
        if not self._ready:
            self._prepare()
        elif self._opened is not None:
            if self._abort_reason is None and self._is_due(self._opened):
                self._close(self._opened)
            if self._abort_reason is not None and self._handlers_finished(_WAIT_SECONDS):
                self._abort(self._abort_reason)
        if self._fatal is not None:
            raise self._fatal

    def flush(self, places: Iterable[Place], timeout: float) -> None:
        """Commit or abort the transaction: partitions are revoked, or read from another position.

        Args:
            places: Which partitions.
            timeout: Seconds for running handlers.
        """
        given_up = set(places)
        kept = [each for place, each in self._partitions.items() if place not in given_up]
        if self._opened is not None and self._fatal is None:
            every = list(self._partitions.values())
            for _ in range(2):  # a handler may have begun at the moment of the first halt
                self._lanes.halt(every, even_paused=True)
                self._lanes.drained(every, timeout)
                if self._abort_reason is not None or self._is_settled():
                    break
            if self._abort_reason is None and self._is_settled():
                self._commit(kept)
            else:
                reason = TransactionAbortedError("partitions were revoked during a transaction")
                self._handlers_finished(timeout)
                self._abort(self._abort_reason or reason)

    def lost(self) -> None:
        """Abort: partitions were lost."""
        if self._opened is not None and self._fatal is None:
            self._handlers_finished(0)
            self._abort(TransactionAbortedError("partitions were lost during a transaction"))

    def forget(self, places: Iterable[Place]) -> None:
        """Forget partitions that were revoked, or are read from another position."""
        for place in places:
            self._starts.pop(place, None)
            self._unknown.pop(place, None)

    def answered(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Never called: nothing is committed outside transactions."""

    def close(self) -> None:
        """Release the client, after the last `flush`.

        Raises:
            SdkError: The error that stopped transactions.
        """
        self._transactions.close()
        if self._fatal is not None:
            raise self._fatal

    def _prepare(self) -> None:
        """Prepare to begin a transaction: read again the records that were not committed."""
        if self._leaving:
            self._lanes.wait_until(lambda: not _active(self._leaving), _WAIT_SECONDS)
            if _active(self._leaving):
                return
            self._leaving.clear()
        if self._clock.monotonic() < self._resume_at:
            return
        try:
            self._transactions.prepare()
            if self._unknown:
                # The committed offsets show whether the transaction was committed. Others are
                # older, such as from before a seek.
                committed = self._broker.committed(as_partitions(self._partitions), _ASK_SECONDS)
                for place, offset in by_place(committed).items():
                    if self._unknown.get(place) == offset:
                        self._starts[place] = offset
            self._rewind()
        except BrokerError as error:
            if isinstance(error, FINAL):
                raise
            self._pause()
            logger.warning("group %s: no transaction can begin yet: %s", self._group, error)
            return
        # What a handler of an ended transaction has asked for since does not concern the next one.
        self._unknown, self._ready, self._abort_reason = {}, True, None

    def _rewind(self) -> None:
        """Read dropped partitions again from the end of the last committed transaction."""
        for place, old in list(self._partitions.items()):
            if not old.dropped:
                continue
            start = self._starts.get(place, old.watermark.first)
            if start is not None:
                topic, number = place
                self._broker.seek(TopicPartition(topic=topic, partition=number, offset=start))
            self._partitions[place] = old.renewed()

    def _begin(self, span: int) -> None:
        self._transactions.begin()
        self._opened = self._clock.monotonic()
        self._span = span

    def _is_due(self, opened: float) -> bool:
        left = opened + self._seconds - self._clock.monotonic()
        if left > 0 and self._closing is None and self._span >= self._records:
            every = list(self._partitions.values())
            done = self._lanes.wait_until(
                lambda: (
                    self._abort_reason is not None
                    or not any(each.watermark.count for each in every)
                ),
                min(left, _WAIT_SECONDS),
            )
            return done and self._abort_reason is None
        return left <= 0 or self._closing is not None

    def _is_settled(self) -> bool:
        return all(each.settled for each in self._partitions.values())

    def _close(self, opened: float) -> None:
        """Commit if all started records are done; otherwise the next tick checks again."""
        every = list(self._partitions.values())
        self._lanes.halt(every, even_paused=True)
        self._lanes.reconsider(every)
        self._lanes.wait_until(
            lambda: self._abort_reason is not None or self._is_settled(), _WAIT_SECONDS
        )
        if self._abort_reason is not None:
            return
        if self._is_settled():
            self._commit(every)
            return
        now = self._clock.monotonic()
        self._closing = self._closing or now
        if now - opened >= _MOST * self._transactions.timeout:
            self._abort_overdue()
        elif now - self._closing >= _PATIENCE_SECONDS and not _active(every):
            self.request_abort(
                TransactionAbortedError("a record of the transaction has to be retried")
            )

    def _abort_overdue(self) -> None:
        """Abort before the broker does; it counts as an attempt of the unfinished records."""
        seconds = self._transactions.timeout
        for lane in list(self._lanes.in_work):
            record = lane.current
            if record is not None and not lane.partition.dropped:
                error = HandlerError(
                    f"the handler ran for so long that its transaction, which may be open"
                    f" for {seconds:g} s, had to be aborted",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    remedy="raise producer.transaction_timeout_ms, or make the handler quicker",
                )
                logger.warning("%s", error, extra=record.place)
                self._record_failure(lane.partition, record, error)
        self.request_abort(TransactionAbortedError("a handler ran for too long"))

    def _commit(self, keep: Sequence[Partition]) -> None:
        """Commit, and continue with some partitions."""
        offsets = to_commit(self._partitions, self._starts)
        started = self._clock.monotonic()
        if keep and not offsets and not self._calls:  # all started records will be retried
            self._opened, self._closing = started, None
            self._continue(keep)
            return
        try:
            self._transactions.commit(offsets, self._broker.group_metadata())
        except SdkError as error:
            seconds = self._clock.monotonic() - started
            self._observers.notify(CommitFailed(self._group, tuple(offsets), error, seconds))
            self._failed(error, offsets)
            return
        self._end()
        self._failures = 0
        self._starts.update(by_place(offsets))
        for partition in self._partitions.values():
            partition.forget_failures()
        if offsets:
            seconds = self._clock.monotonic() - started
            self._observers.notify(OffsetsCommitted(self._group, tuple(offsets), seconds))
        self._continue(keep)

    def _continue(self, partitions: Sequence[Partition]) -> None:
        """Resume partitions, in a transaction."""
        in_flight = sum(each.watermark.count for each in partitions)
        if in_flight and self._opened is None:
            self._begin(in_flight)
        for partition in partitions:
            self._lanes.release(partition)

    def _failed(self, error: SdkError, offsets: Sequence[TopicPartition]) -> None:
        cause = error.__cause__
        if isinstance(error, FINAL):
            self._fatal = _stopped(self._group, error)
        elif isinstance(cause, AuthenticationError | AuthorizationError):
            self._fatal = cause
        if isinstance(error, TransactionUnknownError):
            self._unknown = by_place(offsets)
        self._rolled_back(error)

    def _handlers_finished(self, seconds: float) -> bool:
        """Stop all lanes; return whether the running handlers are done."""
        every = list(self._partitions.values())
        self._lanes.drop(every)
        out = self._lanes.wait_until(lambda: not _active(every), seconds)
        late = self._clock.monotonic() - (self._opened or 0) >= _MOST * self._transactions.timeout
        return out or late

    def _abort(self, reason: BaseException) -> None:
        self._transactions.abort(reason)
        self._rolled_back(reason)

    def _rolled_back(self, reason: BaseException) -> None:
        """Make all partitions be read again after an aborted transaction."""
        every = list(self._partitions.values())
        self._lanes.drop(every)
        self._leaving += [each for each in every if each.active]
        logger.info(
            "group %s: the records of an aborted transaction are read again: %s",
            self._group,
            reason,
        )
        caused = False
        for call in self._calls:
            if (failure := call.failure) is not None:
                caused = True
                for record in call.records:
                    self._record_failure(call.partition, record, failure)
        self._end()
        self._ready = False
        if isinstance(reason, SdkError) and not caused:
            self._pause()

    def _pause(self) -> None:
        self._failures += 1
        pause = doubled(_FIRST_PAUSE, self._failures, _LONGEST_PAUSE)
        self._resume_at = self._clock.monotonic() + pause

    def _end(self) -> None:
        self._opened = self._closing = self._abort_reason = None
        self._span = 0
        self._calls = []


def _active(partitions: Iterable[Partition]) -> bool:
    return any(partition.active for partition in partitions)


def _stopped(group: str, error: SdkError) -> SdkError:
    if not isinstance(error, FencedError):
        return error
    fenced = FencedError(
        f"group {group}: {error.message}; the consumer stops, and the records of its open"
        " transaction are handled again by the new owner of its partitions",
        remedy=error.remedy,
    )
    fenced.__cause__ = error
    return fenced
