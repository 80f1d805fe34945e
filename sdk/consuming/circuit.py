"""Circuits: pause consumption while a dependency is down.

A handler that raises `DependencyDown` opens the circuit of that dependency. The partitions of the
topic are then paused: none of their records is handled and no attempt is counted. After the delay
one record is tried, as a probe. If it is handled the circuit closes; if it fails in the same way
the next delay is twice as long. A registry that is out of reach opens a circuit for the
one partition whose record needed it, because records of known schemas can still be read.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable

from attrs import Factory, define, field

from sdk.consuming.offsets import Place
from sdk.errors import DependencyDown
from sdk.happenings import CircuitClosed, CircuitOpened, Happening
from sdk.records import ConsumerRecord, TopicPartition
from sdk.retry import LONGEST_RETRY_AFTER, doubled

logger = logging.getLogger(__name__)

REGISTRY = "schema-registry"
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0

_Identity = tuple[str, int, int]


@define
class _Circuit:
    """A dependency that is down.

    Attributes:
        dependency: Its name.
        until: When the next probe may be tried, on the monotonic clock.
        failures: Failed probes, including the failure that opened it.
        topics: Source topics that are paused.
        place: The one partition that is paused, or None.
        probe: The record that is tried first, while it is being handled.
    """

    dependency: str
    until: float
    failures: int = 1
    topics: set[str] = Factory(set)
    place: Place | None = None
    probe: _Identity | None = field(default=None)


class Circuits:
    """The open circuits of one consumer; false if there are none.

    Args:
        notify: Called with `CircuitOpened` and `CircuitClosed`.
        monotonic: Monotonic clock, seconds.
        source: Retry topic → source topic, as `RetryTopics.source`.
    """

    def __init__(
        self,
        notify: Callable[[Happening], None] = lambda _: None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        source: Callable[[str], str] = str,
    ) -> None:
        self._notify = notify
        self._monotonic = monotonic
        self._source = source
        self._lock = threading.Lock()
        self._open: dict[tuple[str, Place | None], _Circuit] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def pause(self, record: ConsumerRecord, error: BaseException) -> None:
        """Open the circuit of a record that cannot be handled now, or keep it open.

        Args:
            record: The record; it is handled again when `wait` allows.
            error: `DependencyDown`, with its ``retry_after``, or `RegistryUnavailableError`, which
                is respected for a minute at most.
        """
        dependency = error.dependency if isinstance(error, DependencyDown) else REGISTRY
        place = None if isinstance(error, DependencyDown) else (record.topic, record.partition)
        with self._lock:
            circuit = self._open.get((dependency, place))
            if circuit is None:
                circuit = self._open[dependency, place] = _Circuit(dependency, 0.0, place=place)
            elif circuit.probe == _identity(record):
                circuit.failures += 1
            else:  # it was under way when the circuit opened
                circuit.topics.add(self._source(record.topic))
                return
            circuit.topics.add(self._source(record.topic))
            circuit.probe = None
            seconds = _wait(circuit.failures, error)
            circuit.until = self._monotonic() + seconds
        logger.warning(
            "%s is down: %s is paused for %.3g s from offset %d: %s",
            dependency,
            record.topic if place is None else f"{record.topic} [{record.partition}]",
            seconds,
            record.offset,
            error,
        )
        self._notify(CircuitOpened(dependency, seconds))

    def wait(self, record: ConsumerRecord) -> float:
        """Return how long a record must wait before it may be handled.

        Returns:
            0 to handle it, as the probe if a circuit is open for it; seconds after which to call
            again; infinity while another record is the probe: call again when `settled` or
            `released` has returned True.
        """
        if not self._open:
            return 0.0
        identity = _identity(record)
        with self._lock:
            covering = [
                circuit
                for circuit in self._open.values()
                if self._covers(circuit, record.topic, record.partition)
            ]
            now = self._monotonic()
            waits = [_before(circuit, identity, now) for circuit in covering]
            if any(waits):
                return max(waits)
            for circuit in covering:
                circuit.probe = identity
            return 0.0

    def settled(self, record: ConsumerRecord) -> bool:
        """Close the circuits of a probe that was handled, or failed for another reason.

        Returns:
            Whether circuits closed, so that waiting records may be handled.
        """
        if not self._open:
            return False
        identity = _identity(record)
        with self._lock:
            closed = [key for key, circuit in self._open.items() if circuit.probe == identity]
            for key in closed:
                del self._open[key]
        for dependency, _ in closed:
            logger.info("%s is back", dependency)
            self._notify(CircuitClosed(dependency))
        return bool(closed)

    def released(self, partitions: Iterable[TopicPartition]) -> bool:
        """Forget revoked partitions, their probes and pauses.

        Returns:
            Whether waiting records may call `wait` again.
        """
        revoked = {(partition.topic, partition.partition) for partition in partitions}
        with self._lock:
            self._open = {
                key: circuit for key, circuit in self._open.items() if circuit.place not in revoked
            }
            freed = [
                c for c in self._open.values() if c.probe is not None and c.probe[:2] in revoked
            ]
            for circuit in freed:
                circuit.probe = None
        return bool(freed)

    def reason(self, topic: str, number: int) -> str | None:
        """Return why a partition is paused, such as ``payments-db is down``; None if it is not."""
        for circuit in list(self._open.values()):
            if self._covers(circuit, topic, number):
                return f"{circuit.dependency} is down"
        return None

    def waits(self, places: Collection[Place]) -> dict[str, float]:
        """Return the dependencies that are down, each with the seconds until the next probe.

        Args:
            places: The assigned partitions; dependencies of others, which nobody probes here, are
                left out.
        """
        now = self._monotonic()
        return {
            circuit.dependency: max(0.0, circuit.until - now)
            for circuit in list(self._open.values())
            if any(self._covers(circuit, *place) for place in places)
        }

    def _covers(self, circuit: _Circuit, topic: str, number: int) -> bool:
        """Whether a partition is paused by a circuit."""
        if circuit.place is not None:
            return circuit.place == (topic, number)
        return self._source(topic) in circuit.topics


def _identity(record: ConsumerRecord) -> _Identity:
    return record.topic, record.partition, record.offset


def _before(circuit: _Circuit, identity: _Identity, now: float) -> float:
    """Return how long a record waits for a circuit."""
    if circuit.probe is not None:
        return 0.0 if circuit.probe == identity else math.inf
    return max(0.0, circuit.until - now)


def _wait(failures: int, error: BaseException) -> float:
    requested = getattr(error, "retry_after", None)
    if requested is not None and requested > 0:  # without a wait, the probes would never rest
        if not isinstance(error, DependencyDown):
            requested = min(requested, LONGEST_RETRY_AFTER)  # a server's clock may be wrong
        return float(requested)
    return doubled(FIRST_WAIT, failures, LONGEST_WAIT)
