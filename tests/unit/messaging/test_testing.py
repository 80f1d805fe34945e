"""`sdk.testing`: the double that a service's tests use."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from contracts.orders import OrderCreated
from contracts.payments import PaymentDeclined

from sdk.errors import (
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    HandlerError,
    SerializationError,
)
from sdk.records import ProducerRecord
from sdk.settings import KafkaOptions, RegistryOptions, RoutingOptions, Settings, TopicOptions
from sdk.testing import InMemoryBroker, connect, run_until_idle
from sdk.topics import TopicDefinition
from tests.unit.messaging.story import declined, new_order, old_order


def test_events_go_the_whole_way_in_memory() -> None:
    """Both versions are encoded, framed, published, and read as the newest one."""
    broker = InMemoryBroker()
    taken: list[OrderCreated] = []
    with connect("contracts", broker=broker) as messaging:
        for order in (old_order(1), new_order(2)):
            messaging.producer.produce(order).result(timeout=5)
        consumer = messaging.consumer("billing").handle(OrderCreated, taken.append)
        run_until_idle(consumer, broker, "billing")
    assert sorted(order.order_id.int for order in taken) == [1, 2]
    assert {type(order) for order in taken} == {OrderCreated}
    records = broker.records("orders.order-created")
    assert {(record.value or b"")[:1] for record in records} == {b"\x00"}


def test_settings_route_and_shape_topics() -> None:
    """Routes of the settings hold in memory too; their topics exist with their partitions."""
    broker = InMemoryBroker()
    settings = Settings(
        environment="testing",
        kafka=KafkaOptions(bootstrap_servers=("nowhere:9092",)),
        registry=RegistryOptions(url=("http://nowhere",)),
        routing=RoutingOptions(partitions=2),
        topics=(TopicOptions(event="OrderCreated", name="orders.created", partitions=7),),
        contracts="contracts",
    )
    with connect(broker=broker, settings=settings) as messaging:
        delivery = messaging.producer.produce(new_order(1))
    assert delivery.topic == "orders.created"
    assert broker.partitions("orders.created") == 7
    assert broker.partitions("payments.payment-declined") == 2


def test_settings_of_the_service_are_loaded(tmp_path: Path) -> None:
    """Routes of a settings file hold in memory too, whatever servers the file names."""
    file = tmp_path / "settings.toml"
    file.write_text(
        'contracts = "contracts"\n'
        '[default.kafka]\nbootstrap_servers = "kafka.example.com:9092"\n'
        '[[default.topics]]\nevent = "OrderCreated"\nname = "orders.created"\n'
    )
    broker = InMemoryBroker()
    with connect(broker=broker, settings=file) as messaging:
        messaging.producer.produce(new_order(1)).result(timeout=5)
    assert broker.events(OrderCreated) == [new_order(1)]
    assert len(broker.records("orders.created")) == 1


def test_published_events_are_decoded() -> None:
    """Events come back as the class asked for, without other events and tombstones."""
    broker = InMemoryBroker()
    with connect("contracts", broker=broker) as messaging:
        for event in (old_order(1), declined(2), new_order(3)):
            messaging.producer.produce(event).result(timeout=5)
        messaging.producer.produce_tombstone(OrderCreated, "4").result(timeout=5)
        assert [order.order_id.int for order in broker.events(OrderCreated)] == [1, 3]
        assert broker.events(OrderCreated, "orders.order-created")[1] == new_order(3)
        assert broker.events(OrderCreated, "payments.payment-declined") == []
        assert broker.events(PaymentDeclined) == [declined(2)]


def test_bytes_without_a_connection_are_not_decoded() -> None:
    """A broker that no connection uses says why it cannot return events."""
    with pytest.raises(ConfigurationError, match="is not connected"):
        InMemoryBroker().events(OrderCreated)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ü", "x" * 250])
def test_topic_names_that_kafka_refuses_are_refused(name: str) -> None:
    """Neither declaring such a topic nor publishing to it works."""
    broker = InMemoryBroker()
    with pytest.raises(ConfigurationError, match="is not a topic name"):
        broker.define(TopicDefinition(name=name))
    with pytest.raises(SerializationError, match="is not a topic name"):
        broker.producer().produce(ProducerRecord(topic=name, value=b""), lambda *_: None)


def test_unknown_operations_cannot_be_made_to_fail() -> None:
    """A mistyped operation is a ConfigurationError, not a failure that never comes."""
    with pytest.raises(ConfigurationError, match="deliver, poll, commit"):
        InMemoryBroker().fail("delivery", BrokerUnavailableError("gone"))  # type: ignore[arg-type]


def test_faults_are_seen_by_the_service() -> None:
    """A planned failure of the broker reaches the service as the real one would."""
    broker = InMemoryBroker()
    broker.fail("deliver", BrokerUnavailableError("gone"))
    with connect("contracts", broker=broker) as messaging:
        with pytest.raises(BrokerUnavailableError):
            messaging.producer.produce(new_order(1)).result(timeout=5)
        assert messaging.producer.produce(new_order(2)).result(timeout=5).offset == 0


def test_event_that_does_not_fit_its_schema_is_refused() -> None:
    """The double checks events as production does: what does not fit is not sent."""
    broker = InMemoryBroker()
    with connect("contracts", broker=broker) as messaging:
        order = old_order(1)
        object.__setattr__(order, "created_at", "yesterday")
        with pytest.raises(SerializationError) as caught:
            messaging.producer.produce(order)
    assert caught.value.path == "created_at"
    assert broker.records("orders.order-created") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_cannot_use_the_connection_of_its_parent() -> None:
    """Every use is a clear error there, closing touches nothing, and the parent goes on."""
    broker = InMemoryBroker()
    with connect("contracts", broker=broker) as messaging:
        consumer = messaging.consumer("billing").handle(OrderCreated, print)
        uses = {
            "producer": lambda: messaging.producer,
            "consumer": lambda: messaging.consumer("other"),
            "run": consumer.run,
            "warm_up": messaging.warm_up,
        }
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                for name, use in uses.items():
                    try:
                        use()
                    except ClosedError as error:
                        os.write(writer, f"{name}: {error.message}\n".encode())
                messaging.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with os.fdopen(reader) as told:
            assert told.read().splitlines() == [
                f"{name}: the connection belongs to the parent process" for name in uses
            ]
        assert messaging.producer.produce(new_order(1)).result(timeout=5).offset == 0


def test_closing_waits_for_handlers_only_as_long_as_asked() -> None:
    """The time-out of `close` holds for consumers too; their handlers may still be running."""
    broker = InMemoryBroker()
    begun, release = threading.Event(), threading.Event()
    messaging = connect("contracts", broker=broker)
    messaging.producer.produce(new_order(1)).result(timeout=5)

    def handle(order: OrderCreated) -> None:
        begun.set()
        release.wait(60)

    consumer = messaging.consumer("billing").handle(OrderCreated, handle).start()
    assert begun.wait(10)
    started = time.monotonic()
    messaging.close(timeout=0.1)
    assert time.monotonic() - started < 20
    release.set()
    consumer.close(timeout=10)
    assert not consumer.health().running


def test_closed_connection_is_reported() -> None:
    """Every use of a closed connection is a ClosedError."""
    messaging = connect("contracts", broker=InMemoryBroker())
    consumer = messaging.consumer("billing").handle(OrderCreated, print)
    messaging.close()
    for use in (lambda: messaging.producer, messaging.warm_up, consumer.run):
        with pytest.raises(ClosedError, match="closed"):
            use()


def test_running_until_idle_tells_of_errors() -> None:
    """A handler's error ends the run as it ends a service's."""
    broker = InMemoryBroker()
    with connect("contracts", broker=broker) as messaging:
        messaging.producer.produce(new_order(1)).result(timeout=5)

        def fail(order: OrderCreated) -> None:
            raise ValueError("no stock")

        consumer = messaging.consumer("billing").handle(OrderCreated, fail)
        with pytest.raises(HandlerError, match="no stock"):
            run_until_idle(consumer, broker, "billing")


def test_running_until_idle_gives_up_in_time() -> None:
    """A group that does not get done within the time-out is told as such."""
    broker = InMemoryBroker()
    with connect("contracts", broker=broker) as messaging:
        messaging.producer.produce(new_order(1)).result(timeout=5)
        for _ in range(100):
            broker.fail("commit", BrokerUnavailableError("gone"))
        consumer = messaging.consumer("billing").handle(OrderCreated, lambda order: None)
        with pytest.raises(TimeoutError, match="billing"):
            run_until_idle(consumer, broker, "billing", timeout=0.1)
