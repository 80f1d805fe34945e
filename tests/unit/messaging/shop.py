"""Events of a small shop, as the generator would write them, and everything wired in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

from attrs import field, fields, frozen

from sdk.consuming.consumer import Consumer
from sdk.consuming.engine import ConsumerParts
from sdk.consuming.failures import FailurePolicy
from sdk.correlation import handled
from sdk.events import Catalog, CatalogEntry, EventInfo
from sdk.publishing.encoder import Encoder
from sdk.publishing.producer import Producer
from sdk.records import ConsumerRecord
from sdk.serialization import JsonMessageSerializer, TextKeySerializer
from sdk.settings import ConsumerOptions, RetryOptions, RoutingOptions, TopicOptions
from sdk.testing import InMemoryBroker
from sdk.topics import TopicRouter

V1 = """{"type": "record", "name": "OrderCreated", "namespace": "orders", "fields": [
    {"name": "order_id", "type": "string"},
    {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}"""

V2 = """{"type": "record", "name": "OrderCreated", "namespace": "orders",
    "aliases": ["OrderPlaced"], "fields": [
    {"name": "order_id", "type": "string"},
    {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "note", "type": "string", "default": "none"}]}"""

CANCELLED = """{"type": "record", "name": "OrderCancelled", "namespace": "orders", "fields": [
    {"name": "order_id", "type": "string"}]}"""


@frozen(slots=True, kw_only=True)
class OrderCreatedV1:
    """An order, as first thought of."""

    order_id: str
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    __event__: ClassVar[EventInfo] = EventInfo(
        full_name="orders.OrderCreated",
        version=1,
        schema=V1,
        fingerprint="0000000000000001",
        domain="orders",
        key_field="order_id",
    )


@frozen(slots=True, kw_only=True)
class OrderCreated:
    """An order with a note."""

    order_id: str
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    note: str = "none"

    __event__: ClassVar[EventInfo] = EventInfo(
        full_name="orders.OrderCreated",
        version=2,
        schema=V2,
        fingerprint="0000000000000002",
        domain="orders",
        key_field="order_id",
    )


@frozen(slots=True, kw_only=True)
class OrderCancelled:
    """An order that is no more; it has no key field."""

    order_id: str

    __event__: ClassVar[EventInfo] = EventInfo(
        full_name="orders.OrderCancelled",
        version=1,
        schema=CANCELLED,
        fingerprint="0000000000000003",
        domain="orders",
    )


CATALOG = Catalog(
    [
        CatalogEntry("orders.OrderCreated", 1, __name__, "OrderCreatedV1"),
        CatalogEntry("orders.OrderCreated", 2, __name__, "OrderCreated"),
        CatalogEntry("orders.OrderCancelled", 1, __name__, "OrderCancelled"),
    ]
)

TOPIC = "orders.created"


@contextmanager
def within(record: ConsumerRecord) -> Iterator[None]:
    """Handle a record inside the block, as a consumer does."""
    before = handled.set((record, "orders.OrderCreated", 0))
    yield
    handled.reset(before)


@frozen
class Shop:
    """One broker with routes, and what is made for it.

    Attributes:
        broker: The broker in memory.
        topics: Event class → topic.
    """

    broker: InMemoryBroker = field(factory=InMemoryBroker)
    topics: TopicRouter = field(
        factory=lambda: TopicRouter(
            RoutingOptions(), [TopicOptions(event="OrderCreated", name=TOPIC)], CATALOG
        )
    )

    def encoder(self, **parts: Any) -> Encoder:
        """Return an encoder; ``parts`` replace those that it would have."""
        usual = {
            "serializer": JsonMessageSerializer(),
            "keys": TextKeySerializer(),
            "topics": self.topics,
        }
        return Encoder(**{**usual, **parts})

    def producer(self, *, encoder: Encoder | None = None, **options: Any) -> Producer:
        """Return a producer; ``options`` are those of `Producer`."""
        return Producer(self.broker.producer(), encoder or self.encoder(), **options)

    def consumer(self, group_id: str = "billing", **parts: Any) -> Consumer:
        """Return a consumer; ``parts`` replace those that it would have, and its options."""
        options: dict[str, Any] = {"commit_interval_ms": 10}
        for each in fields(ConsumerOptions):
            if each.name in parts:
                options[each.name] = parts.pop(each.name)
        usual = {
            "connect": lambda: self.broker.consumer(group_id),
            "serializer": JsonMessageSerializer(),
            "topics": self.topics,
            "keys": TextKeySerializer(),
            "group": group_id,
            "policy": FailurePolicy(retry=RetryOptions(retry_count=0)),
            "options": ConsumerOptions(**options),
        }
        return Consumer(ConsumerParts(**{**usual, **parts}))
