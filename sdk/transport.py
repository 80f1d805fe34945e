"""How one environment is reached: clients and serializers, made as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
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
from sdk.embedded import Joined
from sdk.events import Catalog
from sdk.retry import RetryPolicyFactory
from sdk.serialization import (
    ContentTypeSerializer,
    JsonMessageSerializer,
    TextKeySerializer,
    choose,
)
from sdk.settings import Settings
from sdk.topics import SUBJECT_STRATEGIES

if TYPE_CHECKING:
    from sdk.confluent.registry import SchemaRegistry


@frozen(kw_only=True)
class Transport:
    """How the clients of one environment are made, and what they have in common.

    Attributes:
        producer: Makes the producing client.
        consumer: Consumer group → a new member of it.
        admin: Makes a client that creates and describes topics.
        serializer: Events ↔ record values.
        keys: Keys → record keys.
        close: Releases what the clients have in common.
    """

    producer: Callable[[], BrokerProducer]
    consumer: Callable[[str], BrokerConsumer]
    admin: Callable[[], BrokerAdmin]
    serializer: MessageSerializer
    keys: KeySerializer
    close: Callable[[], None]


def open_transport(joined: Joined, catalog: Catalog, token: TokenSource | None = None) -> Transport:
    """Return librdkafka's clients and the configured serializers.

    Args:
        joined: The options, with addresses in them.
        catalog: The events, so that missing versions are registered in order.
        token: Source of OAUTHBEARER tokens.

    Raises:
        ConfigurationError: An option cannot be used.
    """
    from sdk.confluent.admin import ConfluentAdmin
    from sdk.confluent.consumer import ConfluentConsumer
    from sdk.confluent.producer import ConfluentProducer

    settings = joined.settings
    kafka, consumers = settings.kafka, settings.consumer
    opened = ExitStack()
    try:
        serializer, keys = _serializers(settings, catalog, opened)
    except BaseException:
        opened.close()
        raise
    return Transport(
        producer=lambda: ConfluentProducer(kafka, settings.producer, token),
        consumer=lambda group: ConfluentConsumer(kafka, consumers, group, token),
        admin=lambda: joined.admin or ConfluentAdmin(kafka, token),
        serializer=serializer,
        keys=keys,
        close=opened.close,
    )


def _serializers(
    settings: Settings, catalog: Catalog, opened: ExitStack
) -> tuple[MessageSerializer, KeySerializer]:
    """Return the configured serializers; a registry client is made only if one needs it.

    What is written is one format; what is read may name the other one.
    """
    options = settings.producer

    @cache
    def registry() -> SchemaRegistry:
        from sdk.confluent.registry import SchemaRegistry

        policy = RetryPolicyFactory(settings.retry).create()
        client = SchemaRegistry(settings.registry, policy)
        opened.callback(client.close)
        return client

    def avro_values() -> MessageSerializer:
        from sdk.confluent.serializer import AvroMessageSerializer

        return AvroMessageSerializer(
            registry(),
            SUBJECT_STRATEGIES[settings.registry.subject_strategy],
            schema_id_location=options.schema_id_location,
            catalog=catalog,
        )

    def avro_keys() -> KeySerializer:
        from sdk.confluent.keys import AvroKeySerializer

        return AvroKeySerializer(registry())

    values: dict[str, Callable[[], MessageSerializer]] = {
        "avro": avro_values,
        "json": JsonMessageSerializer,
    }
    keys: dict[str, Callable[[], KeySerializer]] = {"avro": avro_keys, "text": TextKeySerializer}
    own = choose("producer.format", options.format, values)
    others = {"application/avro": avro_values, "application/json": JsonMessageSerializer}
    return (
        ContentTypeSerializer(own, others),
        choose("producer.key_format", options.key_format, keys),
    )
