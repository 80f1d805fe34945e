"""Exactly once on Apache Kafka, while processes and a broker are killed and members come and go."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from confluent_kafka import Consumer as RawConsumer
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from contracts.orders.order_created.v2 import OrderCreated

from tests.integration.rebalanced import Member
from tests.integration.wiring import (
    connected,
    meanwhile,
    number_of,
    order,
    settings_for,
    stored,
    wait_until,
)
from tests.servers.kafka import KafkaCluster
from tests.servers.target import Target

EVENTS = int(os.environ.get("EXACTLY_ONCE_EVENTS", "5000"))
"""A long run: EXACTLY_ONCE_EVENTS=200000 pytest -s tests/integration/test_exactly_once.py."""

KEYS = 40
PARTITIONS = 6
PATIENCE = 120 + EVENTS / 200
"""Seconds."""


@pytest.fixture(scope="module")
def three(
    own_kafka: Callable[..., KafkaCluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """Three brokers, which give up a silent member after six seconds under KIP-848 as well."""
    properties = {
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.session.timeout.ms": "1000",
        "group.consumer.heartbeat.interval.ms": "500",
        "group.consumer.min.heartbeat.interval.ms": "500",
    }
    folder = tmp_path_factory.mktemp("three")
    with own_kafka(folder, brokers=3, properties=properties) as cluster:
        yield cluster


class Chaos:
    """Two members or three, one of which is killed, replaced or sent away now and then.

    Attributes:
        members: Those that run, by name.
        done: How often each thing was done.
    """

    def __init__(
        self,
        make: Callable[[str], Member],
        cluster: KafkaCluster,
        chance: random.Random,
    ) -> None:
        self._make = make
        self._cluster = cluster
        self._chance = chance
        self.members = {name: make(name) for name in ("a", "b")}
        self.done: Counter[str] = Counter()

    def strike(self) -> None:
        """Kill a member or a broker and start it again, or let a third member join or leave."""
        what = self._chance.choice(["kill", "kill", "come and go", "broker"])
        if what == "broker":
            process = self._chance.choice(self._cluster.brokers).process
            process.kill()
            time.sleep(self._chance.uniform(0.5, 3))
            process.start()
        elif what == "kill":
            name = self._chance.choice(sorted(self.members))
            self.members.pop(name).kill()
            self.members[name] = self._make(name)
        elif "c" in self.members:
            leave(self.members.pop("c"))
        else:
            self.members["c"] = self._make("c")
        self.done[what] += 1

    def report(self) -> str:
        """Return the logs of the members, with what their threads do at this moment."""
        return "\n".join(f"{name}:\n{self.members[name].report()}" for name in self.members)


def leave(member: Member) -> None:
    """End a member by SIGTERM, which ends it at once if it was still starting."""
    assert member.leave() in {0, -signal.SIGTERM, 128 + signal.SIGTERM}


def create(servers: str, *topics: str) -> AdminClient:
    """Create topics with three replicas."""
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([NewTopic(each, PARTITIONS, 3) for each in topics]).values():
        future.result(30)
    return admin


def results(servers: str, topic: str) -> dict[str, list[int]]:
    """Return the numbers of the results that a reader of committed records sees, by key."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in stored(servers, topic, PATIENCE):
        number = dict(record.headers)["number"] or b""
        found[(record.key or b"").decode()].append(int(number))
    return found


@pytest.mark.timeout(600 + EVENTS // 50)
@pytest.mark.parametrize("handler", ["threads", "coroutines under KIP-848"])
def test_each_result_is_there_once_and_in_order(
    three: KafkaCluster,
    registry: Target,
    unique: Callable[[str], str],
    tmp_path: Path,
    handler: str,
) -> None:
    """Members and brokers are killed at random moments, members join and leave: no difference.

    A reader of committed records sees one result of each event, and those of a key in order.
    """
    events = EVENTS if handler == "threads" else min(EVENTS, 3_000)
    servers, topic, target = three.bootstrap_servers, unique("events"), unique("results")
    create(servers, topic, target)
    options: dict[str, Any] = {
        "servers": servers,
        "registry": registry.address,
        "topic": topic,
        "results": target,
        "group": unique("group"),
        "producer": {"transactional_id": "member-{instance}", "transaction_timeout_ms": 10_000},
        "consumer": {
            "session_timeout_ms": 6_000,
            "group_protocol": "classic" if handler == "threads" else "consumer",
            "concurrency": 8,
            "transaction_records": 500,
            "transaction_ms": 50,
        },
        "loop": handler != "threads",
    }
    settings = settings_for(servers, registry.address, topic, provision="none")
    chance = random.Random(events)
    published = threading.Event()

    def publish() -> None:
        with connected(settings) as messaging:
            for number in range(events):
                key = f"k{number % KEYS}"
                event = evolve(order(number), customer_id=key, note=str(number))
                messaging.producer.produce(event, key=key)
                if number % 100 == 99:
                    time.sleep(0.2 if events <= 5_000 else 0.04)
        published.set()

    with contextlib.ExitStack() as stack:

        def make(name: str) -> Member:
            number = len(list(tmp_path.glob("*.log")))
            member = Member("exactly_once", tmp_path / str(number), instance=name, **options)
            stack.callback(member.close)
            return member

        chaos = Chaos(make, three, chance)
        with meanwhile(publish):
            while not published.is_set() or chaos.done.total() < 5:
                time.sleep(chance.uniform(1, 4))
                chaos.strike()
        started = time.monotonic()
        while (count := sum(map(len, results(servers, target).values()))) < events:
            assert time.monotonic() - started < PATIENCE, (
                f"{count} of {events} results\n{chaos.report()}"
            )
            time.sleep(1)
        for name in sorted(chaos.members):
            leave(chaos.members[name])
    found = results(servers, target)
    print(f"{events} events, {dict(chaos.done)}")
    assert {key: Counter(numbers) for key, numbers in found.items()} == {
        f"k{key}": Counter(range(key, events, KEYS)) for key in range(KEYS)
    }
    assert all(numbers == sorted(numbers) for numbers in found.values())


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_offsets_of_an_open_transaction_are_waited_for_while_members_join(
    kafka: Target, registry: Target, unique: Callable[[str], str], protocol: str
) -> None:
    """Reading starts behind what was committed before, whatever happens to the assignment.

    librdkafka by itself would read the partitions from their beginning.
    """
    servers, topic, group = kafka.address, unique("events"), unique("group")
    handled: list[int] = []

    @contextlib.contextmanager
    def member(name: str) -> Iterator[None]:
        settings = settings_for(
            servers,
            registry.address,
            topic,
            partitions=2,
            producer={"transactional_id": unique(name)},
            consumer={"group_protocol": protocol},
        )
        with connected(settings) as messaging:
            consumer = messaging.consumer(group, exactly_once=True)
            consumer.handle(OrderCreated, lambda event: handled.append(number_of(event)))
            with meanwhile(consumer.run):
                yield
                consumer.stop()

    with connected(settings_for(servers, registry.address, topic, partitions=2)) as messaging:
        for number in range(200):
            messaging.producer.produce(order(number), partition=number % 2)
        assert messaging.producer.flush(30) == 0
    commit = partial(offsets_in_a_transaction, servers, group, topic, unique("other"))
    commit(80).commit_transaction(30)
    still_open = commit(90)
    with member("first"), wait(4), member("second"), wait(4):
        assert handled == []
        still_open.commit_transaction(30)
        wait_until(lambda: len(set(handled)) >= 20)
    # Where a rebalance aborts a transaction, its events are handled again.
    assert sorted(set(handled)) == list(range(180, 200))


@pytest.mark.timeout(400)
def test_the_group_goes_on_without_the_broker_that_coordinated_it(
    three: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """When the coordinator of the group is lost, handling continues with the next one.

    librdkafka alone may wait without limit for the lost broker when it sends offsets.
    """
    servers, topic, target, group = three.bootstrap_servers, *map(unique, ("in", "out", "group"))
    admin = create(servers, topic, target)
    settings = settings_for(
        servers,
        registry.address,
        topic,
        provision="none",
        producer={"transactional_id": unique("name"), "transaction_timeout_ms": 10_000},
    )

    def publish_and_wait(count: int) -> None:
        for number in range(100):
            messaging.producer.produce(evolve(order(number), note=str(number)))
        assert messaging.producer.flush(60) == 0
        wait_until(lambda: sum(map(len, results(servers, target).values())) == count, 120)

    with connected(settings) as messaging:

        def pass_on(event: OrderCreated) -> None:
            messaging.producer.produce(
                event, key="k", topic=target, headers={"number": event.note or ""}
            )

        consumer = messaging.consumer(group, exactly_once=True).handle(OrderCreated, pass_on)
        with meanwhile(consumer.run):
            publish_and_wait(100)
            found = admin.describe_consumer_groups([group])[group].result(30).coordinator
            (coordinator,) = (each for each in three.brokers if each.node_id == found.id)
            coordinator.process.kill()
            try:
                publish_and_wait(200)
            finally:
                coordinator.process.start()
                consumer.stop()


def offsets_in_a_transaction(
    servers: str, group: str, topic: str, name: str, offset: int
) -> Producer:
    """Return a client whose transaction is open and holds an offset of two partitions."""
    config = {"bootstrap.servers": servers, "transactional.id": name}
    producer = Producer({**config, "transaction.timeout.ms": 600_000})
    consumer = RawConsumer({"bootstrap.servers": servers, "group.id": group})
    producer.init_transactions(30)
    producer.begin_transaction()
    places = [TopicPartition(topic, number, offset) for number in (0, 1)]
    producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), 30)
    return producer


@contextlib.contextmanager
def wait(seconds: float) -> Iterator[None]:
    """Wait before the body, in which offsets are asked for several times."""
    time.sleep(seconds)
    yield
