"""Which handler an event reaches, as which version, and what becomes of events without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sdk.cloud_events import CloudEventHeaders
from sdk.consuming.context import Context
from sdk.errors import ConfigurationError
from sdk.records import ConsumerRecord, ProducerRecord, Tombstone
from sdk.serialization import JsonMessageSerializer
from sdk.settings import RoutingOptions, TopicOptions
from sdk.topics import TopicRouter
from tests.unit.consuming.story import Till, committed, orders, publish, run_until
from tests.unit.messaging.shop import (
    CATALOG,
    TOPIC,
    OrderCancelled,
    OrderCreated,
    OrderCreatedV1,
    Shop,
)


def test_events_reach_their_handler() -> None:
    """Each event reaches the handler of its class, from whatever topic it comes."""
    shop = Shop()
    publish(shop, OrderCreated(order_id="o-1", note="hi"), OrderCancelled(order_id="o-2"))
    consumer = shop.consumer()
    till = Till(consumer, 2)
    consumer.handle(OrderCreated, till).handle(OrderCancelled, till)
    consumer.run()
    assert {type(event) for event in till.taken} == {OrderCreated, OrderCancelled}
    assert OrderCreated(order_id="o-1", note="hi") in till.taken


def test_decorated_function_is_a_handler_and_is_not_changed() -> None:
    """`handle` without a function is a decorator that gives the function back."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    seen: list[str] = []

    @consumer.handle(OrderCreated)
    def take(event: OrderCreated) -> None:
        seen.append(event.order_id)
        consumer.stop()

    consumer.run()
    take(OrderCreated(order_id="called"))
    assert seen == ["o-1", "called"]


def test_older_version_is_read_as_the_class_that_is_handled() -> None:
    """Events of version 1 arrive as version 2, with its default filled in."""
    shop = Shop()
    publish(shop, OrderCreatedV1(order_id="old"), OrderCreated(order_id="new", note="x"))
    consumer = shop.consumer()
    till = Till(consumer, 2)
    consumer.handle(OrderCreated, till).run()
    assert {event.order_id: event.note for event in till.taken} == {"old": "none", "new": "x"}
    assert {type(event) for event in till.taken} == {OrderCreated}


def test_topics_of_every_version_are_read() -> None:
    """Versions with separate topics are read by one handler."""
    topics = TopicRouter(
        RoutingOptions(),
        [
            TopicOptions(event="OrderCreated", version=1, name="orders.v1"),
            TopicOptions(event="OrderCreated", version=2, name="orders.v2"),
        ],
        CATALOG,
    )
    shop = Shop(topics=topics)
    publish(shop, OrderCreatedV1(order_id="old"), OrderCreated(order_id="new"))
    assert len(shop.broker.records("orders.v1")) == len(shop.broker.records("orders.v2")) == 1
    consumer = shop.consumer()
    till = Till(consumer, 2)
    consumer.handle(OrderCreated, till).run()
    assert set(till.ids) == {"old", "new"}


def test_explicit_topics_are_read_instead_of_routed_ones() -> None:
    """A handler may name its own topics, and then reads only those."""
    shop = Shop()
    publish(shop, *orders(1))
    publish(shop, *orders(2), topic="partner.orders")
    consumer = shop.consumer()
    till = Till(consumer, 1)
    consumer.handle(OrderCreated, till, topics=["partner.orders"]).run()
    assert till.ids == ["o-2"]


def test_topics_are_read_by_pattern() -> None:
    """A handler may read every topic whose name matches."""
    shop = Shop()
    publish(shop, *orders(1))
    publish(shop, *orders(2), topic="partner.a")
    publish(shop, *orders(3), topic="partner.b")
    consumer = shop.consumer()
    till = Till(consumer, 2)
    consumer.handle(OrderCreated, till, pattern=r"partner\..*").run()
    assert sorted(till.ids) == ["o-2", "o-3"]


def test_handler_may_ask_for_the_context() -> None:
    """A second parameter brings place, key, headers, attempt and what CloudEvents says."""
    shop = Shop()
    headers = CloudEventHeaders("/orders", "application/json")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with shop.producer(encoder=shop.encoder(standard_headers=headers)) as producer:
        producer.produce(OrderCreated(order_id="o-1"), headers={"traceparent": trace})
    consumer = shop.consumer()
    seen: list[Context] = []

    def take(event: OrderCreated, context: Context) -> None:
        seen.append(context)
        consumer.stop()

    consumer.handle(OrderCreated, take).run()
    (context,) = seen
    assert (context.topic, context.offset, context.key) == (TOPIC, 0, "o-1")
    assert (context.attempt, context.writer_version) == (1, 2)
    assert (context.event_type, context.source) == ("orders.OrderCreated", "/orders")
    assert context.event_id
    assert context.trace_parent == trace
    assert context.header("traceparent") == trace.encode()
    assert context.timestamp == context.record.timestamp
    assert f"{context.partition}" in repr(context)


def _no_parameter() -> None: ...


def _three(event: Any, context: Any, more: Any) -> None: ...


def _keyword(event: Any, *, more: Any) -> None: ...


def _generator(event: Any) -> Any:
    yield event


def _of_another(event: OrderCancelled) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (None, "callable"),
        (42, "callable"),
        (_no_parameter, "cannot be called with an event"),
        (_three, "cannot be called with an event"),
        (_keyword, "cannot be called with an event"),
        (_generator, "generator"),
        (_of_another, "takes orders.OrderCancelled"),
    ],
)
def test_wrong_signature_is_refused_at_once(function: Any, words: str) -> None:
    """A handler that cannot be called with its event is refused when it is given."""
    consumer = Shop().consumer()
    if function is None:
        with pytest.raises(ConfigurationError, match="callable"):
            consumer.handle(OrderCreated)(None)  # type: ignore[call-overload]
        return
    with pytest.raises(ConfigurationError, match=words):
        consumer.handle(OrderCreated, function)


def test_what_is_not_an_event_class_is_refused() -> None:
    """Only generated classes can be handled."""
    with pytest.raises(ConfigurationError, match="not an event class"):
        Shop().consumer().handle(int, print)  # type: ignore[type-var]


def test_one_event_has_one_handler() -> None:
    """Two handlers for one event, or for an alias of it, are refused."""
    consumer = Shop().consumer()
    consumer.handle(OrderCreated, print)
    with pytest.raises(ConfigurationError, match="handler already"):
        consumer.handle(OrderCreatedV1, print)


def test_event_written_under_an_alias_is_read() -> None:
    """An event that was renamed since is dispatched by the alias in the reader's schema."""
    shop = Shop()
    publish(shop, OrderCreated(order_id="o-1"), headers={"ce_type": "orders.OrderPlaced"})
    consumer = shop.consumer(serializer=ReadsAnything())
    till = Till(consumer, 1)
    consumer.handle(OrderCreated, till).run()
    assert till.ids == ["o-1"]


def test_unknown_events_are_skipped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Events without a handler on a shared topic are passed over, logged once, and counted."""
    shop = Shop()
    publish(shop, OrderCancelled(order_id="a"), OrderCancelled(order_id="b"), topic=TOPIC)
    publish(shop, *orders(1))
    consumer = shop.consumer()
    consumer.handle(OrderCreated, lambda event: None)
    with caplog.at_level("INFO", logger="sdk.consuming.dispatch"):
        run_until(consumer, lambda: committed(shop) == 3)
    assert consumer.skipped == {"orders.OrderCancelled": 2}
    assert len([line for line in caplog.messages if "no handler for orders.O" in line]) == 1


def test_unknown_events_may_stop_the_consumer() -> None:
    """With ``unknown = "stop"`` an event without a handler is an error, and is not committed."""
    shop = Shop()
    publish(shop, OrderCancelled(order_id="a"), topic=TOPIC)
    consumer = shop.consumer(unknown="stop").handle(OrderCreated, print)
    with pytest.raises(ConfigurationError, match="there is no handler") as caught:
        consumer.run()
    assert (caught.value.topic, caught.value.offset) == (TOPIC, 0)
    assert committed(shop) == 0


def test_same_name_in_another_namespace_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    """Skipping what has the short name of a handled event is worth a warning."""
    shop = Shop()
    publish(shop, *orders(1), headers={"ce_type": "legacy.OrderCreated"})
    consumer = shop.consumer(serializer=ReadsAnything()).handle(OrderCreated, print)
    run_until(consumer, lambda: committed(shop) == 1)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert any("legacy.OrderCreated" in line and "namespace differs" in line for line in warnings)


def test_topic_of_which_nothing_is_handled_is_pointed_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A topic that never held anything for our handlers is named, at the latest at the end."""
    shop = Shop()
    publish(shop, OrderCancelled(order_id="a"), topic=TOPIC)
    consumer = shop.consumer().handle(OrderCreated, print)
    run_until(consumer, lambda: committed(shop) == 1)
    assert any(f"none of the events of {TOPIC} is handled" in line for line in caplog.messages)


def test_topic_of_which_something_is_handled_is_not(caplog: pytest.LogCaptureFixture) -> None:
    """A topic that also contains other events causes no warning."""
    shop = Shop()
    publish(shop, OrderCancelled(order_id="a"), *orders(1), topic=TOPIC)
    consumer = shop.consumer().handle(OrderCreated, lambda event: None)
    run_until(consumer, lambda: committed(shop) == 2)
    assert not any("none of the events" in line for line in caplog.messages)


def test_tombstone_reaches_the_handler_of_its_event() -> None:
    """A tombstone that names its event goes to that event's tombstone handler alone."""
    shop = Shop()
    headers = CloudEventHeaders("/orders", "application/json")
    with shop.producer(encoder=shop.encoder(standard_headers=headers)) as producer:
        producer.produce_tombstone(OrderCreated, "o-1")
    consumer = shop.consumer()
    removed, others = Till(consumer, 1), Till(consumer, 1)
    consumer.handle(OrderCreated, print, tombstone=removed)
    consumer.handle(OrderCancelled, print, tombstone=others)
    consumer.run()
    (tombstone,) = removed.taken
    assert isinstance(tombstone, Tombstone)
    assert (tombstone.event_class, tombstone.key_text) == (OrderCreated, "o-1")
    assert others.taken == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_unnamed_tombstone_reaches_every_handler_of_its_topic(*, asynchronous: bool) -> None:
    """A null value of another producer concerns all events of its topic, and no other topic's."""
    shop = Shop()
    shop.broker.producer().produce(
        ProducerRecord(topic=TOPIC, value=None, key=b"\xff"), lambda report, error: None
    )
    consumer = shop.consumer()
    seen: list[Tombstone] = []
    others = Till(consumer, 1)
    removed = _collector(seen, asynchronous=asynchronous)
    consumer.handle(OrderCreated, print, tombstone=removed)
    consumer.handle(OrderCancelled, print, tombstone=others)
    run_until(consumer, lambda: committed(shop) == 1)
    assert [(each.key, each.key_text) for each in seen] == [(b"\xff", None)]
    assert others.taken == []


def test_unnamed_tombstone_concerns_all_events_of_a_shared_topic() -> None:
    """Where two handled events share a topic, both tombstone handlers are called."""
    shop = Shop()
    shop.broker.producer().produce(
        ProducerRecord(topic=TOPIC, value=None, key=b"k"), lambda report, error: None
    )
    consumer = shop.consumer()
    seen: list[Tombstone] = []
    consumer.handle(OrderCreated, print, tombstone=seen.append)
    consumer.handle(OrderCancelled, print, tombstone=seen.append, topics=[TOPIC])
    run_until(consumer, lambda: committed(shop) == 1)
    assert {each.event_class for each in seen} == {OrderCreated, OrderCancelled}


def test_tombstone_without_handler_is_passed_over() -> None:
    """A null value without a handler is done nevertheless."""
    shop = Shop()
    with shop.producer() as producer:
        producer.produce_tombstone(OrderCreated, "o-1")
    consumer = shop.consumer().handle(OrderCreated, print)
    run_until(consumer, lambda: committed(shop) == 1)


def _collector(seen: list[Tombstone], *, asynchronous: bool) -> Callable[[Tombstone], object]:
    async def take(tombstone: Tombstone) -> None:
        seen.append(tombstone)

    return take if asynchronous else seen.append


class ReadsAnything(JsonMessageSerializer):
    """A serializer that reads any type as the requested class."""

    def open(self, record: ConsumerRecord) -> Any:
        """Take the type from the header, and read it as anything."""
        incoming = super().open(record)
        return _Anything(incoming.full_name)


class _Anything:
    def __init__(self, full_name: str) -> None:
        self.full_name = full_name
        self.schema_id = None

    def read(self, event_class: type[Any]) -> Any:
        """Return an order, whatever the record says."""
        return event_class(order_id="o-1")


def test_names_of_foreign_events_take_no_memory_without_bound() -> None:
    """A producer that puts an id into the event's name does not make the consumer grow."""
    shop = Shop()
    total = 1100
    broker = shop.broker.producer()
    for number in range(total):
        headers = (("ce_type", f"orders.Event{number}".encode()),)
        broker.produce(ProducerRecord(TOPIC, b"{}", headers=headers), lambda report, error: None)
    consumer = shop.consumer().handle(OrderCreated, lambda event: None)
    run_until(consumer, lambda: committed(shop) == total)
    assert consumer.skipped.total() == total
    assert len(consumer.skipped) == 1001


@pytest.mark.parametrize("version", [b"9" * 5000, b"two", b"\xff", b"-1", b""])
def test_version_that_is_no_number_is_none(version: bytes) -> None:
    """Whatever stands in a foreign header, reading it raises nothing."""
    at = ConsumerRecord(TOPIC, 0, 0, b"{}", None, (("ce_eventversion", version),), 1)
    assert Context(at).writer_version is None
