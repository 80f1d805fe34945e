"""Settlement: the outcomes of records."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from sdk.abstractions import AroundHandler
from sdk.clock import Clock
from sdk.consuming.circuit import Circuits
from sdk.consuming.dispatch import Task
from sdk.consuming.exactly_once import ExactlyOnce
from sdk.consuming.failures import FINAL, FailurePolicy, classify, raised
from sdk.consuming.key_order import KeyOrder
from sdk.consuming.lanes import Lanes
from sdk.consuming.outcome import DeadLetter, Outcome, Pause, Retry, Skip, Stop
from sdk.consuming.partition import Failed, Partition, attempt_at
from sdk.consuming.transactions import Sent
from sdk.errors import (
    HandlerError,
    MessageTooLargeError,
    SdkError,
    TransactionAbortedError,
    class_and_message,
)
from sdk.happenings import (
    RecordDeadLettered,
    RecordFailed,
    RecordHandled,
    RecordRetried,
    RecordSkipped,
)
from sdk.observers import Observers
from sdk.records import ConsumerRecord
from sdk.retry import doubled

if TYPE_CHECKING:
    from sdk.consuming.forwarding import Forwarder

logger = logging.getLogger(__name__)

_SHORTEST_FORWARD_SECONDS = 0.5
_LONGEST_FORWARD_SECONDS = 30.0


@frozen(kw_only=True)
class Settlement:
    """Decides about records, and applies the decisions.

    Attributes:
        lanes: The lanes to recheck when waiting records may be handled again.
        policy: Decides about failures.
        circuits: The dependencies that are down.
        forwarder: Forwards failed records; None if no outcome needs it.
        deliver: Calls the function that sends a record, and waits for its delivery.
        stop: Called with the error that stops the consumer.
        group: Consumer group.
        clock: Determines when a record is due again.
        observers: Notified of the outcomes of records.
        around: Context managers around each call of a handler; None costs nothing.
        transactions: The transactions of handlers; None if offsets are committed alone.
        order: Keeps the order of keys across retry topics; None if it is not kept.
    """

    lanes: Lanes
    policy: FailurePolicy
    circuits: Circuits
    forwarder: Forwarder | None
    deliver: Callable[[Callable[[], Any]], Awaitable[Any]]
    stop: Callable[[BaseException], None]
    group: str
    clock: Clock
    observers: Observers = field(factory=Observers)
    around: AroundHandler | None = None
    transactions: ExactlyOnce | None = None
    order: KeyOrder | None = None

    @property
    def plain(self) -> bool:
        """Whether a record needs nothing but the call of its handler."""
        return (
            self.around is None
            and self.order is None
            and not self.observers.each
            and not self.circuits
        )

    def begin_call(self) -> Sequence[Sent]:
        """Return a list that receives what the next handler call publishes in a transaction."""
        return () if self.transactions is None else self.transactions.begin_call()

    def finish(
        self, partition: Partition, record: ConsumerRecord, task: Task, started: float
    ) -> None:
        """Handle the return of a record's handler.

        Args:
            partition: Of the record.
            record: The record.
            task: How it was handled.
            started: When its handler was called, by `time.perf_counter`.
        """
        if self.observers.each:
            seconds = time.perf_counter() - started
            attempt = attempt_at(partition, record)
            self.observers.notify(RecordHandled(record, task.event, self.group, seconds, attempt))
        if self.order is not None:
            self.order.done(record)
        self._done(partition, record)

    def _done(self, partition: Partition, record: ConsumerRecord) -> None:
        partition.watermark.done(record.offset)
        if self.transactions is None:  # otherwise it may have to be repeated
            partition.failed.pop(record.offset, None)
        if self.circuits.settled(record):
            self.lanes.recheck()

    async def settle(
        self,
        partition: Partition,
        record: ConsumerRecord,
        task: Task | None,
        result: Any,
        sent: Sequence[Sent] = (),
    ) -> float | None:
        """Decide about a record that was not handled, and apply the decision.

        Args:
            partition: Of the record.
            record: The record.
            task: How it was to be handled; None if it could not be opened or has no handler.
            result: The exception, or the outcome that is decided already.
            sent: The records that its handler had published in a transaction before it raised.

        Returns:
            When it is due again, by the clock's monotonic time; None if it is done.
        """
        if self.transactions is not None and self._is_read_again(
            self.transactions, partition, result
        ):
            return math.inf
        known = partition.failed.setdefault(record.offset, Failed())
        attempt = attempt_at(partition, record)
        outcome: Outcome
        if known.pending is not None:
            outcome = known.pending
        elif isinstance(result, BaseException):
            outcome = self._decide(record, task, result, attempt)
        else:
            outcome = result
        if self.transactions is not None and sent:
            self._postpone(known, record, outcome, attempt)
            self.transactions.request_abort(result)
            return math.inf
        match outcome:
            case Pause():
                self.circuits.pause(record, outcome.error)
                return self.clock.monotonic() + self.circuits.wait(record)
            case Retry(topic=None):
                return self._again(known, record, outcome, attempt)
            case Retry() | DeadLetter():
                due = await self._forward(known, record, outcome, attempt)
                if due is not None:
                    return due
            case Skip():
                self._log_skip(record, task, outcome, result)
            case Stop():
                self.stop(outcome.error)
                return math.inf
        if self.order is not None and isinstance(outcome, DeadLetter | Skip):
            self.order.done(record)
        self._done(partition, record)
        return None

    def record_failure(self, partition: Partition, record: ConsumerRecord, error: SdkError) -> None:
        """Decide about a record whose failure aborts a transaction.

        Args:
            partition: Of the record.
            record: The record; it is read again.
            error: The failure, such as that of a record that its handler published.
        """
        known = partition.failed.setdefault(record.offset, Failed())
        if known.pending is None:
            attempt = attempt_at(partition, record)
            self._postpone(known, record, self._decide(record, None, error, attempt), attempt)

    def _is_read_again(self, transactions: ExactlyOnce, partition: Partition, result: Any) -> bool:
        """Whether no decision is needed, because the record will be read again in any case."""
        error = raised(result)
        if isinstance(error, TransactionAbortedError):  # raised where the handler published
            transactions.request_abort(error)
        return partition.dropped or isinstance(error, TransactionAbortedError)

    def _postpone(
        self, known: Failed, record: ConsumerRecord, outcome: Outcome, attempt: int
    ) -> None:
        """Store the decision about a record whose transaction is aborted."""
        match outcome:
            case Pause():
                self.circuits.pause(record, outcome.error)
            case Retry(topic=None):
                self._again(known, record, outcome, attempt)
            case Stop():
                self.stop(outcome.error)
            case _:
                known.pending = outcome

    def _again(self, known: Failed, record: ConsumerRecord, outcome: Retry, attempt: int) -> float:
        """Count an attempt in place; return when the next one is due."""
        known.attempts += 1
        known.due = self.clock.monotonic() + outcome.delay
        if self.observers:
            self.observers.notify(RecordRetried(record, self.group, None, outcome.delay, attempt))
        if self.circuits.settled(record):
            self.lanes.recheck()
        return known.due

    def _decide(
        self, record: ConsumerRecord, task: Task | None, error: BaseException, attempt: int
    ) -> Outcome:
        if task is not None:
            error = _handler_error(error, record, task)
        elif self.around is not None:
            with suppress(Exception), self.around((record,), None, self.group, attempt):
                raise error
        outcome = self.policy.decide(error, record, attempt)
        if self.observers:
            event = task.event if task is not None else getattr(error, "event", None)
            failure = classify(error)
            self.observers.notify(
                RecordFailed(record, event, self.group, raised(error), failure, attempt)
            )
        return outcome

    async def _forward(
        self, known: Failed, record: ConsumerRecord, outcome: Retry | DeadLetter, attempt: int
    ) -> float | None:
        """Forward a record and wait for the acknowledgement; on failure, return when to repeat."""
        assert self.forwarder is not None
        sent = self.begin_call()
        try:
            if isinstance(outcome, Retry):
                delivery = await self.deliver(partial(self.forwarder.retry, record, outcome))
            else:
                delivery = await self.deliver(partial(self.forwarder.dead_letter, record, outcome))
        except FINAL as error:
            self.stop(error)
            return math.inf
        except SdkError as error:
            known.pending = (
                _without_error(outcome) if isinstance(error, MessageTooLargeError) else outcome
            )
            known.forwards += 1
            delay = doubled(_SHORTEST_FORWARD_SECONDS, known.forwards, _LONGEST_FORWARD_SECONDS)
            known.due = self.clock.monotonic() + delay
            if self.transactions is not None and sent:
                self.transactions.request_abort(error)
            logger.warning(
                "a record of %s [%d] at offset %d could not be forwarded; retry in %.1f s: %s",
                record.topic,
                record.partition,
                record.offset,
                delay,
                error,
                extra=record.place,
            )
            return known.due
        if self.order is not None and isinstance(outcome, Retry):
            self.order.in_retry(record, delivery.topic)
        if self.observers:
            topic = delivery.topic
            self.observers.notify(
                RecordRetried(record, self.group, topic, outcome.delay, attempt)
                if isinstance(outcome, Retry)
                else RecordDeadLettered(record, self.group, topic, outcome.reason)
            )
        return None

    def _log_skip(
        self, record: ConsumerRecord, task: Task | None, outcome: Skip, result: Any
    ) -> None:
        if isinstance(result, BaseException):
            logger.warning(
                "a record of %s [%d] at offset %d failed and is skipped by the failure"
                " policy: %s: %s",
                record.topic,
                record.partition,
                record.offset,
                outcome.reason,
                result,
                extra=record.place,
            )
        if self.observers:
            event = task.event if task is not None else None
            self.observers.notify(RecordSkipped(record, event, self.group, outcome.reason))


def _without_error(outcome: Retry | DeadLetter) -> DeadLetter:
    """Return the outcome for a record that is too large to be forwarded with its exception."""
    reason = outcome.reason if isinstance(outcome, DeadLetter) else "too large for a retry topic"
    return DeadLetter(reason)


def _handler_error(error: BaseException, record: ConsumerRecord, task: Task) -> HandlerError:
    failure = HandlerError(
        f"the handler raised {class_and_message(error)}",
        event=task.event,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        remedy="fix the handler; the event will be handled again",
    )
    failure.__cause__ = error
    return failure
