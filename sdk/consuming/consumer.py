"""The plain consumer: events → handlers, one after the other, at least once each."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from threading import Event as Signal
from threading import Lock
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen

from sdk.abstractions import BrokerConsumer, MessageSerializer, TopicResolver
from sdk.consuming.intake import ConsumerLoop
from sdk.errors import (
    ClosedError,
    ConfigurationError,
    DeserializationError,
    HandlerError,
    SchemaNotFoundError,
)
from sdk.happenings import RecordFailed, RecordHandled, RecordReceived
from sdk.observers import Observers
from sdk.records import ConsumerRecord, Tombstone

logger = logging.getLogger(__name__)

EventHandler = Callable[..., Awaitable[None] | None]
"""(event) or, with ``pass_record``, (event, record); a coroutine function is fine."""

TombstoneHandler = Callable[[Tombstone], Awaitable[None] | None]

ErrorPolicy = Callable[[ConsumerRecord, DeserializationError | HandlerError], None]
"""What becomes of a record that failed for good: returning counts it as done, raising stops."""

_WaitFor = Callable[[Coroutine[Any, Any, None]], None]


def stop_on_error(record: ConsumerRecord, error: DeserializationError | HandlerError) -> None:
    """Stop the consumer: the default `ErrorPolicy`."""
    raise error


def wait_longer(attempt: int) -> float:
    """Return half a second, doubled each time, 30 seconds at most."""
    return float(min(0.5 * 2 ** (attempt - 1), 30.0))


@frozen(kw_only=True)
class ConsumerParts:
    """What a consumer is made of.

    Attributes:
        connect: Makes the client, a member of the group, for one `Consumer.run`.
        serializer: Record values → events.
        topics: Event classes → the topics that they can be read from.
        group: Consumer group, for observers.
        observers: Who sees what happens.
        on_error: What becomes of poison, and of records whose handler raised.
        wait: Attempt, from 1 → seconds for which a partition rests when the registry is out of
            reach.
        max_poll_records: Records taken at once.
    """

    connect: Callable[[], BrokerConsumer]
    serializer: MessageSerializer
    topics: TopicResolver
    group: str = ""
    observers: Observers = field(factory=Observers)
    on_error: ErrorPolicy = stop_on_error
    wait: Callable[[int], float] = wait_longer
    max_poll_records: int = 500


class Consumer:
    """Hands the events of one consumer group to handlers, in order within each partition.

    A record's offset is committed after its handler has succeeded, so that every event is handled
    at least once. When the schema registry is out of reach, the partition waits and nothing is
    skipped.

    Args:
        parts: The collaborators.

    Attributes:
        skipped: How many events of each full name came for which there is no handler.
    """

    def __init__(self, parts: ConsumerParts) -> None:
        self._parts = parts
        self._handlers: dict[str, _Handler] = {}
        self._stopped = Signal()
        self._running = Lock()
        self.skipped: Counter[str] = Counter()

    def handle(
        self,
        event_class: type[Any],
        function: EventHandler,
        *,
        tombstone: TombstoneHandler | None = None,
        pass_record: bool = False,
    ) -> Self:
        """Have events handed to ``function`` as ``event_class``, whatever version wrote them.

        Args:
            event_class: A generated class; its topics, of all versions, are subscribed to.
            function: Called with each event; when it returns, the event counts as handled.
            tombstone: Called with each null value of the topics. A tombstone that tells its event
                (``ce_type``) reaches that event's handler, any other those of its whole topic.
            pass_record: Call ``function(event, record)``: with topic, partition, offset, key,
                headers and timestamp.

        Returns:
            This consumer.

        Raises:
            ConfigurationError: The event has a handler already, or this one cannot be called.
            RoutingError: The event has no topic.
        """
        if not callable(function):
            raise ConfigurationError(
                f"a handler must be callable, which {type(function).__qualname__} is not"
            )
        topics = tuple(topic.name for topic in self._parts.topics.readable(event_class))
        handler = _Handler(event_class, function, tombstone, pass_record, topics)
        for name in _names(event_class):
            other = self._handlers.get(name)
            if other is not None:
                raise ConfigurationError(
                    f"event {name} has a handler already, for {other.event_class.__qualname__}",
                    event=name,
                    remedy="handle one version; it reads what the other versions wrote as well",
                )
            self._handlers[name] = handler
        return self

    def run(self) -> None:
        """Consume until `stop` is called, from this thread; then leave the group.

        Raises:
            DeserializationError: A record can never be read; nothing past it was committed.
            HandlerError: A handler raised; nothing past its record was committed.
            RegistryError: The registry refuses us.
            BrokerError: Kafka refuses us.
            ConfigurationError: There is no handler, or an event loop runs in this thread.
        """
        if _event_loop_runs():
            raise ConfigurationError(
                "run would block the event loop of this thread",
                remedy="await consumer.run_async()",
            )
        with asyncio.Runner() as runner:
            self._consume(runner.run)

    async def run_async(self) -> None:
        """Consume until `stop` is called or this task is cancelled; coroutines run in this loop.

        Handlers that are plain functions run in a thread of the consumer's own.

        Raises:
            SdkError: As `run`.
        """
        loop = asyncio.get_running_loop()

        def wait_for(coroutine: Coroutine[Any, Any, None]) -> None:
            asyncio.run_coroutine_threadsafe(coroutine, loop).result()

        work = asyncio.ensure_future(asyncio.to_thread(self._consume, wait_for))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self.stop()
            await work
            raise

    def stop(self) -> None:
        """Have `run` finish the record in hand, commit and return; from any thread or signal."""
        self._stopped.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def close(self, timeout: float | None = None) -> None:
        """Stop, and wait until `run` has returned.

        Args:
            timeout: Seconds; None waits for the handler in hand, however long it takes.
        """
        self.stop()
        if self._running.acquire(timeout=-1 if timeout is None else timeout):
            self._running.release()

    def _consume(self, wait_for: _WaitFor) -> None:
        if not self._handlers:
            raise ConfigurationError("the consumer has no handler", remedy="call handle first")
        if not self._running.acquire(blocking=False):
            raise ClosedError("the consumer runs already", remedy="make another for more members")
        try:
            parts = self._parts
            loop = ConsumerLoop(
                parts.connect(),
                _Dispatch(parts, self._handlers, self.skipped, wait_for),
                parts.wait,
                parts.max_poll_records,
            )
            topics = {topic for handler in self._handlers.values() for topic in handler.topics}
            try:
                loop.consume(sorted(topics), self._stopped.is_set)
            finally:
                loop.leave()
        finally:
            self._stopped.clear()
            self._running.release()


@frozen
class _Handler:
    event_class: type[Any]
    function: EventHandler
    tombstone: TombstoneHandler | None
    pass_record: bool
    topics: tuple[str, ...]


class _Dispatch:
    """Finds the handler of a record by its writer's full name, and calls it."""

    def __init__(
        self,
        parts: ConsumerParts,
        handlers: dict[str, _Handler],
        skipped: Counter[str],
        wait_for: _WaitFor,
    ) -> None:
        self._parts = parts
        self._handlers = handlers
        self._skipped = skipped
        self._wait_for = wait_for

    def __call__(self, record: ConsumerRecord) -> None:
        observers = self._parts.observers
        if observers:
            observers.notify(RecordReceived(record))
        started = time.perf_counter()
        try:
            if record.value is None:
                self._tombstone(record)
            else:
                self._event(record)
        except (DeserializationError, HandlerError) as error:
            if observers:
                failure = "handler" if isinstance(error, HandlerError) else "poison"
                observers.notify(
                    RecordFailed(
                        record, error.event, self._parts.group, error.__cause__ or error, failure
                    )
                )
            self._parts.on_error(record, error)
        else:
            if observers:
                seconds = time.perf_counter() - started
                observers.notify(RecordHandled(record, None, self._parts.group, seconds))

    def _event(self, record: ConsumerRecord) -> None:
        serializer = self._parts.serializer
        try:
            incoming = serializer.open(record)
            name = incoming.full_name
            handler = self._handlers.get(name)
            if handler is None:
                self._skip(name, record)
                return
            event = incoming.read(handler.event_class)
        except SchemaNotFoundError as error:
            raise DeserializationError(
                f"the writer schema is unknown: {error.message}",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                schema_id=error.schema_id,
                remedy="see which producer wrote it, and against which registry",
            ) from error
        except DeserializationError as error:
            error.topic, error.partition, error.offset = (
                record.topic,
                record.partition,
                record.offset,
            )
            raise
        if handler.pass_record:
            self._call(record, name, handler.function, event, record)
        else:
            self._call(record, name, handler.function, event)

    def _tombstone(self, record: ConsumerRecord) -> None:
        told = (record.header("ce_type") or b"").decode(errors="replace")
        concerned = {
            id(handler): handler
            for name, handler in self._handlers.items()
            if record.topic in handler.topics and told in {"", name}
        }
        for handler in concerned.values():
            if handler.tombstone is not None:
                name = handler.event_class.__event__.full_name
                value = Tombstone(event_class=handler.event_class, key=record.key, record=record)
                self._call(record, name, handler.tombstone, value)

    def _call(
        self, record: ConsumerRecord, name: str, function: EventHandler, *arguments: Any
    ) -> None:
        try:
            outcome = function(*arguments)
            if outcome is not None and inspect.iscoroutine(outcome):
                self._wait_for(outcome)
        except Exception as error:
            raise HandlerError(
                f"the handler raised {type(error).__name__}: {error}",
                event=name,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                remedy="correct the handler; the event comes again",
            ) from error

    def _skip(self, name: str, record: ConsumerRecord) -> None:
        self._skipped[name] += 1
        if self._skipped[name] == 1:
            logger.info("no handler for %s on %s: such events are skipped", name, record.topic)


def _names(event_class: type[Any]) -> list[str]:
    """Return the full names under which events for this class may have been written."""
    info = event_class.__event__
    namespace = info.full_name.rpartition(".")[0]
    aliases = json.loads(info.schema).get("aliases", ())
    return [
        info.full_name,
        *(alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in aliases),
    ]


def _event_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
