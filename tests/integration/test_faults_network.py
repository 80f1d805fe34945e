"""Networks slow, silent and cut: no acknowledged event is lost, none is stored twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from contracts.orders.order_created.v2 import OrderCreated

from sdk.errors import DeliveryError
from tests.integration.wiring import (
    DELIVERED_WITHIN,
    all_stored_once_in_order,
    connected,
    meanwhile,
    number_of,
    order,
    produce_through,
    settings_for,
    stopping_after,
    stored,
    wait_until,
)
from tests.servers.kafka import NEVER_KILLED, KafkaCluster
from tests.servers.proxy import TcpProxy
from tests.servers.target import Target


@pytest.fixture(scope="module")
def proxy() -> Iterator[TcpProxy]:
    """A proxy in front of the one broker of this module."""
    with TcpProxy() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cluster(
    own_kafka: Callable[..., KafkaCluster],
    tmp_path_factory: pytest.TempPathFactory,
    proxy: TcpProxy,
) -> Iterator[KafkaCluster]:
    """One broker, reached directly or through the proxy."""
    with own_kafka(
        tmp_path_factory.mktemp("faults"), proxied=[proxy.port], properties=NEVER_KILLED
    ) as cluster:
        (proxy.target,) = cluster.proxied_ports
        yield cluster


def test_a_slow_network_only_takes_longer(
    cluster: KafkaCluster, registry: Target, proxy: TcpProxy, unique: Callable[[str], str]
) -> None:
    """With 100 ms on every packet, both ways, everything is acknowledged and consumed."""
    topic, count = unique("slow"), 500
    settings = settings_for(_through(proxy), registry.address, topic)
    proxy.delay = 0.1
    try:
        handled: set[int] = set()
        with connected(settings) as messaging:
            deliveries = [messaging.producer.produce(order(number)) for number in range(count)]
            for delivery in deliveries:
                delivery.result(DELIVERED_WITHIN)
            consumer = messaging.consumer(unique("group"))

            def handle(event: OrderCreated) -> None:
                handled.add(number_of(event))
                if len(handled) == count:
                    consumer.stop()

            consumer.handle(OrderCreated, handle)
            with stopping_after(consumer, DELIVERED_WITHIN):
                consumer.run()
        assert handled == set(range(count))
    finally:
        proxy.delay = 0


def test_resets_of_the_connection(
    cluster: KafkaCluster, registry: Target, proxy: TcpProxy, unique: Callable[[str], str]
) -> None:
    """Connections reset repeatedly, in the middle of requests, lose and repeat nothing."""
    topic = unique("reset")
    settings = settings_for(_through(proxy), registry.address, topic)

    def fault() -> None:
        for _ in range(8):
            time.sleep(0.4)
            proxy.cut()
        proxy.cut(refuse=True)
        time.sleep(1)
        proxy.release()

    acknowledged = produce_through(settings, fault)
    all_stored_once_in_order(cluster.bootstrap_servers, topic, acknowledged)


def test_a_half_open_connection(
    cluster: KafkaCluster, registry: Target, proxy: TcpProxy, unique: Callable[[str], str]
) -> None:
    """Requests without an answer are sent again after the socket time-out, once in the log."""
    topic = unique("silent")
    settings = settings_for(
        _through(proxy),
        registry.address,
        topic,
        producer={"librdkafka": {"socket.timeout.ms": 2_000}},
    )

    def fault() -> None:
        time.sleep(0.5)
        proxy.hold()
        time.sleep(5)
        proxy.release()

    acknowledged = produce_through(settings, fault)
    all_stored_once_in_order(cluster.bootstrap_servers, topic, acknowledged)


def test_consumption_through_a_network_that_fails(
    cluster: KafkaCluster, registry: Target, proxy: TcpProxy, unique: Callable[[str], str]
) -> None:
    """Resets and silence while consuming skip nothing, and order within a partition stays."""
    topic, count = unique("torn"), 4_000
    with connected(settings_for(cluster.bootstrap_servers, registry.address, topic)) as messaging:
        for number in range(count):
            messaging.producer.produce(order(number))
        assert messaging.producer.flush(60) == 0
    settings = settings_for(
        _through(proxy),
        registry.address,
        topic,
        # Small fetches, so that the faults meet many of them.
        consumer={
            "librdkafka": {
                "socket.timeout.ms": 2_000,
                "fetch.max.bytes": 20_000,
                "message.max.bytes": 20_000,
                "fetch.message.max.bytes": 10_000,
            }
        },
    )
    handled: list[int] = []

    def fault() -> None:
        for _ in range(5):
            time.sleep(0.3)
            proxy.cut()
        proxy.hold()
        time.sleep(4)
        proxy.release()

    with connected(settings) as messaging:
        consumer = messaging.consumer(unique("group"))

        def handle(event: OrderCreated) -> None:
            time.sleep(0.0005)
            handled.append(number_of(event))
            if len(set(handled)) == count:
                consumer.stop()

        consumer.handle(OrderCreated, handle)
        with meanwhile(fault), stopping_after(consumer, DELIVERED_WITHIN):
            consumer.run()
    assert set(handled) == set(range(count))
    places = {
        record.number: record.partition for record in stored(cluster.bootstrap_servers, topic)
    }
    for partition in set(places.values()):
        first_seen = list(dict.fromkeys(n for n in handled if places[n] == partition))
        assert first_seen == sorted(first_seen)


def test_a_network_that_stays_away(
    cluster: KafkaCluster, registry: Target, proxy: TcpProxy, unique: Callable[[str], str]
) -> None:
    """Past the delivery time-out there is one clear error an event; later ones go through."""
    topic = unique("away")
    settings = settings_for(
        _through(proxy), registry.address, topic, producer={"delivery_timeout_ms": 5_000}
    )
    with connected(settings) as messaging:

        def delivered(number: int) -> bool:
            try:
                messaging.producer.produce(order(number)).result(60)
            except DeliveryError as error:
                failures.append(error)
                return False
            return True

        failures: list[DeliveryError] = []
        wait_until(lambda: delivered(0))
        failures.clear()
        proxy.cut(refuse=True)
        try:
            assert not delivered(1)
            assert topic in str(failures[0])
        finally:
            proxy.release()
        wait_until(lambda: delivered(2))
    numbers = {record.number for record in stored(cluster.bootstrap_servers, topic)}
    assert numbers == {0, 2}


def _through(proxy: TcpProxy) -> str:
    return f"127.0.0.1:{proxy.port}"
