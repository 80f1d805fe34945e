"""The consumer: registers handlers and runs them, in the foreground or in the background."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, Self, TypeVar, overload

from sdk.closing import Closing
from sdk.consuming.engine import ConsumerParts, Engine, end, outlast
from sdk.consuming.handlers import (
    Batch,
    BatchDecorator,
    BatchHandler,
    Call,
    EventDecorator,
    EventHandler,
    Handler,
    Handlers,
    TombstoneHandler,
    check_event_class,
    check_pattern,
    check_tombstone,
    takes_context,
)
from sdk.consuming.health import Health, health_of
from sdk.consuming.intake import Intake
from sdk.consuming.offsets import Place
from sdk.consuming.once import (
    Once,
    OnceBatchDecorator,
    OnceBatchHandler,
    OnceDecorator,
    OnceHandler,
    S,
    once_only,
)
from sdk.correlation import handled
from sdk.errors import ClosedError, ConfigurationError, HandlerError, SdkError
from sdk.events import E
from sdk.happenings import ConsumerStopped
from sdk.records import BEGINNING, END, TopicPartition
from sdk.signals import stop_on_signals

logger = logging.getLogger(__name__)

_H = TypeVar("_H", bound=Callable[..., Any])

_ENDS = {"beginning": BEGINNING, "end": END}


class Consumer(Closing):
    """Calls handlers with the events of a consumer group, at least once each.

    An offset is committed when all records before it are done: handled, forwarded, or skipped by
    a rule. A consumer runs in the foreground (`run`), in an event loop (`run_async`) or in a
    background thread (`start`).

    Args:
        parts: The collaborators.

    Attributes:
        group_id: Consumer group.
        skipped: The number of events without a handler, by full name; ``others`` beyond the first
            thousand names.
    """

    def __init__(self, parts: ConsumerParts) -> None:
        self.group_id = parts.group
        self._parts = parts
        self._handlers = Handlers()
        self._running = threading.Lock()
        self._stopped = False  # an event has a lock, which a signal handler must not wait for
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # in which `run_async` runs
        self._error: BaseException | None = None
        self.skipped: Counter[str] = Counter()

    @overload
    def handle(
        self,
        event_class: type[E],
        function: EventHandler[E],
        *,
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> Self: ...

    @overload
    def handle(
        self,
        event_class: type[E],
        function: BatchHandler[E],
        *,
        batch_size: int,
        batch_seconds: float = 0.5,
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> Self: ...

    @overload
    def handle(
        self,
        event_class: type[E],
        *,
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> EventDecorator[E]: ...

    @overload
    def handle(
        self,
        event_class: type[E],
        *,
        batch_size: int,
        batch_seconds: float = 0.5,
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> BatchDecorator[E]: ...

    @overload
    def handle(
        self,
        event_class: type[E],
        function: OnceHandler[E, S],
        *,
        once: Once[S],
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> Self: ...

    @overload
    def handle(
        self,
        event_class: type[E],
        function: OnceBatchHandler[E, S],
        *,
        once: Once[S],
        batch_size: int,
        batch_seconds: float = 0.5,
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> Self: ...

    @overload
    def handle(
        self,
        event_class: type[E],
        *,
        once: Once[S],
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> OnceDecorator[E, S]: ...

    @overload
    def handle(
        self,
        event_class: type[E],
        *,
        once: Once[S],
        batch_size: int,
        batch_seconds: float = 0.5,
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> OnceBatchDecorator[E, S]: ...

    def handle(
        self,
        event_class: type[Any],
        function: Call | None = None,
        *,
        once: Once[Any] | None = None,
        batch_size: int | None = None,
        batch_seconds: float = 0.5,
        tombstone: TombstoneHandler | None = None,
        topics: Iterable[str] | None = None,
        pattern: str | None = None,
    ) -> Any:
        """Call a function with events of a class, written with any version.

            @consumer.handle(OrderCreated)
            async def bill(order: OrderCreated, context: Context) -> None: ...

        Args:
            event_class: A generated class; its topics, of all versions, are subscribed to.
            function: Called with each event and, if it has a second parameter, with the
                `Context`; a coroutine function is awaited. When it returns, the event counts as
                handled. Without a function, this is a decorator.
            once: An `sdk.outbox.Inbox`: the function gets a session of the service's database as
                its last argument and takes effect once for each event, however often the event is
                read: its writes and the event's id are committed together.
            batch_size: Call it with lists of up to this many events. It may raise `BatchFailed`
                for some of them; any other exception fails all.
            batch_seconds: How long the first event of a batch waits for others, seconds.
            tombstone: Called with each null value of the topics. A tombstone that names its event
                (``ce_type``) reaches that event's handler, any other those of its whole topic.
            topics: Read these topics, or this one, instead of those that the event is routed to.
            pattern: Also read the topics whose names match this regular expression.

        Returns:
            This consumer; as a decorator, the function.

        Raises:
            ConfigurationError: The event has a handler already, or the signature does not fit.
            RoutingError: The event has no topic.
        """
        check_event_class(event_class)
        batch = None if batch_size is None else Batch(size=batch_size, seconds=batch_seconds)
        if tombstone is not None:
            check_tombstone(tombstone)
        if pattern is not None:
            check_pattern(pattern)
        if isinstance(topics, str):  # which is also an iterable of texts, its letters
            topics = [topics]
        if topics is None and pattern is None:
            topics = [topic.name for topic in self._parts.topics.readable(event_class)]

        def add(given: _H) -> _H:
            call: Call = given
            if once is None:
                context = takes_context(given, event_class, batch=batch is not None)
            else:
                call, context = once_only(once, given, event_class, batch=batch is not None), True
            self._handlers.add(
                Handler(
                    event_class=event_class,
                    function=call,
                    context=context,
                    batch=batch,
                    tombstone=tombstone,
                    topics=tuple(topics or ()),
                    pattern=pattern,
                )
            )
            return given

        if function is None:
            return add
        add(function)
        return self

    def run(self) -> None:
        """Consume in this thread until `stop` is called; then leave the group.

        In the main thread, SIGTERM and SIGINT stop it as well, unless they have handlers already:
        the first one finishes running handlers and commits, the second interrupts at once.

        Raises:
            DeserializationError: A record can never be read; nothing past it was committed.
            HandlerError: A handler raised; nothing past its record was committed.
            RegistryError: The registry refuses us.
            BrokerError: Kafka refuses us.
            ConfigurationError: There is no handler, or an event loop runs in this thread.
        """
        if _event_loop() is not None:
            raise ConfigurationError(
                "run would block the event loop of this thread",
                remedy="await consumer.run_async()",
            )
        with stop_on_signals(self._stop_on_signal):
            self._run_here()

    async def run_async(self) -> None:
        """Consume until `stop` is called or this task is cancelled; coroutines run in this loop.

        Handlers that are plain functions run in threads. A cancelled task ends when the group has
        been left; a second cancellation interrupts running coroutines.

        Raises:
            SdkError: As `run`.
        """
        loop = asyncio.get_running_loop()
        with self._run(loop if self._handlers.coroutines else None) as engine:
            self._loop = loop
            if self._handlers.coroutines:
                await engine.run_in_loop()
                return
            ended = loop.create_future()

            def run() -> None:
                try:
                    engine.run()
                except BaseException as error:  # noqa: BLE001 - raised in the task instead
                    engine.stop(error)
                loop.call_soon_threadsafe(end, ended)

            threading.Thread(target=run, name="sdk-consumer", daemon=True).start()
            await outlast(ended, engine.stop, lambda: None)
            if engine.error is not None:
                raise engine.error

    def start(self) -> Self:
        """Consume in a background thread until `stop` or `close`; `health` has its error.

        Raises:
            ClosedError: It runs already.
        """
        if self._thread is not None and self._thread.is_alive():
            raise _running_already()

        def run() -> None:
            try:
                self._run_here()
            except BaseException:  # noqa: BLE001 - logged, and kept for `health`
                return

        self._thread = threading.Thread(target=run, name=f"sdk-{self._parts.group}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Finish running handlers, commit and leave; from any thread or signal handler."""
        self._stopped = True
        engine = self._engine
        if engine is not None:
            engine.stop()

    def close(self, timeout: float | None = None) -> None:
        """Stop, and wait until the group has been left.

        In a handler, and in the event loop that it runs in, it only stops: both must go on first.

        Args:
            timeout: Seconds; None waits for running handlers, however long they take.
        """
        self.stop()
        if handled.get() is not None or (self._loop and self._loop is _event_loop()):
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._running.acquire(timeout=-1 if timeout is None else timeout):
            self._running.release()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _close_after(self, error: BaseException | None) -> None:
        self.stop()

    def pause(self, *what: str | TopicPartition) -> None:
        """Pause topics or partitions until `resume`; takes effect within 0.1 s.

        Args:
            *what: Topic names or partitions; everything that is assigned by default.

        Raises:
            ClosedError: The consumer does not run.
        """
        self._request(lambda intake: intake.pause(_chosen(intake, what), paused=True))

    def resume(self, *what: str | TopicPartition) -> None:
        """Resume topics or partitions; arguments and errors as for `pause`."""
        self._request(lambda intake: intake.pause(_chosen(intake, what), paused=False))

    def seek(
        self, to: int | datetime | Literal["beginning", "end"], *what: str | TopicPartition
    ) -> None:
        """Continue reading at another position; takes effect within 0.1 s, after running handlers.

        Args:
            to: An offset, the time of the first record to be read (aware), or either end.
            *what: Topic names or partitions; everything that is assigned by default.

        Raises:
            ClosedError: The consumer does not run.
            ConfigurationError: The time is naive.
        """
        if isinstance(to, datetime) and to.tzinfo is None:
            raise ConfigurationError("seek needs an aware time", remedy="give it a time zone")
        position = _ENDS[to] if isinstance(to, str) else to
        self._request(lambda intake: intake.seek(position, _chosen(intake, what)))

    def lag(self) -> dict[TopicPartition, int]:
        """Return the number of unhandled records by partition, measured within the last second.

        Partitions without any read record are left out.
        """
        engine = self._engine
        known = {} if engine is None else engine.intake.watch.lag.copy()
        return {
            TopicPartition(topic=topic, partition=number): lag
            for (topic, number), lag in known.items()
        }

    def health(self) -> Health:
        """Return the consumer's state; cheap, and callable from any thread."""
        engine, group = self._engine, self._parts.group
        if engine is None:
            return Health(group=group, running=False, joined=False, error=self._error)
        return health_of(engine.intake, group, self._parts.clock.time(), engine.error)

    def ready(self) -> bool:
        """Return whether it runs, has joined its group, and no record is overdue."""
        return self.health().ready

    def _run_here(self) -> None:
        if self._handlers.coroutines:
            asyncio.run(self._run_in_loop())
            return
        with self._run(None) as engine:
            engine.run()

    async def _run_in_loop(self) -> None:
        with self._run(asyncio.get_running_loop()) as engine:
            await engine.run_in_loop()

    @contextmanager
    def _run(self, loop: asyncio.AbstractEventLoop | None) -> Iterator[Engine]:
        """Run an engine, and log and report how it ends."""
        if not self._handlers:
            raise ConfigurationError("the consumer has no handler", remedy="call handle first")
        if not self._running.acquire(blocking=False):
            raise _running_already()
        self._error = None
        try:
            engine = self._engine = Engine(self._parts, self._handlers, self.skipped, loop)
            if self._stopped:
                engine.stop()
            yield engine
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._engine = self._loop = None
            self._stopped = False
            self._running.release()
            self._report_end(self._error)

    def _report_end(self, error: BaseException | None) -> None:
        group = self._parts.group
        if error is None or not isinstance(error, Exception):
            logger.info("group %s: the consumer has stopped and left its group", group)
        else:
            # The error of a handler needs its traceback; those of the SDK do not.
            cause = error.__cause__ if isinstance(error, HandlerError) else error
            trace = None if isinstance(error, SdkError) and cause is error else cause
            logger.error(
                "group %s: the consumer has stopped: %s",
                group,
                error,
                exc_info=trace,
                extra={
                    name: value
                    for name in ("event", "topic", "partition", "offset")
                    if (value := getattr(error, name, None)) is not None
                },
            )
        if self._parts.observers:
            self._parts.observers.notify(ConsumerStopped(group, error))

    def _stop_on_signal(self, _number: int) -> None:
        self.stop()

    def _request(self, call: Callable[[Intake], None]) -> None:
        engine = self._engine
        if engine is None:
            raise ClosedError("the consumer is not running", remedy="run it first")
        engine.intake.request(lambda: call(engine.intake))


def _running_already() -> ClosedError:
    return ClosedError(
        "the consumer is already running", remedy="create another one for more members"
    )


def _chosen(intake: Intake, what: Iterable[str | TopicPartition]) -> list[Place]:
    """Return the selected partitions: those of topics that are assigned, or named ones."""
    given = list(what)
    if not given:
        return list(intake.partitions)
    topics = {each for each in given if isinstance(each, str)}
    named = [(each.topic, each.partition) for each in given if not isinstance(each, str)]
    return named + [place for place in intake.partitions if place[0] in topics]


def _event_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
