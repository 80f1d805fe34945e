"""Transactions on Apache Kafka: all or nothing, whatever process is killed."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve
from confluent_kafka import Consumer as RawConsumer
from confluent_kafka import TopicPartition as Place

from sdk.errors import (
    ClosedError,
    ConfigurationError,
    FencedError,
    SdkError,
    TransactionAbortedError,
    TransactionUnknownError,
)
from sdk.messaging import Messaging
from sdk.settings import Settings
from tests.integration.wiring import (
    connected,
    launched,
    meanwhile,
    order,
    settings_for,
    stored,
    wait_until,
)
from tests.servers.kafka import KafkaCluster
from tests.servers.target import Target

KILLS = int(os.environ.get("SDK_TEST_TRANSACTION_KILLS", "3"))
COPIES = 4

Service = Callable[..., Settings]

TRANSACTIONS = """
from tests.integration.wiring import connected, order, settings_for
settings = settings_for(
    {kafka!r},
    {registry!r},
    {topic!r},
    producer={{"transactional_id": {name!r}, "transaction_timeout_ms": 600_000}},
)
with connected(settings) as messaging:
    number = {first}
    while True:
        with messaging.transaction() as transaction:
            print("open", number, flush=True)
            for copy in range({copies}):
                transaction.produce(order(number), partition=copy % 3)
        print("done", number, flush=True)
        number += 1
"""


@pytest.fixture
def service(kafka: Target, registry: Target, unique: Callable[[str], str]) -> Service:
    """Makes settings of services that share a topic and a transactional id of this test."""
    topic, name = unique("atomic"), unique("orders")

    def settings(**producer: object) -> Settings:
        options = {"transactional_id": name, **producer}
        return settings_for(kafka.address, registry.address, topic, producer=options)

    return settings


def test_a_transaction_is_seen_whole_or_not_at_all(kafka: Target, service: Service) -> None:
    """Committed records are visible, aborted ones are not, and their deliveries say so."""
    settings = service()
    with connected(settings) as messaging:
        with messaging.transaction() as first:
            kept = [first.produce(order(number)) for number in range(10)]
        with suppress(ZeroDivisionError), messaging.transaction() as second:
            dropped = second.produce(order(10))
            dropped.result(30)
            raise ZeroDivisionError
        assert isinstance(dropped.error, TransactionAbortedError)
        with pytest.raises(TransactionAbortedError):
            dropped.result()
        with messaging.transaction() as third:
            third.send(third.record(order(11)))
    assert all(delivery.result() for delivery in kept)
    topic = settings.topics[0].name
    committed = {record.number for record in stored(kafka.address, topic)}
    assert committed == {*range(10), 11}
    everything = stored(kafka.address, topic, isolation="read_uncommitted")
    assert {record.number for record in everything} == set(range(12))


def test_the_older_of_two_instances_is_fenced(kafka: Target, service: Service) -> None:
    """The newer instance with the same id goes on; the older says what happened, and stays out."""
    settings = service(transactional_id="fenced-{instance}")
    settings = evolve(settings, instance=settings.topics[0].name)
    with connected(settings) as older, connected(settings) as newer:
        first = older.transaction()
        first.begin()
        first.produce(order(1)).result(30)
        with newer.transaction() as second:
            second.produce(order(2))
        first.produce(order(3))
        with pytest.raises(FencedError, match=f"fenced-{settings.instance}.* its own id"):
            first.commit()
        again = older.transaction()
        with pytest.raises(FencedError):
            again.begin()
        older.producer.produce(order(4)).result(30)  # without transactions it still works
        with newer.transaction() as third:
            third.produce(order(5))
    numbers = {record.number for record in stored(kafka.address, settings.topics[0].name)}
    assert numbers == {2, 4, 5}


def test_what_was_open_for_too_long_is_aborted(kafka: Target, service: Service) -> None:
    """A transaction that outlives its time-out says so, and the next one works."""
    settings = service(transaction_timeout_ms=5_000)
    with connected(settings) as messaging:
        slow = messaging.transaction()
        slow.begin()
        delivery = slow.produce(order(1))
        partition = delivery.result(30).partition
        # Behind the record there is the marker then.
        wait_until(lambda: _stable_end(kafka.address, settings.topics[0].name, partition) == 2)
        with pytest.raises(TransactionAbortedError, match="open for more than 5 s"):
            slow.commit()
        assert isinstance(delivery.error, TransactionAbortedError)
        with messaging.transaction() as quick:
            quick.produce(order(2))
    (record,) = stored(kafka.address, settings.topics[0].name)
    assert record.number == 2


def _stable_end(servers: str, topic: str, partition: int) -> int:
    """Return the end of a partition for a reader of committed records."""
    config = {"bootstrap.servers": servers, "group.id": "asks", "isolation.level": "read_committed"}
    consumer = RawConsumer(config)
    try:
        end: int = consumer.get_watermark_offsets(Place(topic, partition), 30)[1]
        return end
    finally:
        consumer.close()


def test_a_record_that_fails_aborts_its_transaction(kafka: Target, service: Service) -> None:
    """If the broker refuses one record, none becomes visible; the next transaction commits."""
    settings = service()
    with connected(settings) as messaging:
        transaction = messaging.transaction()
        transaction.begin()
        transaction.produce(order(1))
        transaction.produce(order(2), partition=99)
        with pytest.raises(TransactionAbortedError, match="partition"):
            transaction.commit()
        with messaging.transaction() as transaction:
            transaction.produce(order(3))
    (record,) = stored(kafka.address, settings.topics[0].name)
    assert record.number == 3


def test_a_timeout_that_the_broker_does_not_allow(service: Service) -> None:
    """The error names the setting, since no repetition would help."""
    with connected(service(transaction_timeout_ms=2_000_000_000)) as messaging:
        transaction = messaging.transaction()
        with pytest.raises(ConfigurationError, match="transaction_timeout_ms"):
            transaction.begin()


@pytest.mark.timeout(400)
def test_a_killed_instance_leaves_nothing_half_done(
    kafka: Target, service: Service, tmp_path: Path
) -> None:
    """After each ``kill -9`` the next instance with the id goes on; no transaction is seen in part.

    What the killed instance has open would hold readers back for ten minutes.
    ``SDK_TEST_TRANSACTION_KILLS`` sets how many instances are killed.
    """
    settings, chance = service(transaction_timeout_ms=600_000), random.Random(7)
    topic, told, first = settings.topics[0].name, tmp_path / "told", 0
    done: set[int] = set()
    for _ in range(KILLS):
        process = launched(
            TRANSACTIONS,
            told,
            kafka=kafka.address,
            registry=settings.registry.url[0],
            topic=topic,
            name=settings.producer.transactional_id,
            first=first,
            copies=COPIES,
        )
        try:
            wait_until(lambda: "done" in told.read_text())
            time.sleep(chance.uniform(0, 1.5))
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()
        lines = [line.split() for line in told.read_text().splitlines(keepends=True)]
        done |= {int(line[1]) for line in lines if line[:1] == ["done"] and len(line) == 2}
        first = max(int(line[1]) for line in lines if len(line) == 2) + 1
    with connected(settings) as messaging, messaging.transaction() as last:
        for copy in range(COPIES):
            last.produce(order(first), partition=copy % 3)
    seen = Counter(record.number for record in stored(kafka.address, topic))
    assert set(seen.values()) == {COPIES}
    assert done | {first} <= set(seen)


@pytest.fixture(scope="module")
def cluster(
    own_kafka: Callable[..., KafkaCluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """Three brokers, which tests may kill."""
    with own_kafka(tmp_path_factory.mktemp("transactions"), brokers=3) as cluster:
        yield cluster


@pytest.mark.timeout(400)
def test_a_broker_killed_between_transactions(
    cluster: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """With one of three brokers killed, each transaction is committed once, or says it was not."""
    topic = unique("killed")
    settings = settings_for(
        cluster.bootstrap_servers,
        registry.address,
        topic,
        producer={"transactional_id": unique("orders")},
    )
    committed: list[int] = []

    def harm() -> None:
        time.sleep(0.5)
        cluster.brokers[0].process.kill()
        time.sleep(2)
        cluster.brokers[0].process.start()

    with connected(settings) as messaging, meanwhile(harm) as over:
        number = 0
        while not over.is_set() or number < 20:
            number += 1
            try:
                with messaging.transaction() as transaction:
                    for copy in range(3):
                        transaction.produce(order(number), partition=copy)
                committed.append(number)
            except TransactionAbortedError:
                continue
    seen = Counter(record.number for record in stored(cluster.bootstrap_servers, topic))
    assert seen == dict.fromkeys(committed, 3)


@pytest.mark.timeout(400)
def test_a_commit_without_an_answer(
    cluster: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """An unknown outcome is not reported as a commit or an abort."""
    topic = unique("frozen")
    settings = settings_for(
        cluster.bootstrap_servers,
        registry.address,
        topic,
        producer={"transactional_id": unique("orders"), "transaction_timeout_ms": 10_000},
    )
    with connected(settings) as messaging:
        transaction = messaging.transaction()
        transaction.begin()
        delivery = transaction.produce(order(1))
        delivery.result(30)
        for broker in cluster.brokers:
            broker.process.freeze()
        with pytest.raises(TransactionUnknownError):
            transaction.commit()
        assert isinstance(delivery.error, TransactionUnknownError)
        for broker in cluster.brokers:
            broker.process.thaw()
        _until_committed(messaging, 2)
    numbers = [record.number for record in stored(cluster.bootstrap_servers, topic)]
    assert numbers in ([2], [1, 2])


def _until_committed(messaging: Messaging, number: int) -> None:
    def committed() -> bool:
        try:
            with messaging.transaction() as transaction:
                transaction.produce(order(number))
        except SdkError:
            return False
        return True

    wait_until(committed)


def test_a_reader_waits_for_nothing_after_a_close(kafka: Target, service: Service) -> None:
    """Closing a connection inside a block aborts the transaction, so that readers go on at once."""
    settings = service(close_timeout_ms=500)
    messaging = connected(settings)
    with suppress(ClosedError), messaging.transaction() as transaction:
        transaction.produce(order(1)).result(30)
        messaging.close()
    with connected(service(transactional_id=None)) as other:
        other.producer.produce(order(2)).result(30)
    (record,) = stored(kafka.address, settings.topics[0].name)
    assert record.number == 2
