"""Order of keys across retry topics, as a model of a consumer with failing handlers."""

from __future__ import annotations

from collections import defaultdict, deque

from hypothesis import given
from hypothesis import strategies as st

from sdk.consuming.forwarding import Forwarder
from sdk.consuming.key_order import KeyOrder
from sdk.consuming.outcome import DONE, Done, Retry
from sdk.consuming.retry_topics import RetryTopics
from sdk.records import ConsumerRecord
from tests.unit.consuming.records import Outbox, consumed, record

TOPICS = RetryTopics([1000, 2000])
FIRST, SECOND = TOPICS.names("orders")


def test_later_records_of_a_key_queue_behind_the_one_in_retry() -> None:
    """Other keys, and records without a key, are handled meanwhile."""
    order = KeyOrder(TOPICS)
    order.in_retry(record(offset=1), FIRST)
    assert order.behind(record(offset=2)) == Retry(0.0, FIRST)
    assert order.behind(record(offset=2, key=b"other")) is None
    assert order.behind(record(offset=2, key=None)) is None
    assert order.behind(record(offset=2, partition=0)) is None


def test_the_key_is_free_again_when_the_record_is_done() -> None:
    """Nothing is kept of keys that have nothing in retry."""
    order = KeyOrder(TOPICS)
    order.in_retry(record(offset=1), FIRST)
    order.done(record(offset=1))
    assert order.behind(record(offset=2)) is None
    assert not order


def test_a_record_read_again_after_its_forward_is_done() -> None:
    """A restart between forward and commit does not forward a record twice."""
    order = KeyOrder(TOPICS)
    order.in_retry(record(offset=1), FIRST)
    assert order.behind(record(offset=1)) is DONE


def test_a_partition_that_is_taken_away_is_forgotten() -> None:
    """A revoked partition is forgotten; its new owner reads the retry topics."""
    order = KeyOrder(TOPICS)
    order.in_retry(record(offset=1), FIRST)
    order.forget([("orders", 2)])
    assert order.behind(record(offset=2)) is None


class Model:
    """A consumer of one partition and its retry topics, in no particular order of topics.

    A retry topic whose head is not due is simply not read from: the choice of the topic that is
    read next is the test's.
    """

    def __init__(self, failures: dict[int, int]) -> None:
        self.failures = failures
        self.logs: dict[str, list[ConsumerRecord]] = {"orders": [], FIRST: [], SECOND: []}
        self.positions = dict.fromkeys(self.logs, 0)
        self.handled: dict[bytes, list[int]] = defaultdict(list)
        self.order = KeyOrder(TOPICS)

    def step(self, topic: str) -> bool:
        """Take one record of a topic to its end."""
        position = self.positions[topic]
        if position >= len(self.logs[topic]):
            return False
        at = self.logs[topic][position]
        held = self.order.behind(at)
        if isinstance(held, Retry):
            self.forward(at, held)
        elif not isinstance(held, Done):
            self.handle(at)
        self.positions[topic] += 1
        return True

    def handle(self, at: ConsumerRecord) -> None:
        """Let the handler succeed, or fail and be retried."""
        assert at.value is not None
        number = int(at.value)
        following = TOPICS.next(at)
        if self.failures.get(number, 0) > 0 and following is not None:
            self.failures[number] -= 1
            topic, delay = following
            self.forward(at, Retry(delay, topic, ValueError("x")))
        else:
            self.order.done(at)
            self.handled[at.key or b""].append(number)

    def forward(self, at: ConsumerRecord, outcome: Retry) -> None:
        """Append a record to a retry topic."""
        outbox = Outbox()
        Forwarder(outbox.send, TOPICS, "billing").retry(at, outcome)
        log = self.logs[outbox.sent[0].topic]
        log.append(consumed(outbox.sent[0], offset=len(log)))
        self.order.in_retry(at, outbox.sent[0].topic)

    def restart(self) -> None:
        """Lose the state, and rebuild it from what stands in the retry topics."""
        self.order = KeyOrder(TOPICS)
        for topic in (FIRST, SECOND):
            for at in self.logs[topic][self.positions[topic] :]:
                self.order.in_retry(at, topic)


@given(
    keys=st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=12),
    failures=st.dictionaries(st.integers(0, 11), st.integers(1, 3)),
    choices=st.lists(st.sampled_from(["orders", FIRST, SECOND, "restart"]), max_size=60),
)
def test_order_holds_however_retries_and_restarts_interleave(
    keys: list[bytes], failures: dict[int, int], choices: list[str]
) -> None:
    """Every record is handled once, in the order of its key, and the queues come to an end."""
    model = Model(failures)
    model.logs["orders"] = [
        record(offset=number, key=key, value=str(number).encode(), headers=())
        for number, key in enumerate(keys)
    ]
    for choice in choices:
        if choice == "restart":
            model.restart()
        else:
            model.step(choice)
    rounds = deque(["orders", FIRST, SECOND] * 300)
    while rounds and any(model.positions[t] < len(model.logs[t]) for t in model.logs):
        model.step(rounds.popleft())
    assert rounds, "the queues do not come to an end"
    assert not model.order
    for key in set(keys):
        assert model.handled[key] == [n for n, known in enumerate(keys) if known == key]
