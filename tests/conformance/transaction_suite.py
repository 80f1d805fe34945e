"""One conformance suite for transactions, on every broker that isolates them."""

from __future__ import annotations

import time
import uuid

import pytest

from sdk.errors import BrokerUnavailableError, FencedError, SdkError, TransactionAbortedError
from sdk.records import DeliveryReport, ProducerRecord, TopicPartition
from tests.conformance.brokers import PATIENCE, Bench, Member, Transactional, after


class TransactionSuite:
    """The behaviour of brokers that the SDK relies on."""

    @pytest.fixture
    def bench(self) -> Bench:
        """Give the broker under test."""
        raise AssertionError("a subclass gives this fixture")

    def test_committed_records_are_read_and_aborted_ones_are_not(self, bench: Bench) -> None:
        """A reader of committed records sees what was committed, and nothing that was aborted."""
        topic, producer = bench.topic(), bench.transactional()
        producer.commit(topic, b"a", b"b")
        producer.abort(topic, b"c")
        producer.commit(topic, b"d")
        assert bench.values(topic, 3) == [b"a", b"b", b"d"]

    def test_uncommitted_records_are_read_by_who_asks(self, bench: Bench) -> None:
        """With read_committed=False, aborted and open transactions are read as well."""
        topic, producer = bench.topic(), bench.transactional()
        producer.abort(topic, b"a")
        producer.open(topic, b"b")
        member = bench.member(bench.group(), topic, isolation_level="read_uncommitted")
        assert [record.value for record in member.take(2)] == [b"a", b"b"]

    def test_an_open_transaction_holds_back_what_comes_after(self, bench: Bench) -> None:
        """Records behind an open transaction of their partition wait for its end."""
        topic, producer = bench.topic(), bench.transactional()
        bench.send(ProducerRecord(topic, b"before"))
        producer.open(topic, b"open")
        bench.send(ProducerRecord(topic, b"after"))
        member = bench.member(bench.group(), topic)
        assert [record.value for record in member.take(1)] == [b"before"]
        assert member.idle(0.5) == []
        producer.client.commit(PATIENCE)
        assert [record.value for record in member.take(2)] == [b"open", b"after"]

    def test_a_marker_takes_an_offset(self, bench: Bench) -> None:
        """The end of a transaction is marked in its partition, so that offsets have gaps."""
        topic, producer = bench.topic(), bench.transactional()
        producer.commit(topic, b"a")
        producer.commit(topic, b"b")
        records = bench.member(bench.group(), topic).take(2)
        assert [record.offset for record in records] == [0, 2]

    def test_the_end_of_a_partition_is_the_last_stable_offset(self, bench: Bench) -> None:
        """To a reader of committed records, a partition ends where an open transaction begins."""
        topic, producer = bench.topic(), bench.transactional()
        bench.send(ProducerRecord(topic, b"before"))
        producer.open(topic, b"open")
        place = TopicPartition(topic=topic, partition=0)
        committed = bench.member(bench.group(), topic)
        everything = bench.member(bench.group(), topic, isolation_level="read_uncommitted")
        assert committed.consumer.end_offsets([place], PATIENCE)[0].offset == 1
        assert everything.consumer.end_offsets([place], PATIENCE)[0].offset == 2

    def test_offsets_are_committed_with_the_transaction(self, bench: Bench) -> None:
        """Offsets sent to a transaction are the group's once it ends, and unknown before."""
        topic, member, producer = _joined(bench)
        producer.begin()
        producer.client.send_offsets(
            after(*member.take(1)), member.consumer.group_metadata(), PATIENCE
        )
        with pytest.raises(BrokerUnavailableError):
            _committed(member, topic, 0.5)
        producer.client.commit(PATIENCE)
        assert _committed(member, topic) == 1

    def test_offsets_are_rolled_back_with_the_transaction(self, bench: Bench) -> None:
        """Offsets that were sent to a transaction come to nothing when it is aborted."""
        topic, member, producer = _joined(bench)
        producer.begin()
        producer.client.send_offsets(
            after(*member.take(1)), member.consumer.group_metadata(), PATIENCE
        )
        producer.client.abort(PATIENCE)
        assert _committed(member, topic) is None

    def test_offsets_of_who_has_left_the_group_are_refused(self, bench: Bench) -> None:
        """A zombie consumer cannot commit: its transaction can only be aborted."""
        topic, member, producer = _joined(bench)
        records, zombie = member.take(1), member.consumer.group_metadata()
        producer.begin()
        member.close()
        bench.member(member.group, topic).take(1)
        with pytest.raises(TransactionAbortedError):
            producer.client.send_offsets(after(*records), zombie, PATIENCE)
        producer.client.abort(PATIENCE)
        producer.commit(topic, b"goes on")

    def test_a_newer_client_fences_the_older(self, bench: Bench) -> None:
        """With one transactional id twice, the older one is aborted and says what to do."""
        topic, name = bench.topic(), f"orders-{uuid.uuid4().hex[:8]}"
        older = bench.transactional(name)
        older.open(topic, b"older")
        newer = bench.transactional(name)
        newer.commit(topic, b"newer")
        with pytest.raises(FencedError, match=name) as fenced:
            older.client.commit(PATIENCE)
        assert "{instance}" in (fenced.value.remedy or "")
        with pytest.raises(FencedError, match=name):
            older.client.begin()
        assert bench.values(topic, 1) == [b"newer"]

    def test_queued_records_fail_with_an_abort(self, bench: Bench) -> None:
        """An abort settles every record of the transaction, acknowledged or not."""
        topic, producer = bench.topic(), bench.transactional()
        producer.begin()
        outcomes: list[DeliveryReport | SdkError | None] = []

        def settle_slowly(report: DeliveryReport | None, error: SdkError | None) -> None:
            time.sleep(0.002)  # so that two threads are at it when the abort ends
            outcomes.append(report or error)

        for _ in range(200):
            producer.client.produce(ProducerRecord(topic, b"v"), settle_slowly)
        producer.client.abort(PATIENCE)
        assert len(outcomes) == 200

    def test_a_transaction_needs_its_beginning(self, bench: Bench) -> None:
        """Records without an open transaction are refused at once."""
        producer, topic = bench.transactional(), bench.topic()
        with pytest.raises(SdkError):
            producer.client.produce(ProducerRecord(topic, b"v"), lambda report, error: None)
        with pytest.raises(SdkError):
            producer.client.commit(PATIENCE)

    def test_an_empty_transaction_is_committed(self, bench: Bench) -> None:
        """A transaction without records may be committed or aborted."""
        producer = bench.transactional()
        producer.begin()
        producer.client.commit(PATIENCE)
        producer.begin()
        producer.client.abort(PATIENCE)


def _joined(bench: Bench) -> tuple[str, Member, Transactional]:
    topic = bench.topic()
    bench.send(ProducerRecord(topic, b"a"), ProducerRecord(topic, b"b"))
    return topic, bench.member(bench.group(), topic), bench.transactional()


def _committed(member: Member, topic: str, seconds: float = PATIENCE) -> int | None:
    place = TopicPartition(topic=topic, partition=0)
    (found,) = member.consumer.committed([place], seconds)
    return found.offset
