"""Circuits: partitions are paused while a dependency is down, and one probe goes first."""

from __future__ import annotations

import math

import pytest
from attrs import define

from sdk.consuming.circuit import FIRST_WAIT, LONGEST_WAIT, Circuits
from sdk.consuming.retry_topics import RetryTopics
from sdk.errors import DependencyDown, RegistryUnavailableError
from sdk.happenings import CircuitClosed, CircuitOpened, Happening
from sdk.records import TopicPartition
from sdk.retry import LONGEST_RETRY_AFTER
from tests.unit.consuming.records import record

DOWN = DependencyDown("payments-db")


@define
class Time:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def time() -> Time:
    """A clock of the test's own."""
    return Time()


@pytest.fixture
def seen() -> list[Happening]:
    """The happenings of the circuits."""
    return []


@pytest.fixture
def circuits(time: Time, seen: list[Happening]) -> Circuits:
    """Circuits that know the retry topics of ``orders``."""
    source = RetryTopics([1000, 2000]).source
    return Circuits(seen.append, monotonic=time, source=source)


def test_nothing_is_paused_while_nothing_is_down(circuits: Circuits) -> None:
    """Without an open circuit every record goes on."""
    assert not circuits
    assert circuits.wait(record()) == 0


def test_all_partitions_of_the_topic_are_paused(circuits: Circuits) -> None:
    """Records of the topic and of its retry topics wait; those of other topics do not."""
    circuits.pause(record(), DOWN)
    assert circuits
    assert circuits.wait(record(partition=1, offset=1)) == FIRST_WAIT
    assert circuits.wait(record(topic="orders-retry-1000")) == FIRST_WAIT
    assert circuits.wait(record(topic="payments")) == 0


def test_one_probe_goes_first(circuits: Circuits, time: Time) -> None:
    """After the wait, the first record that asks is the probe, and the others keep waiting."""
    circuits.pause(record(), DOWN)
    time.now += FIRST_WAIT
    assert circuits.wait(record(offset=8)) == 0
    assert circuits.wait(record(offset=8)) == 0
    assert circuits.wait(record(offset=9)) == math.inf


def test_a_handled_probe_closes_the_circuit(
    circuits: Circuits, time: Time, seen: list[Happening]
) -> None:
    """When the probe is handled, everything continues, and both changes have been reported."""
    circuits.pause(record(), DOWN)
    time.now += FIRST_WAIT
    circuits.wait(record())
    assert circuits.settled(record())
    assert not circuits
    assert circuits.wait(record(offset=9)) == 0
    assert seen == [CircuitOpened("payments-db", FIRST_WAIT), CircuitClosed("payments-db")]


def test_a_failed_probe_waits_twice_as_long_up_to_a_limit(circuits: Circuits, time: Time) -> None:
    """Each failed probe doubles the wait."""
    waits = []
    circuits.pause(record(), DOWN)
    for _ in range(9):
        waits.append(circuits.wait(record()))
        time.now += waits[-1]
        assert circuits.wait(record()) == 0
        circuits.pause(record(), DOWN)
    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT


def test_the_handler_may_say_how_long(circuits: Circuits) -> None:
    """`retry_after` is respected exactly."""
    circuits.pause(record(), DependencyDown("payments-db", retry_after=7))
    assert circuits.wait(record()) == 7


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_a_probe_always_waits(circuits: Circuits, seconds: float) -> None:
    """Without a wait, the handler would be called again and again, which nobody counts."""
    circuits.pause(record(), DependencyDown("payments-db", retry_after=seconds))
    assert circuits.wait(record()) == FIRST_WAIT


def test_records_that_were_under_way_do_not_prolong_the_wait(
    circuits: Circuits, time: Time, seen: list[Happening]
) -> None:
    """Sixty-four lanes that fail at once open one circuit, once."""
    circuits.pause(record(), DOWN)
    time.now += 0.1
    for offset in range(64):
        circuits.pause(record(offset=100 + offset), DOWN)
    assert circuits.wait(record()) == pytest.approx(FIRST_WAIT - 0.1)
    assert len(seen) == 1


def test_another_records_success_does_not_close_the_circuit(circuits: Circuits) -> None:
    """Only the probe proves that the dependency is back."""
    circuits.pause(record(), DOWN)
    assert not circuits.settled(record(offset=99))
    assert circuits


def test_each_dependency_has_its_own_circuit(circuits: Circuits, time: Time) -> None:
    """A record that two circuits hold back waits for the longer one."""
    circuits.pause(record(), DOWN)
    circuits.pause(record(offset=8), DependencyDown("mail", retry_after=9))
    assert circuits.wait(record()) == 9
    time.now += FIRST_WAIT
    assert circuits.wait(record()) == 9 - FIRST_WAIT


def test_a_second_topic_joins_the_circuit(circuits: Circuits) -> None:
    """A dependency that two topics need pauses both."""
    circuits.pause(record(), DOWN)
    circuits.pause(record(topic="refunds"), DOWN)
    assert circuits.wait(record(topic="refunds", offset=50)) == FIRST_WAIT


def test_without_the_registry_one_partition_is_paused(circuits: Circuits) -> None:
    """Other partitions go on, because their schemas may be known."""
    circuits.pause(record(), RegistryUnavailableError("down"))
    assert circuits.wait(record(offset=8)) == FIRST_WAIT
    assert circuits.wait(record(partition=1)) == 0


def test_a_probe_that_is_taken_away_makes_room_for_another(circuits: Circuits, time: Time) -> None:
    """When the probe's partition is revoked, another record may go first."""
    circuits.pause(record(), DOWN)
    time.now += FIRST_WAIT
    assert circuits.wait(record()) == 0
    assert circuits.wait(record(partition=1)) == math.inf
    assert circuits.released([TopicPartition(topic="orders", partition=2)])
    assert circuits.wait(record(partition=1)) == 0


def test_a_revoked_partition_is_no_longer_paused(circuits: Circuits) -> None:
    """Its new owner finds out for itself; should it come back, it is tried at once."""
    circuits.pause(record(), RegistryUnavailableError("down"))
    circuits.released([TopicPartition(topic="orders", partition=2)])
    assert not circuits


def test_registry_cannot_ask_for_a_wait_of_years(circuits: Circuits) -> None:
    """A far-off Retry-After, such as that of a clock that is wrong, is shortened to a minute."""
    for partition, seconds in enumerate((86_400.0 * 365, math.inf)):
        error = RegistryUnavailableError("down", retry_after=seconds)
        circuits.pause(record(partition=partition), error)
        assert circuits.wait(record(partition=partition)) == LONGEST_RETRY_AFTER


def test_dependency_of_revoked_partitions_is_not_reported(circuits: Circuits, time: Time) -> None:
    """Whoever has lost the partitions no longer says that their dependency is down."""
    circuits.pause(record(), DOWN)
    time.now += 0.1
    waits = circuits.waits([("orders", 1), ("payments", 0)])
    assert waits == {"payments-db": pytest.approx(FIRST_WAIT - 0.1)}
    assert circuits.waits([("payments", 0)]) == {}
