"""Processing: the records of one lane → their handlers → what becomes of each record.

Written once, as coroutines. An event loop runs them as they are; worker threads by `drive`, since
plain functions never suspend them.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, Protocol

from attrs import field, frozen

from sdk.abstractions import AroundHandler
from sdk.clock import Clock
from sdk.consuming.circuit import Circuits
from sdk.consuming.dispatch import Opened, Task
from sdk.consuming.failures import FailurePolicy, classify, raised
from sdk.consuming.key_order import KeyOrder
from sdk.consuming.lanes import Failed, Lane, Lanes, Partition, attempt_at
from sdk.consuming.outcome import DeadLetter, Outcome, Rest, Retry, Skip, Stop
from sdk.correlation import handled
from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BatchFailed,
    ConfigurationError,
    FencedError,
    HandlerError,
    MessageTooLargeError,
    SdkError,
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

logger = logging.getLogger(__name__)

_SHORTEST_FORWARD_SECONDS = 0.5
_LONGEST_FORWARD_SECONDS = 30.0
_NOTHING = nullcontext()
_FINAL = (AuthenticationError, AuthorizationError, ConfigurationError, FencedError)


class Forwards(Protocol):
    """Sends records on to other topics, as they are."""

    def retry(self, record: ConsumerRecord, outcome: Retry) -> Any:
        """Send a record to a retry topic; return the delivery."""

    def dead_letter(self, record: ConsumerRecord, outcome: DeadLetter) -> Any:
        """Send a record to the dead-letter topic; return the delivery."""


@frozen(kw_only=True)
class Processor:
    """Handles the records of lanes and applies what is decided about them.

    Attributes:
        lanes: Where lanes are given back to.
        policy: Decides about failures.
        circuits: What the consumer waits for.
        forwarder: Sends records on; None where no outcome asks for it.
        deliver: Calls what sends a record, and waits for its delivery.
        stop: Called with the error that stops the consumer.
        group: Consumer group.
        clock: Tells when a record is due again.
        observers: Who learns what becomes of records.
        around: What is entered around each call of a handler; None costs nothing.
        order: Keeps the order of keys across retry topics; None where it is not kept.
    """

    lanes: Lanes
    policy: FailurePolicy
    circuits: Circuits
    forwarder: Forwards | None
    deliver: Callable[[Callable[[], Any]], Awaitable[Any]]
    stop: Callable[[BaseException], None]
    group: str
    clock: Clock
    observers: Observers = field(factory=Observers)
    around: AroundHandler | None = None
    order: KeyOrder | None = None

    async def work(self, lane: Lane, opened: Iterable[Opened]) -> None:
        """Handle the run of a lane, in order, and give the lane back.

        Args:
            lane: Taken from the lanes.
            opened: Its run, opened.
        """
        partition, run = lane.partition, lane.run
        done, failed = partition.watermark.done, partition.failed
        plain = self.around is None and self.order is None
        plain = plain and not (self.observers or self.circuits)
        position, due = 0, None
        try:
            for record, task, value in opened:
                if partition.halted and record.offset > partition.until:
                    break
                lane.current = record
                if plain and task is not None and not failed:
                    handled.set((record, task.event, 0))
                    try:
                        result = task.call(value)
                        if result is not None and inspect.isawaitable(result):
                            await result
                    except Exception as error:  # noqa: BLE001 - the failure policy decides about it
                        due = await self._settle(partition, record, task, error)
                    else:
                        done(record.offset)
                else:
                    due = await self._handle(partition, record, task, value)
                if due is not None:
                    break
                position += 1
        finally:
            handled.set(None)
            self.lanes.give_back(lane, run[position:], due=due)

    async def work_in_batches(self, lane: Lane, opened: Iterable[Opened]) -> None:
        """As `work`, where some handlers take batches: of consecutive events of their class."""
        partition, run = lane.partition, lane.run
        gathered: list[tuple[ConsumerRecord, Any]] = []
        kept: list[ConsumerRecord] = []
        gathering: Task | None = None
        position, due, wanted = 0, None, 0
        try:
            for record, task, value in opened:
                if gathered and (task is not gathering or _full(gathering, gathered)):
                    kept, due = await self._handle_batch(lane, gathering, gathered)
                    position += len(gathered)
                    gathered = []
                if due is not None or (partition.halted and record.offset > partition.until):
                    break
                lane.current = record
                if task is not None and task.batch and self._may_join(partition, record):
                    gathering = task
                    gathered.append((record, value))
                    continue
                due = await self._handle(partition, record, task, value)
                if due is not None:
                    break
                position += 1
            if gathered and due is None and not partition.dropped:
                due, wanted = self._time_left(lane, gathering, gathered)
                if due is None:
                    kept, due = await self._handle_batch(lane, gathering, gathered)
                    position += len(gathered)
        finally:
            handled.set(None)
            self.lanes.give_back(lane, kept + run[position:], due=due, wanted=wanted)

    def _may_join(self, partition: Partition, record: ConsumerRecord) -> bool:
        """Whether a record may become part of a batch."""
        if _owes(partition.failed, record):
            return False
        return self.order is None or self.order.behind(record) is None

    def _time_left(
        self, lane: Lane, task: Task | None, gathered: list[Any]
    ) -> tuple[float | None, int]:
        """Return when an incomplete batch is due, and how many records make it due earlier."""
        batch = None if task is None else task.batch
        if batch is None or len(gathered) >= batch.size or lane.partition.halted:
            return None, 0
        now = self.clock.monotonic()
        if lane.since is None:
            lane.since = now
        due = lane.since + batch.seconds
        return (due, batch.size) if due > now else (None, 0)

    async def _handle(
        self, partition: Partition, record: ConsumerRecord, task: Task | None, value: Any
    ) -> float | None:
        """Handle one record; return when it is due again, if it is not done."""
        if task is None or _owes(partition.failed, record):
            return await self._settle(partition, record, task, value)
        held = self.order.behind(record) if self.order is not None else None
        if held is not None:
            return await self._settle(partition, record, task, held)
        wait = self.circuits.wait(record)
        if wait:
            return self.clock.monotonic() + wait
        started = time.perf_counter()
        try:
            await self._call(partition, (record,), task, value)
        except Exception as error:  # noqa: BLE001 - the failure policy decides about it
            return await self._settle(partition, record, task, error)
        self._finish(partition, record, task, started)
        return None

    async def _call(
        self, partition: Partition, records: Sequence[ConsumerRecord], task: Task, *arguments: Any
    ) -> None:
        """Call a handler, and await what it returns."""
        first = records[0]
        known = partition.failed.get(first.offset)
        handled.set((first, task.event, 0 if known is None else known.attempts))
        with (
            _NOTHING
            if self.around is None
            else self.around(records, task.event, self.group, attempt_at(partition, first))
        ):
            result = task.call(*arguments)
            if result is not None and inspect.isawaitable(result):
                await result

    async def _handle_batch(
        self, lane: Lane, task: Task | None, gathered: list[tuple[ConsumerRecord, Any]]
    ) -> tuple[list[ConsumerRecord], float | None]:
        """Handle a batch; return what of it is not done, and when that is due again."""
        assert task is not None
        partition = lane.partition
        wait = self.circuits.wait(gathered[0][0])
        if wait:
            return [record for record, _ in gathered], self.clock.monotonic() + wait
        lane.since = None
        values = [value for _, value in gathered]
        arguments = map(list, zip(*values, strict=True)) if task.context else (values,)
        started = time.perf_counter()
        errors: dict[int, BaseException] = {}
        try:
            await self._call(partition, [record for record, _ in gathered], task, *arguments)
        except Exception as error:  # noqa: BLE001 - the failure policy decides about it
            errors = _by_index(error, len(gathered))
        kept: list[ConsumerRecord] = []
        due: float | None = None
        for index, (record, _) in enumerate(gathered):
            if index not in errors:
                self._finish(partition, record, task, started)
                continue
            again = math.inf
            if not partition.dropped:
                again_at = await self._settle(partition, record, task, errors[index])
                if again_at is None:
                    continue
                again = again_at
            kept.append(record)
            due = again if due is None else max(due, again)
        return kept, due

    def _finish(
        self, partition: Partition, record: ConsumerRecord, task: Task, started: float
    ) -> None:
        if self.observers:
            seconds = time.perf_counter() - started
            attempt = attempt_at(partition, record)
            self.observers.notify(RecordHandled(record, task.event, self.group, seconds, attempt))
        if self.order is not None:
            self.order.done(record)
        self._done(partition, record)

    def _done(self, partition: Partition, record: ConsumerRecord) -> None:
        partition.watermark.done(record.offset)
        partition.failed.pop(record.offset, None)
        if self.circuits.settled(record):
            self.lanes.recheck()

    async def _settle(
        self, partition: Partition, record: ConsumerRecord, task: Task | None, result: Any
    ) -> float | None:
        """Decide about a record that was not handled, and do what was decided.

        Args:
            partition: Of the record.
            record: The record.
            task: How it was to be handled; None where it could not be opened, or nobody handles it.
            result: What was raised, or what is decided already.

        Returns:
            When it is due again, by the clock's monotonic time; None if it is done.
        """
        known = partition.failed.setdefault(record.offset, Failed())
        attempt = attempt_at(partition, record)
        outcome: Outcome
        if known.owed is not None:
            outcome = known.owed
        elif isinstance(result, BaseException):
            outcome = self._decide(record, task, result, attempt)
        else:
            outcome = result
        match outcome:
            case Rest():
                self.circuits.rest(record, outcome.error)
                return self.clock.monotonic() + self.circuits.wait(record)
            case Retry(topic=None):
                known.attempts += 1
                if self.observers:
                    self.observers.notify(
                        RecordRetried(record, self.group, None, outcome.delay, attempt)
                    )
                if self.circuits.settled(record):
                    self.lanes.recheck()
                return self.clock.monotonic() + outcome.delay
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
        """Send a record on and wait for the acknowledgement; if it fails, return when to repeat."""
        assert self.forwarder is not None
        try:
            if isinstance(outcome, Retry):
                delivery = await self.deliver(partial(self.forwarder.retry, record, outcome))
            else:
                delivery = await self.deliver(partial(self.forwarder.dead_letter, record, outcome))
        except _FINAL as error:
            self.stop(error)
            return math.inf
        except SdkError as error:
            known.owed = _lighter(outcome) if isinstance(error, MessageTooLargeError) else outcome
            delay: float = min(
                _SHORTEST_FORWARD_SECONDS * 2**known.forwards, _LONGEST_FORWARD_SECONDS
            )
            known.forwards += 1
            logger.warning(
                "a record of %s [%d] at offset %d could not be forwarded; again in %.1f s: %s",
                record.topic,
                record.partition,
                record.offset,
                delay,
                error,
                extra=record.place,
            )
            return self.clock.monotonic() + delay
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
                "a record of %s [%d] at offset %d failed and is skipped, as the failure policy"
                " says: %s: %s",
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


def drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a thread without an event loop; what it awaits must be there already."""
    try:
        coroutine.send(None)
        while True:
            coroutine.throw(
                ConfigurationError(
                    "a handler that is a plain function returned something to await",
                    remedy="write the handler with async def",
                )
            )
    except StopIteration:
        return


def _owes(failed: dict[int, Failed], record: ConsumerRecord) -> bool:
    known = failed.get(record.offset)
    return known is not None and known.owed is not None


def _lighter(outcome: Retry | DeadLetter) -> DeadLetter:
    """Return what becomes of a record that is too large to be forwarded with its exception."""
    reason = outcome.reason if isinstance(outcome, DeadLetter) else "too large for a retry topic"
    return DeadLetter(reason)


def _full(task: Task | None, gathered: list[Any]) -> bool:
    return task is not None and task.batch is not None and len(gathered) >= task.batch.size


def _by_index(error: Exception, count: int) -> dict[int, BaseException]:
    """Return which events of a batch failed, and why: those that are named, or all."""
    if isinstance(error, BatchFailed) and all(0 <= index < count for index in error.errors):
        return dict(error.errors)
    return dict.fromkeys(range(count), error)


def _handler_error(error: BaseException, record: ConsumerRecord, task: Task) -> HandlerError:
    failure = HandlerError(
        f"the handler raised {type(error).__name__}: {error}",
        event=task.event,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        remedy="correct the handler; the event comes again",
    )
    failure.__cause__ = error
    return failure
