"""Decides the outcomes of failed records: by one table, and a service's own rules.

    failure                meaning                                             decision
    poison                 the bytes can never be read                         dead letter at once
    handler                the handler raised                                  retry
    transient              Kafka is out of reach, or a time-out, in a handler  retry
    registry_unavailable   the schema registry is out of reach                 pause, then continue
    dependency_down        a handler raised `DependencyDown`                   pause, then continue
    refused                credentials, permissions or settings are wrong      stop
    fenced                 another instance has taken over, or we are closed   stop

A record is retried in place first, then through the retry topics; if it still fails, it becomes a
dead letter. Without dead letters, the consumer stops instead: nothing is lost either way.
"""

from __future__ import annotations

import importlib
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from attrs import evolve, field, frozen

from sdk.consuming.outcome import DeadLetter, Outcome, Pause, Retry, Skip, Stop
from sdk.consuming.retry_topics import RetryTopics, attempt_of
from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DeliveryTimeoutError,
    DependencyDown,
    DeserializationError,
    FencedError,
    HandlerError,
    QueueFullError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    UnidentifiedError,
)
from sdk.records import ConsumerRecord
from sdk.retry import backoff
from sdk.settings import ConsumerOptions, FailuresOptions, InPlaceRetryOptions, RetryOptions

logger = logging.getLogger(__name__)

Match = type[BaseException] | Callable[[BaseException, ConsumerRecord], bool]
"""An exception class, or a predicate of the exception that was raised and its record."""


class Failure(StrEnum):
    """Classes of failures, by remedy."""

    POISON = "poison"
    HANDLER = "handler"
    TRANSIENT = "transient"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    DEPENDENCY_DOWN = "dependency_down"
    REFUSED = "refused"
    FENCED = "fenced"


class Decision(StrEnum):
    """The possible decisions about a failure."""

    RETRY = "retry"
    DEAD_LETTER = "dead_letter"
    STOP = "stop"
    SKIP = "skip"
    PAUSE = "pause"


TABLE: Mapping[Failure, Decision] = {
    Failure.POISON: Decision.DEAD_LETTER,
    Failure.HANDLER: Decision.RETRY,
    Failure.TRANSIENT: Decision.RETRY,
    Failure.REGISTRY_UNAVAILABLE: Decision.PAUSE,
    Failure.DEPENDENCY_DOWN: Decision.PAUSE,
    Failure.REFUSED: Decision.STOP,
    Failure.FENCED: Decision.STOP,
}

_RULED = frozenset({Failure.POISON, Failure.HANDLER, Failure.TRANSIENT})
"""The failures that rules may decide; others are not caused by the record."""

FINAL = (AuthenticationError, AuthorizationError, ConfigurationError, FencedError)
"""Errors of requests to Kafka that retrying cannot resolve: the consumer stops."""

_EVERYWHERE: tuple[tuple[Failure, tuple[type[BaseException], ...]], ...] = (
    (Failure.DEPENDENCY_DOWN, (DependencyDown,)),
    (Failure.REGISTRY_UNAVAILABLE, (RegistryUnavailableError,)),
    (Failure.FENCED, (FencedError, ClosedError)),
    (Failure.REFUSED, (RegistryRefusedError, AuthenticationError, AuthorizationError)),
    (Failure.POISON, (UnidentifiedError,)),
)
_IN_HANDLERS: tuple[tuple[Failure, tuple[type[BaseException], ...]], ...] = (
    (
        Failure.TRANSIENT,
        (
            BrokerUnavailableError,
            QueueFullError,
            DeliveryTimeoutError,
            ConnectionError,
            TimeoutError,
        ),
    ),
)
_BEFORE_HANDLERS: tuple[tuple[Failure, tuple[type[BaseException], ...]], ...] = (
    (Failure.POISON, (DeserializationError, SchemaNotFoundError)),
    (Failure.REFUSED, (ConfigurationError,)),
)


def raised(error: BaseException) -> BaseException:
    """Return the handler's exception if ``error`` is a `HandlerError`, else ``error``."""
    if isinstance(error, HandlerError) and error.__cause__ is not None:
        return error.__cause__
    return error


def classify(error: BaseException) -> Failure:
    """Return the class of a failure.

    Args:
        error: The exception of opening a record, or a `HandlerError` with the handler's as cause.
    """
    cause = raised(error)
    places = _IN_HANDLERS if isinstance(error, HandlerError) else _BEFORE_HANDLERS + _IN_HANDLERS
    for failure, classes in _EVERYWHERE + places:
        if isinstance(cause, classes):
            return failure
    return Failure.HANDLER


@frozen
class Rule:
    """A service's own decision.

    Attributes:
        match: The failures that it applies to.
        decision: ``retry``, ``dead_letter``, ``stop`` or ``skip``.
    """

    match: Match
    decision: Decision

    def matches(self, error: BaseException, record: ConsumerRecord) -> bool:
        """Return whether this rule matches; a predicate that raises is logged and does not."""
        if isinstance(self.match, type):
            return isinstance(error, self.match)
        try:
            return bool(self.match(error, record))
        except Exception:
            logger.exception("a predicate of the failure policy raised; its rule is ignored")
            return False


def _rules(given: Iterable[Rule | tuple[Match, str]]) -> tuple[Rule, ...]:
    return tuple(rule if isinstance(rule, Rule) else _rule(*rule) for rule in given)


def _rule(match: Match, decision: str) -> Rule:
    if isinstance(match, type) and not issubclass(match, BaseException):
        raise ConfigurationError(f"{match.__qualname__} is not an exception class")
    if not callable(match):
        raise ConfigurationError("a rule needs an exception class or a predicate")
    if decision not in set(Decision) - {Decision.PAUSE}:
        raise ConfigurationError(
            f"{decision!r} is not a decision", remedy="use retry, dead_letter, stop or skip"
        )
    return Rule(match, Decision(decision))


@frozen(kw_only=True)
class FailurePolicy:
    """Decides what to do about failed records.

        messaging.consumer("billing", failures=FailurePolicy(rules=[
            (InvalidOrder, "dead_letter"),
            (lambda error, record: isinstance(error, HttpError) and error.status == 409, "skip"),
        ]))

    Attributes:
        rules: Pairs of an exception class, or of a predicate of (exception, record), and a
            decision: ``retry``, ``dead_letter``, ``stop`` or ``skip``. The first that matches
            decides, before the settings and the table; not for outages, refusals and fences.
        table: Failure → decision.
        retry: Further attempts in place.
        topics: The retry topics.
        dead_letters: Whether there are dead letters; otherwise the consumer stops.
        uniform: Returns a random number from 0 up to 1.
    """

    rules: tuple[Rule, ...] = field(default=(), converter=_rules)
    table: Mapping[Failure, Decision] = field(factory=lambda: TABLE)
    retry: RetryOptions = field(factory=InPlaceRetryOptions)
    topics: RetryTopics = field(factory=RetryTopics, repr=False)
    dead_letters: bool = False
    uniform: Callable[[], float] = field(default=random.random, repr=False)

    def configured(self, options: ConsumerOptions, group: str) -> FailurePolicy:
        """Return this policy, extended by the ``[consumer]`` table.

        Raises:
            ConfigurationError: A name in ``[consumer.failures]`` is not an exception class.
        """
        return evolve(
            self,
            rules=(*self.rules, *_named_rules(options.failures)),
            table={
                **self.table,
                Failure.POISON: Decision(options.failures.poison),
                Failure.HANDLER: Decision(options.failures.handler),
                Failure.TRANSIENT: Decision(options.failures.transient),
            },
            retry=options.retry,
            topics=RetryTopics.configured(options, group),
            dead_letters=options.dead_letters is not None,
        )

    def decide(self, error: BaseException, record: ConsumerRecord, attempt: int) -> Outcome:
        """Return the outcome for a record.

        Args:
            error: The exception of opening it, or the `HandlerError` of its handler.
            record: The record.
            attempt: Number of the attempt that failed: `attempt_of` the record for the first
                since it was read, one more for each attempt in place.
        """
        failure = classify(error)
        match self._decision(failure, raised(error), record):
            case Decision.PAUSE:
                return Pause(raised(error))
            case Decision.STOP:
                return Stop(error)
            case Decision.SKIP:
                return Skip(f"{failure}: {type(raised(error)).__qualname__}")
            case Decision.DEAD_LETTER:
                return self._dead_letter(failure, error)
            case Decision.RETRY:
                return self._retry(failure, error, record, attempt)

    def _decision(self, failure: Failure, error: BaseException, record: ConsumerRecord) -> Decision:
        if failure in _RULED:
            for rule in self.rules:
                if rule.matches(error, record):
                    return rule.decision
        return self.table[failure]

    def _retry(
        self, failure: Failure, error: BaseException, record: ConsumerRecord, attempt: int
    ) -> Outcome:
        """Retry in place on the source topic, then through the retry topics in turn."""
        in_place = max(1, attempt - attempt_of(record) + 1)
        if in_place <= self.retry.retry_count and not self.topics.is_retry(record.topic):
            return Retry(backoff(self.retry, in_place, self.uniform), None, error)
        following = self.topics.next(record)
        if following is not None:
            topic, delay = following
            return Retry(delay, topic, error)
        return self._dead_letter(failure, error)

    def _dead_letter(self, failure: Failure, error: BaseException) -> Outcome:
        return DeadLetter(failure, error) if self.dead_letters else Stop(error)


def _named_rules(options: FailuresOptions) -> tuple[Rule, ...]:
    return tuple(Rule(_exception(name), Decision(what)) for name, what in options.named())


def _exception(name: str) -> type[BaseException]:
    """Return the exception class with a dotted name; builtins need no module."""
    module, _, attribute = name.rpartition(".")
    try:
        found: Any = getattr(importlib.import_module(module or "builtins"), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"consumer.failures names {name}, which cannot be imported: {error}",
            remedy="write the dotted name of an exception class, such as orders.errors.BadOrder",
        ) from error
    if not isinstance(found, type) or not issubclass(found, BaseException):
        raise ConfigurationError(f"consumer.failures names {name}, which is not an exception class")
    return found
