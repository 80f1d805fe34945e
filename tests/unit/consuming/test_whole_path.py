"""A failed event's whole way: in place, retry topics, dead letter, replay, handled."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner

from sdk.cli.command import sdk
from sdk.consuming.context import Context
from sdk.consuming.failures import FailurePolicy
from sdk.consuming.headers import int32, int64
from sdk.errors import AuthorizationError, DependencyDown, HandlerError, MessageTooLargeError
from sdk.happenings import (
    CircuitClosed,
    CircuitOpened,
    Happening,
    RecordDeadLettered,
    RecordRetried,
)
from sdk.messaging import Messaging
from sdk.observability.metrics import PrometheusMetrics
from sdk.records import ProducerRecord, Tombstone
from sdk.settings import (
    ConsumerOptions,
    DeadLetterOptions,
    InPlaceRetryOptions,
    RetryTopicsOptions,
    Settings,
    load_settings,
)
from sdk.testing import InMemoryBroker, connect, run_until_idle
from sdk.topics import TopicDefinition
from tests.unit.messaging.shop import CATALOG, OrderCreated

TOPIC = "orders.order-created"
RETRIES = [f"{TOPIC}-retry-20", f"{TOPIC}-retry-40"]
DLT = f"{TOPIC}-dlt"
ONCE = InPlaceRetryOptions(retry_count=0)


class BadOrder(ValueError):
    """An order that the business does not accept."""


def settings(**consumer: Any) -> Settings:
    """Return settings with a ``[consumer]`` table."""
    return evolve(load_settings("embedded"), consumer=ConsumerOptions(**consumer))


def connected(broker: InMemoryBroker, seen: list[Happening], **consumer: Any) -> Messaging:
    """Return a connection in memory that keeps what happens."""
    return connect(CATALOG, broker=broker, settings=settings(**consumer), observers=[seen.append])


class Handler:
    """Fails for some orders, a number of times each.

    Attributes:
        failures: Order → how often it still fails.
        attempts: The attempts that were seen, by order.
        handled: The orders that were handled, in order.
    """

    def __init__(self, error: Exception, **failures: int) -> None:
        self.error = error
        self.failures = failures
        self.attempts: dict[str, list[int]] = {}
        self.handled: list[str] = []

    def __call__(self, order: OrderCreated, context: Context) -> None:
        """Handle an order, or fail."""
        self.attempts.setdefault(order.order_id, []).append(context.attempt)
        if self.failures.get(order.order_id, 0) > 0:
            self.failures[order.order_id] -= 1
            raise self.error
        self.handled.append(order.order_id)


def publish(messaging: Messaging, orders: Iterable[str]) -> None:
    """Publish orders and wait until they are stored."""
    for order in orders:
        messaging.producer.produce(OrderCreated(order_id=order)).result(60)


def run(messaging: Messaging, broker: InMemoryBroker, handler: Handler, **options: Any) -> None:
    """Handle everything, retries included."""
    consumer = messaging.consumer("billing", **options).handle(OrderCreated, handler)
    run_until_idle(consumer, broker, "billing", timeout=60)


def test_the_whole_path_and_back() -> None:
    """Handler fails, is retried in place, then at each retry topic, is dead-lettered, replayed."""
    broker, seen = InMemoryBroker(), list[Happening]()
    handler = Handler(BadOrder("no lines"), bad=4)
    retry = InPlaceRetryOptions(retry_count=1, base_delay_ms=1)
    stages = RetryTopicsOptions(delays_ms=(20, 40))
    with connected(broker, seen, retry=retry, retry_topics=stages) as messaging:
        publish(messaging, ["good", "bad", "fine"])
        run(messaging, broker, handler)
        assert sorted(handler.handled) == ["fine", "good"]
        assert handler.attempts["bad"] == [1, 2, 2, 3]
        assert [len(broker.records(topic)) for topic in (*RETRIES, DLT)] == [1, 1, 1]
        retried = [each.topic for each in seen if isinstance(each, RecordRetried)]
        assert retried == [None, *RETRIES]
        assert [each.topic for each in seen if isinstance(each, RecordDeadLettered)] == [DLT]

        def dlt(*arguments: str) -> Any:
            result = CliRunner().invoke(
                sdk, ["dlt", *arguments, "--json"], obj=lambda *_, **__: nullcontext(messaging)
            )
            return json.loads(result.stdout)

        listed = dlt("list")
        assert (listed["key"], listed["group"], listed["message"]) == ("bad", "billing", "no lines")
        assert dlt("show", TOPIC, listed["id"])["value"]["order_id"] == "bad"
        assert dlt("replay", TOPIC)["replayed"] == 1
        run(messaging, broker, handler)
    assert sorted(handler.handled) == ["bad", "fine", "good"]


def test_the_dead_letter_is_the_original_after_all_its_retries() -> None:
    """Key, value, headers, timestamp and partition are those of the first record."""
    broker = InMemoryBroker()
    stages = RetryTopicsOptions(delays_ms=(1, 2))
    with connected(broker, [], retry=ONCE, retry_topics=stages) as messaging:
        messaging.producer.produce(
            OrderCreated(order_id="bad"), timestamp=1_000, headers={"x": b"1"}
        ).result(60)
        run(messaging, broker, Handler(BadOrder("no lines"), bad=9))
    (original,), (letter,) = broker.records(TOPIC), broker.records(DLT)
    assert (letter.key, letter.value, letter.partition, letter.timestamp) == (
        original.key,
        original.value,
        original.partition,
        1_000,
    )
    assert letter.headers[: len(original.headers)] == original.headers


def test_without_any_table_the_consumer_stops() -> None:
    """Nothing is lost by default: the failed record is not committed."""
    broker = InMemoryBroker()
    retry = InPlaceRetryOptions(retry_count=2, base_delay_ms=1)
    handler = Handler(BadOrder("no lines"), bad=9)
    with connected(broker, [], retry=retry) as messaging:
        publish(messaging, ["bad"])
        with pytest.raises(HandlerError, match="no lines"):
            run(messaging, broker, handler)
    assert handler.attempts["bad"] == [1, 2, 3]
    assert not any(broker.committed("billing").values())


def test_poison_is_dead_lettered_at_once_and_others_go_on() -> None:
    """Unreadable bytes do not block the partition."""
    broker, seen = InMemoryBroker(), list[Happening]()
    handler = Handler(BadOrder("x"))
    with connected(broker, seen, dead_letter=DeadLetterOptions()) as messaging:
        publish(messaging, ["one"])
        (record,) = broker.records(TOPIC)
        messaging.producer.send(
            messaging.producer.record(OrderCreated(order_id="one"))._replace(
                value=b"\x00\x00", partition=record.partition
            )
        ).result(60)
        messaging.producer.produce(OrderCreated(order_id="two"), partition=record.partition).result(
            60
        )
        run(messaging, broker, handler)
    assert handler.handled == ["one", "two"]
    assert [each.reason for each in seen if isinstance(each, RecordDeadLettered)] == ["poison"]


def test_a_rule_in_code_decides() -> None:
    """An exception class that is skipped is neither retried nor dead-lettered."""
    broker = InMemoryBroker()
    handler = Handler(BadOrder("x"), bad=9)
    policy = FailurePolicy(rules=[(BadOrder, "skip")])
    with connected(broker, [], dead_letter=DeadLetterOptions()) as messaging:
        publish(messaging, ["bad", "good"])
        run(messaging, broker, handler, failures=policy)
    assert handler.attempts["bad"] == [1]
    assert not broker.records(DLT)


def test_a_record_too_large_for_its_exception_is_dead_lettered_without_it() -> None:
    """A broker that refuses the headers' size gets the record with fewer of them."""
    broker = InMemoryBroker()
    with connected(broker, [], retry=ONCE, dead_letter=DeadLetterOptions()) as messaging:
        publish(messaging, ["bad"])
        broker.fail("deliver", MessageTooLargeError("too large"))
        run(messaging, broker, Handler(BadOrder("no lines"), bad=9))
    (letter,) = broker.records(DLT)
    assert letter.header("kafka_dlt-exception-stacktrace") is None
    assert letter.header("kafka_dlt-exception-message") == b"handler"


@pytest.mark.parametrize("metrics", [False, True])
def test_groups_that_share_retry_topics_leave_each_others_retries_alone(*, metrics: bool) -> None:
    """A retry is handled by the group that failed, though the names are the same for all."""
    broker = InMemoryBroker()
    options = settings(retry=ONCE, retry_topics=RetryTopicsOptions(delays_ms=(1, 2)))
    observers = [PrometheusMetrics()] if metrics else []
    billing, stock = Handler(BadOrder("x"), bad=1), Handler(BadOrder("x"))
    with connect(CATALOG, broker=broker, settings=options, observers=observers) as messaging:
        publish(messaging, ["bad", "good"])
        run(messaging, broker, billing)
        consumer = messaging.consumer("stock").handle(OrderCreated, stock)
        run_until_idle(consumer, broker, "stock", timeout=60)
    assert sorted(billing.handled) == ["bad", "good"]
    assert sorted(stock.handled) == ["bad", "good"]


def test_a_retry_is_not_missed_by_a_group_that_starts_at_the_end() -> None:
    """With auto_offset_reset = latest, what was forwarded before a restart is still retried."""
    broker = InMemoryBroker()
    options: dict[str, Any] = {
        "retry": ONCE,
        "retry_topics": RetryTopicsOptions(delays_ms=(100, 200)),
        "auto_offset_reset": "latest",
    }
    handler = Handler(BadOrder("x"), bad=1)
    with connected(broker, [], **options) as messaging:
        consumer = messaging.consumer("billing").handle(OrderCreated, handler).start()
        while not consumer.ready():
            pause()
        publish(messaging, ["bad"])
        while not broker.records(f"{TOPIC}-retry-100"):
            pause()
        consumer.close()
        consumer = messaging.consumer("billing").handle(OrderCreated, handler).start()
        while not handler.handled:
            pause()
        consumer.close()
    assert handler.handled == ["bad"]


def pause() -> None:
    """Let others work."""
    threading.Event().wait(0.01)


def test_while_a_dependency_is_down_nothing_is_burnt() -> None:
    """A circuit opens, no attempt is counted, nothing is dead-lettered, and all is handled."""
    broker, seen = InMemoryBroker(), list[Happening]()
    down = DependencyDown("payments-db", retry_after=0.01)
    handler = Handler(down, one=3, two=1)
    with connected(broker, seen, retry=ONCE, dead_letter=DeadLetterOptions()) as messaging:
        publish(messaging, ["one", "two", "three"])
        run(messaging, broker, handler)
    assert sorted(handler.handled) == ["one", "three", "two"]
    assert set(handler.attempts["one"]) == {1}
    assert not broker.records(DLT)
    assert CircuitOpened("payments-db", 0.01) in seen
    assert seen.count(CircuitClosed("payments-db")) >= 1


def test_a_handler_sees_the_time_of_the_original_record() -> None:
    """The original timestamp is known in a retry topic too, where the record has another one."""
    broker = InMemoryBroker()
    seen: list[int | None] = []

    def handle(order: OrderCreated, context: Context) -> None:
        seen.append(context.timestamp)
        if len(seen) == 1:
            raise BadOrder("x")

    stages = RetryTopicsOptions(delays_ms=(1,))
    with connected(broker, [], retry=ONCE, retry_topics=stages) as messaging:
        messaging.producer.produce(OrderCreated(order_id="a"), timestamp=1_000).result(60)
        consumer = messaging.consumer("billing").handle(OrderCreated, handle)
        run_until_idle(consumer, broker, "billing", timeout=60)
    assert seen == [1_000, 1_000]


def test_dead_letter_needs_no_permission_to_describe_its_topic() -> None:
    """Where the partition count is a secret, a record keeps its partition."""
    broker, seen = InMemoryBroker(), list[Happening]()

    def handle(order: OrderCreated) -> None:
        broker.fail("describe", AuthorizationError("cannot describe the topic's configuration"))
        raise BadOrder("no lines")

    with connected(broker, seen, retry=ONCE, dead_letter=DeadLetterOptions()) as messaging:
        messaging.producer.produce(OrderCreated(order_id="bad"), partition=2).result(60)
        consumer = messaging.consumer("billing").handle(OrderCreated, handle)
        run_until_idle(consumer, broker, "billing", timeout=60)
    assert [letter.partition for letter in broker.records(DLT)] == [2]


def test_tombstone_of_a_foreign_producer_is_retried_through_retry_topics() -> None:
    """A null value that names no event reaches the handler of its source topic there, too."""
    broker, attempts = InMemoryBroker(), list[str]()

    def delete(tombstone: Tombstone) -> None:
        attempts.append(tombstone.record.topic)
        if len(attempts) == 1:
            raise BadOrder("not yet")

    stages = RetryTopicsOptions(delays_ms=(20, 40))
    with connected(broker, [], retry=ONCE, retry_topics=stages) as messaging:
        messaging.producer.send(ProducerRecord(TOPIC, None, b"gone")).result(60)
        consumer = messaging.consumer("billing")
        consumer.handle(OrderCreated, lambda order: None, tombstone=delete)
        run_until_idle(consumer, broker, "billing", timeout=60)
    assert attempts == [TOPIC, RETRIES[0]]


def test_dead_letter_topic_that_its_first_record_creates_may_have_fewer_partitions() -> None:
    """The count of a missing topic is asked for again, so that the key decides the partition."""
    broker, handler = InMemoryBroker(partitions=4), Handler(BadOrder("no lines"), bad=1)
    broker.define(TopicDefinition(name=TOPIC, partitions=9))
    with connected(broker, [], retry=ONCE, dead_letter=DeadLetterOptions()) as messaging:
        messaging.producer.produce(OrderCreated(order_id="bad"), partition=8).result(60)
        run(messaging, broker, handler)
    assert len(broker.records(DLT)) == 1


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("attempts", [{}, {"retry_topic-attempts": int32(3)}])
def test_a_dead_letter_copied_to_its_source_topic_is_retried_by_each_group(
    *, ordered: bool, attempts: dict[str, bytes]
) -> None:
    """Headers of another group's failure neither use up attempts nor hide the retries."""
    broker, handler = InMemoryBroker(), Handler(BadOrder("no lines"), bad=1)
    copied = {
        "kafka_dlt-original-topic": TOPIC.encode(),
        "kafka_dlt-original-partition": int32(0),
        "kafka_dlt-original-offset": int64(7),
        "kafka_dlt-original-consumer-group": b"shipping",
        **attempts,
    }
    stages = RetryTopicsOptions(delays_ms=(20, 40), ordered=ordered)
    with connected(broker, [], retry=ONCE, retry_topics=stages) as messaging:
        messaging.producer.produce(OrderCreated(order_id="bad"), headers=copied).result(60)
        publish(messaging, ["bad", "good"])
        run(messaging, broker, handler)
    assert sorted(handler.handled) == ["bad", "bad", "good"]
    assert not broker.records(DLT)
