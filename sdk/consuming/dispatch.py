"""Dispatch: record → the call that handles it, found by its writer's full name."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from sdk.abstractions import KeySerializer, MessageSerializer
from sdk.cloud_events import TYPE
from sdk.consuming.context import Context
from sdk.consuming.handlers import Batch, Call, Handlers
from sdk.consuming.outcome import DeadLetter, Outcome, Skip, Stop
from sdk.consuming.partition import Partition, attempt_at
from sdk.errors import ConfigurationError, DeserializationError, SchemaNotFoundError
from sdk.records import ConsumerRecord, Tombstone

logger = logging.getLogger(__name__)

_SUSPICIOUS = 100
"""Unhandled events of a topic after which a warning is logged."""


_MOST_NAMES = 1_000

OTHERS = "others"
"""Counts the events without a handler whose names are beyond the first thousand."""


@frozen(eq=False)
class Task:
    """The task of handling a record.

    Attributes:
        event: Full name of the event.
        call: Called with the event; may return an awaitable.
        batch: Set if it is called with lists.
        context: Whether a batch handler also gets the contexts.
    """

    event: str
    call: Callable[..., Any]
    batch: Batch | None = None
    context: bool = False


Opened = tuple[ConsumerRecord, Task | None, Any]
"""(record, task, its argument); without a task, the argument is an `Outcome` or an exception."""


class Dispatch:
    """Opens records and finds their handlers.

    Args:
        handlers: The handlers of the consumer.
        serializer: Opens record values.
        keys: Reads record keys for handlers with a context.
        unknown: The outcome of events without a handler: ``skip``, ``dead_letter`` or ``stop``.
        skipped: Counts the events without a handler.
        source: Retry topic → source topic, whose handlers get null values that name no event.
        wrap: Returns the function to call instead of a handler; plain functions, for example,
            must not block an event loop.

    Attributes:
        skipped: The number of events without a handler, by full name; ``others`` beyond the first
            thousand names, which foreign producers choose.
    """

    def __init__(
        self,
        handlers: Handlers,
        serializer: MessageSerializer,
        keys: KeySerializer | None,
        *,
        unknown: str,
        skipped: Counter[str],
        source: Callable[[str], str] = str,
        wrap: Callable[[Call], Call] = lambda call: call,
    ) -> None:
        self.skipped = skipped
        self._handlers = handlers
        self._open = serializer.open
        self._keys = keys
        self._unknown = unknown
        self._source = source
        self._tasks = {
            name: (
                handler.event_class,
                handler.context,
                Task(
                    handler.full_name,
                    _unpacking(wrap(handler.function))
                    if handler.context and handler.batch is None
                    else wrap(handler.function),
                    handler.batch,
                    handler.context,
                ),
            )
            for name, handler in handlers.names.items()
        }
        self._tombstones: Mapping[int, Call] = {
            id(handler): wrap(handler.tombstone)
            for handler in handlers
            if handler.tombstone is not None
        }
        self._unhandled: Counter[str] = Counter()
        self._handled: set[str] = set()

    def open(self, partition: Partition, records: Sequence[ConsumerRecord]) -> Iterator[Opened]:
        """Open records of a partition one by one, as they are consumed."""
        open_record, tasks = self._open, self._tasks
        handled = 0
        for record in records:
            if record.value is None:
                yield self._tombstone(record)
                continue
            try:
                incoming = open_record(record)
                found = tasks.get(incoming.full_name)
                if found is None:
                    opened: Opened = record, None, self._unhandled_event(incoming.full_name, record)
                else:
                    event_class, context, task = found
                    event: Any = incoming.read(event_class)
                    if context:
                        attempt = attempt_at(partition, record)
                        event = (
                            event,
                            Context(
                                record, self._keys, attempt=attempt, schema_id=incoming.schema_id
                            ),
                        )
                    opened = record, task, event
                    handled += 1
            except Exception as error:  # noqa: BLE001 - the failure policy decides about it
                opened = record, None, _located(error, record)
            yield opened
        if handled:
            self._handled.add(partition.topic)

    def warn_of_unhandled(self, at_least: int = 1) -> None:
        """Log the topics without any handled event."""
        for topic, count in list(self._unhandled.items()):  # other threads add to it
            if count >= at_least and topic not in self._handled:
                self._handled.add(topic)
                logger.warning(
                    "none of the events of %s is handled: %s; handlers are for %s",
                    topic,
                    ", ".join(sorted(self.skipped)),
                    ", ".join(sorted(self._handlers.names)),
                    extra={"topic": topic},
                )

    def _unhandled_event(self, name: str, record: ConsumerRecord) -> Outcome:
        known = name in self.skipped or len(self.skipped) < _MOST_NAMES
        counted = name if known else OTHERS
        self.skipped[counted] += 1
        self._unhandled[record.topic] += 1
        if self._unhandled[record.topic] == _SUSPICIOUS:
            self.warn_of_unhandled(_SUSPICIOUS)
        if self.skipped[counted] == 1:
            self._report(name, record)
        if self._unknown == "skip":
            return Skip("no handler")
        error = ConfigurationError(
            f"there is no handler for {name}",
            event=name,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            remedy="handle it, or set consumer.unknown = 'skip'",
        )
        return Stop(error) if self._unknown == "stop" else DeadLetter("no handler", error)

    def _report(self, name: str, record: ConsumerRecord) -> None:
        short = name.rpartition(".")[2]
        similar = [known for known in self._handlers.names if known.rpartition(".")[2] == short]
        if similar:
            logger.warning(
                "%s on %s is not handled, though %s is: the writer's namespace differs; if it is"
                " the same event, add an alias to the schema",
                name,
                record.topic,
                similar[0],
                extra=record.place,
            )
        else:
            logger.info(
                "no handler for %s on %s: %s",
                name,
                record.topic,
                self._unknown,
                extra=record.place,
            )

    def _tombstone(self, record: ConsumerRecord) -> Opened:
        event = (record.header(TYPE) or b"").decode(errors="replace")
        handlers = self._handlers.of_tombstone(self._source(record.topic), event)
        if not handlers:
            return record, None, Skip("tombstone without a handler")
        calls = [
            (
                self._tombstones[id(handler)],
                Tombstone(event_class=handler.event_class, key=record.key, record=record),
            )
            for handler in handlers
        ]
        if len(calls) == 1:
            call, tombstone = calls[0]
            return record, Task(handlers[0].full_name, call), tombstone
        return record, Task(handlers[0].full_name, _call_each), calls


async def _call_each(calls: Sequence[tuple[Call, Tombstone]]) -> None:
    for call, tombstone in calls:
        result = call(tombstone)
        if inspect.isawaitable(result):
            await result


def _unpacking(function: Call) -> Call:
    return lambda pair: function(*pair)


def _located(error: Exception, record: ConsumerRecord) -> Exception:
    """Return an error with its record's position; an unknown writer schema is poison."""
    if isinstance(error, SchemaNotFoundError):
        poison = DeserializationError(
            f"the writer schema is unknown: {error.message}",
            schema_id=error.schema_id,
            remedy="find out which producer wrote it, and with which registry",
        )
        poison.__cause__ = error
        error = poison
    if isinstance(error, DeserializationError):
        error.topic, error.partition, error.offset = record.topic, record.partition, record.offset
    return error
