"""The options of failed records: retry topics, dead letters, and the table of decisions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from attrs import field, fields, frozen

from sdk.errors import ConfigurationError
from sdk.settings import checking as checks

_LONGEST_DELAY_MS = 7 * 24 * 3_600_000
_DECISIONS = ("retry", "dead_letter", "stop", "skip")


def _delays(_: Any, attribute: Any, value: tuple[int, ...]) -> None:
    """Accept a list of delays of a millisecond to a week, none shorter than the one before."""
    if not value:
        raise ConfigurationError("must not be empty", path=attribute.name)
    for delay in value:
        checks.between(1, _LONGEST_DELAY_MS)(_, attribute, delay)
    if list(value) != sorted(value):
        raise ConfigurationError(
            "must not hold a delay that is shorter than the one before it", path=attribute.name
        )


def _exception_names(_: Any, attribute: Any, value: tuple[str, ...]) -> None:
    for name in value:
        checks.module_name(_, attribute, name)


def _names() -> Any:
    return field(default=(), validator=_exception_names)


@frozen(kw_only=True)
class RetryTopicsOptions:
    """The ``[consumer.retry_topics]`` table; a consumer without it retries in place only.

    Attributes:
        delays_ms: Delay before each further attempt, milliseconds, such as
            ``[1000, 10000, 60000]``; each has its own retry topic; equal delays share one.
        per_group: Put the consumer group into the names of the retry topics, so that groups that
            read one topic do not read each other's retries.
        ordered: Let later records of a key wait behind the one that is being retried.
        retention_ms: Retention of retry topics that are provisioned, milliseconds.
    """

    delays_ms: tuple[int, ...] = field(converter=tuple, validator=_delays)
    per_group: bool = False
    ordered: bool = False
    retention_ms: int = field(default=14 * 24 * 3_600_000, validator=checks.between(-1, 2**53))

    def __attrs_post_init__(self) -> None:
        if 0 <= self.retention_ms <= self.delays_ms[-1]:
            raise ConfigurationError(
                "must be longer than the longest delay",
                path="retention_ms",
                remedy="-1 is for ever",
            )


@frozen(kw_only=True)
class DeadLetterOptions:
    """The ``[consumer.dead_letter]`` table.

    Attributes:
        enabled: Forward records whose last attempt failed to the dead-letter topic; otherwise they
            stop the consumer.
        per_group: Put the consumer group into the name of the dead-letter topic.
        stack_trace_bytes: Longest stack trace in the headers, bytes; 0 sends none.
        retention_ms: Retention of dead-letter topics that are provisioned, milliseconds; -1 keeps
            dead letters forever. It counts from the time of the original record.
    """

    enabled: bool = True
    per_group: bool = False
    stack_trace_bytes: int = field(default=8192, validator=checks.between(0, 262_144))
    retention_ms: int = field(default=-1, validator=checks.between(-1, 2**53))


@frozen(kw_only=True)
class FailuresOptions:
    """The ``[consumer.failures]`` table: decisions by class of failure.

    Attributes:
        poison: For records that can never be read: ``dead_letter``, ``stop`` or ``skip``.
        handler: For exceptions of handlers that no name below matches: ``retry``,
            ``dead_letter``, ``stop`` or ``skip``.
        transient: For outages of Kafka and time-outs inside a handler: as ``handler``.
        retry: Dotted names of exception classes whose records are tried again.
        dead_letter: Dotted names of exception classes whose records are dead-lettered at once.
        stop: Dotted names of exception classes that stop the consumer.
        skip: Dotted names of exception classes whose records count as done.
    """

    poison: str = field(default="dead_letter", validator=checks.one_of(*_DECISIONS[1:]))
    handler: str = field(default="retry", validator=checks.one_of(*_DECISIONS))
    transient: str = field(default="retry", validator=checks.one_of(*_DECISIONS))
    retry: tuple[str, ...] = _names()
    dead_letter: tuple[str, ...] = _names()
    stop: tuple[str, ...] = _names()
    skip: tuple[str, ...] = _names()

    def __attrs_post_init__(self) -> None:
        twice = _repeated(chain(*(getattr(self, decision) for decision in _DECISIONS)))
        if twice is not None:
            raise ConfigurationError(
                "names an exception class that another list names too",
                path=next(
                    attribute.name
                    for attribute in fields(FailuresOptions)
                    if twice in getattr(self, attribute.name)
                ),
                remedy="decide once for each class",
            )

    def named(self) -> Iterable[tuple[str, str]]:
        """Return the pairs (dotted name of an exception class, decision)."""
        return ((name, decision) for decision in _DECISIONS for name in getattr(self, decision))


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
