"""Offsets: records are committed without gaps, whatever the order of completion."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sdk.consuming.offsets import Committer, Watermark
from sdk.errors import AuthorizationError, BrokerError, BrokerUnavailableError, SdkError
from sdk.happenings import CommitFailed, Happening, OffsetsCommitted
from sdk.observers import Observers
from sdk.records import ConsumerRecord, TopicPartition
from sdk.testing.clock import VirtualClock

PLACE = ("orders", 0)


def records(*offsets: int) -> list[ConsumerRecord]:
    """Return records with these offsets and a value of 10 bytes."""
    return [ConsumerRecord("orders", 0, offset, b"0123456789") for offset in offsets]


class Broker:
    """Accepts commits and answers on demand."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.sync: list[int] = []
        self.error: SdkError | None = None

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Note what is sent."""
        if self.error is not None:
            raise self.error
        self.sent += [each.offset or 0 for each in offsets]

    def commit_sync(self, offsets: Sequence[TopicPartition], timeout: float) -> None:
        """Note what is sent."""
        if self.error is not None:
            raise self.error
        self.sync += [each.offset or 0 for each in offsets]


class Desk:
    """A committer with its surroundings.

    Attributes:
        seen: What observers were called with.
    """

    def __init__(self) -> None:
        self.broker = Broker()
        self.clock = VirtualClock()
        self.seen: list[Happening] = []
        self.watermark = Watermark()
        self.committer = Committer(
            self.broker,  # type: ignore[arg-type]
            {PLACE: self},
            group="billing",
            clock=self.clock,
            observers=Observers([self.seen.append]),
            interval=1.0,
        )

    def tick(self) -> None:
        """Let the committer look whether it is time."""
        self.committer.tick()

    def answer(self, offset: int, error: SdkError | None = None) -> None:
        """Answer a commit."""
        answered = TopicPartition(topic="orders", partition=0, offset=offset)
        self.committer.answered([answered], error)


def test_nothing_is_committable_before_anything_is_done() -> None:
    """Taking records commits nothing, not even where they begin."""
    watermark = Watermark()
    assert watermark.committable is None
    watermark.add(records(5, 6))
    assert (watermark.committable, watermark.offset, watermark.count) == (None, 5, 2)


def test_a_record_that_is_not_done_holds_what_follows() -> None:
    """The watermark stands at the first record that is not done, and passes gaps of the log."""
    watermark = Watermark()
    watermark.add(records(5, 6, 9))
    watermark.done(9)
    watermark.done(5)
    assert watermark.committable == 6
    watermark.done(6)
    assert watermark.committable == 10


def test_size_is_exact_near_the_limit_and_never_too_small() -> None:
    """Below the limit a rough size will do; from there on it is the sum of the values."""
    watermark = Watermark()
    watermark.add([*records(0), ConsumerRecord("orders", 0, 1, b"x" * 100)])
    assert watermark.size(1000) >= 110
    assert watermark.size(100) == 110
    watermark.done(1)
    assert watermark.size(10) == 10


class Completion(RuleBasedStateMachine):
    """Records are taken in order, with gaps, and are done in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.watermark = Watermark()
        self.next = 0
        self.open: set[int] = set()
        self.taken: list[int] = []

    @rule(steps=st.lists(st.integers(1, 4), min_size=1, max_size=6))
    def take(self, steps: list[int]) -> None:
        """Take records; a step above 1 is a gap that compaction left."""
        offsets = []
        for step in steps:
            self.next += step
            offsets.append(self.next)
        self.watermark.add(records(*offsets))
        self.open |= set(offsets)
        self.taken += offsets

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Finish any record that was taken."""
        offset = data.draw(st.sampled_from(sorted(self.open)))
        self.watermark.done(offset)
        self.open.discard(offset)

    @invariant()
    def nothing_undone_is_committed_and_nothing_done_is_kept_back(self) -> None:
        """The watermark is the first undone offset, else the one after the last taken."""
        assert self.watermark.count == len(self.open)
        if not self.taken:
            assert self.watermark.offset is None
        elif self.open:
            assert self.watermark.offset == min(self.open)
        else:
            assert self.watermark.offset == self.taken[-1] + 1

    @invariant()
    def the_highest_done_offset_is_known(self) -> None:
        """Offsets that were passed over do not count as done."""
        done = set(self.taken) - self.open
        before_all = self.taken[0] - 1 if self.taken else -1
        assert self.watermark.reached == max(done, default=before_all)


TestCompletion = Completion.TestCase


def test_commits_follow_the_interval_while_there_is_work() -> None:
    """A busy consumer commits once an interval; an idle one soon after it is done."""
    desk = Desk()
    desk.watermark.add(records(0, 1, 2))
    desk.watermark.done(0)
    desk.tick()
    desk.answer(1)
    desk.watermark.done(1)
    desk.tick()
    assert desk.broker.sent == [1]
    desk.clock.advance(0.2)
    desk.tick()
    assert desk.broker.sent == [1]
    desk.watermark.done(2)
    desk.tick()
    assert desk.broker.sent == [1, 3]


def test_commits_do_not_queue_up_behind_one_without_an_answer() -> None:
    """While an answer is outstanding, as behind a pending join, no further commit is sent."""
    desk = Desk()
    desk.watermark.add(records(0, 1))
    desk.watermark.done(0)
    desk.tick()
    desk.watermark.done(1)
    desk.clock.advance(5)
    desk.tick()
    assert desk.broker.sent == [1]
    desk.answer(1)
    desk.tick()
    assert desk.broker.sent == [1, 2]


def test_an_answer_that_never_comes_does_not_end_committing() -> None:
    """After a minute without an answer the next commit is sent all the same."""
    desk = Desk()
    desk.watermark.add(records(0, 1))
    desk.watermark.done(0)
    desk.tick()
    desk.watermark.done(1)
    desk.clock.advance(61)
    desk.tick()
    assert desk.broker.sent == [1, 2]


def test_what_is_committed_is_not_committed_again() -> None:
    """Without progress there is nothing to send."""
    desk = Desk()
    desk.watermark.add(records(0))
    desk.watermark.done(0)
    desk.tick()
    desk.answer(1)
    desk.clock.advance(5)
    desk.tick()
    assert desk.broker.sent == [1]
    assert [type(each) for each in desk.seen] == [OffsetsCommitted]


def test_refused_commit_is_sent_again_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Offsets of a commit that failed stay done; the log says so once until it works again."""
    desk = Desk()
    desk.watermark.add(records(0))
    desk.watermark.done(0)
    for _ in range(3):
        desk.tick()
        desk.answer(1, BrokerError("rebalance in progress"))
        desk.clock.advance(2)
    assert desk.broker.sent == [1, 1, 1]
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1
    assert [type(each) for each in desk.seen] == [CommitFailed] * 3


def test_commit_that_the_client_cannot_send_is_tried_again() -> None:
    """An outage at sending is as good as a refused commit."""
    desk = Desk()
    desk.watermark.add(records(0))
    desk.watermark.done(0)
    desk.broker.error = BrokerUnavailableError("down")
    desk.tick()
    desk.broker.error = None
    desk.clock.advance(2)
    desk.tick()
    assert desk.broker.sent == [1]


def test_denied_commit_is_raised() -> None:
    """A refusal that no repetition will change ends the consumer."""
    desk = Desk()
    desk.watermark.add(records(0))
    desk.watermark.done(0)
    desk.tick()
    desk.answer(1, AuthorizationError("group"))
    with pytest.raises(AuthorizationError):
        desk.tick()


def test_last_commit_waits_and_repeats_what_is_unanswered() -> None:
    """Giving partitions up commits synchronously, also what was sent and not answered."""
    desk = Desk()
    desk.watermark.add(records(0, 1))
    desk.watermark.done(0)
    desk.tick()
    desk.committer.flush([PLACE], 1.0)
    assert desk.broker.sync == [1]


def test_last_commit_of_what_is_committed_sends_nothing() -> None:
    """If every commit was answered there is nothing to wait for."""
    desk = Desk()
    desk.watermark.add(records(0))
    desk.watermark.done(0)
    desk.tick()
    desk.answer(1)
    desk.committer.flush([PLACE], 1.0)
    assert desk.broker.sync == []


def test_last_commit_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A partition is given up all the same, and the log says what that means."""
    desk = Desk()
    desk.watermark.add(records(0))
    desk.watermark.done(0)
    desk.broker.error = BrokerUnavailableError("no answer")
    desk.committer.flush([PLACE], 1.0)
    assert "orders [0]" in caplog.text
    assert "handled again" in caplog.text
