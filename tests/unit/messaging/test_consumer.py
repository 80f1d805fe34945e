"""The plain consumer: dispatch, versions, tombstones, commits, and what stops or delays it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field

from sdk.cloud_events import CloudEventHeaders
from sdk.consuming.consumer import Consumer
from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DeserializationError,
    HandlerError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SdkError,
)
from sdk.happenings import Happening, RecordFailed, RecordHandled, RecordReceived
from sdk.observers import Observers
from sdk.records import ConsumerRecord, ProducerRecord, Tombstone
from sdk.serialization import JsonMessageSerializer
from sdk.serialization.json_format import JsonIncoming
from sdk.settings import RoutingOptions, TopicOptions
from sdk.testing import InMemoryBroker
from sdk.topics import TopicDefinition, TopicRouter
from tests.unit.messaging.shop import (
    CATALOG,
    TOPIC,
    OrderCancelled,
    OrderCreated,
    OrderCreatedV1,
    Shop,
)


def publish(shop: Shop, *events: Any, **options: Any) -> None:
    """Produce events and wait until they are acknowledged."""
    with shop.producer() as producer:
        for event in events:
            producer.produce(event, **options)


def orders(*numbers: int) -> list[OrderCreated]:
    """Return orders with these numbers as ids."""
    return [OrderCreated(order_id=f"o-{number}") for number in numbers]


@define
class Till:
    """A handler that collects what it is called with, and stops its consumer after so many."""

    consumer: Consumer
    count: int
    taken: list[Any] = field(factory=list)

    def __call__(self, *arguments: Any) -> None:
        """Take what a handler is given."""
        self.taken.append(arguments[0] if len(arguments) == 1 else arguments)
        if len(self.taken) >= self.count:
            self.consumer.stop()


def run_briefly(consumer: Consumer, seconds: float = 0.3) -> None:
    """Run a consumer and stop it from another thread."""
    timer = threading.Timer(seconds, consumer.stop)
    timer.start()
    consumer.run()
    timer.join()


def test_events_reach_their_handler() -> None:
    """Each event reaches the handler of its class, from whatever topic it comes."""
    shop = Shop()
    publish(shop, OrderCreated(order_id="o-1", note="hi"), OrderCancelled(order_id="o-2"))
    consumer = shop.consumer()
    both: list[Any] = []
    till = Till(consumer, 2, both)
    consumer.handle(OrderCreated, till).handle(OrderCancelled, till)
    consumer.run()
    assert {type(event) for event in both} == {OrderCreated, OrderCancelled}
    assert OrderCreated(order_id="o-1", note="hi") in both


def test_older_version_is_read_as_the_class_that_is_handled() -> None:
    """What version 1 wrote arrives as version 2, with its default filled in."""
    shop = Shop()
    publish(shop, OrderCreatedV1(order_id="old"), OrderCreated(order_id="new", note="x"))
    consumer = shop.consumer()
    till = Till(consumer, 2)
    consumer.handle(OrderCreated, till).run()
    assert {event.order_id: event.note for event in till.taken} == {"old": "none", "new": "x"}
    assert {type(event) for event in till.taken} == {OrderCreated}


def test_topics_of_every_version_are_read() -> None:
    """Versions that have topics of their own are read side by side by one handler."""
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
    assert {event.order_id for event in till.taken} == {"old", "new"}


def test_handler_may_ask_for_the_record() -> None:
    """With ``pass_record`` the handler sees topic, partition, offset, key and headers."""
    shop = Shop()
    publish(shop, *orders(1), headers={"trace": "1"})
    consumer = shop.consumer()
    till = Till(consumer, 1)
    consumer.handle(OrderCreated, till, pass_record=True).run()
    ((event, record),) = till.taken
    assert event.order_id == "o-1"
    assert (record.topic, record.offset, record.key) == (TOPIC, 0, b"o-1")
    assert record.header("trace") == b"1"


def test_one_event_has_one_handler() -> None:
    """Two handlers for one event, or for an alias of it, are refused."""
    consumer = Shop().consumer()
    consumer.handle(OrderCreated, print)
    with pytest.raises(ConfigurationError, match="handler already"):
        consumer.handle(OrderCreatedV1, print)


def test_handler_can_be_called() -> None:
    """What cannot be called is refused at once, not when the first event comes."""
    with pytest.raises(ConfigurationError, match="callable"):
        Shop().consumer().handle(OrderCreated, None)  # type: ignore[arg-type]


def test_event_written_under_an_alias_is_read() -> None:
    """An event that was renamed since is dispatched by the alias in the reader's schema."""
    shop = Shop()
    publish(shop, OrderCreated(order_id="o-1"), headers={"ce_type": "orders.OrderPlaced"})
    consumer = shop.consumer()
    till = Till(consumer, 1)
    consumer.handle(OrderCreated, till).run()
    assert till.taken[0].order_id == "o-1"


def test_unknown_events_are_skipped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Events without a handler on a shared topic are passed over, told once, and counted."""
    shop = Shop()
    publish(shop, OrderCancelled(order_id="a"), OrderCancelled(order_id="b"), topic=TOPIC)
    publish(shop, *orders(1))
    consumer = shop.consumer()
    consumer.handle(OrderCreated, lambda event: None)
    with caplog.at_level("INFO", logger="sdk.consuming.consumer"):
        run_briefly(consumer)
    assert consumer.skipped == {"orders.OrderCancelled": 2}
    assert (
        len([line for line in caplog.messages if "handler for orders.OrderCancelled" in line]) == 1
    )
    assert sum(shop.broker.committed("billing").values()) == 3


def test_tombstone_reaches_the_handler_of_its_event() -> None:
    """A tombstone that tells its event goes to that event's tombstone handler alone."""
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


def test_untold_tombstone_reaches_every_handler_of_its_topic() -> None:
    """A null value of another producer concerns all events of its topic, and no other topic's."""
    shop = Shop()
    shop.broker.producer().produce(
        ProducerRecord(topic=TOPIC, value=None, key=b"\xff"), lambda report, error: None
    )
    consumer = shop.consumer()
    removed, others = Till(consumer, 1), Till(consumer, 1)
    consumer.handle(OrderCreated, print, tombstone=removed)
    consumer.handle(OrderCancelled, print, tombstone=others)
    consumer.run()
    assert [(each.key, each.key_text) for each in removed.taken] == [(b"\xff", None)]
    assert others.taken == []


def test_tombstone_without_handler_is_passed_over() -> None:
    """A null value that nobody asked for is done all the same."""
    shop = Shop()
    with shop.producer() as producer:
        producer.produce_tombstone(OrderCreated, "o-1")
    consumer = shop.consumer()
    consumer.handle(OrderCreated, print)
    run_briefly(consumer)
    assert sum(shop.broker.committed("billing").values()) == 1


def test_handled_events_do_not_come_again() -> None:
    """A second run of the group goes on after the last event that was handled."""
    shop = Shop()
    publish(shop, *orders(1, 2, 3))
    consumer = shop.consumer()
    till = Till(consumer, 3)
    consumer.handle(OrderCreated, till).run()
    publish(shop, *orders(4))
    till.count = 4
    consumer.run()
    assert [event.order_id for event in till.taken].count("o-4") == 1
    assert len(till.taken) == 4


def test_stop_finishes_the_event_in_hand_alone() -> None:
    """After `stop`, what was polled and not handled is left for the next run."""
    shop = Shop()
    publish(shop, *orders(*range(10)), key="same")
    consumer = shop.consumer()
    till = Till(consumer, 4)
    consumer.handle(OrderCreated, till).run()
    assert len(till.taken) == 4
    assert sum(shop.broker.committed("billing").values()) == 4


def test_failed_handler_stops_the_consumer_where_it_stood() -> None:
    """A handler's exception names the place; nothing past it is committed, and it comes again."""
    shop = Shop()
    publish(shop, *orders(0, 1, 2, 3), key="same")
    consumer = shop.consumer()
    seen: list[str] = []

    def fail_once(event: OrderCreated) -> None:
        seen.append(event.order_id)
        if seen == ["o-0", "o-1", "o-2"]:
            raise ValueError("no stock")
        if event.order_id == "o-3":
            consumer.stop()

    consumer.handle(OrderCreated, fail_once)
    with pytest.raises(HandlerError, match="ValueError: no stock") as caught:
        consumer.run()
    assert (caught.value.topic, caught.value.offset) == (TOPIC, 2)
    assert caught.value.event == "orders.OrderCreated"
    assert isinstance(caught.value.__cause__, ValueError)
    assert sum(shop.broker.committed("billing").values()) == 2
    consumer.run()
    assert seen == ["o-0", "o-1", "o-2", "o-2", "o-3"]


def test_poison_stops_the_consumer_where_it_stood() -> None:
    """Bytes that can never be read are an error with topic, partition and offset."""
    shop = Shop()
    publish(shop, *orders(0), partition=1)
    poison(shop)
    consumer = shop.consumer()
    consumer.handle(OrderCreated, lambda event: None)
    with pytest.raises(DeserializationError) as caught:
        consumer.run()
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == (TOPIC, 1, 1)
    assert shop.broker.committed("billing") == {(TOPIC, 1): 1}


def test_error_policy_may_count_a_record_as_done() -> None:
    """The seam for dead letters: a policy that returns lets the consumer go on."""
    shop = Shop()
    poison(shop)
    publish(shop, *orders(1), partition=1)
    laid_aside: list[tuple[ConsumerRecord, SdkError]] = []
    consumer = shop.consumer(on_error=lambda record, error: laid_aside.append((record, error)))
    till = Till(consumer, 1)
    consumer.handle(OrderCreated, till).run()
    ((record, error),) = laid_aside
    assert record.value == b"no event"
    assert isinstance(error, DeserializationError)
    assert shop.broker.committed("billing") == {(TOPIC, 1): 2}


def test_unknown_schema_is_poison() -> None:
    """A schema that the registry does not have makes its record unreadable for good."""
    shop = Shop()
    publish(shop, *orders(1))
    error = SchemaNotFoundError("schema 7 not found", schema_id=7)
    consumer = shop.consumer(serializer=Flaky([error]))
    consumer.handle(OrderCreated, print)
    with pytest.raises(DeserializationError, match="schema 7 not found") as caught:
        consumer.run()
    assert (caught.value.offset, caught.value.schema_id) == (0, 7)


def test_registry_outage_delays_and_skips_nothing() -> None:
    """While the registry is out of reach the partition waits; then everything comes, in order."""
    shop = Shop()
    publish(shop, *orders(*range(6)), key="same")
    outage = RegistryUnavailableError("the registry is down")
    consumer = shop.consumer(serializer=Flaky([None, None, outage, outage, outage]))
    till = Till(consumer, 6)
    consumer.handle(OrderCreated, till).run()
    assert [event.order_id for event in till.taken] == [f"o-{number}" for number in range(6)]


def test_registry_outage_holds_up_its_partition_alone() -> None:
    """Partitions whose schemas are known are read on during an outage."""
    shop = Shop()
    for partition in (0, 1):
        publish(shop, *orders(*range(3)), partition=partition, headers={"p": str(partition)})
    consumer = shop.consumer(serializer=OutOfReach(partition=0), wait=lambda attempt: 60.0)
    till = Till(consumer, 3)
    consumer.handle(OrderCreated, till, pass_record=True).run()
    assert [record.partition for _, record in till.taken] == [1, 1, 1]
    assert shop.broker.committed("billing") == {(TOPIC, 1): 3}


def test_registry_refusal_stops_the_consumer() -> None:
    """Wrong registry credentials are no fault of the record: the consumer stops with them."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer(
        serializer=Flaky([RegistryRefusedError("401")]), on_error=lambda record, error: None
    )
    consumer.handle(OrderCreated, print)
    with pytest.raises(RegistryRefusedError):
        consumer.run()
    assert shop.broker.committed("billing") == {}


@pytest.mark.parametrize("error", [AuthenticationError("no"), AuthorizationError("no")])
def test_refusal_by_the_broker_ends_the_run(error: SdkError) -> None:
    """What Kafka refuses when polled reaches the caller as it is."""
    shop = Shop()
    shop.broker.fail("poll", error)
    consumer = shop.consumer().handle(OrderCreated, print)
    with pytest.raises(type(error)):
        consumer.run()


def test_failed_commit_is_made_again() -> None:
    """A commit that fails by an outage is repeated; what was handled is not handled again."""
    shop = Shop()
    publish(shop, *orders(1, 2), key="same")
    shop.broker.fail("commit", BrokerUnavailableError("rebalance"))
    consumer = shop.consumer()
    till = Till(consumer, 2)
    consumer.handle(OrderCreated, till).run()
    assert sum(shop.broker.committed("billing").values()) == 2
    assert len(till.taken) == 2


def test_two_members_share_the_work() -> None:
    """A second member takes partitions over, without an event lost or handled in both."""
    shop = Shop(InMemoryBroker(partitions=4))
    shop.broker.define(TopicDefinition(name=TOPIC, partitions=4))
    taken: list[str] = []
    lock = threading.Lock()

    def take(event: OrderCreated) -> None:
        time.sleep(0.002)
        with lock:
            taken.append(event.order_id)

    members = [shop.consumer().handle(OrderCreated, take) for _ in range(2)]
    threads = [threading.Thread(target=member.run) for member in members]
    threads[0].start()
    publish(shop, *orders(*range(50)))
    threads[1].start()
    publish(shop, *orders(*range(50, 100)))
    wait_until(lambda: sum(shop.broker.committed("billing").values()) == 100)
    for member, thread in zip(members, threads, strict=True):
        member.stop()
        thread.join()
    assert sorted(taken) == sorted(f"o-{number}" for number in range(100))


def test_slow_handler_keeps_its_place() -> None:
    """A batch that takes longer than the commit interval is committed while it is handled."""
    shop = Shop()
    publish(shop, *orders(1, 2), key="same")
    consumer = shop.consumer()
    committed: list[int] = []

    def slow(event: OrderCreated) -> None:
        committed.append(sum(shop.broker.committed("billing").values()))
        if event.order_id == "o-2":
            consumer.stop()
        else:
            time.sleep(1.1)

    consumer.handle(OrderCreated, slow).run()
    assert committed == [0, 1]


def test_coroutine_handlers_are_awaited() -> None:
    """A coroutine function is a handler too, in a plain run."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    seen: list[str] = []

    async def take(event: OrderCreated) -> None:
        await asyncio.sleep(0)
        seen.append(event.order_id)
        consumer.stop()

    consumer.handle(OrderCreated, take).run()
    assert seen == ["o-1"]


def test_run_async_handles_in_the_callers_loop() -> None:
    """Within an event loop, coroutine handlers run in that loop, which stays free meanwhile."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    loops: list[asyncio.AbstractEventLoop] = []

    async def take(event: OrderCreated) -> None:
        loops.append(asyncio.get_running_loop())
        consumer.stop()

    async def main() -> asyncio.AbstractEventLoop:
        await consumer.handle(OrderCreated, take).run_async()
        return asyncio.get_running_loop()

    assert asyncio.run(main()) is loops[0]


def test_cancelled_run_async_leaves_the_group() -> None:
    """Cancelling the task stops the consumer; its partitions are free before the task ends."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer().handle(OrderCreated, lambda event: None)

    async def main() -> None:
        task = asyncio.create_task(consumer.run_async())
        await asyncio.to_thread(
            wait_until, lambda: sum(shop.broker.committed("billing").values()) == 1
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert shop.broker.group("billing").members() == 0


def test_run_does_not_block_an_event_loop() -> None:
    """`run` inside an event loop is refused, and says what to call instead."""
    consumer = Shop().consumer().handle(OrderCreated, print)

    async def main() -> None:
        consumer.run()

    with pytest.raises(ConfigurationError, match="run_async"):
        asyncio.run(main())


def test_consumer_without_handler_is_refused() -> None:
    """A consumer that nobody gave a handler has nothing to subscribe to."""
    with pytest.raises(ConfigurationError, match="handler"):
        Shop().consumer().run()


def test_consumer_runs_once_at_a_time() -> None:
    """A second run of the same consumer is refused while the first goes on."""
    shop = Shop()
    publish(shop, *orders(1))
    consumer = shop.consumer()
    errors: list[BaseException] = []

    def run_again(event: OrderCreated) -> None:
        try:
            consumer.run()
        except ClosedError as error:
            errors.append(error)
        consumer.stop()

    consumer.handle(OrderCreated, run_again).run()
    assert [type(error) for error in errors] == [ClosedError]


def test_observers_see_handling() -> None:
    """An observer sees each record come, be handled, or fail with the handler's exception."""
    shop = Shop()
    publish(shop, *orders(0, 1), key="same")
    seen: list[str] = []

    def observe(happening: Happening) -> None:
        match happening:
            case RecordReceived(record):
                seen.append(f"received {record.offset}")
            case RecordHandled(record, _, group, seconds):
                seen.append(f"handled {record.offset} {group} {seconds > 0}")
            case RecordFailed(record, event, group, error, failure):
                seen.append(f"{failure} failed {record.offset} {event} {type(error).__name__}")

    def handle(event: OrderCreated) -> None:
        if event.order_id == "o-1":
            raise KeyError(event.order_id)

    consumer = shop.consumer(observers=Observers([observe]), group="billing")
    consumer.handle(OrderCreated, handle)
    with pytest.raises(HandlerError):
        consumer.run()
    assert seen == [
        "received 0",
        "handled 0 billing True",
        "received 1",
        "handler failed 1 orders.OrderCreated KeyError",
    ]


def poison(shop: Shop) -> None:
    """Write bytes that are no event to partition 1 of the topic."""
    record = ProducerRecord(
        topic=TOPIC,
        value=b"no event",
        partition=1,
        headers=(("ce_type", b"orders.OrderCreated"), ("ce_eventversion", b"2")),
    )
    shop.broker.producer().produce(record, lambda report, error: None)


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail when it does not for 20 seconds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Flaky(JsonMessageSerializer):
    """A serializer whose next readings end in errors, where there is one in the list."""

    def __init__(self, errors: list[SdkError | None]) -> None:
        super().__init__()
        self._errors = errors

    def open(self, record: ConsumerRecord) -> JsonIncoming:
        """Open a record, or raise the next error."""
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        return super().open(record)


class OutOfReach(JsonMessageSerializer):
    """A serializer whose registry does not know the schemas of one partition."""

    def __init__(self, partition: int) -> None:
        super().__init__()
        self._partition = partition

    def open(self, record: ConsumerRecord) -> JsonIncoming:
        """Open a record, unless it is of that partition."""
        if record.partition == self._partition:
            raise RegistryUnavailableError("the registry is down")
        return super().open(record)


def test_broker_error_is_no_handler_error() -> None:
    """An error that polling raises is told as it is, after the group was left."""
    shop = Shop()
    shop.broker.fail("poll", BrokerError("broken"))
    consumer = shop.consumer().handle(OrderCreated, print)
    with pytest.raises(BrokerError, match="broken"):
        consumer.run()
    assert shop.broker.group("billing").members() == 0
