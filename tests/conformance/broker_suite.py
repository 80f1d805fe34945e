"""One conformance suite for every broker that the SDK speaks to.

A subclass gives the fixture ``bench``. Differences of a broker from Apache Kafka are listed in
`tests.conformance.differences`.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from sdk.errors import BrokerError, MessageTooLargeError, SerializationError
from sdk.events import Catalog
from sdk.publishing.encoder import Encoder
from sdk.publishing.producer import Producer
from sdk.records import BEGINNING, END, ProducerRecord, TopicPartition
from sdk.serialization import JsonMessageSerializer, TextKeySerializer
from sdk.settings import RoutingOptions
from sdk.testing.murmur2 import partition_of
from sdk.topics import TopicDefinition, TopicRouter
from tests.conformance.brokers import PATIENCE, Bench, Member, after
from tests.conformance.differences import REPORTED_TIMESTAMP, TIME_INDEX, TOPIC_CONFIG

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")

ENCODER = Encoder(
    JsonMessageSerializer(), TextKeySerializer(), TopicRouter(RoutingOptions(), [], Catalog([]))
)
"""For producers that send records as they are."""

FINE = ProducerRecord(topic="conformance", value=b"v", key=b"k")

UNSENDABLE: tuple[Any, ...] = (
    *(FINE._replace(topic=topic) for topic in ("", ".", "a b", "ü", "\ud800", "a\0", "x" * 250, 5)),
    *(FINE._replace(value=value) for value in ("text", 5, bytearray(b"v"))),
    *(FINE._replace(key=key) for key in ("text", 5, bytearray(b"k"))),
    *(FINE._replace(headers=((name, b""),)) for name in ("\ud800", "a\0b", b"a", 5, None)),
    *(FINE._replace(headers=(("a", value),)) for value in ("text", 5, bytearray(b"v"))),
    *(FINE._replace(headers=headers) for headers in ({"a": b""}, (("a",),), ("ab",), 5, None)),
    *(FINE._replace(partition=partition) for partition in (-1, 2**31, "0", 1.0, True)),
    *(FINE._replace(timestamp=timestamp) for timestamp in (0, -1, 2**63, "1", 1.5, True)),
    ("conformance", b"v"),
    None,
)
"""Records that no client can send, or would send as something else."""

EXTREME = (
    FINE._replace(headers=(("", b""), ("ü\U0001f600", None), ("x" * 10_000, bytes(10_000)))),
    FINE._replace(headers=tuple((f"name-{number}", b"v") for number in range(1_000))),
    FINE._replace(timestamp=1),
    FINE._replace(timestamp=253_402_300_799_999),
    FINE._replace(key=bytes(100_000), value=None),
)
"""Just within the limits; the latest timestamp is the last of the year 9999."""

ANY_TIME = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
"""Configuration of a topic that takes records of any time and keeps them."""


class BrokerSuite:
    """The behaviour of brokers that the SDK relies on."""

    @pytest.fixture
    def bench(self) -> Bench:
        """Give the broker under test."""
        raise AssertionError("a subclass gives this fixture")

    @pytest.mark.parametrize("key", [None, b"", b"order-1", bytes(range(256))])
    def test_key_arrives_as_sent(self, bench: Bench, key: bytes | None) -> None:
        """A key, the empty key and no key come back as what they were."""
        topic = bench.topic()
        bench.send(ProducerRecord(topic=topic, value=b"v", key=key))
        (record,) = bench.member(bench.group(), topic).take(1)
        assert record.key == key

    def test_tombstone_is_no_empty_value(self, bench: Bench) -> None:
        """A null value stays null, and an empty value stays empty."""
        topic = bench.topic()
        bench.send(
            ProducerRecord(topic=topic, value=None, key=b"k"),
            ProducerRecord(topic=topic, value=b"", key=b"k"),
        )
        records = bench.member(bench.group(), topic).take(2)
        assert [record.value for record in records] == [None, b""]

    def test_headers_keep_order_repeats_and_nulls(self, bench: Bench) -> None:
        """Headers arrive in order, with repeated names, null values and empty values."""
        headers = (("b", b"1"), ("a", None), ("b", b"2"), ("empty", b""), ("ü", bytes(range(256))))
        topic = bench.topic()
        bench.send(
            ProducerRecord(topic=topic, value=b"with", headers=headers),
            ProducerRecord(topic=topic, value=b"without"),
        )
        first, second = bench.member(bench.group(), topic).take(2)
        assert first.headers == headers
        assert second.headers == ()

    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_compressed_values_arrive_whole(self, bench: Bench, compression: str) -> None:
        """Empty, small and 900 kB values survive every compression."""
        values = [b"", b"x", bytes(itertools.islice(itertools.cycle(range(251)), 900_000))]
        topic = bench.topic()
        bench.send(
            *(ProducerRecord(topic=topic, value=value, key=b"k") for value in values),
            compression_type=compression,
        )
        records = bench.member(bench.group(), topic).take(len(values))
        assert [record.value for record in records] == values

    def test_too_large_record_is_refused_at_once(self, bench: Bench) -> None:
        """A record larger than the client's limit is refused by `produce`, not later."""
        record = ProducerRecord(topic=bench.topic(), value=bytes(2_000_000))
        with pytest.raises(MessageTooLargeError):
            bench.producer().produce(record, lambda report, error: None)

    @pytest.mark.parametrize("record", UNSENDABLE, ids=repr)
    def test_what_no_client_can_send_is_refused(self, bench: Bench, record: ProducerRecord) -> None:
        """A record that would end the process, or be sent as another one, is refused before."""
        client = bench.broker.producer()
        with Producer(client, ENCODER) as producer, pytest.raises(SerializationError):
            producer.send(record)

    def test_extreme_records_arrive_as_sent(self, bench: Bench) -> None:
        """Values just within the limits are sent and come back unchanged."""
        topic = bench.topic(**ANY_TIME)
        records = [part._replace(topic=topic) for part in EXTREME]
        with Producer(bench.broker.producer(), ENCODER) as producer:
            for record in records:
                producer.send(record)
        came = bench.member(bench.group(), topic).take(len(records))
        for sent, read in zip(records, came, strict=True):
            assert (read.value, read.key, read.headers) == (sent.value, sent.key, sent.headers)
            assert sent.timestamp is None or read.timestamp == sent.timestamp

    def test_keys_are_placed_as_java_places_them(self, bench: Bench) -> None:
        """Partitions of keys equal those that Java's default partitioner chooses."""
        topic = bench.topic(partitions=12)
        keys = [b"", b"\x00\xff\x80", "größe".encode()]
        keys += [f"order-{number}".encode() for number in range(200)]
        reports = bench.send(*(ProducerRecord(topic=topic, value=b"", key=key) for key in keys))
        placed = [report.partition for report in reports]
        assert placed == [partition_of(key, 12) for key in keys]

    def test_partition_can_be_chosen(self, bench: Bench) -> None:
        """A record goes to the partition that it names, whatever its key says."""
        topic = bench.topic(partitions=4)
        (report,) = bench.send(ProducerRecord(topic=topic, value=b"", key=b"a", partition=3))
        assert report.partition == 3

    def test_timestamp_is_kept(self, bench: Bench) -> None:
        """A given timestamp arrives; without one, the time of producing does."""
        topic = bench.topic(**ANY_TIME)
        before = time.time_ns() // 1_000_000
        reports = bench.send(
            ProducerRecord(topic=topic, value=b"", timestamp=1_600_000_000_123),
            ProducerRecord(topic=topic, value=b""),
        )
        given, now = bench.member(bench.group(), topic).take(2)
        assert given.timestamp == 1_600_000_000_123
        assert now.timestamp is not None
        assert before <= now.timestamp <= time.time_ns() // 1_000_000
        told = [report.timestamp for report in reports]
        assert told[0] == given.timestamp
        if bench.differs(REPORTED_TIMESTAMP):
            assert before <= told[1] <= time.time_ns() // 1_000_000
        else:
            assert told[1] == now.timestamp

    def test_reports_tell_where_records_stand(self, bench: Bench) -> None:
        """Each report names the topic, partition and offset under which its record is read."""
        topic = bench.topic(partitions=3)
        sent = [
            ProducerRecord(topic=topic, value=f"{number}".encode(), key=f"k{number}".encode())
            for number in range(30)
        ]
        reports = bench.send(*sent)
        read = bench.member(bench.group(), topic).take(30)
        told = {(report.topic, report.partition, report.offset) for report in reports}
        assert {(record.topic, record.partition, record.offset) for record in read} == told
        values = {(record.partition, record.offset): record.value for record in read}
        for record, report in zip(sent, reports, strict=True):
            assert values[report.partition, report.offset] == record.value

    def test_order_within_a_partition(self, bench: Bench) -> None:
        """Records of one key are read in the order in which they were produced."""
        topic = bench.topic(partitions=3)
        bench.send(
            *(
                ProducerRecord(
                    topic=topic, value=f"{number}".encode(), key=f"{number % 7}".encode()
                )
                for number in range(2000)
            ),
            linger_ms=5,
        )
        seen: dict[bytes | None, list[int]] = {}
        for record in bench.member(bench.group(), topic).take(2000):
            seen.setdefault(record.key, []).append(int(record.value or b""))
        assert len(seen) == 7
        assert all(numbers == sorted(numbers) for numbers in seen.values())

    def test_new_group_starts_where_told(self, bench: Bench) -> None:
        """A group without offsets starts at the earliest record, or after the latest."""
        topic = bench.topic()
        bench.send(ProducerRecord(topic=topic, value=b"old"))
        earliest = bench.member(bench.group(), topic, auto_offset_reset="earliest")
        latest = bench.member(bench.group(), topic, auto_offset_reset="latest")
        assert earliest.take(1)[0].value == b"old"
        _until_assigned(latest, 1)
        assert _first_sent(bench, latest, topic) == b"new"

    def test_restarted_consumer_resumes_at_the_commit(self, bench: Bench) -> None:
        """Committed records are not read again, and others are."""
        topic, group = bench.topic(), bench.group()
        bench.send(*(ProducerRecord(topic=topic, value=f"{n}".encode()) for n in range(10)))
        first = bench.member(group, topic)
        first.commit(first.take(10)[3])
        first.close()
        values = [record.value for record in bench.member(group, topic).take(6)]
        assert values == [b"4", b"5", b"6", b"7", b"8", b"9"]

    def test_uncommitted_records_come_again(self, bench: Bench) -> None:
        """Closing a consumer commits nothing by itself."""
        topic, group = bench.topic(), bench.group()
        bench.send(*(ProducerRecord(topic=topic, value=f"{n}".encode()) for n in range(3)))
        first = bench.member(group, topic)
        first.take(3)
        first.close()
        assert len(bench.member(group, topic).take(3)) == 3

    def test_groups_do_not_disturb_each_other(self, bench: Bench) -> None:
        """Each group reads everything."""
        topic = bench.topic()
        bench.send(*(ProducerRecord(topic=topic, value=f"{n}".encode()) for n in range(5)))
        one, other = bench.member(bench.group(), topic), bench.member(bench.group(), topic)
        one.commit(one.take(5)[-1])
        assert len(other.take(5)) == 5

    def test_partitions_are_shared_by_the_members(self, bench: Bench) -> None:
        """A second member takes over some partitions, and all of them when the first leaves."""
        topic, group = bench.topic(partitions=4), bench.group()
        first = bench.member(group, topic)
        _until_assigned(first, 4)
        second = bench.member(group, topic)
        _until_shared(first, second)
        assert len(first.assigned) == len(second.assigned) == 2
        assert not first.assigned & second.assigned
        assert second.assigned <= set(first.revoked)
        sent = [
            ProducerRecord(topic=topic, value=f"{number}".encode(), partition=number % 4)
            for number in range(40)
        ]
        bench.send(*sent)
        for member in (first, second):
            for record in member.take(20):
                member.commit(record)
        first.close()
        _until_assigned(second, 4)

    def test_revoked_partition_goes_on_at_its_commit(self, bench: Bench) -> None:
        """A member that takes over does not read again what another one has committed."""
        topic, group = bench.topic(partitions=2), bench.group()
        bench.send(
            *(
                ProducerRecord(topic=topic, value=b"old", partition=number % 2)
                for number in range(8)
            )
        )
        first = bench.member(group, topic)
        for record in first.take(8):
            first.commit(record)
        second = bench.member(group, topic)
        _until_shared(first, second)
        bench.send(
            *(ProducerRecord(topic=topic, value=b"new", partition=number) for number in range(2))
        )
        taken = first.take(1) + second.take(1)
        assert [record.value for record in taken] == [b"new", b"new"]

    def test_paused_partition_delivers_nothing(self, bench: Bench) -> None:
        """A paused partition delivers nothing, others do, and after `resume` nothing is missing."""
        topic = bench.topic(partitions=2)
        member = bench.member(bench.group(), topic)
        _until_assigned(member, 2)
        paused = TopicPartition(topic=topic, partition=0)
        member.consumer.pause([paused])
        bench.send(
            *(
                ProducerRecord(topic=topic, value=f"{number}".encode(), partition=number % 2)
                for number in range(10)
            )
        )
        assert {record.partition for record in member.take(5) + member.idle(0.3)} == {1}
        member.consumer.resume([paused])
        assert [record.value for record in member.take(5)] == [b"0", b"2", b"4", b"6", b"8"]

    def test_paused_partition_can_be_set_back(self, bench: Bench) -> None:
        """Pause, seek and resume read a partition again from where they say."""
        topic = bench.topic()
        bench.send(*(ProducerRecord(topic=topic, value=f"{n}".encode()) for n in range(5)))
        member = bench.member(bench.group(), topic)
        member.take(5)
        place = TopicPartition(topic=topic, partition=0, offset=2)
        member.consumer.pause([place])
        member.consumer.seek(place)
        assert member.idle(0.3) == []
        member.consumer.resume([place])
        assert [record.value for record in member.take(3)] == [b"2", b"3", b"4"]

    def test_only_what_is_assigned_can_be_paused_resumed_or_sought(self, bench: Bench) -> None:
        """Pausing, resuming or seeking an unassigned partition is a BrokerError."""
        topic = bench.topic()
        member = bench.member(bench.group(), topic)
        _until_assigned(member, 1)
        foreign = TopicPartition(topic=topic, partition=7, offset=0)
        for call in (member.consumer.pause, member.consumer.resume):
            with pytest.raises(BrokerError):
                call([foreign])
        with pytest.raises(BrokerError):
            member.consumer.seek(foreign)

    def test_asynchronous_commit_is_answered(self, bench: Bench) -> None:
        """A background commit is reported to the listener, and applies to the next member."""
        topic, group = bench.topic(), bench.group()
        bench.send(*(ProducerRecord(topic=topic, value=f"{n}".encode()) for n in range(5)))
        first = bench.member(group, topic)
        done = after(first.take(5)[2])
        first.consumer.commit(done)
        first.idle_until(lambda: bool(first.answers))
        assert first.answers == [(done[0], None)]
        first.close()
        assert [record.value for record in bench.member(group, topic).take(2)] == [b"3", b"4"]

    def test_ends_are_known(self, bench: Bench) -> None:
        """The end of a partition is the offset that its next record will have."""
        topic = bench.topic(partitions=2)
        bench.send(*(ProducerRecord(topic=topic, value=b"x", partition=1) for _ in range(3)))
        member = bench.member(bench.group(), topic)
        member.take(3)
        places = [TopicPartition(topic=topic, partition=number) for number in range(2)]
        ends = member.consumer.end_offsets(places, PATIENCE)
        assert {each.partition: each.offset for each in ends} == {0: 0, 1: 3}
        known = member.consumer.end_offsets(places, 0)
        assert {each.partition: each.offset for each in known}[1] == 3

    def test_beginning_and_end_can_be_sought(self, bench: Bench) -> None:
        """A partition is read again from its first record, or on from its end."""
        topic = bench.topic()
        bench.send(*(ProducerRecord(topic=topic, value=f"{n}".encode()) for n in range(3)))
        member = bench.member(bench.group(), topic)
        member.take(3)
        member.consumer.seek(TopicPartition(topic=topic, partition=0, offset=BEGINNING))
        assert [record.value for record in member.take(3)] == [b"0", b"1", b"2"]
        member.consumer.seek(TopicPartition(topic=topic, partition=0, offset=0))
        member.consumer.seek(TopicPartition(topic=topic, partition=0, offset=END))
        assert member.idle(0.3) == []
        assert _first_sent(bench, member, topic) == b"new"

    def test_offsets_are_found_by_time(self, bench: Bench) -> None:
        """The first record that is not older than a time is found; past all of them, the end."""
        topic = bench.topic(**ANY_TIME)
        start = 1_700_000_000_000
        bench.send(
            *(
                ProducerRecord(topic=topic, value=b"x", timestamp=start + 1000 * number)
                for number in range(3)
            )
        )
        member = bench.member(bench.group(), topic)
        member.take(3)
        places = [TopicPartition(topic=topic, partition=0)]
        if not bench.differs(TIME_INDEX):
            (found,) = member.consumer.offsets_for_time(places, start + 500, PATIENCE)
            assert found.offset == 1
        (found,) = member.consumer.offsets_for_time(places, start + 5000, PATIENCE)
        assert found.offset == END

    def test_topics_are_read_by_pattern(self, bench: Bench) -> None:
        """A pattern reads the topics whose names it matches from their start."""
        one, other = bench.topic(), bench.topic()
        bench.send(ProducerRecord(topic=one, value=b"1"), ProducerRecord(topic=other, value=b"2"))
        member = bench.member(bench.group(), pattern=f"{one[:-1]}.")
        assert [record.value for record in member.take(1) + member.idle(0.3)] == [b"1"]

    def test_one_member_reads_several_topics(self, bench: Bench) -> None:
        """The topics of two versions of an event are read by one member, side by side."""
        old, new = bench.topic(), bench.topic()
        bench.send(ProducerRecord(topic=old, value=b"v1"), ProducerRecord(topic=new, value=b"v2"))
        records = bench.member(bench.group(), old, new).take(2)
        assert {(record.topic, record.value) for record in records} == {(old, b"v1"), (new, b"v2")}

    def test_topics_are_created_and_described(self, bench: Bench) -> None:
        """A created topic is described as declared, and one that does not exist is left out."""
        topic = bench.topic(3, **{"retention.ms": "86400000"})
        found = bench.admin().describe([topic, f"{topic}-missing"])
        assert list(found) == [topic]
        assert (found[topic].name, found[topic].partitions) == (topic, 3)
        assert (found[topic].replication or 0) >= 1
        kept = found[topic].config.get("retention.ms")
        assert kept == (None if bench.differs(TOPIC_CONFIG) else "86400000")

    def test_creating_a_topic_again_leaves_it_alone(self, bench: Bench) -> None:
        """Creating a topic that exists neither fails nor changes it."""
        topic = bench.topic(3)
        bench.admin().create([TopicDefinition(name=topic, partitions=5)])
        assert bench.admin().describe([topic])[topic].partitions == 3


def _until_assigned(member: Member, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(member.assigned) != count:
        assert time.monotonic() < deadline, f"assigned: {sorted(member.assigned)}"
        assert member.consumer.poll(0.05, 1) == []


def _first_sent(bench: Bench, member: Member, topic: str) -> bytes | None:
    """Return the first value that a member reads of those sent from now on.

    It is sent until one is read: at first the client may not know yet where the end is.
    """
    deadline = time.monotonic() + PATIENCE
    while not (records := member.idle(0.3)):
        assert time.monotonic() < deadline, "nothing came"
        bench.send(ProducerRecord(topic=topic, value=b"new"))
    return records[0].value


def _until_shared(first: Member, second: Member) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (second.assigned and len(first.assigned) == len(second.assigned)):
        assert time.monotonic() < deadline, f"{first.assigned} and {second.assigned}"
        assert first.consumer.poll(0.05, 1) == second.consumer.poll(0.05, 1) == []
