"""A connection in memory with dead letters in it."""

from __future__ import annotations

from typing import Any

from sdk.consuming.forwarding import Forwarder
from sdk.consuming.outcome import DeadLetter
from sdk.consuming.retry_topics import RetryTopics
from sdk.errors import HandlerError
from sdk.messaging import Messaging
from sdk.records import ConsumerRecord
from sdk.testing import InMemoryBroker, connect
from tests.unit.messaging.shop import CATALOG, OrderCreated

TOPIC = "orders.order-created"
DLT = f"{TOPIC}-dlt"


class BadOrder(ValueError):
    """An order that the business does not accept."""


class NoStock(RuntimeError):
    """An order that nothing is left for."""


def connected(broker: InMemoryBroker, **options: Any) -> Messaging:
    """Return a connection to a broker in memory."""
    return connect(CATALOG, broker=broker, **options)


def fail(
    messaging: Messaging, broker: InMemoryBroker, *orders: str, **options: Any
) -> list[ConsumerRecord]:
    """Publish orders and dead-letter them; return the original records.

    Args:
        messaging: The connection.
        broker: Its broker.
        *orders: Their numbers, which are the keys.
        **options: ``error``, ``group`` and ``timestamp``.
    """
    error = options.get("error", BadOrder("no lines"))
    failed = HandlerError("the handler raised")
    failed.__cause__ = error
    forwarder = Forwarder(messaging.producer.send, RetryTopics(), options.get("group", "billing"))
    originals = []
    for order in orders:
        report = messaging.producer.produce(
            OrderCreated(order_id=order), timestamp=options.get("timestamp")
        ).result(5)
        (record,) = [
            each
            for each in broker.records(TOPIC)
            if (each.partition, each.offset) == (report.partition, report.offset)
        ]
        forwarder.dead_letter(record, DeadLetter("handler", failed)).result(5)
        originals.append(record)
    return originals
