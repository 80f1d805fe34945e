"""Topics that are missing, deleted or too small for a message, and what is said about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from contracts.orders.order_created.v2 import OrderCreated

from sdk.errors import BrokerError, DeliveryError, MessageTooLargeError
from tests.integration.wiring import (
    connected,
    meanwhile,
    number_of,
    order,
    settings_for,
    stopping_after,
    stored,
    wait_until,
)
from tests.servers.kafka import NEVER_KILLED, KafkaCluster
from tests.servers.target import Target


@pytest.fixture(scope="module")
def strict_kafka(
    own_kafka: Callable[..., KafkaCluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """A broker that makes no topics by itself."""
    with own_kafka(tmp_path_factory.mktemp("strict"), properties=NEVER_KILLED) as cluster:
        yield cluster


def test_a_missing_topic_is_told_with_its_remedy(
    strict_kafka: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """Producing to a missing topic fails with its name and what to do."""
    topic = unique("missing")
    settings = settings_for(
        strict_kafka.bootstrap_servers,
        registry.address,
        topic,
        provision="none",
        # How long a topic may take to appear before librdkafka gives up; 30 s by default.
        producer={"librdkafka": {"topic.metadata.propagation.max.ms": 3_000}},
    )
    started = time.monotonic()
    with connected(settings) as messaging:
        delivery = messaging.producer.produce(order(1))
        with pytest.raises((BrokerError, DeliveryError)) as raised:
            delivery.result(60)
    assert time.monotonic() - started < 60, "half of the delivery time-out"
    assert topic in str(raised.value)
    assert "create" in str(raised.value)


def test_a_topic_deleted_during_production(
    strict_kafka: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """Events for a topic that is gone fail; once it is made again, new events arrive."""
    topic = unique("deleted")
    admin = AdminClient({"bootstrap.servers": strict_kafka.bootstrap_servers, "log_level": 0})
    settings = settings_for(
        strict_kafka.bootstrap_servers,
        registry.address,
        topic,
        producer={
            "delivery_timeout_ms": 8_000,
            "librdkafka": {"topic.metadata.refresh.interval.ms": 1_000},
        },
    )
    with connected(settings) as messaging:

        def delivered(number: int) -> bool:
            try:
                messaging.producer.produce(order(number)).result(60)
            except (BrokerError, DeliveryError) as error:
                failures.append(error)
                return False
            return True

        failures: list[BrokerError | DeliveryError] = []
        wait_until(lambda: delivered(1))
        failures.clear()
        admin.delete_topics([topic])[topic].result(30)
        wait_until(lambda: not delivered(2))  # the broker learns of it a moment later
        assert topic in str(failures[0])
        admin.create_topics([NewTopic(topic, 3)])[topic].result(30)
        wait_until(lambda: delivered(3))
    assert {record.number for record in stored(strict_kafka.bootstrap_servers, topic)} == {3}


def test_a_consumer_waits_for_a_missing_topic(
    strict_kafka: KafkaCluster, registry: Target, unique: Callable[[str], str]
) -> None:
    """A consumer may start before the topic exists, and reads it when it does."""
    topic = unique("later")
    servers = strict_kafka.bootstrap_servers
    waiting = settings_for(
        servers,
        registry.address,
        topic,
        provision="none",
        consumer={"librdkafka": {"topic.metadata.refresh.interval.ms": 1_000}},
    )
    handled: list[int] = []
    with connected(waiting) as messaging:
        consumer = messaging.consumer(unique("group"))

        def handle(event: OrderCreated) -> None:
            handled.append(number_of(event))
            consumer.stop()

        consumer.handle(OrderCreated, handle)

        def publish_later() -> None:
            time.sleep(3)
            with connected(settings_for(servers, registry.address, topic)) as other:
                other.producer.produce(order(7)).result(30)

        with meanwhile(publish_later), stopping_after(consumer, 90):
            consumer.run()
    assert handled == [7]


def test_an_event_larger_than_the_client_sends(
    kafka: Target, registry: Target, unique: Callable[[str], str]
) -> None:
    """It is refused where it is produced, and the connection goes on."""
    settings = settings_for(kafka.address, registry.address, unique("large"))
    with connected(settings) as messaging:
        with pytest.raises(MessageTooLargeError):
            messaging.producer.produce(_noted("x" * 2_000_000)).result(30)
        assert messaging.producer.produce(order(1)).result(30).offset == 0


def test_an_event_larger_than_the_topic_takes(
    kafka: Target, registry: Target, unique: Callable[[str], str]
) -> None:
    """The broker's refusal names the topic; other events go through."""
    topic = unique("narrow")
    settings = settings_for(
        kafka.address, registry.address, topic, config={"max.message.bytes": "10000"}
    )
    with connected(settings) as messaging:
        with pytest.raises(MessageTooLargeError) as raised:
            messaging.producer.produce(_noted("x" * 50_000)).result(30)
        assert raised.value.topic == topic
        messaging.producer.produce(order(1)).result(30)
    assert [record.number for record in stored(kafka.address, topic)] == [1]


def test_an_event_of_900_kilobytes(
    kafka: Target, registry: Target, unique: Callable[[str], str]
) -> None:
    """Records within Kafka's default limits arrive whole."""
    topic = unique("big")
    note = "ü" * 450_000
    settings = settings_for(kafka.address, registry.address, topic)
    notes: list[str | None] = []
    with connected(settings) as messaging:
        messaging.producer.produce(_noted(note)).result(30)
        consumer = messaging.consumer(unique("group"))

        def handle(event: OrderCreated) -> None:
            notes.append(event.note)
            consumer.stop()

        consumer.handle(OrderCreated, handle)
        with stopping_after(consumer, 90):
            consumer.run()
    assert notes == [note]


def _noted(note: str) -> OrderCreated:
    plain = order(1)
    return OrderCreated(
        order_id=plain.order_id,
        created_at=plain.created_at,
        total_amount=plain.total_amount,
        note=note,
    )
