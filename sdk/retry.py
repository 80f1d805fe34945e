"""Retries what librdkafka does not: requests during outages of the registry, and first connections.

Deciding and doing are separate: a `RetryPolicy` returns a `RetryDecision` for an error, and runs
functions under that policy through tenacity, which only this module imports.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity
from attrs import field, frozen

from sdk.errors import (
    BrokerUnavailableError,
    QueueFullError,
    RegistryUnavailableError,
    SdkError,
)
from sdk.settings import RetryOptions

T = TypeVar("T")

TRANSIENT: tuple[type[SdkError], ...] = (
    RegistryUnavailableError,
    BrokerUnavailableError,
    QueueFullError,
)
"""Errors after which the same call may succeed. A message that failed for good is not among them,
because its first copy may exist."""

LONGEST_RETRY_AFTER = 60.0
"""Longest wait, seconds, that a server may request; for longer ones, the error is raised."""

logger = logging.getLogger(__name__)


def doubled(first: float, failures: int, longest: float) -> float:
    """Return how long to wait after a number of consecutive failures, from 1.

    Args:
        first: The wait after the first failure, in any unit.
        failures: Each doubles the wait; the result is finite for any number.
        longest: The upper bound.
    """
    return float(min(first * 2 ** min(failures - 1, 62), longest))


def backoff(
    options: RetryOptions, attempt: int, uniform: Callable[[], float] | None = None
) -> float:
    """Return how long to wait after a failed attempt.

    Args:
        options: The ``[retry]`` table, or one like it.
        attempt: Number of the attempt that failed; the first is 1.
        uniform: Returns a random number from 0 up to 1, for the share ``jitter`` of the wait that
            is random; None for the whole wait.

    Returns:
        Seconds: ``base_delay_ms``, doubled with each attempt, ``max_delay_ms`` at most.
    """
    delay = doubled(options.base_delay_ms, attempt, options.max_delay_ms) / 1000
    return delay if uniform is None else delay * (1 - options.jitter * uniform())


@frozen
class RetryDecision:
    """The decision after a failed attempt.

    Attributes:
        retry: Whether to try again.
        delay: Seconds to wait before that.
    """

    retry: bool
    delay: float = 0.0


GIVE_UP = RetryDecision(False)


@frozen(kw_only=True)
class RetryPolicy:
    """Decides whether to try again, and how long to wait before that.

    Attributes:
        options: Count, delays and jitter.
        transient: Errors that are worth another attempt.
        sleep: Waits a number of seconds in the calling thread.
        uniform: Returns a random number from 0 up to 1.
    """

    options: RetryOptions
    transient: tuple[type[SdkError], ...] = TRANSIENT
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    uniform: Callable[[], float] = field(default=random.random, repr=False)

    def decide(self, attempt: int, error: BaseException) -> RetryDecision:
        """Return what to do after a failed attempt.

        The wait doubles from ``base_delay_ms`` up to ``max_delay_ms``; of each, the share
        ``jitter`` is random. A longer wait requested by the server (the error's ``retry_after``,
        seconds) is respected, unless it is unreasonably long.

        Args:
            attempt: Number of the attempt that failed; the first is 1.
            error: What it raised.

        Returns:
            Whether to try again, and after how many seconds.
        """
        if attempt > self.options.retry_count or not isinstance(error, self.transient):
            return GIVE_UP
        requested: float = getattr(error, "retry_after", None) or 0.0
        longest = self.options.max_delay_ms / 1000
        if requested > max(longest, LONGEST_RETRY_AFTER):
            return GIVE_UP
        return RetryDecision(True, max(backoff(self.options, attempt, self.uniform), requested))

    def call(self, function: Callable[[], T], *, name: str | None = None) -> T:
        """Run a function until it succeeds or the policy gives up.

        Args:
            function: Takes no arguments; `decide` judges every exception that it raises.
            name: Its name in the log; by default the function's own.

        Returns:
            The result of the function.

        Raises:
            BaseException: The exception of the last attempt, unchanged.
        """
        retrying = tenacity.Retrying(sleep=self.sleep, **self._strategy(name or _name(function)))
        return retrying(function)

    def _strategy(self, name: str) -> dict[str, Any]:
        decisions: list[RetryDecision] = []
        reported: list[str] = []

        def worth_it(state: tenacity.RetryCallState) -> bool:
            error = state.outcome and state.outcome.exception()
            decisions[:] = [self.decide(state.attempt_number, error) if error else GIVE_UP]
            return decisions[0].retry

        def report(state: tenacity.RetryCallState) -> None:
            error = str(state.outcome and state.outcome.exception())
            # One line per outage, and another one when its reason changes.
            logger.log(
                logging.DEBUG if reported == [error] else logging.WARNING,
                "attempt %d of %d of %s failed; the next is in %.3g s: %s",
                state.attempt_number,
                self.options.retry_count + 1,
                name,
                decisions[0].delay,
                error,
            )
            reported[:] = [error]

        return {
            "retry": worth_it,
            "wait": lambda state: decisions[0].delay,
            "before_sleep": report,
            "reraise": True,
        }


def _name(function: Callable[[], Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


@frozen
class RetryPolicyFactory:
    """Makes retry policies.

    Attributes:
        options: The ``[retry]`` table.
    """

    options: RetryOptions

    def create(self, *, transient: tuple[type[SdkError], ...] = TRANSIENT) -> RetryPolicy:
        """Return a policy.

        Args:
            transient: Errors that are worth another attempt.
        """
        return RetryPolicy(options=self.options, transient=transient)
