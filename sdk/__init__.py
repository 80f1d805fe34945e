"""Schema-registry-driven Avro events for Python services on Kafka.

    import sdk

    with sdk.connect() as messaging:
        messaging.producer.produce(OrderCreated(...)).result(timeout=10)

Names are resolved on first use, so that importing a generated contract loads nothing heavy. Further
public modules: `sdk.errors` (all exceptions), `sdk.happenings` (the arguments of observers),
`sdk.settings` (options made by hand), `sdk.records`, `sdk.topics`, `sdk.avro` (the codec alone),
`sdk.testing`, `sdk.embedded`, `sdk.outbox`, `sdk.replay` and `sdk.observability`;
`sdk.abstractions` has the protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk import errors as errors
from sdk.lazy import lazy_names

if TYPE_CHECKING:
    from sdk.abstractions import AroundHandler as AroundHandler
    from sdk.abstractions import Interceptor as Interceptor
    from sdk.abstractions import MessageSerializer as MessageSerializer
    from sdk.abstractions import Observer as Observer
    from sdk.abstractions import TokenSource as TokenSource
    from sdk.consuming.consumer import Consumer as Consumer
    from sdk.consuming.context import Context as Context
    from sdk.consuming.failures import FailurePolicy as FailurePolicy
    from sdk.consuming.health import Health as Health
    from sdk.errors import BatchFailed as BatchFailed
    from sdk.errors import DependencyDown as DependencyDown
    from sdk.errors import SdkError as SdkError
    from sdk.events import Catalog as Catalog
    from sdk.events import Event as Event
    from sdk.events import EventInfo as EventInfo
    from sdk.messaging import Messaging as Messaging
    from sdk.messaging import connect as connect
    from sdk.publishing.delivery import Delivery as Delivery
    from sdk.publishing.encoder import Encoder as Encoder
    from sdk.publishing.producer import Producer as Producer
    from sdk.records import ConsumerRecord as ConsumerRecord
    from sdk.records import DeliveryReport as DeliveryReport
    from sdk.records import ProducerRecord as ProducerRecord
    from sdk.records import Tombstone as Tombstone
    from sdk.records import TopicPartition as TopicPartition
    from sdk.settings import Settings as Settings
    from sdk.settings import load_settings as load_settings
    from sdk.transactions import Transaction as Transaction

    __version__: str

_HOMES = {
    "BatchFailed": "sdk.errors",
    "Catalog": "sdk.events",
    "Consumer": "sdk.consuming.consumer",
    "ConsumerRecord": "sdk.records",
    "Context": "sdk.consuming.context",
    "Delivery": "sdk.publishing.delivery",
    "DeliveryReport": "sdk.records",
    "DependencyDown": "sdk.errors",
    "Encoder": "sdk.publishing.encoder",
    "Event": "sdk.events",
    "EventInfo": "sdk.events",
    "FailurePolicy": "sdk.consuming.failures",
    "Health": "sdk.consuming.health",
    "AroundHandler": "sdk.abstractions",
    "Interceptor": "sdk.abstractions",
    "MessageSerializer": "sdk.abstractions",
    "Messaging": "sdk.messaging",
    "Observer": "sdk.abstractions",
    "Producer": "sdk.publishing.producer",
    "ProducerRecord": "sdk.records",
    "SdkError": "sdk.errors",
    "Settings": "sdk.settings",
    "TokenSource": "sdk.abstractions",
    "Tombstone": "sdk.records",
    "TopicPartition": "sdk.records",
    "Transaction": "sdk.transactions",
    "connect": "sdk.messaging",
    "load_settings": "sdk.settings",
}

__all__ = sorted([*_HOMES, "errors"])

if not TYPE_CHECKING:
    _resolve = lazy_names(__name__, _HOMES)

    def __getattr__(name: str) -> Any:
        if name != "__version__":
            return _resolve(name)
        from importlib.metadata import version

        return version("avro-messaging-sdk")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "__version__"})
