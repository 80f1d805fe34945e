"""How a service publishes and handles events; ``refused`` marks what checkers must refuse."""

from __future__ import annotations

from typing import assert_type

from contracts.orders import OrderCancelled, OrderCreated
from contracts.orders.order_created import OrderLine, v1

import sdk
from sdk import ConsumerRecord, Delivery, DeliveryReport, ProducerRecord, Transaction
from sdk.consuming.context import Context
from sdk.events import Event
from sdk.testing import InMemoryBroker, connect, events


def on_created(event: OrderCreated) -> None:
    """Handle an event."""


def on_any(event: Event) -> None:
    """Handle every event."""


def with_context(event: OrderCreated, context: Context) -> None:
    """Handle an event, knowing its record."""


async def in_coroutine(event: OrderCreated) -> None:
    """Handle an event in a coroutine."""


async def in_coroutine_with_context(event: OrderCreated, context: Context) -> None:
    """Handle an event in a coroutine, knowing its record."""


def in_batches(batch: list[OrderCreated]) -> None:
    """Handle several events at once."""


async def in_batches_with_contexts(batch: list[OrderCreated], contexts: list[Context]) -> None:
    """Handle several events at once in a coroutine, knowing their records."""


def three(event: OrderCreated, context: Context, more: int) -> None:
    """Take one argument too many."""


def none() -> None:
    """Take no event."""


async def publish(created: OrderCreated, first: v1.OrderCreated, line: OrderLine) -> None:
    """Publish, rightly and wrongly."""
    with sdk.connect() as messaging:
        producer = messaging.producer
        assert_type(producer.produce(created), Delivery)
        assert_type(await producer.produce(first, key="k", headers={"a": b"b"}), DeliveryReport)
        assert_type(producer.record(created), ProducerRecord)
        producer.send(producer.record(created))
        producer.produce_tombstone(OrderCreated, "key")

        producer.produce(42)  # refused
        producer.produce({"order_id": 1})  # refused
        producer.produce(line)  # refused
        producer.produce(OrderCreated)  # refused
        producer.produce(created, key="k", topik="x")  # refused
        producer.produce(created, partition="0")  # refused
        producer.send(created)  # refused
        producer.record(line)  # refused
        producer.produce_tombstone(created, "key")  # refused
        producer.produce_tombstone(OrderLine, "key")  # refused


async def publish_atomically(created: OrderCreated, line: OrderLine) -> None:
    """Publish in transactions, rightly and wrongly."""
    with sdk.connect() as messaging:
        with messaging.transaction() as transaction:
            assert_type(transaction, Transaction)
            assert_type(transaction.produce(created, key="k"), Delivery)
            transaction.send(transaction.record(created))
            transaction.produce_tombstone(OrderCreated, "key")
        async with messaging.transaction() as awaited:
            assert_type(await awaited.produce(created), DeliveryReport)

            awaited.produce(line)  # refused
            awaited.produce_tombstone(created, "key")  # refused
            awaited.send(created)  # refused
        messaging.transaction("orders")  # refused


def handle(created: OrderCreated) -> None:
    """Handle by calls, rightly and wrongly."""
    with sdk.connect() as messaging:
        messaging.consumer("billing", exactly_once=True, concurrency=8).handle(
            OrderCreated, on_created
        )
        messaging.consumer("billing", exactly_once="yes")  # refused
        consumer = messaging.consumer("billing")
        consumer.handle(OrderCreated, on_created).handle(OrderCancelled, on_any)
        consumer.handle(OrderCreated, with_context)
        consumer.handle(OrderCreated, in_coroutine)
        consumer.handle(OrderCreated, in_coroutine_with_context)
        consumer.handle(OrderCreated, in_batches, batch_size=10)
        consumer.handle(OrderCreated, in_batches_with_contexts, batch_size=10)
        consumer.handle(OrderCreated, lambda event: print(event.total_amount))

        consumer.handle(int, on_any)  # refused
        consumer.handle(OrderLine, print)  # refused
        consumer.handle(created, on_created)  # refused
        consumer.handle(OrderCancelled, on_created)  # refused
        consumer.handle(OrderCancelled, in_coroutine)  # refused
        consumer.handle(OrderCancelled, with_context)  # refused
        consumer.handle(OrderCreated, three)  # refused
        consumer.handle(OrderCreated, none)  # refused
        consumer.handle(OrderCreated, in_batches)  # refused
        consumer.handle(OrderCancelled, in_batches, batch_size=10)  # refused
        consumer.handle(OrderCreated, "on_created")  # refused


def decorate() -> None:
    """Handle by decorators, rightly and wrongly."""
    with sdk.connect() as messaging:
        consumer = messaging.consumer("billing")

        @consumer.handle(OrderCreated)
        def created(event: OrderCreated) -> int:
            return 1

        @consumer.handle(OrderCreated)
        async def later(event: OrderCreated, context: Context) -> None: ...

        @consumer.handle(OrderCreated, batch_size=10)
        def batch(batch: list[OrderCreated]) -> None: ...

        created(1)  # refused
        print(later, batch)

        @consumer.handle(OrderCancelled)  # refused
        def wrong_event(event: OrderCreated) -> None: ...

        @consumer.handle(OrderCreated, batch_size=10)  # refused
        def wrong_batch(event: OrderCreated) -> None: ...

        print(wrong_event, wrong_batch)


def in_tests(record: ConsumerRecord) -> None:
    """Use of the in-memory broker in a service's tests."""
    broker = InMemoryBroker()
    with connect(broker=broker):
        (created,) = broker.events(OrderCreated)
        assert_type(created, OrderCreated)
    assert_type(events(OrderCreated).example(), OrderCreated)
    events(int)  # refused
    broker.events(OrderLine)  # refused
    print(record.topik)  # refused
