"""Creates the serializers that settings select, and the registry client behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sdk.abstractions import KeySerializer, MessageSerializer
from sdk.cache import locked_cached_property
from sdk.errors import SdkError
from sdk.events import Catalog
from sdk.observers import Observers
from sdk.retry import RetryPolicyFactory
from sdk.serialization import (
    ContentTypeSerializer,
    JsonMessageSerializer,
    MixedKeySerializer,
    TextKeySerializer,
)
from sdk.settings import Settings
from sdk.topics import SUBJECT_STRATEGIES

if TYPE_CHECKING:
    from sdk.registry.lookup import Registry


class Serializers:
    """Serializers of values and keys, created at first use; a registry client only if needed.

    Args:
        settings: The options, with the registry's address.
        catalog: The events, so that missing versions are registered in order.
        observers: Notified of requests to the registry.
    """

    def __init__(
        self, settings: Settings, catalog: Catalog, observers: Observers | None = None
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._observers = observers
        self._lock = threading.RLock()

    @locked_cached_property
    def values(self) -> MessageSerializer:
        """Writes the configured format, and reads the other one as well."""
        formats: dict[str, Callable[[], MessageSerializer]] = {
            "avro": lambda: self._avro_values,
            "json": JsonMessageSerializer,
        }
        own = formats[self._settings.producer.format]()
        by_type = {f"application/{name}": make for name, make in formats.items()}
        return ContentTypeSerializer(own, by_type)

    @locked_cached_property
    def keys(self) -> KeySerializer:
        """Writes keys in the configured format, and reads the others as well."""
        avro = self._settings.producer.key_format == "avro"
        return MixedKeySerializer(
            self._avro_keys() if avro else TextKeySerializer(), self._avro_keys
        )

    @property
    def outage(self) -> SdkError | None:
        """The error of the last request to the registry if it was not answered, or None."""
        registry = self._made_registry()
        return None if registry is None else registry.outage

    def close(self) -> None:
        """Release the registry client, if one was made."""
        registry = self._made_registry()
        if registry is not None:
            registry.close()

    def _made_registry(self) -> Registry | None:
        return vars(self).get("_registry")

    @locked_cached_property
    def _avro_values(self) -> MessageSerializer:
        from sdk.serialization.avro import AvroFormat
        from sdk.serialization.framed import FramedSerializer

        return FramedSerializer(
            self._registry,
            AvroFormat(self._settings.codec),
            SUBJECT_STRATEGIES[self._settings.registry.subject_strategy],
            schema_id_location=self._settings.producer.schema_id_location,
        )

    def _avro_keys(self) -> KeySerializer:
        from sdk.serialization.avro_keys import AvroKeySerializer

        return AvroKeySerializer(self._registry)

    @locked_cached_property
    def _registry(self) -> Registry:
        from sdk.registry.lookup import Registry

        return Registry(
            self._settings.registry,
            RetryPolicyFactory(self._settings.retry).create(),
            catalog=self._catalog,
            uses_guids=self._settings.producer.schema_id_location == "header",
            observers=self._observers,
        )
