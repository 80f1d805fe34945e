"""The way back from a dead-letter topic: find, replay, park, and never twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from sdk.consuming.forwarding import Forwarder
from sdk.consuming.outcome import DeadLetter
from sdk.consuming.retry_topics import RetryTopics, original_timestamp
from sdk.errors import BrokerUnavailableError, MessageTooLargeError, SdkError
from sdk.messaging import Messaging
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.replay import DeadLetters, Selection
from sdk.settings import ConsumerOptions, load_settings
from sdk.testing import InMemoryBroker
from tests.unit.replay.letters import DLT, TOPIC, BadOrder, NoStock, connected, fail


@pytest.fixture
def broker() -> InMemoryBroker:
    """A broker in memory."""
    return InMemoryBroker()


@pytest.fixture
def messaging(broker: InMemoryBroker) -> Iterator[Messaging]:
    """A connection to it."""
    with connected(broker) as messaging:
        yield messaging


@pytest.fixture
def letters(messaging: Messaging) -> DeadLetters:
    """The dead letters of the orders."""
    return messaging.dead_letters(TOPIC)


def keys(letters: DeadLetters, **selection: object) -> list[str | None]:
    """Return the keys of the dead letters that are meant, sorted."""
    return sorted(str(letter.key) for letter in letters.find(Selection(**selection)))  # type: ignore[arg-type]


def test_without_the_topic_there_is_nothing(letters: DeadLetters) -> None:
    """A dead-letter topic that does not exist holds nothing, and is not made."""
    assert list(letters.find()) == []
    assert letters.replay(Selection()).sent == 0


def test_a_letter_says_where_it_comes_from_and_why(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """Origin, group, exception and event are read from the record."""
    (original,) = fail(messaging, broker, "o-1")
    (letter,) = letters.find()
    assert letter.event == "orders.OrderCreated"
    assert letter.reason.topic == TOPIC
    assert (letter.reason.partition, letter.reason.offset) == (original.partition, original.offset)
    assert letter.error == "tests.unit.replay.letters.BadOrder"
    assert letter.reason.message == "no lines"
    assert letters.event(letter).order_id == "o-1"


def test_letters_are_selected(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """By group, exception class, event, key, time and place, alone and together."""
    fail(messaging, broker, "o-1", "o-2", timestamp=1_000)
    fail(messaging, broker, "o-3", error=NoStock("none left"), group="stock", timestamp=2_000)
    assert keys(letters) == ["o-1", "o-2", "o-3"]
    assert keys(letters, group="stock") == ["o-3"]
    assert keys(letters, error="BadOrder") == ["o-1", "o-2"]
    assert keys(letters, error="tests.unit.replay.letters.NoStock") == ["o-3"]
    assert keys(letters, error="Order") == []
    assert keys(letters, event="OrderCreated", key="o-2") == ["o-2"]
    assert keys(letters, event="OrderCancelled") == []
    assert keys(letters, since=2_000) == ["o-3"]
    assert keys(letters, until=2_000) == ["o-1", "o-2"]
    (one,) = letters.find(Selection(key="o-2"))
    assert keys(letters, identities=[one.identity]) == ["o-2"]


def test_a_replay_sends_the_original_back(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """Key, value, partition and headers are the original's; the count of replays is added."""
    (original,) = fail(messaging, broker, "o-1", timestamp=1_000)
    report = letters.replay(Selection())
    assert report.sent == 1
    again = broker.records(TOPIC)[-1]
    assert (again.key, again.value) == (original.key, original.value)
    assert again.partition == original.partition
    added = [header for header in again.headers if header not in original.headers]
    assert [name for name, _ in added] == ["retry_topic-original-timestamp", "sdk_replay-count"]
    assert again.header("sdk_replay-count") == b"1"
    assert original_timestamp(again) == 1_000


def test_what_was_replayed_is_not_replayed_again(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """Replaying is noted per dead letter, whatever the selections were."""
    fail(messaging, broker, "o-1", "o-2", "o-3")
    assert letters.replay(Selection(key="o-2")).sent == 1
    assert keys(letters) == ["o-1", "o-3"]
    assert letters.replay(Selection()).sent == 2
    assert letters.replay(Selection()).sent == 0
    assert keys(letters, settled=True) == ["o-1", "o-2", "o-3"]
    assert len(broker.records(TOPIC)) == 6


def test_a_replay_that_was_interrupted_goes_on(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """Records acknowledged before an outage are not sent again."""
    fail(messaging, broker, *(f"o-{number}" for number in range(5)))
    sender = _Failing(messaging, fail_after=6)
    with pytest.raises(BrokerUnavailableError):
        evolve(letters, send=sender.send).replay(Selection(), rate=1)
    sent = len(broker.records(TOPIC)) - 5
    assert 0 < sent < 5
    letters.replay(Selection())
    assert len(broker.records(TOPIC)) == 10


class _Failing:
    """Sends some records, then fails."""

    def __init__(self, messaging: Messaging, fail_after: int) -> None:
        self._producer = messaging.producer
        self._left = fail_after

    def send(self, record: ProducerRecord) -> object:
        """Send a record or fail."""
        self._left -= 1
        if self._left < 0:
            raise BrokerUnavailableError("gone")
        return self._producer.send(record)


@pytest.mark.parametrize("early", [True, False])
def test_a_letter_that_cannot_be_sent_has_no_other_sent_twice(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters, early: bool
) -> None:
    """What was acknowledged beside it is settled, whether it is refused at once or later."""
    fail(messaging, broker, "o-1", "o-2", "o-3")
    sender = _Refusing(messaging, b"o-2", early=early)
    for _ in range(2):
        with pytest.raises(MessageTooLargeError):
            evolve(letters, send=sender.send).replay(Selection())
    assert keys(letters) == ["o-2"]
    replayed = [record.key for record in broker.records(TOPIC)[3:]]
    assert sorted(replayed, key=str) == [b"o-1", b"o-3"]


class _Refusing:
    """Sends all records but those with a key to their source topic."""

    def __init__(self, messaging: Messaging, key: bytes, *, early: bool) -> None:
        self._messaging = messaging
        self._key = key
        self._early = early

    def send(self, record: ProducerRecord) -> object:
        """Send a record, or fail at once or by its delivery."""
        if record.key == self._key and record.topic == TOPIC:
            if self._early:
                raise MessageTooLargeError("too large")
            self._messaging.broker.fail("deliver", MessageTooLargeError("too large"))  # type: ignore[attr-defined]
        return self._messaging.producer.send(record)


def test_a_ceiling_ends_what_goes_round_in_circles(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """A letter that was replayed often enough is left, and counted."""
    fail(messaging, broker, "o-1")
    for _ in range(2):
        assert letters.replay(Selection(), ceiling=2).sent == 1
        _fail_again(messaging, broker.records(TOPIC)[-1])
    report = letters.replay(Selection(), ceiling=2)
    assert (report.sent, report.exhausted, report.left) == (0, 1, 1)


def _fail_again(messaging: Messaging, record: ConsumerRecord) -> None:
    forwarder = Forwarder(messaging.producer.send, RetryTopics(), "billing")
    forwarder.dead_letter(record, DeadLetter("handler", BadOrder("again"))).result(5)


def test_a_dry_run_sends_nothing(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """A dry run counts by event and exception class, and sends nothing."""
    fail(messaging, broker, "o-1", "o-2")
    fail(messaging, broker, "o-3", error=NoStock("none left"))
    report = letters.plan(Selection())
    assert report.histogram == {
        ("orders.OrderCreated", "tests.unit.replay.letters.BadOrder"): 2,
        ("orders.OrderCreated", "tests.unit.replay.letters.NoStock"): 1,
    }
    assert len(broker.records(TOPIC)) == 3
    assert not broker.records(f"{DLT}-settled")


def test_letters_are_repaired(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """A function gives a new value or a whole record, or leaves the letter where it is."""
    fail(messaging, broker, "o-1", "o-2", "o-3")

    def repair(record: ConsumerRecord) -> ProducerRecord | bytes | None:
        if record.key == b"o-1":
            return b"new"
        if record.key == b"o-2":
            return ProducerRecord("elsewhere", b"whole")
        return None

    report = letters.replay(Selection(), repair=repair)
    assert (report.sent, report.unrepaired) == (2, 1)
    assert broker.records(TOPIC)[-1].value == b"new"
    assert [record.value for record in broker.records("elsewhere")] == [b"whole"]
    assert keys(letters) == ["o-3"]


def test_a_replay_may_go_elsewhere(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """A replay may go to another topic, such as the retry topic of the group that failed."""
    fail(messaging, broker, "o-1")
    letters.replay(Selection(), to="orders-billing-retry")
    assert len(broker.records("orders-billing-retry")) == 1
    assert len(broker.records(TOPIC)) == 1


def test_a_letter_without_a_home_is_left(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """Without a header that names the source topic, only `to` says where it goes."""
    messaging.producer.send(ProducerRecord(DLT, b"?", b"o-1")).result(5)
    assert letters.replay(Selection()).without_source == 1
    assert letters.replay(Selection(), to=TOPIC).sent == 1


def test_the_rate_is_kept(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """At ten a second, twenty-five letters take the waits of three batches."""
    fail(messaging, broker, *(f"o-{number}" for number in range(25)))
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    slow = evolve(letters, monotonic=lambda: now[0], sleep=sleep)
    assert slow.replay(Selection(), rate=10).sent == 25
    assert slept == pytest.approx([0, 1, 1])


def test_parked_letters_are_moved_unchanged(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """Parked letters keep their headers and partition, and are no longer open."""
    fail(messaging, broker, "o-1", "o-2")
    assert letters.park(Selection(key="o-1")).sent == 1
    (parked,) = broker.records(f"{TOPIC}-parked")
    (letter,) = messaging.dead_letters(f"{TOPIC}-parked").find()
    assert letter.reason.message == "no lines"
    assert parked.key == b"o-1"
    assert keys(letters) == ["o-2"]
    assert [str(each.state) for each in letters.find(Selection(settled=True))].count("parked") == 1


def test_letters_that_come_meanwhile_wait_for_the_next_run(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """A replay ends, even if everything fails again at once."""
    fail(messaging, broker, "o-1", "o-2")

    def fail_another(_: int) -> None:
        fail(messaging, broker, "o-3")

    report = letters.replay(Selection(), progress=fail_another)
    assert report.sent == 2
    assert keys(letters) == ["o-3"]


def test_letters_are_found_whatever_the_service_starts_with() -> None:
    """A service whose consumers start at the end of a topic finds its old dead letters."""
    broker = InMemoryBroker()
    settings = evolve(
        load_settings("embedded"), consumer=ConsumerOptions(auto_offset_reset="latest")
    )
    with connected(broker, settings=settings) as messaging:
        fail(messaging, broker, "o-1")
        assert keys(messaging.dead_letters(TOPIC)) == ["o-1"]


def test_poison_is_listed_without_its_event(
    messaging: Messaging, broker: InMemoryBroker, letters: DeadLetters
) -> None:
    """An unreadable dead letter has no event; reading it raises the reason."""
    messaging.producer.send(ProducerRecord(DLT, b"\x07", b"o-1")).result(5)
    (letter,) = letters.find()
    assert letter.event is None
    with pytest.raises(SdkError):
        letters.event(letter)
