"""`connect`: settings in, everything wired out, and what is refused on the way."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Iterator

import pytest
from attrs import evolve
from contracts.orders import OrderCreated

import sdk
from sdk.embedded import lease_broker, lease_registry
from sdk.errors import (
    ClosedError,
    ConfigurationError,
    RoutingError,
    SchemaNotFoundError,
    UndeliveredError,
)
from sdk.events import find_catalog
from sdk.happenings import Happening, RecordDelivered
from sdk.records import DeliveryReport
from sdk.settings import (
    ConsumerOptions,
    KafkaOptions,
    LoggingOptions,
    ProducerOptions,
    RegistryOptions,
    RoutingOptions,
    Settings,
    TopicOptions,
)
from tests.unit.messaging.story import new_order, old_order

EMBEDDED = Settings(
    environment="embedded",
    kafka=KafkaOptions(bootstrap_servers=("embedded",)),
    registry=RegistryOptions(url=("embedded",), auto_register=True),
    topics=(TopicOptions(event="OrderCreated", name="orders.created", partitions=3),),
    contracts="contracts",
)


@pytest.fixture(scope="module", autouse=True)
def embedded() -> Iterator[None]:
    """Keep one broker and one registry running while the tests of this module connect."""
    with lease_broker(), lease_registry():
        yield


def orders_read(messaging: sdk.Messaging, group: str, count: int) -> list[OrderCreated]:
    """Read ``count`` orders with a separate consumer."""
    read: list[OrderCreated] = []
    consumer = messaging.consumer(group)

    def take(order: OrderCreated) -> None:
        read.append(order)
        if len(read) == count:
            consumer.stop()

    consumer.handle(OrderCreated, take).run()
    return read


@pytest.mark.parametrize("wire_format", ["avro", "json"])
def test_both_versions_go_the_whole_way(wire_format: str) -> None:
    """Through broker and registry, both versions are read back as the newest, in each format."""
    topic = TopicOptions(event="OrderCreated", name=f"orders.{wire_format}", partitions=2)
    settings = evolve(
        EMBEDDED, topics=(topic,), producer=ProducerOptions(format=wire_format, linger_ms=0)
    )
    with sdk.connect(settings=settings) as messaging:
        messaging.warm_up()
        sent = [old_order(1), new_order(2)]
        deliveries = [messaging.producer.produce(order) for order in sent]
        assert {each.result(timeout=20).topic for each in deliveries} == {topic.name}
        read = orders_read(messaging, "billing", 2)
    assert {type(order) for order in read} == {OrderCreated}
    assert sorted(read, key=lambda order: order.order_id)[1] == sent[1]


def test_avro_keys_and_header_mode_are_settings() -> None:
    """Keys in Avro and schema ids in headers are chosen by settings alone."""
    settings = evolve(
        EMBEDDED,
        topics=(TopicOptions(event="OrderCreated", name="orders.headers"),),
        producer=ProducerOptions(key_format="avro", schema_id_location="header", linger_ms=0),
    )
    with sdk.connect(settings=settings) as messaging:
        delivery = messaging.producer.produce(new_order(1))
        delivery.result(timeout=20)
        assert orders_read(messaging, "headers", 1) == [new_order(1)]
    assert (delivery.record.key or b"")[:1] == b"\x00"
    assert "__value_schema_id" in dict(delivery.record.headers)


def test_async_with_is_all_it_takes() -> None:
    """Within an event loop the same connection is entered, awaited and left."""

    async def publish() -> DeliveryReport:
        async with sdk.connect(settings=EMBEDDED) as messaging:
            return await messaging.producer.produce(new_order(1))

    assert asyncio.run(publish()).topic == "orders.created"


def test_connections_of_a_process_share_the_embedded_broker() -> None:
    """Records of one connection are read by another one of the same process."""
    settings = evolve(EMBEDDED, topics=(TopicOptions(event="OrderCreated", name="orders.shared"),))
    with sdk.connect(settings=settings) as one, sdk.connect(settings=settings) as other:
        one.producer.produce(new_order(1)).result(timeout=20)
        assert orders_read(other, "shared", 1) == [new_order(1)]


def test_producer_is_made_once() -> None:
    """Every access gives the same long-lived producer."""
    with sdk.connect(settings=EMBEDDED) as messaging:
        assert messaging.producer is messaging.producer


def test_closed_connection_says_so() -> None:
    """After closing, neither producer nor consumer is given out; closing again is fine."""
    messaging = sdk.connect(settings=EMBEDDED)
    messaging.close()
    messaging.close()
    with pytest.raises(ClosedError):
        _ = messaging.producer
    with pytest.raises(ClosedError):
        messaging.consumer("billing")


def test_declared_topics_exist_with_their_partitions() -> None:
    """On the embedded broker, declared topics are made before anything is published."""
    topic = TopicOptions(event="OrderCreated", name="orders.seven", partitions=7)
    verified = RoutingOptions(provision="verify")
    with sdk.connect(settings=evolve(EMBEDDED, topics=(topic,), routing=verified)) as messaging:
        delivery = messaging.producer.produce(new_order(1), partition=6)
        assert delivery.result(timeout=20).partition == 6


def test_topics_that_differ_are_reported_side_by_side() -> None:
    """With ``verify``, connecting fails on a topic whose partitions are not as declared."""
    first = TopicOptions(event="OrderCreated", name="orders.drift", partitions=2)
    with sdk.connect(settings=evolve(EMBEDDED, topics=(first,))):
        pass
    second = evolve(first, partitions=5)
    settings = evolve(EMBEDDED, topics=(second,), routing=RoutingOptions(provision="verify"))
    with pytest.raises(ConfigurationError, match="partitions declared 5, actual 2"):
        sdk.connect(settings=settings)


def test_missing_schema_is_an_error_at_start() -> None:
    """Where registration is not ours, warming up finds the missing schema, before any order."""
    registry = RegistryOptions(url=("embedded",), auto_register=False, subject_strategy="topic")
    topic = TopicOptions(event="OrderCreated", name="orders.unregistered")
    settings = evolve(EMBEDDED, registry=registry, topics=(topic,))
    with sdk.connect(settings=settings) as messaging, pytest.raises(SchemaNotFoundError) as caught:
        messaging.warm_up(OrderCreated)
    assert caught.value.subject == "orders.unregistered-value"


def test_refused_key_names_our_table() -> None:
    """A key that librdkafka does not know is told with the table that it stands in."""
    producer = ProducerOptions(librdkafka={"batch.sise": 5})
    with (
        sdk.connect(settings=evolve(EMBEDDED, producer=producer)) as messaging,
        pytest.raises(ConfigurationError, match=r"'batch\.sise' of the table \[producer\]"),
    ):
        _ = messaging.producer


def test_consumer_needs_a_group() -> None:
    """Without a group, in the call or the settings, there is no consumer."""
    with (
        sdk.connect(settings=EMBEDDED) as messaging,
        pytest.raises(ConfigurationError, match=r"consumer\.group_id"),
    ):
        messaging.consumer()
    named = evolve(EMBEDDED, consumer=ConsumerOptions(group_id="billing"))
    with sdk.connect(settings=named) as messaging:
        messaging.consumer()


def test_oauthbearer_needs_a_token_source() -> None:
    """OAUTHBEARER without a token source is refused with what to pass."""
    from sdk.settings import SaslOptions

    kafka = KafkaOptions(
        bootstrap_servers=("nowhere.invalid:9092",), sasl=SaslOptions(mechanism="OAUTHBEARER")
    )
    with (
        sdk.connect(settings=evolve(EMBEDDED, kafka=kafka)) as messaging,
        pytest.raises(ConfigurationError, match="token"),
    ):
        _ = messaging.producer


def test_unknown_contracts_are_refused() -> None:
    """A contracts package that does not exist, or has no catalog, is a settings error."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        sdk.connect(settings=EMBEDDED, contracts="nowhere_to_be_found")
    with pytest.raises(ConfigurationError, match="CATALOG"):
        sdk.connect(settings=EMBEDDED, contracts=types.ModuleType("empty"))


def test_catalog_comes_from_name_module_or_itself() -> None:
    """Contracts are named, passed as a module, passed as a catalog, or left out."""
    import contracts

    by_name = find_catalog("contracts")
    assert by_name is find_catalog(contracts) is find_catalog(contracts.CATALOG)
    assert len(find_catalog(None)) == 0


def test_route_of_an_unknown_event_is_refused() -> None:
    """A route that fits no event is refused before any client is built."""
    topics = (TopicOptions(event="OrderCreatd", name="orders"),)
    with pytest.raises(RoutingError, match="did you mean 'OrderCreated'"):
        sdk.connect(settings=evolve(EMBEDDED, topics=topics))


def test_logging_is_left_alone_unless_asked() -> None:
    """Connecting sets up logging only where the settings say so."""
    root, own = logging.getLogger(), logging.getLogger("sdk")
    before = list(root.handlers), root.level
    own_before = list(own.handlers), own.level, own.propagate
    try:
        with sdk.connect(settings=EMBEDDED):
            assert (list(own.handlers), own.level, own.propagate) == own_before
        asked = evolve(EMBEDDED, logging=LoggingOptions(configure=True, level="ERROR"))
        with sdk.connect(settings=asked):
            assert own.level == logging.ERROR
        assert (list(root.handlers), root.level) == before
    finally:
        own.handlers[:], own.propagate = own_before[0], own_before[2]
        own.setLevel(own_before[1])


def test_observers_are_attached_to_the_producer() -> None:
    """An observer given to `connect` sees what the producer does."""
    seen: list[str] = []

    def observe(happening: Happening) -> None:
        if isinstance(happening, RecordDelivered):
            seen.append(happening.report.topic)

    with sdk.connect(settings=EMBEDDED, observers=[observe]) as messaging:
        messaging.producer.produce(new_order(1)).result(timeout=20)
    assert seen == ["orders.created"]


def test_undelivered_events_end_the_block_with_an_error() -> None:
    """Leaving the block raises undelivered records, unless another error is being raised."""
    kafka = KafkaOptions(bootstrap_servers=("127.0.0.1:1",))
    producer = ProducerOptions(close_timeout_ms=50)
    settings = evolve(EMBEDDED, kafka=kafka, producer=producer)
    with pytest.raises(UndeliveredError) as caught, sdk.connect(settings=settings) as messaging:
        messaging.producer.produce(new_order(1))
    assert [each.event for each in caught.value.failures] == [new_order(1)]


def test_no_concurrency_is_not_the_default() -> None:
    """Only None stands for the settings: 0 is out of range, and an empty ordering unknown."""
    with sdk.connect(settings=EMBEDDED) as messaging:
        with pytest.raises(ConfigurationError, match="concurrency"):
            messaging.consumer("billing", concurrency=0)
        with pytest.raises(ConfigurationError, match="ordering"):
            messaging.consumer("billing", ordering="")
