"""Schema-registry-driven Avro events for Python services on Kafka.

    import sdk

    with sdk.connect() as messaging:
        messaging.producer.produce(OrderCreated(...)).result(timeout=10)

Names are resolved on first use, so that importing a generated contract loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names

if TYPE_CHECKING:
    from sdk.abstractions import Observer as Observer
    from sdk.consuming.consumer import Consumer as Consumer
    from sdk.consuming.context import Context as Context
    from sdk.consuming.failures import FailurePolicy as FailurePolicy
    from sdk.errors import DependencyDown as DependencyDown
    from sdk.errors import SdkError as SdkError
    from sdk.events import Catalog as Catalog
    from sdk.events import Event as Event
    from sdk.events import EventInfo as EventInfo
    from sdk.messaging import Messaging as Messaging
    from sdk.messaging import connect as connect
    from sdk.publishing.delivery import Delivery as Delivery
    from sdk.publishing.producer import Producer as Producer
    from sdk.records import ConsumerRecord as ConsumerRecord
    from sdk.records import DeliveryReport as DeliveryReport
    from sdk.records import ProducerRecord as ProducerRecord
    from sdk.records import Tombstone as Tombstone
    from sdk.settings import Settings as Settings
    from sdk.settings import load_settings as load_settings

_HOMES = {
    "Catalog": "sdk.events",
    "Consumer": "sdk.consuming.consumer",
    "ConsumerRecord": "sdk.records",
    "Context": "sdk.consuming.context",
    "Delivery": "sdk.publishing.delivery",
    "DeliveryReport": "sdk.records",
    "DependencyDown": "sdk.errors",
    "Event": "sdk.events",
    "EventInfo": "sdk.events",
    "FailurePolicy": "sdk.consuming.failures",
    "Messaging": "sdk.messaging",
    "Observer": "sdk.abstractions",
    "Producer": "sdk.publishing.producer",
    "ProducerRecord": "sdk.records",
    "SdkError": "sdk.errors",
    "Settings": "sdk.settings",
    "Tombstone": "sdk.records",
    "connect": "sdk.messaging",
    "load_settings": "sdk.settings",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
