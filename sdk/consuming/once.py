"""Handlers that take effect once per event, in one transaction with the record of its id."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, overload

from sdk.consuming.context import Context
from sdk.consuming.handlers import Call, is_coroutine_function, takes_context
from sdk.consuming.processing import drive
from sdk.consuming.transactions import SENT
from sdk.errors import BatchFailed, ConfigurationError, UnidentifiedError
from sdk.events import E, Event

S = TypeVar("S")
_S_co = TypeVar("_S_co", covariant=True)
_R = TypeVar("_R")

OnceHandler = Callable[[E, S], object] | Callable[[E, Context, S], object]
"""(event, session) or (event, context, session), a plain function or a coroutine function."""

OnceBatchHandler = Callable[[list[E], S], object] | Callable[[list[E], list[Context], S], object]
"""(events, session) or (events, contexts, session), a plain function or a coroutine function."""


class OnceDecorator(Protocol[E, S]):
    """The decorator ``@consumer.handle(OrderCreated, once=inbox)``."""

    @overload
    def __call__(self, function: Callable[[E, S], _R], /) -> Callable[[E, S], _R]: ...
    @overload
    def __call__(
        self, function: Callable[[E, Context, S], _R], /
    ) -> Callable[[E, Context, S], _R]: ...


class OnceBatchDecorator(Protocol[E, S]):
    """The decorator ``@consumer.handle(OrderCreated, once=inbox, batch_size=100)``."""

    @overload
    def __call__(self, function: Callable[[list[E], S], _R], /) -> Callable[[list[E], S], _R]: ...
    @overload
    def __call__(
        self, function: Callable[[list[E], list[Context], S], _R], /
    ) -> Callable[[list[E], list[Context], S], _R]: ...


class Once(Protocol[_S_co]):
    """Records which events were handled; `sdk.outbox.Inbox`."""

    @property
    def asynchronous(self) -> bool:
        """Whether its sessions have to be awaited."""

    def check(self, record: Context) -> None:
        """Raise an error for a record without a unique identity.

        Raises:
            UnidentifiedError: It carries no id.
        """

    def perform(
        self, records: Sequence[Context], work: Callable[[_S_co, list[int]], object]
    ) -> Any:
        """Record events and call a function in one transaction; await it if asynchronous.

        Args:
            records: The records of the events.
            work: Called with the session and the positions of new events; not called if there are
                none. An exception rolls everything back.
        """


def once_only(once: Once[Any], function: Any, event_class: type[Event], *, batch: bool) -> Call:
    """Return a handler with event and context that calls ``function`` once for each event.

    Args:
        once: Records which events were handled.
        function: (event, session) or (event, context, session), or the same with lists.
        event_class: The class of its events.
        batch: Whether it takes lists.

    Raises:
        ConfigurationError: Its signature does not fit, or only one of it and the sessions is async.
    """
    with_context = takes_context(function, event_class, batch=batch, session=True)
    if is_coroutine_function(function) != once.asynchronous:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        sessions = "asynchronous" if once.asynchronous else "not asynchronous"
        raise ConfigurationError(
            f"handler {name} does not fit its sessions, which are {sessions}",
            event=event_class.__event__.full_name,
            remedy="use async def with an async_sessionmaker or AsyncEngine, and def with a"
            " sessionmaker or Engine",
        )

    def call(events: Any, contexts: Any, session: Any) -> Any:
        given = (events, contexts, session) if with_context else (events, session)
        if once.asynchronous:
            return _awaited(function(*given))
        result = function(*given)
        _check_unpublished()
        return result

    async def handle(event: Any, context: Context) -> None:
        done = once.perform([context], lambda session, _: call(event, context, session))
        if inspect.isawaitable(done):
            await done

    async def handle_batch(events: list[Any], contexts: list[Context]) -> None:
        await _batch(once, call, events, contexts)

    chosen: Callable[..., Any] = handle_batch if batch else handle
    return chosen if once.asynchronous else lambda *given: drive(chosen(*given))


async def _awaited(result: Any) -> None:
    await result
    _check_unpublished()


def _check_unpublished() -> None:
    """Raise an error if a handler has published in an exactly-once consumer's transaction.

    If that were aborted, the handler would not run again, and what it published would be missing.
    """
    if SENT.get():
        raise ConfigurationError(
            "a handler with once= has published in the transaction of an exactly-once consumer",
            remedy="publish by the outbox, in the handler's session",
        )


async def _batch(once: Once[Any], call: Call, events: list[Any], contexts: list[Context]) -> None:
    """Handle a batch in one transaction; after a rollback, again without the failed events."""
    failed: dict[int, BaseException] = {}
    for index, context in enumerate(contexts):
        try:
            once.check(context)
        except UnidentifiedError as error:
            failed[index] = error
    while left := [index for index in range(len(events)) if index not in failed]:
        new: list[int] = []
        try:
            done = once.perform(
                [contexts[index] for index in left],
                partial(_part, call, events, contexts, left, new),
            )
            if inspect.isawaitable(done):
                await done
        except BatchFailed as error:
            if not error.errors or not all(0 <= index < len(new) for index in error.errors):
                raise ValueError("BatchFailed names no event of its batch") from error
            failed.update({new[index]: why for index, why in error.errors.items()})
        else:
            break
    if failed:
        raise BatchFailed(failed)


def _part(
    call: Call,
    events: list[Any],
    contexts: list[Context],
    left: list[int],
    new: list[int],
    session: Any,
    positions: list[int],
) -> Any:
    """Call a handler with the new events of a batch, and add them to ``new``."""
    new[:] = [left[position] for position in positions]
    return call([events[index] for index in new], [contexts[index] for index in new], session)
