"""The table of failures, and the rules that a service adds to it."""

from __future__ import annotations

from typing import Any

import pytest

from sdk.consuming.failures import Decision, Failure, FailurePolicy, classify
from sdk.consuming.headers import ATTEMPTS, int32
from sdk.consuming.outcome import DeadLetter, Pause, Retry, Skip, Stop
from sdk.consuming.retry_topics import RetryTopics
from sdk.errors import (
    AuthorizationError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DependencyDown,
    DeserializationError,
    FencedError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
)
from sdk.settings import (
    ConsumerOptions,
    DeadLetterOptions,
    FailuresOptions,
    InPlaceRetryOptions,
    RetryTopicsOptions,
)
from tests.unit.consuming.records import handler_error, record

STEADY = InPlaceRetryOptions(retry_count=2, base_delay_ms=100, max_delay_ms=150, jitter=0)


class BadOrder(ValueError):
    """An order that the business does not accept."""


def policy(**changes: Any) -> FailurePolicy:
    """Return a policy with dead letters and two retries in place."""
    return FailurePolicy(**{"retry": STEADY, "dead_letters": True, **changes})


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (DeserializationError("x"), Failure.POISON),
        (SchemaNotFoundError("x"), Failure.POISON),
        (RegistryUnavailableError("x"), Failure.REGISTRY_UNAVAILABLE),
        (RegistryRefusedError("x"), Failure.REFUSED),
        (AuthorizationError("x"), Failure.REFUSED),
        (ConfigurationError("x"), Failure.REFUSED),
        (FencedError("x"), Failure.FENCED),
        (RuntimeError("x"), Failure.HANDLER),
    ],
)
def test_what_opening_a_record_raises_is_classed(error: Exception, failure: Failure) -> None:
    """Each error of the way to the handler has one class."""
    assert classify(error) is failure


@pytest.mark.parametrize(
    ("cause", "failure"),
    [
        (BadOrder("x"), Failure.HANDLER),
        (DeserializationError("x"), Failure.HANDLER),
        (ConfigurationError("x"), Failure.HANDLER),
        (BrokerUnavailableError("x"), Failure.TRANSIENT),
        (ConnectionResetError("x"), Failure.TRANSIENT),
        (TimeoutError("x"), Failure.TRANSIENT),
        (RegistryUnavailableError("x"), Failure.REGISTRY_UNAVAILABLE),
        (DependencyDown("payments-db"), Failure.DEPENDENCY_DOWN),
        (AuthorizationError("x"), Failure.REFUSED),
        (ClosedError("x"), Failure.FENCED),
    ],
)
def test_what_a_handler_raises_is_classed_by_its_cause(cause: Exception, failure: Failure) -> None:
    """A handler's exception is looked at behind the HandlerError; poison it can never be."""
    assert classify(handler_error(cause)) is failure


def test_poison_is_dead_lettered_at_once() -> None:
    """Bytes that can never be read are not tried again."""
    error = DeserializationError("x")
    assert policy().decide(error, record(), 1) == DeadLetter("poison", error)


def test_a_handler_is_retried_in_place_and_then_dead_lettered() -> None:
    """The delay doubles up to its limit, and when the attempts are used up it is over."""
    error = handler_error(BadOrder("x"))
    outcomes = [policy().decide(error, record(), attempt) for attempt in (1, 2, 3)]
    assert outcomes == [
        Retry(0.1, None, error),
        Retry(0.15, None, error),
        DeadLetter("handler", error),
    ]


def test_without_dead_letters_the_consumer_stops() -> None:
    """Poison and used-up attempts stop the consumer where there is no dead-letter topic."""
    plain = policy(dead_letters=False)
    poison, failed = DeserializationError("x"), handler_error(BadOrder("x"))
    assert plain.decide(poison, record(), 1) == Stop(poison)
    assert plain.decide(failed, record(), 3) == Stop(failed)


def test_retry_topics_follow_the_attempts_in_place() -> None:
    """In a retry topic a record is tried once, then it goes to the next and at last to the end."""
    staged = policy(topics=RetryTopics([1000, 5000]))
    error = handler_error(BadOrder("x"))
    assert staged.decide(error, record(), 2) == Retry(0.15, None, error)
    assert staged.decide(error, record(), 3) == Retry(1.0, "orders-retry-1000", error)
    second = record(topic="orders-retry-1000", headers=((ATTEMPTS, int32(2)),))
    assert staged.decide(error, second, 2) == Retry(5.0, "orders-retry-5000", error)
    third = record(topic="orders-retry-5000", headers=((ATTEMPTS, int32(3)),))
    assert staged.decide(error, third, 3) == DeadLetter("handler", error)


@pytest.mark.parametrize("attempt", [1, 2, 1000])
@pytest.mark.parametrize("cause", [RegistryUnavailableError("x"), DependencyDown("payments-db")])
def test_an_outage_pauses_the_partition_at_every_attempt(cause: Exception, attempt: int) -> None:
    """Outages neither count as attempts nor end in dead letters."""
    greedy = policy(rules=[(Exception, "dead_letter")])
    for error in (cause, handler_error(cause)):
        assert greedy.decide(error, record(), attempt) == Pause(cause)


@pytest.mark.parametrize("cause", [RegistryRefusedError("x"), FencedError("x")])
def test_refusals_and_fences_stop_whatever_the_rules_say(cause: Exception) -> None:
    """A rule for all exceptions does not turn a wrong password into a thousand skipped records."""
    error = handler_error(cause)
    assert policy(rules=[(Exception, "skip")]).decide(error, record(), 1) == Stop(error)


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [("dead_letter", DeadLetter), ("stop", Stop), ("skip", Skip), ("retry", Retry)],
)
def test_a_rule_for_an_exception_class_decides_before_the_table(
    decision: str, outcome: type[Any]
) -> None:
    """The first rule that matches what the handler raised decides; subclasses match too."""
    ruled = policy(rules=[(KeyError, "stop"), (ValueError, decision), (BadOrder, "stop")])
    assert isinstance(ruled.decide(handler_error(BadOrder("x")), record(), 1), outcome)


def test_a_predicate_sees_the_exception_and_the_record() -> None:
    """A rule may look at both."""
    ruled = policy(
        rules=[(lambda error, record: str(error) == "twice" and record.offset == 7, "skip")]
    )
    assert isinstance(ruled.decide(handler_error(BadOrder("twice")), record(), 1), Skip)
    assert isinstance(ruled.decide(handler_error(BadOrder("once")), record(), 1), Retry)


def test_a_predicate_that_raises_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A defect in a rule is logged and leaves the decision to the table."""
    ruled = policy(rules=[(lambda error, record: error.absent, "skip")])
    assert isinstance(ruled.decide(handler_error(BadOrder("x")), record(), 1), Retry)
    assert "predicate" in caplog.text


def test_settings_name_exception_classes_and_decisions() -> None:
    """Dotted names become rules, behind those that are given in code."""
    options = ConsumerOptions(
        failures=FailuresOptions(
            poison="skip",
            handler="dead_letter",
            stop=("MemoryError",),
            skip=("tests.unit.consuming.test_failures.BadOrder",),
        ),
        retry_topics=RetryTopicsOptions(delays_ms=(1000,)),
    )
    ruled = FailurePolicy(rules=[(OverflowError, "skip")]).configured(options, "billing")
    assert isinstance(ruled.decide(DeserializationError("x"), record(), 1), Skip)
    assert isinstance(ruled.decide(handler_error(BadOrder("x")), record(), 1), Skip)
    assert isinstance(ruled.decide(handler_error(MemoryError()), record(), 1), Stop)
    assert isinstance(ruled.decide(handler_error(OverflowError()), record(), 1), Skip)
    assert isinstance(ruled.decide(handler_error(KeyError()), record(), 1), DeadLetter)


@pytest.mark.parametrize("name", ["NoSuchError", "tests.nowhere.BadOrder", "math.pi", "int"])
def test_a_name_that_is_no_exception_class_is_refused_at_start(name: str) -> None:
    """A misspelt name would otherwise decide nothing, unnoticed."""
    options = ConsumerOptions(failures=FailuresOptions(stop=(name,)))
    with pytest.raises(ConfigurationError, match=name):
        FailurePolicy().configured(options, "billing")


def test_a_class_may_be_named_once() -> None:
    """Two decisions for one class are refused where the settings are made."""
    with pytest.raises(ConfigurationError):
        FailuresOptions(stop=("MemoryError",), skip=("MemoryError",))


@pytest.mark.parametrize("rule", [(ValueError, "pause"), (ValueError, "explode"), (int, "skip")])
def test_a_rule_that_makes_no_sense_is_refused(rule: Any) -> None:
    """Decisions and classes are checked when the policy is made."""
    with pytest.raises(ConfigurationError):
        FailurePolicy(rules=[rule])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ConsumerOptions(), False),
        (ConsumerOptions(dead_letter=DeadLetterOptions()), True),
        (ConsumerOptions(dead_letter=DeadLetterOptions(enabled=False)), False),
        (ConsumerOptions(retry_topics=RetryTopicsOptions(delays_ms=(1,))), True),
        (
            ConsumerOptions(
                retry_topics=RetryTopicsOptions(delays_ms=(1,)),
                dead_letter=DeadLetterOptions(enabled=False),
            ),
            False,
        ),
    ],
)
def test_dead_letters_are_on_when_asked_for_or_with_retry_topics(
    options: ConsumerOptions, expected: bool
) -> None:
    """A table [consumer.dead_letter] decides; retry topics bring dead letters along."""
    assert FailurePolicy().configured(options, "billing").dead_letters is expected


def test_jitter_shortens_the_delay() -> None:
    """The share `jitter` of each wait in place is random."""
    retry = InPlaceRetryOptions(retry_count=1, base_delay_ms=100, jitter=0.5)
    error = handler_error(BadOrder("x"))
    outcome = policy(retry=retry, uniform=lambda: 0.5).decide(error, record(), 1)
    assert isinstance(outcome, Retry)
    assert outcome.delay == pytest.approx(0.075)


def test_the_table_may_be_changed_in_code() -> None:
    """A policy uses its own table."""
    table = {**policy().table, Failure.HANDLER: Decision.SKIP}
    assert isinstance(policy(table=table).decide(handler_error(BadOrder("x")), record(), 1), Skip)
