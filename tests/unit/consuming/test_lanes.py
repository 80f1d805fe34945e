"""Lanes: what is handed out, in which order, and what is not handed out any more."""

from __future__ import annotations

import pytest

from sdk.consuming.lanes import Lanes
from sdk.consuming.partition import Partition
from sdk.records import ConsumerRecord
from sdk.testing import VirtualClock


def records(partition: int, *offsets: int, key: bytes = b"k") -> list[ConsumerRecord]:
    """Return records of one key."""
    return [ConsumerRecord("t", partition, offset, b"v", key) for offset in offsets]


@pytest.fixture
def lanes() -> Lanes:
    """Lanes by key on a clock that stands still."""
    return Lanes("key", VirtualClock())


def test_dropped_partition_is_not_handed_out(lanes: Lanes) -> None:
    """Queued records of a revoked partition are never handled."""
    gone, kept = Partition("t", 0), Partition("t", 1)
    lanes.add([(gone, records(0, 1, 2)), (kept, records(1, 7))])
    lanes.drop([gone])
    lane = lanes.take()
    assert lane is not None
    assert (lane.partition, lane.run) == (kept, records(1, 7))


def test_lane_of_a_dropped_partition_ends_when_it_is_given_back(lanes: Lanes) -> None:
    """Records that are not done when their partition goes are not tried again."""
    gone, kept = Partition("t", 0), Partition("t", 1)
    lanes.add([(gone, records(0, 1, 2))])
    lane = lanes.take()
    assert lane is not None
    lanes.drop([gone])
    lanes.give_back(lane, records(0, 2))
    lanes.add([(kept, records(1, 7))])
    following = lanes.take()
    assert following is not None
    assert following.partition is kept


def test_what_is_not_done_comes_before_what_came_meanwhile(lanes: Lanes) -> None:
    """The order of a key survives a retry: the record that failed goes first."""
    partition = Partition("t", 0)
    lanes.add([(partition, records(0, 1, 2))])
    lane = lanes.take()
    assert lane is not None
    lanes.add([(partition, records(0, 3))])
    lanes.give_back(lane, records(0, 2))
    again = lanes.take()
    assert again is lane
    assert lane.run == records(0, 2, 3)


@pytest.mark.parametrize("ordering", ["key", "partition", "none"])
def test_nothing_to_handle_makes_no_lane(ordering: str) -> None:
    """A poll may bring a partition only retries of other groups; halting it then is no defect."""
    lanes = Lanes(ordering, VirtualClock())
    empty, other = Partition("t", 0), Partition("t", 1)
    lanes.add([(empty, []), (other, records(1, 7))])
    lanes.halt([empty])
    lane = lanes.take()
    assert lane is not None
    assert lane.run == records(1, 7)


def test_paused_partition_waits_for_its_resumption(lanes: Lanes) -> None:
    """Queued records of a paused partition are set aside, and handled after `resume`."""
    paused, other = Partition("t", 0), Partition("t", 1)
    lanes.add([(paused, records(0, 1)), (other, records(1, 7))])
    lanes.pause(paused)
    first = lanes.take()
    assert first is not None
    assert first.partition is other
    lanes.give_back(first)
    lanes.resume(paused)
    second = lanes.take()
    assert second is not None
    assert second.run == records(0, 1)


def test_parked_lane_goes_on_when_it_is_due() -> None:
    """A lane that was given back until later is handed out then, not before others."""
    clock = VirtualClock()
    lanes = Lanes("key", clock)
    partition = Partition("t", 0)
    lanes.add([(partition, records(0, 1))])
    lane = lanes.take()
    assert lane is not None
    lanes.give_back(lane, records(0, 1), due=5)
    lanes.add([(partition, records(0, 9, key=b"other"))])
    other = lanes.take()
    assert other is not None
    assert other.run == records(0, 9, key=b"other")
    clock.advance(5)
    assert lanes.take() is lane
