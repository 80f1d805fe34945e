"""The records of a dead-letter topic, and replaying them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import Factory, define, frozen

from sdk.abstractions import BrokerAdmin, MessageSerializer
from sdk.cloud_events import TYPE
from sdk.consuming.dead_letters import original_headers, reason_of, replays_of
from sdk.consuming.forwarding import Send
from sdk.consuming.headers import ORIGINAL_TIMESTAMP, REPLAY_COUNT, big_integer
from sdk.consuming.retry_topics import original_timestamp
from sdk.errors import ConfigurationError, SdkError
from sdk.events import Catalog
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.replay.ledger import PARKED, REPLAYED, Ledger
from sdk.replay.letters import Letter, Selection
from sdk.replay.reading import TopicReader
from sdk.topics import DEAD_LETTER_SUFFIX, PARKED_SUFFIX, TopicDefinition

CEILING = 3
"""Default limit of replays of a record."""

_BATCH = 100

Repair = Callable[[ConsumerRecord], ProducerRecord | bytes | None]
"""Repairs a dead letter: returns a new value, a whole record, or None to leave it."""


@define
class Report:
    """The result of a replay, a dry run or parking.

    Attributes:
        sent: How many dead letters were sent, or would be.
        exhausted: How many were left because they have reached the limit of replays.
        without_source: How many were left because their headers name no source topic.
        unrepaired: How many the repairing function left.
        histogram: (event, exception class) → how many were sent, or would be.
    """

    sent: int = 0
    exhausted: int = 0
    without_source: int = 0
    unrepaired: int = 0
    histogram: Counter[tuple[str, str]] = Factory(Counter)

    @property
    def left(self) -> int:
        """How many were selected and not sent."""
        return self.exhausted + self.without_source + self.unrepaired


@frozen(kw_only=True)
class DeadLetters:
    """The dead letters of one topic.

    Attributes:
        topic: The dead-letter topic.
        reader: Reads topics.
        send: Sends a record, unchanged.
        admin: Describes and creates topics.
        serializer: Opens record values.
        catalog: The events that this service knows.
        monotonic: Monotonic clock, seconds, for the rate.
        sleep: Waits a number of seconds.
    """

    topic: str
    reader: TopicReader
    send: Send
    admin: BrokerAdmin
    serializer: MessageSerializer
    catalog: Catalog
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @property
    def parked_topic(self) -> str:
        """The topic to which `park` moves dead letters."""
        return f"{self.topic.removesuffix(DEAD_LETTER_SUFFIX)}{PARKED_SUFFIX}"

    def find(self, selection: Selection = Selection()) -> Iterator[Letter]:  # noqa: B008
        """Yield the selected dead letters, in the order of each partition.

        Raises:
            BrokerError: Kafka gave no usable answer.
        """
        if not self.admin.describe([self.topic]):
            return
        states = self._ledger().read()
        for record in self.reader.read(self.topic):
            letter = Letter(
                record=record,
                reason=reason_of(record),
                event=self._event_name(record),
                state=states.get(f"{record.partition}:{record.offset}"),
            )
            if selection.matches(letter):
                yield letter

    def event(self, letter: Letter) -> Any:
        """Return the event that a dead letter carries, as this service's newest version.

        Raises:
            SdkError: It is poison, a tombstone, or an event that the catalog does not have.
        """
        if letter.event is None:
            raise ConfigurationError("the record does not name its event")
        event_class = self.catalog.find(letter.event)
        return self.serializer.open(letter.record).read(event_class)

    def plan(
        self, selection: Selection, *, to: str | None = None, ceiling: int = CEILING
    ) -> Report:
        """Return what `replay` would do without repairing, and send nothing."""
        report = Report()
        for letter in self.find(selection):
            if _is_replayable(letter, to, ceiling, report):
                _count(letter, report)
        return report

    def replay(
        self,
        selection: Selection,
        *,
        to: str | None = None,
        rate: float | None = None,
        ceiling: int = CEILING,
        repair: Repair | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Report:
        """Send dead letters to their source topics, unchanged.

        Each has the header ``sdk_replay-count``, and the failure headers are removed. The ledger
        records what was replayed, so that an interrupted replay can be run again: at most the
        records of its last batch are sent twice.

        Args:
            selection: Which dead letters.
            to: Topic to send them to, instead of the source topic of each.
            rate: Records a second at most.
            ceiling: Dead letters that have been replayed this often are left.
            repair: Called with each record; returns a new value, or the record to send instead.
            progress: Called with the number of dead letters that were just sent.

        Raises:
            BrokerError: Kafka gave no usable answer; run it again to continue.
            DeliveryError: As `BrokerError`.
        """

        def forward(letter: Letter, report: Report) -> ProducerRecord | None:
            if not _is_replayable(letter, to, ceiling, report):
                return None
            sent = _replayed(letter, to)
            if repair is None:
                return sent
            repaired = repair(letter.record)
            if repaired is None:
                report.unrepaired += 1
                return None
            if isinstance(repaired, bytes):
                return sent._replace(value=repaired)
            return repaired

        return self._move(selection, forward, REPLAYED, rate, progress)

    def park(
        self,
        selection: Selection,
        *,
        rate: float | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Report:
        """Move dead letters, unchanged, to the parked topic, which is never replayed.

        Args:
            selection: Which dead letters.
            rate: Records a second at most.
            progress: Called with the number of dead letters that were just moved.

        Raises:
            BrokerError: Kafka gave no usable answer; run it again to continue.
            DeliveryError: As `BrokerError`.
        """
        self._make_parked_topic()

        def forward(letter: Letter, report: Report) -> ProducerRecord | None:
            record = letter.record
            return ProducerRecord(
                self.parked_topic,
                record.value,
                record.key,
                record.headers,
                record.partition,
                record.timestamp,
            )

        return self._move(selection, forward, PARKED, rate, progress)

    def _move(
        self,
        selection: Selection,
        forward: Callable[[Letter, Report], ProducerRecord | None],
        state: str,
        rate: float | None,
        progress: Callable[[int], None],
    ) -> Report:
        report = Report()
        ledger = self._ledger()
        # All are read first, so that records that fail again are not replayed twice in one run.
        letters = list(self.find(selection))
        ledger.open()
        pending = (
            (letter, sent) for letter in letters if (sent := forward(letter, report)) is not None
        )
        started, count = self.monotonic(), 0
        for batch in _batches(pending, _BATCH if rate is None else max(1, min(_BATCH, int(rate)))):
            if rate is not None:
                self.sleep(max(0.0, started + count / rate - self.monotonic()))
            sent_letters, failure = self._send(batch)
            ledger.settle((letter.identity for letter in sent_letters), state)
            if failure is not None:
                raise failure
            for letter in sent_letters:
                _count(letter, report)
            count += len(batch)
            progress(len(batch))
        return report

    def _send(
        self, batch: Sequence[tuple[Letter, ProducerRecord]]
    ) -> tuple[list[Letter], SdkError | None]:
        """Send dead letters; return those that were acknowledged, and the first failure."""
        deliveries, acknowledged = [], []
        failure: SdkError | None = None
        for letter, sent in batch:
            try:
                deliveries.append((letter, self.send(sent)))
            except SdkError as error:
                failure = failure or error
        for letter, delivery in deliveries:
            try:
                delivery.result()
                acknowledged.append(letter)
            except SdkError as error:
                failure = failure or error
        return acknowledged, failure

    def _ledger(self) -> Ledger:
        return Ledger(self.topic, self.reader, self.send, self.admin)

    def _make_parked_topic(self) -> None:
        found = self.admin.describe([self.topic, self.parked_topic])
        if self.topic in found and self.parked_topic not in found:
            own = found[self.topic]
            self.admin.create(
                [
                    TopicDefinition(
                        name=self.parked_topic,
                        partitions=own.partitions,
                        replication=own.replication,
                        config={"retention.ms": "-1"},
                    )
                ]
            )

    def _event_name(self, record: ConsumerRecord) -> str | None:
        named = record.header(TYPE)
        if named:
            return named.decode(errors="replace")
        try:
            return None if record.value is None else self.serializer.open(record).full_name
        except SdkError:
            return None


def _is_replayable(letter: Letter, to: str | None, ceiling: int, report: Report) -> bool:
    if letter.reason.topic is None and to is None:
        report.without_source += 1
        return False
    if replays_of(letter.record) >= ceiling:
        report.exhausted += 1
        return False
    return True


def _replayed(letter: Letter, to: str | None) -> ProducerRecord:
    """Return the original record, with the count of replays.

    Its timestamp is new, because the source topic's retention might delete an old one at once; the
    original one is in a header, which `original_timestamp` reads.
    """
    record, reason = letter.record, letter.reason
    timestamp = original_timestamp(record) if reason.timestamp is None else reason.timestamp
    headers = [h for h in original_headers(record.headers) if h[0] != REPLAY_COUNT]
    if timestamp is not None:
        headers.append((ORIGINAL_TIMESTAMP, big_integer(timestamp)))
    headers.append((REPLAY_COUNT, str(replays_of(record) + 1).encode()))
    topic = to or reason.topic
    assert topic is not None
    return ProducerRecord(
        topic,
        record.value,
        record.key,
        tuple(headers),
        reason.partition if to is None else None,
        None,
    )


def _count(letter: Letter, report: Report) -> None:
    report.sent += 1
    report.histogram[letter.event or "unknown", letter.error or "unknown"] += 1


def _batches(
    items: Iterable[tuple[Letter, ProducerRecord]], size: int
) -> Iterator[list[tuple[Letter, ProducerRecord]]]:
    batch: list[tuple[Letter, ProducerRecord]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
