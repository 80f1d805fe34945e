"""The interface of every generated event class."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from sdk.avro.event_info import EventInfo


@runtime_checkable
class Event(Protocol):
    """An instance of any generated event class.

    Type checkers reject everything else: numbers, dicts, records nested in an event, and the
    classes themselves.
    """

    __event__: ClassVar[EventInfo]


E = TypeVar("E", bound=Event)
"""An event class, in signatures that take the class and return its events."""
