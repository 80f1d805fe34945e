"""The engine: one run of a consumer, from joining the group to leaving it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from sdk.abstractions import (
    AroundHandler,
    BrokerConsumer,
    KeySerializer,
    MessageSerializer,
    TopicResolver,
)
from sdk.clock import Clock, SystemClock
from sdk.consuming.circuit import Circuits
from sdk.consuming.dispatch import Dispatch, Opened
from sdk.consuming.exactly_once import ExactlyOnce
from sdk.consuming.failures import FailurePolicy
from sdk.consuming.handlers import Handlers
from sdk.consuming.intake import Intake
from sdk.consuming.key_order import KeyOrder, Rebuilding
from sdk.consuming.lanes import Lanes
from sdk.consuming.measurements import Measurements
from sdk.consuming.offsets import Committer, Place
from sdk.consuming.partition import Lane, Partition
from sdk.consuming.processing import Processor
from sdk.consuming.settlement import Settlement
from sdk.consuming.transactions import HandlerTransactions
from sdk.consuming.workers import LoopWorkers, ThreadWorkers, outside_loop
from sdk.errors import HandlerError
from sdk.observers import Observers
from sdk.settings import ConsumerOptions

if TYPE_CHECKING:
    from sdk.consuming.forwarding import Forwarder

logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class ConsumerParts:
    """The collaborators of a consumer.

    Attributes:
        connect: Creates the client, a member of the group.
        serializer: Record values → events.
        topics: Event classes → the topics that they can be read from.
        keys: Record keys → keys, for handlers that ask for them.
        group: Consumer group.
        observers: Notified of happenings.
        around: Returns the context manager around each call of a handler.
        transactions: Creates the transactions of a run, exactly once; None is at least once.
        policy: Decides about failures.
        forwarder: Forwards failed records; None if nothing is forwarded.
        clock: The source of time.
        options: The ``[consumer]`` table. With batch handlers, partitions are handled in order.
    """

    connect: Callable[[], BrokerConsumer]
    serializer: MessageSerializer
    topics: TopicResolver
    keys: KeySerializer | None = None
    group: str = ""
    observers: Observers = field(factory=Observers)
    around: AroundHandler | None = None
    transactions: Callable[[], HandlerTransactions] | None = None
    policy: FailurePolicy = field(factory=FailurePolicy)
    forwarder: Forwarder | None = None
    clock: Clock = field(factory=SystemClock)
    options: ConsumerOptions = field(factory=ConsumerOptions)


class Engine:
    """One run of a consumer: an intake, and workers that handle its records.

    Args:
        parts: The collaborators.
        handlers: The handlers.
        skipped: Counts events without a handler, by full name.
        loop: Runs coroutine handlers; None if all handlers are plain functions.

    Raises:
        ConfigurationError: The client refuses a setting.

    Attributes:
        error: The error that stopped it, or None.
    """

    def __init__(
        self,
        parts: ConsumerParts,
        handlers: Handlers,
        skipped: Counter[str],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._parts = parts
        self._handlers = handlers
        self._loop = loop
        self.error: BaseException | None = None
        options, topics = parts.options, parts.policy.topics
        self._pool = ThreadPoolExecutor(options.concurrency, "sdk-handler") if loop else None
        together = options.concurrency == 1 or handlers.batches
        self._lanes = Lanes("partition" if together else options.ordering, parts.clock)
        self._measurements = (
            Measurements(parts.group, parts.observers, parts.clock)
            if parts.observers.meters
            else None
        )
        broker = parts.connect()
        partitions: dict[Place, Partition] = {}
        order = KeyOrder(topics) if topics.ordered else None
        circuits = Circuits(
            parts.observers.notify, monotonic=parts.clock.monotonic, source=topics.source
        )
        commits = self._commits(broker, partitions)
        self.intake = Intake(
            broker=broker,
            lanes=self._lanes,
            commits=commits,
            partitions=partitions,
            circuits=circuits,
            retry_topics=topics,
            rebuilding=None if order is None else Rebuilding(order, topics, broker, parts.clock),
            options=options,
            group=parts.group,
            clock=parts.clock,
            observers=parts.observers,
            measurements=self._measurements,
        )
        self._settlement = Settlement(
            lanes=self._lanes,
            policy=parts.policy,
            circuits=circuits,
            forwarder=parts.forwarder,
            deliver=_deliver_in_loop if loop else _deliver,
            stop=self.stop,
            group=parts.group,
            clock=parts.clock,
            observers=parts.observers,
            around=parts.around,
            transactions=commits if isinstance(commits, ExactlyOnce) else None,
            order=order,
        )
        self._processor = Processor(
            lanes=self._lanes, settlement=self._settlement, measurements=self._measurements
        )
        self._dispatch = Dispatch(
            handlers,
            parts.serializer,
            parts.keys,
            unknown=options.unknown,
            skipped=skipped,
            source=topics.source,
            wrap=outside_loop(self._pool) if self._pool else lambda call: call,
        )

    def _commits(
        self, broker: BrokerConsumer, partitions: dict[Place, Partition]
    ) -> ExactlyOnce | Committer:
        parts = self._parts
        if parts.transactions is None:
            return Committer(
                broker,
                partitions,
                group=parts.group,
                clock=parts.clock,
                observers=parts.observers,
                interval=parts.options.commit_interval_ms / 1000,
            )
        return ExactlyOnce(
            parts.transactions(),
            broker,
            self._lanes,
            partitions,
            lambda *failure: self._settlement.record_failure(*failure),
            options=parts.options,
            group=parts.group,
            clock=parts.clock,
            observers=parts.observers,
        )

    def stop(self, error: BaseException | None = None) -> None:
        """Finish running handlers, commit, and leave; safe in a signal handler.

        Args:
            error: Why it stops; only the first one is kept.
        """
        if self.error is None:
            self.error = error
        self.intake.stopping = True
        self._lanes.halt(list(self.intake.partitions.values()))

    def run(self) -> None:
        """Run in this thread, which is one of the workers, until `stop` is called.

        Raises:
            BaseException: The error that stopped it.
        """
        workers = ThreadWorkers(
            self._lanes, self._open, self._work, self._parts.options.concurrency, "sdk-worker"
        )
        intake = self._start(self._take_in, "sdk-intake")
        try:
            workers.run()
        except BaseException as error:  # noqa: BLE001 - raised below, after leaving the group
            self.stop(error)
        intake.join()
        workers.join(self._parts.options.drain_timeout_ms / 1000)
        if self.error is not None:
            raise self.error

    async def run_in_loop(self) -> None:
        """Run with the tasks of this event loop as workers, until `stop` is called.

        A cancellation stops it, and is raised once it has left the group; a second one cancels
        the handlers.

        Raises:
            BaseException: The error that stopped it.
        """
        loop = asyncio.get_running_loop()
        workers = LoopWorkers(
            self._lanes, self._open, self._work, self._parts.options.concurrency, loop
        )
        ended = loop.create_future()

        def take_in() -> None:
            try:
                self._take_in()
            finally:
                loop.call_soon_threadsafe(end, ended)

        self._start(workers.feed, "sdk-opener")
        self._start(take_in, "sdk-intake")
        try:
            await outlast(ended, self.stop, workers.cancel)
        finally:
            workers.cancel()
            if self._pool is not None:
                self._pool.shutdown(wait=False)
        if self.error is not None:
            raise self.error

    def _take_in(self) -> None:
        try:
            self.intake.run(self._topics(), self._handlers.pattern)
        except BaseException as error:  # noqa: BLE001 - it is raised where the consumer runs
            self.stop(error)
        try:
            self.intake.leave()
        except Exception as error:  # noqa: BLE001 - it is raised where the consumer runs
            self.stop(error)
        finally:
            self._lanes.close()
            if self._measurements is not None:
                self._measurements.close()
            self._dispatch.warn_of_unhandled()

    def _topics(self) -> list[str]:
        """Return the topics to read: those of the handlers, and their retry topics."""
        topics = self._handlers.topics
        retries = (name for topic in topics for name in self._parts.policy.topics.names(topic))
        return sorted({*topics, *retries})

    def _open(self, lane: Lane) -> Iterable[Opened]:
        return self._dispatch.open(lane.partition, lane.run)

    async def _work(self, lane: Lane, opened: Iterable[Opened]) -> None:
        work = self._processor.work_in_batches if self._handlers.batches else self._processor.work
        try:
            await work(lane, opened)
        except asyncio.CancelledError:
            # At the end of the run this changes nothing; before, the handler would be called again
            # and again, because a cancelled record counts as unhandled and not as failed.
            self.stop(_cancelled(lane))
            raise
        except BaseException as error:
            self.stop(error)  # a thread would end silently
            if self._loop is not None and not isinstance(error, Exception):
                raise  # it interrupts the event loop

    def _start(self, target: Callable[[], None], name: str) -> threading.Thread:
        def run() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 - it is raised where the consumer runs
                self.stop(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread


def _cancelled(lane: Lane) -> HandlerError:
    record = lane.current
    return HandlerError(
        "the handler's task was cancelled, and not by the consumer",
        topic=lane.partition.topic,
        partition=lane.partition.number,
        offset=None if record is None else record.offset,
        remedy="cancel tasks of the handler's own; to end the consumer, call stop",
    )


async def outlast(
    ended: asyncio.Future[None], stop: Callable[[], None], cancel: Callable[[], None]
) -> None:
    """Wait for the end of a run; a cancellation stops it and is raised at its end.

    Args:
        ended: Done at its end.
        stop: Called with the first cancellation.
        cancel: Called with each further one.

    Raises:
        CancelledError: The task was cancelled; raised at the end of the run.
    """
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError as error:
            (stop if cancelled is None else cancel)()
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _deliver(send: Callable[[], Any]) -> Any:
    delivery = send()
    delivery.result()
    return delivery


async def _deliver_in_loop(send: Callable[[], Any]) -> Any:
    delivery = await asyncio.to_thread(send)  # it may have to look up partition counts
    await delivery
    return delivery


def end(ended: asyncio.Future[None]) -> None:
    """End what `outlast` waits for; called in the event loop."""
    if not ended.done():
        ended.set_result(None)
