"""How one environment is reached: clients and serializers, made as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from attrs import frozen

from sdk.abstractions import (
    BrokerAdmin,
    BrokerConsumer,
    BrokerProducer,
    KeySerializer,
    MessageSerializer,
    TokenSource,
)
from sdk.events import Catalog
from sdk.once import Once
from sdk.retry import RetryPolicyFactory
from sdk.serialization import (
    ContentTypeSerializer,
    JsonMessageSerializer,
    MixedKeySerializer,
    TextKeySerializer,
    choose,
)
from sdk.settings import Settings
from sdk.topics import SUBJECT_STRATEGIES, TopicDefinition

if TYPE_CHECKING:
    from sdk.embedded import Joined
    from sdk.registry.lookup import Registry


@frozen(kw_only=True)
class Transport:
    """How the clients of one environment are made, and what they have in common.

    Attributes:
        settings: The options, with the addresses of what is embedded.
        producer: Makes the producing client.
        consumer: Consumer group → a new member of it.
        admin: Makes a client that creates and describes topics.
        serializer: Returns the one that turns events into record values and back.
        keys: Returns the one that turns keys into record keys.
        close: Releases what the clients have in common.
    """

    settings: Settings
    producer: Callable[[], BrokerProducer]
    consumer: Callable[[str], BrokerConsumer]
    admin: Callable[[], BrokerAdmin]
    serializer: Callable[[], MessageSerializer]
    keys: Callable[[], KeySerializer]
    close: Callable[[], None]


def open_transport(
    settings: Settings,
    catalog: Catalog,
    declared: Callable[[], Iterable[TopicDefinition]] = tuple,
    token: TokenSource | None = None,
) -> Transport:
    """Return the way to Kafka and to the registry; embedded ones are started.

    Everything else is made, and its library loaded, when it is first asked for: so a producer
    connects to Kafka while the registry's client is being loaded.

    Args:
        settings: The options.
        catalog: The events, so that missing versions are registered in order.
        declared: Returns the topics that an embedded broker makes at once.
        token: Source of OAUTHBEARER tokens.

    Raises:
        ConfigurationError: What is to be embedded cannot be had.
    """
    opened = ExitStack()
    joinings: Once[None, Joined] = Once()

    def join_embedded() -> Joined:
        from sdk.embedded import join

        found = join(settings, declared())
        opened.callback(found.close)
        return found

    def joined() -> Joined:
        return joinings.get(None, join_embedded)

    def producer() -> BrokerProducer:
        from sdk.kafka.producer import ConfluentProducer

        return ConfluentProducer(reached.kafka, reached.producer, token)

    def consumer(group: str) -> BrokerConsumer:
        from sdk.kafka.consumer import ConfluentConsumer

        return ConfluentConsumer(reached.kafka, joined().settings.consumer, group, token)

    def admin() -> BrokerAdmin:
        from sdk.kafka.admin import ConfluentAdmin

        return joined().admin or ConfluentAdmin(reached.kafka, token)

    embedded = settings.kafka.embedded or settings.registry.embedded
    reached = joined().settings if embedded else settings
    serializer, keys = _serializers(reached, catalog, opened)
    return Transport(
        settings=reached,
        producer=producer,
        consumer=consumer,
        admin=admin,
        serializer=serializer,
        keys=keys,
        close=opened.close,
    )


def _serializers(
    settings: Settings, catalog: Catalog, opened: ExitStack
) -> tuple[Callable[[], MessageSerializer], Callable[[], KeySerializer]]:
    """Return what makes the configured serializers, once; a registry client only if one needs it.

    What is written is one format; what is read may name the other one.
    """
    options = settings.producer
    registries: Once[None, Registry] = Once()
    made_values: Once[None, MessageSerializer] = Once()
    made_keys: Once[None, KeySerializer] = Once()

    def registry() -> Registry:
        from sdk.registry.lookup import Registry

        client = Registry(
            settings.registry,
            RetryPolicyFactory(settings.retry).create(),
            catalog=catalog,
            uses_guids=options.schema_id_location == "header",
        )
        opened.callback(client.close)
        return client

    def avro_values() -> MessageSerializer:
        from sdk.serialization.avro import AvroFormat
        from sdk.serialization.framed import FramedSerializer

        return FramedSerializer(
            registries.get(None, registry),
            AvroFormat(),
            SUBJECT_STRATEGIES[settings.registry.subject_strategy],
            schema_id_location=options.schema_id_location,
        )

    def avro_keys() -> KeySerializer:
        from sdk.serialization.avro_keys import AvroKeySerializer

        return AvroKeySerializer(registries.get(None, registry))

    values: dict[str, Callable[[], MessageSerializer]] = {
        "avro": avro_values,
        "json": JsonMessageSerializer,
    }
    keys: dict[str, Callable[[], KeySerializer]] = {"avro": avro_keys, "text": TextKeySerializer}
    others = {"application/avro": avro_values, "application/json": JsonMessageSerializer}

    def any_values() -> MessageSerializer:
        return ContentTypeSerializer(choose("producer.format", options.format, values), others)

    def any_keys() -> KeySerializer:
        own = choose("producer.key_format", options.key_format, keys)
        return MixedKeySerializer(own, avro_keys)

    return lambda: made_values.get(None, any_values), lambda: made_keys.get(None, any_keys)
