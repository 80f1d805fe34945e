"""Handlers of events, checked when they are registered."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar, overload

from attrs import frozen

from sdk.consuming.context import Context
from sdk.errors import ConfigurationError
from sdk.events import E, Event
from sdk.records import Tombstone

Call = Callable[..., Any]
"""A handler as a service passes it."""

_FORMS = "(event), (event, context), or the same as a coroutine function"
_ONCE_FORMS = "(event, session), (event, context, session), or the same as a coroutine function"


EventHandler = Callable[[E], object] | Callable[[E, Context], object]
"""(event) or (event, context), a plain function or a coroutine function."""

BatchHandler = Callable[[list[E]], object] | Callable[[list[E], list[Context]], object]
"""(events) or (events, contexts), a plain function or a coroutine function."""

TombstoneHandler = Callable[[Tombstone], object]

_R = TypeVar("_R")


class EventDecorator(Protocol[E]):
    """The decorator ``@consumer.handle(OrderCreated)``; it returns the function itself."""

    @overload
    def __call__(self, function: Callable[[E], _R], /) -> Callable[[E], _R]: ...
    @overload
    def __call__(self, function: Callable[[E, Context], _R], /) -> Callable[[E, Context], _R]: ...


class BatchDecorator(Protocol[E]):
    """The decorator ``@consumer.handle(OrderCreated, batch_size=100)``."""

    @overload
    def __call__(self, function: Callable[[list[E]], _R], /) -> Callable[[list[E]], _R]: ...
    @overload
    def __call__(
        self, function: Callable[[list[E], list[Context]], _R], /
    ) -> Callable[[list[E], list[Context]], _R]: ...


@frozen(kw_only=True)
class Batch:
    """The limits of a batch.

    Attributes:
        size: Most events in a batch.
        seconds: How long the first of them waits for others.

    Raises:
        ConfigurationError: The size is below 1, or the time is negative.
    """

    size: int
    seconds: float

    def __attrs_post_init__(self) -> None:
        if self.size < 1 or self.seconds < 0:
            raise ConfigurationError(
                "batch_size or batch_seconds is out of range",
                remedy="pass batch_size >= 1 and batch_seconds >= 0",
            )


@frozen(kw_only=True)
class Handler:
    """The handler of the events of one class.

    Attributes:
        event_class: The class that its events of all versions are read as.
        function: Called with the event.
        context: Whether it gets the context as second argument.
        batch: Set if it takes lists of events.
        tombstone: Called with null values.
        topics: The topics it is subscribed to.
        pattern: Pattern of further topics.
    """

    event_class: type[Event]
    function: Call
    context: bool = False
    batch: Batch | None = None
    tombstone: Call | None = None
    topics: tuple[str, ...] = ()
    pattern: str | None = None

    @property
    def full_name(self) -> str:
        """Full name of the event."""
        return self.event_class.__event__.full_name

    def reads(self, topic: str) -> bool:
        """Whether a topic is subscribed to for it."""
        return topic in self.topics or (
            self.pattern is not None and re.match(self.pattern, topic) is not None
        )


class Handlers:
    """The handlers of a consumer, by the full names and aliases of their events."""

    def __init__(self) -> None:
        self._by_name: dict[str, Handler] = {}

    def __iter__(self) -> Iterator[Handler]:
        return iter({id(handler): handler for handler in self._by_name.values()}.values())

    def __bool__(self) -> bool:
        return bool(self._by_name)

    @property
    def names(self) -> dict[str, Handler]:
        """Full name of the writer → handler."""
        return self._by_name

    @property
    def topics(self) -> list[str]:
        """The topics to subscribe to, sorted."""
        return sorted({topic for handler in self for topic in handler.topics})

    @property
    def pattern(self) -> str | None:
        """One pattern that matches those of all handlers."""
        patterns = {handler.pattern.removeprefix("^") for handler in self if handler.pattern}
        # librdkafka uses POSIX patterns, which have no other kind of group.
        return f"({'|'.join(sorted(patterns))})" if patterns else None

    @property
    def coroutines(self) -> bool:
        """Whether any handler is a coroutine function."""
        return any(
            is_coroutine_function(call)
            for handler in self
            for call in (handler.function, handler.tombstone)
            if call is not None
        )

    @property
    def batches(self) -> bool:
        """Whether any handler takes batches."""
        return any(handler.batch is not None for handler in self)

    def add(self, handler: Handler) -> None:
        """Add a handler.

        Raises:
            ConfigurationError: The event has a handler already.
        """
        names = _names(handler.event_class)
        for name in names:
            other = self._by_name.get(name)
            if other is not None:
                raise ConfigurationError(
                    f"event {name} has a handler already, for {other.event_class.__qualname__}",
                    event=name,
                    remedy="handle one version; it reads what the other versions wrote as well",
                )
        self._by_name.update(dict.fromkeys(names, handler))

    def of_tombstone(self, topic: str, event: str) -> list[Handler]:
        """Return the handlers of a null value.

        Args:
            topic: Its topic.
            event: The full name that it carries, or an empty text.
        """
        if event:
            named = self._by_name.get(event)
            handlers: Iterable[Handler] = () if named is None else (named,)
        else:
            handlers = self
        return [
            handler
            for handler in handlers
            if handler.tombstone is not None and (event or handler.reads(topic))
        ]


def check_event_class(event_class: Any) -> None:
    """Check that something is a generated event class.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(event_class, type) or not hasattr(event_class, "__event__"):
        name = getattr(event_class, "__qualname__", repr(event_class))
        raise ConfigurationError(
            f"{name} is not an event class", remedy="pass a class from the contracts package"
        )


def takes_context(
    function: Any, event_class: type[Event], *, batch: bool = False, session: bool = False
) -> bool:
    """Check the signature of a handler; return whether it takes the context.

    Args:
        function: The handler.
        event_class: The class of its events.
        batch: Whether it is called with lists of events, and of contexts.
        session: Whether a session of the service's database is its last argument.

    Raises:
        ConfigurationError: Its signature does not fit.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if not callable(function):
        raise ConfigurationError(f"handler {name} is not callable")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"handler {name} is a generator: calling it would do nothing",
            remedy="use return instead of yield",
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have none
        return False
    parameters = list(signature.parameters.values())
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    required = [each for each in positional if each.default is inspect.Parameter.empty]
    hints = _hints(function)
    most = 3 if session else 2
    context = len(required) == most or (
        len(positional) >= most and hints.get(positional[1].name) in {Context, list[Context]}
    )
    try:
        signature.bind(*([None] * (most if context else most - 1)))
    except TypeError as error:
        raise ConfigurationError(
            f"handler {name}{signature} cannot be called with an event: {error}",
            event=event_class.__event__.full_name,
            remedy=f"write it as {_ONCE_FORMS if session else _FORMS}",
        ) from error
    if positional and not batch:
        _check_hint(name, hints.get(positional[0].name), event_class)
    return context


def check_pattern(pattern: str) -> None:
    """Check that a pattern of topics is a regular expression.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(
            f"pattern {pattern!r} is not a regular expression: {error}", remedy="correct it"
        ) from error


def check_tombstone(function: Any) -> None:
    """Check that a tombstone handler can be called with one argument.

    Raises:
        ConfigurationError: It cannot.
    """
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError) as error:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise ConfigurationError(
            f"tombstone handler {name} cannot be called with a {Tombstone.__name__}: {error}",
            remedy="write it as (tombstone)",
        ) from error


def is_coroutine_function(function: Any) -> bool:
    """Whether a callable is a coroutine function, callable objects and partials included."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


_POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


def _hints(function: Any) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    try:
        return typing.get_type_hints(target)
    except Exception:  # noqa: BLE001 - names that cannot be resolved here are left to type checkers
        return {}


def _check_hint(name: str, hint: Any, event_class: type[Event]) -> None:
    """Raise an error for a function that is annotated with another event."""
    if not isinstance(hint, type) or not hasattr(hint, "__event__"):
        return
    given, wanted = event_class.__event__, hint.__event__
    if (given.full_name, given.version) != (wanted.full_name, wanted.version):
        raise ConfigurationError(
            f"handler {name} takes {wanted.full_name} v{wanted.version}, not v{given.version} of"
            f" {given.full_name}",
            event=given.full_name,
            remedy="annotate it with the class that is handled, or handle the one it takes",
        )


def _names(event_class: type[Event]) -> list[str]:
    """Return the full names under which events for this class may have been written."""
    info = event_class.__event__
    namespace = info.full_name.rpartition(".")[0]
    aliases = json.loads(info.schema).get("aliases", ())
    return [
        info.full_name,
        *(alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in aliases),
    ]
