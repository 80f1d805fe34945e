"""Retry: the decision, and running functions under it."""

from __future__ import annotations

import pytest

from sdk.errors import (
    AuthenticationError,
    BrokerUnavailableError,
    DeliveryTimeoutError,
    QueueFullError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SdkError,
)
from sdk.retry import RetryDecision, RetryPolicy, RetryPolicyFactory, doubled
from sdk.settings import RetryOptions

OUTAGE = RegistryUnavailableError("the registry is down")
STEADY = RetryOptions(retry_count=3, base_delay_ms=100, max_delay_ms=1_000, jitter=0)


class Sleeper:
    """Records what it is asked to sleep, and does not."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Sleep in a thread."""
        self.slept.append(seconds)


class Flaky:
    """Fails with each of these errors in turn, then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        """Fail or succeed."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def policy(sleeper: Sleeper, options: RetryOptions = STEADY) -> RetryPolicy:
    """Make a policy that does not really sleep."""
    return RetryPolicy(options=options, sleep=sleeper.sleep)


def test_success_after_failures() -> None:
    """A call that fails for a while succeeds in the end, with doubled waits between."""
    sleeper, flaky = Sleeper(), Flaky(OUTAGE, OUTAGE, OUTAGE)
    assert policy(sleeper).call(flaky) == "done"
    assert flaky.calls == 4
    assert sleeper.slept == [0.1, 0.2, 0.4]


def test_success_at_once() -> None:
    """A call that succeeds is made once."""
    sleeper, flaky = Sleeper(), Flaky()
    assert policy(sleeper).call(flaky) == "done"
    assert (flaky.calls, sleeper.slept) == (1, [])


def test_giving_up() -> None:
    """After retry_count further attempts the last error is raised, as it was."""
    last = RegistryUnavailableError("the fourth")
    sleeper, flaky = Sleeper(), Flaky(OUTAGE, OUTAGE, OUTAGE, last)
    with pytest.raises(RegistryUnavailableError) as caught:
        policy(sleeper).call(flaky)
    assert caught.value is last
    assert (flaky.calls, len(sleeper.slept)) == (4, 3)


@pytest.mark.parametrize(
    "error",
    [
        SchemaNotFoundError("x"),
        RegistryRefusedError("x"),
        AuthenticationError("x"),
        DeliveryTimeoutError("a copy may exist"),
        ValueError("a bug"),
        KeyboardInterrupt(),
    ],
)
def test_errors_that_stay(error: BaseException) -> None:
    """An error that another attempt cannot mend is raised at once."""
    sleeper, flaky = Sleeper(), Flaky(error)
    with pytest.raises(type(error)) as caught:
        policy(sleeper).call(flaky)
    assert caught.value is error
    assert (flaky.calls, sleeper.slept) == (1, [])


@pytest.mark.parametrize(
    "error",
    [OUTAGE, BrokerUnavailableError("x"), QueueFullError("x")],
    ids=lambda e: type(e).__name__,
)
def test_errors_that_pass(error: SdkError) -> None:
    """Registry outage, unreachable broker and full queue are worth another attempt."""
    assert policy(Sleeper()).decide(1, error) == RetryDecision(True, 0.1)


def test_no_retries() -> None:
    """With retry_count 0 there is one attempt."""
    flaky = Flaky(OUTAGE)
    with pytest.raises(RegistryUnavailableError):
        policy(Sleeper(), RetryOptions(retry_count=0)).call(flaky)
    assert flaky.calls == 1


@pytest.mark.parametrize(("failures", "wait"), [(1, 0.5), (2, 1.0), (3, 2.0), (100_000, 30.0)])
def test_waits_double(failures: int, wait: float) -> None:
    """A wait doubles with each failure up to its limit, after an outage of days as well."""
    assert doubled(0.5, failures, 30.0) == wait


@pytest.mark.parametrize(
    ("attempt", "delay"), [(1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (1000, 1.0)]
)
def test_delay_is_capped(attempt: int, delay: float) -> None:
    """Waits double up to max_delay_ms, however many there are."""
    options = RetryOptions(retry_count=1000, base_delay_ms=100, max_delay_ms=1_000, jitter=0)
    assert RetryPolicy(options=options).decide(attempt, OUTAGE).delay == pytest.approx(delay)


@pytest.mark.parametrize(
    ("jitter", "drawn", "delay"),
    [(0.5, 0.0, 0.1), (0.5, 1.0, 0.05), (1.0, 0.9, 0.01), (0, 0.9, 0.1)],
)
def test_jitter(jitter: float, drawn: float, delay: float) -> None:
    """Jitter is the share of each wait that chance may take away."""
    options = RetryOptions(base_delay_ms=100, jitter=jitter)
    decision = RetryPolicy(options=options, uniform=lambda: drawn).decide(1, OUTAGE)
    assert decision.delay == pytest.approx(delay)


def test_retry_after_is_kept() -> None:
    """A longer wait that the registry asks for is kept, even beyond the cap."""
    asked = RegistryUnavailableError("429", retry_after=30.0)
    assert policy(Sleeper()).decide(1, asked) == RetryDecision(True, 30.0)


def test_retry_after_does_not_shorten() -> None:
    """A shorter wait than ours does not hurry us."""
    asked = RegistryUnavailableError("429", retry_after=0.01)
    assert policy(Sleeper()).decide(1, asked) == RetryDecision(True, 0.1)


def test_unreasonable_retry_after() -> None:
    """Asked to wait an hour, the policy gives up: the error is the better answer."""
    asked = RegistryUnavailableError("429", retry_after=3600.0)
    assert policy(Sleeper()).decide(1, asked) == RetryDecision(False)


def test_each_retry_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each retry is a warning on sdk.retry that says what failed, and how it goes on."""
    policy(Sleeper()).call(Flaky(OUTAGE))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("sdk.retry", "WARNING")
    assert record.getMessage().startswith("attempt 1 of 4 of ")
    assert record.getMessage().endswith("failed; the next is in 0.1 s: the registry is down")


def test_an_outage_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Repeated failures are warned of again only if the reason changes."""
    caplog.set_level("DEBUG", "sdk.retry")
    other = RegistryUnavailableError("the registry answers 503")
    policy(Sleeper()).call(Flaky(OUTAGE, OUTAGE, other))
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "WARNING"]


def test_name_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The log calls a function by its own name, or by the one that the caller gives."""
    policy(Sleeper()).call(Flaky(OUTAGE), name="looking up a")
    policy(Sleeper()).call(Flaky(OUTAGE).__call__)
    names = ["looking up a", "Flaky.__call__"]
    assert [
        record.getMessage().split(" of ")[2].split(" failed")[0] for record in caplog.records
    ] == names


def test_factory() -> None:
    """The factory makes policies from the settings, for other errors too."""
    factory = RetryPolicyFactory(STEADY)
    assert factory.create().decide(1, OUTAGE).retry
    narrow = factory.create(transient=(BrokerUnavailableError,))
    assert not narrow.decide(1, OUTAGE).retry
    assert narrow.decide(1, BrokerUnavailableError("x")).retry
