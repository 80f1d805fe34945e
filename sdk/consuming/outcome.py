"""The outcomes of a record: decided by the failure policy, carried out by the consumer.

A record is done when its handler returned, when its forward was acknowledged, or when a rule
skipped it; only then may its offset be committed.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Done:
    """The handler returned, or there was nothing to do."""


@frozen
class Retry:
    """The record is handled again after a while.

    Attributes:
        delay: Seconds to wait before that.
        topic: Retry topic that the record is forwarded to; None retries in place.
        error: Why; None if the record has not failed itself but follows an earlier one of its key
            into the retry topic.
    """

    delay: float
    topic: str | None = None
    error: BaseException | None = None


@frozen
class Pause:
    """A dependency is down: partitions are paused, and no attempt is counted.

    `sdk.consuming.circuit.Circuits` decides which partitions are paused, for how long, and which
    record is tried first.

    Attributes:
        error: `DependencyDown` or `RegistryUnavailableError`.
    """

    error: BaseException


@frozen
class DeadLetter:
    """The record is forwarded to the dead-letter topic.

    Attributes:
        reason: Class of the failure, such as ``poison``.
        error: The exception, or None if nothing was raised.
    """

    reason: str
    error: BaseException | None = None


@frozen
class Skip:
    """The record counts as done without being handled.

    Attributes:
        reason: Why, such as ``no handler``.
    """

    reason: str


@frozen
class Stop:
    """The consumer stops; the record and those after it are not committed.

    Attributes:
        error: The exception of `Consumer.run`.
    """

    error: BaseException


Outcome = Done | Retry | Pause | DeadLetter | Skip | Stop
DONE = Done()
