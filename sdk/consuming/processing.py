"""Processing: the records of a lane → their handlers → their outcomes.

Written once, as coroutines. An event loop runs them directly, worker threads by `drive`, because
plain functions never suspend them.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from attrs import frozen

from sdk.consuming.dispatch import Opened, Task
from sdk.consuming.lanes import Lanes
from sdk.consuming.measurements import QUICK_SECONDS, MeasuredRun, Measurements
from sdk.consuming.partition import Lane, Partition, attempt_at
from sdk.consuming.settlement import Settlement
from sdk.consuming.transactions import Sent
from sdk.correlation import handled
from sdk.errors import BatchFailed, ConfigurationError
from sdk.records import ConsumerRecord

_NOTHING = nullcontext()

_FAILURES = (Exception, asyncio.CancelledError)
"""The exceptions of a handler that the failure policy decides about."""


@frozen(kw_only=True)
class Processor:
    """Handles the records of lanes and applies the decisions about them.

    Attributes:
        lanes: The lanes of the consumer.
        settlement: Applies the outcomes of records.
        measurements: Receives records whose handler returned; None without meters.
    """

    lanes: Lanes
    settlement: Settlement
    measurements: Measurements | None

    async def work(self, lane: Lane, opened: Iterable[Opened]) -> None:
        """Handle the run of a lane, in order, and give the lane back.

        Args:
            lane: The lane.
            opened: The opened records of its run.
        """
        partition, run = lane.partition, lane.run
        done, failed = partition.watermark.done, partition.failed
        transactions = self.settlement.transactions
        plain = self.settlement.plain
        measured = None if self.measurements is None else MeasuredRun(self.measurements, run)
        clock = time.perf_counter
        sent: Sequence[Sent] = ()
        position, due, started = 0, None, 0.0
        if transactions is not None:
            transactions.enter()
        try:
            for record, task, value in opened:
                if partition.halted and record.offset > partition.until:
                    break
                lane.current = record
                if plain and task is not None and not failed:
                    handled.set((record, task.event, 0))
                    if transactions is not None:
                        sent = transactions.begin_call()
                    if measured is not None:
                        started = clock()
                    try:
                        result = task.call(value)
                        if result is not None and _awaitable(result):
                            await result
                    except _FAILURES as error:
                        _raise_cancellation(error)
                        if measured is not None:
                            measured.end(position, ago=clock() - started)
                        due = await self.settlement.settle(partition, record, task, error, sent)
                    else:
                        if transactions is not None:
                            transactions.end_call(partition, (record,), sent)
                        done(record.offset)
                        if measured is not None:
                            ended = clock()
                            seconds = ended - started
                            if ended > measured.deadline or task is not measured.task:
                                measured.start(task, position, seconds)
                            elif seconds < QUICK_SECONDS:
                                measured.quick_seconds += seconds
                            else:
                                measured.seconds.append(seconds)
                else:
                    if measured is not None:
                        measured.end(position)
                    due = await self._handle(partition, record, task, value)
                if due is not None:
                    break
                position += 1
        finally:
            self._leave()
            if measured is not None:
                measured.end(position)
            self.lanes.give_back(lane, run[position:], due=due)

    def _leave(self) -> None:
        """Reset this thread or task after it has handled records."""
        handled.set(None)
        if self.settlement.transactions is not None:
            self.settlement.transactions.leave()

    async def work_in_batches(self, lane: Lane, opened: Iterable[Opened]) -> None:
        """As `work`, with handlers that take batches of consecutive events of their class."""
        partition, run = lane.partition, lane.run
        gathered: list[tuple[ConsumerRecord, Any]] = []
        kept: list[ConsumerRecord] = []
        gathering: Task | None = None
        position, due, wanted = 0, None, 0
        if self.settlement.transactions is not None:
            self.settlement.transactions.enter()
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
            self._leave()
            self.lanes.give_back(lane, kept + run[position:], due=due, wanted=wanted)

    def _may_join(self, partition: Partition, record: ConsumerRecord) -> bool:
        """Whether a record may become part of a batch."""
        if partition.has_pending(record):
            return False
        return self.settlement.order is None or self.settlement.order.behind(record) is None

    def _time_left(
        self, lane: Lane, task: Task | None, gathered: list[Any]
    ) -> tuple[float | None, int]:
        """Return when an incomplete batch is due, and how many records make it due earlier."""
        batch = None if task is None else task.batch
        if batch is None or len(gathered) >= batch.size or lane.partition.halted:
            return None, 0
        now = self.settlement.clock.monotonic()
        if lane.since is None:
            lane.since = now
        due = lane.since + batch.seconds
        return (due, batch.size) if due > now else (None, 0)

    async def _handle(
        self, partition: Partition, record: ConsumerRecord, task: Task | None, value: Any
    ) -> float | None:
        """Handle one record; return when it is due again, if it is not done."""
        if task is None or partition.has_pending(record):
            return await self.settlement.settle(partition, record, task, value)
        held = self.settlement.order.behind(record) if self.settlement.order is not None else None
        if held is not None:
            return await self.settlement.settle(partition, record, task, held)
        due = self._due(partition, record)
        if due is not None:
            return due
        started = time.perf_counter()
        sent = self.settlement.begin_call()
        try:
            await self._call(partition, (record,), task, sent, value)
        except _FAILURES as error:
            _raise_cancellation(error)
            return await self.settlement.settle(partition, record, task, error, sent)
        if self.measurements is not None:
            self.measurements.handled(task, (record,), (time.perf_counter() - started,))
        self.settlement.finish(partition, record, task, started)
        return None

    def _due(self, partition: Partition, record: ConsumerRecord) -> float | None:
        """Return when a record may be handled, if not now."""
        now = self.settlement.clock.monotonic()
        known = partition.failed.get(record.offset)
        if known is not None and known.due > now:  # its transaction was rolled back before
            return known.due
        wait = self.settlement.circuits.wait(record)
        return now + wait if wait else None

    async def _call(
        self,
        partition: Partition,
        records: Sequence[ConsumerRecord],
        task: Task,
        sent: Sequence[Sent],
        *arguments: Any,
    ) -> None:
        """Call a handler, and await its result; ``sent`` then has the records it published."""
        first = records[0]
        known = partition.failed.get(first.offset)
        handled.set((first, task.event, 0 if known is None else known.attempts))
        around, group = self.settlement.around, self.settlement.group
        with (
            _NOTHING
            if around is None
            else around(records, task.event, group, attempt_at(partition, first))
        ):
            result = task.call(*arguments)
            if result is not None and _awaitable(result):
                await result
        if self.settlement.transactions is not None:
            self.settlement.transactions.end_call(partition, records, sent)

    async def _handle_batch(
        self, lane: Lane, task: Task | None, gathered: list[tuple[ConsumerRecord, Any]]
    ) -> tuple[list[ConsumerRecord], float | None]:
        """Handle a batch; return its unfinished records, and when they are due again."""
        assert task is not None
        partition = lane.partition
        due = self._due(partition, gathered[0][0])
        if due is not None:
            return [record for record, _ in gathered], due
        lane.since = None
        values = [value for _, value in gathered]
        arguments = map(list, zip(*values, strict=True)) if task.context else (values,)
        started = time.perf_counter()
        errors: dict[int, BaseException] = {}
        sent = self.settlement.begin_call()
        try:
            await self._call(partition, [record for record, _ in gathered], task, sent, *arguments)
        except _FAILURES as error:
            _raise_cancellation(error)
            errors = _by_index(error, len(gathered))
        good = [record for index, (record, _) in enumerate(gathered) if index not in errors]
        if good and self.measurements is not None:
            share = (time.perf_counter() - started) / len(good)
            self.measurements.handled(task, good, [share] * len(good))
        kept: list[ConsumerRecord] = []
        for index, (record, _) in enumerate(gathered):
            if index not in errors:
                self.settlement.finish(partition, record, task, started)
                continue
            again = math.inf
            if not partition.dropped:
                again_at = await self.settlement.settle(
                    partition, record, task, errors[index], sent
                )
                if again_at is None:
                    continue
                again = again_at
            kept.append(record)
            due = again if due is None else max(due, again)
        return kept, due


def drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends, in a thread without an event loop."""
    try:
        coroutine.send(None)
        while True:
            coroutine.throw(
                ConfigurationError(
                    "a handler that is a plain function returned an awaitable",
                    remedy="write the handler with async def",
                )
            )
    except StopIteration:
        return


def _awaitable(result: Any) -> bool:
    """Whether the result of a handler is to be awaited.

    Raises:
        ConfigurationError: It is a generator, and nothing of the handler has been executed.
    """
    if inspect.isawaitable(result):
        return True
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise ConfigurationError(
            "a handler returned a generator: nothing in it was executed",
            remedy="use return instead of yield",
        )
    return False


def _full(task: Task | None, gathered: list[Any]) -> bool:
    return task is not None and task.batch is not None and len(gathered) >= task.batch.size


def _raise_cancellation(error: BaseException) -> None:
    """Raise an error that cancels this task; what a handler awaited may have been cancelled too."""
    if isinstance(error, asyncio.CancelledError) and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise error


def _by_index(error: BaseException, count: int) -> dict[int, BaseException]:
    """Return the errors of a batch by position: of the named events, or of all."""
    if isinstance(error, BatchFailed) and all(
        index in range(count) and isinstance(why, BaseException)
        for index, why in error.errors.items()
    ):
        return dict(error.errors)
    return dict.fromkeys(range(count), error)
