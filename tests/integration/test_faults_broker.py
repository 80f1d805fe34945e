"""Brokers killed, frozen and out of replicas: nothing acknowledged is lost or stored twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from contracts.orders.order_created.v2 import OrderCreated

from sdk.errors import DeliveryError, QueueFullError, SdkError
from sdk.kafka.admin import ConfluentAdmin
from sdk.messaging import Messaging
from sdk.publishing.delivery import Delivery
from sdk.records import DeliveryReport
from sdk.settings import KafkaOptions
from sdk.topics import TopicDefinition
from tests.integration.wiring import (
    DELIVERED_WITHIN,
    all_stored_once_in_order,
    committed,
    connected,
    meanwhile,
    number_of,
    order,
    produce_through,
    settings_for,
    stopping_after,
    wait_until,
)
from tests.servers.kafka import KafkaCluster
from tests.servers.process import ServerProcess
from tests.servers.target import Target


@pytest.fixture(scope="module")
def cluster(
    own_kafka: Callable[..., KafkaCluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """One broker, which tests may kill."""
    with own_kafka(tmp_path_factory.mktemp("faults")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def three(
    own_kafka: Callable[..., KafkaCluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """Three brokers."""
    with own_kafka(tmp_path_factory.mktemp("three"), brokers=3) as cluster:
        yield cluster


def test_a_broker_killed_during_production(
    cluster: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """After ``kill -9`` and a restart every event is there once, in order within its partition."""
    topic = unique("killed")
    settings = settings_for(cluster.bootstrap_servers, registry.address, topic)
    broker = cluster.brokers[0].process

    def fault() -> None:
        time.sleep(1)
        broker.kill()
        time.sleep(1)
        broker.start()

    acknowledged = produce_through(settings, fault)
    all_stored_once_in_order(cluster.bootstrap_servers, topic, acknowledged)


def test_a_broker_killed_while_coroutines_await(
    cluster: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """Awaited deliveries complete after the restart, and the event loop is never blocked."""
    topic, count = unique("awaited"), 4_000
    settings = settings_for(cluster.bootstrap_servers, registry.address, topic)
    broker = cluster.brokers[0].process

    async def publish() -> tuple[float, float]:
        longest = 0.0
        async with connected(settings) as messaging:
            await asyncio.to_thread(messaging.warm_up)
            await messaging.producer.produce(order(0))
            restart = asyncio.create_task(asyncio.to_thread(_restart, broker))
            tasks = []
            for number in range(1, count):
                started = time.monotonic()
                tasks.append(asyncio.ensure_future(_awaited(messaging, number)))
                await asyncio.sleep(0.001 if number % 10 == 0 else 0)
                longest = max(longest, time.monotonic() - started)
            await asyncio.wait_for(asyncio.gather(*tasks), DELIVERED_WITHIN)
            return longest, await restart

    longest, away = asyncio.run(publish())
    assert longest < away / 2
    all_stored_once_in_order(cluster.bootstrap_servers, topic, set(range(count)))


def test_a_full_queue_is_waited_for_and_then_refused(
    cluster: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """While the broker is frozen `produce` waits, bounded; accepted records are delivered later."""
    topic = unique("full")
    settings = settings_for(
        cluster.bootstrap_servers,
        registry.address,
        topic,
        producer={
            "queue_full_timeout_ms": 1_000,
            "librdkafka": {"queue.buffering.max.messages": 500},
        },
    )
    broker = cluster.brokers[0].process
    with connected(settings) as messaging:
        messaging.producer.produce(order(0)).result(30)
        broker.freeze()
        try:
            accepted, waited = _produce_until_full(messaging)
            assert 0.9 < waited < 60, "half of the delivery time-out"
        finally:
            broker.thaw()
        for delivery in accepted:
            delivery.result(DELIVERED_WITHIN)
    numbers = set(range(len(accepted) + 1))
    all_stored_once_in_order(cluster.bootstrap_servers, topic, numbers)


def test_a_broker_killed_during_consumption(
    cluster: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """The consumer reads on after the restart: every event is handled, and that is committed."""
    topic, group, count = unique("killed"), unique("group"), 3_000
    settings = settings_for(cluster.bootstrap_servers, registry.address, topic)
    broker = cluster.brokers[0].process
    handled: list[int] = []
    with connected(settings) as messaging:
        for number in range(count):
            messaging.producer.produce(order(number))
        assert messaging.producer.flush(60) == 0
        consumer = messaging.consumer(group)

        def handle(event: OrderCreated) -> None:
            handled.append(number_of(event))
            if len(handled) == count // 3:
                broker.kill()
                broker.launch()

        def stop_when_all_is_committed() -> None:
            # Records handled just before the kill may come again: the last event is not the end.
            wait_until(
                lambda: committed(cluster.bootstrap_servers, group, topic) == count,
                DELIVERED_WITHIN,
            )
            consumer.stop()

        consumer.handle(OrderCreated, handle)
        with stopping_after(consumer, DELIVERED_WITHIN), meanwhile(stop_when_all_is_committed):
            consumer.run()
    assert set(handled) == set(range(count))

    repeated = []
    with connected(settings) as messaging:
        again = messaging.consumer(group)
        again.handle(OrderCreated, lambda event: repeated.append(number_of(event)))
        with stopping_after(again, 5):
            again.run()
    assert repeated == [], "what was handled had been committed"


def test_one_of_three_brokers_killed(
    three: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """The leaders move; every event is acknowledged and stored once, none failed."""
    topic = unique("moved")
    settings = settings_for(three.bootstrap_servers, registry.address, topic)
    broker = three.brokers[1].process

    def fault() -> None:
        time.sleep(1)
        broker.kill()
        time.sleep(6)

    try:
        acknowledged = produce_through(settings, fault)
        survivors = ",".join(
            f"127.0.0.1:{each.port}" for each in three.brokers if each.process is not broker
        )
        all_stored_once_in_order(survivors, topic, acknowledged)
    finally:
        broker.start()


def test_new_topics_of_which_some_brokers_have_not_heard(
    three: KafkaCluster, unique: Callable[[str], str]
) -> None:
    """Right after topics are made, describing them may miss some, and never fails."""
    kafka = KafkaOptions(bootstrap_servers=tuple(three.bootstrap_servers.split(",")))
    with closing(ConfluentAdmin(kafka)) as admin:
        for _ in range(5):
            names = [unique("new") for _ in range(20)]
            admin.create([TopicDefinition(name=name, partitions=1) for name in names])
            wait_until(lambda names=names: set(admin.describe(names)) == set(names))


def test_too_few_replicas(
    three: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """While a topic's in-sync replicas are too few, the error comes within the time-out."""
    topic = unique("scarce")
    settings = settings_for(
        three.bootstrap_servers,
        registry.address,
        topic,
        partitions=1,
        config={"min.insync.replicas": "3"},
        producer={"delivery_timeout_ms": 4_000},
    )
    broker = three.brokers[2].process
    with connected(settings) as messaging:

        def delivered(number: int) -> bool:
            try:
                messaging.producer.produce(order(number)).result(30)
            except SdkError as error:
                refusals.append(error)
                return False
            return True

        refusals: list[SdkError] = []
        wait_until(lambda: delivered(0))
        refusals.clear()
        broker.kill()
        try:
            wait_until(lambda: not delivered(1))  # the dead broker has left the replicas
            (refused,) = refusals
            assert isinstance(refused, DeliveryError)
            assert topic in str(refused)
        finally:
            broker.start()
        wait_until(lambda: delivered(2))


def test_a_broker_that_pauses(
    cluster: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """A broker that stands still for some seconds delays events and loses none."""
    topic = unique("paused")
    settings = settings_for(cluster.bootstrap_servers, registry.address, topic)
    broker = cluster.brokers[0].process

    def fault() -> None:
        time.sleep(0.5)
        broker.freeze()
        time.sleep(4)
        broker.thaw()

    acknowledged = produce_through(settings, fault)
    all_stored_once_in_order(cluster.bootstrap_servers, topic, acknowledged)


def _produce_until_full(messaging: Messaging) -> tuple[list[Delivery], float]:
    """Produce orders from number 1; return those taken, and how long the refused one waited."""
    accepted: list[Delivery] = []
    while True:
        started = time.monotonic()
        try:
            accepted.append(messaging.producer.produce(order(len(accepted) + 1)))
        except QueueFullError:
            return accepted, time.monotonic() - started


def _restart(broker: ServerProcess) -> float:
    """Kill a broker and start it again; return for how many seconds it was away."""
    time.sleep(1)
    started = time.monotonic()
    broker.kill()
    broker.start()
    return time.monotonic() - started


async def _awaited(messaging: Messaging, number: int) -> DeliveryReport:
    return await messaging.producer.produce(order(number))
