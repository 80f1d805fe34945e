"""A connection with an in-memory broker, for the tests of a service."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from sdk.abstractions import (
    AroundHandler,
    BrokerAdmin,
    BrokerConsumer,
    BrokerProducer,
    Interceptor,
    Observer,
    TransactionalProducer,
)
from sdk.embedded import EmbeddedRegistry
from sdk.errors import SdkError
from sdk.events import Catalog, Event, find_catalog
from sdk.happenings import Happening
from sdk.messaging import Messaging
from sdk.records import ConsumerRecord
from sdk.settings import KafkaOptions, RetryOptions, Settings, load_settings
from sdk.settings.checking import EMBEDDED
from sdk.testing.broker import InMemoryBroker
from sdk.testing.clock import VirtualClock

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from sdk.settings.loading import SettingsPaths

_KAFKA = KafkaOptions(bootstrap_servers=("in-memory:1",))


class InMemoryMessaging(Messaging):
    """A connection whose Kafka is in memory; made by `connect`.

    Attributes:
        broker: The broker in memory.
        happenings: Everything that observers were called with, in order.
    """

    broker: InMemoryBroker
    happenings: list[Happening]

    def read(self, record: ConsumerRecord, classes: Mapping[str, type[Event]]) -> Event | None:
        """Return the event in a record; None for a tombstone.

        Args:
            record: A record of the broker.
            classes: Full name → class to read it as; the newest version of others.

        Raises:
            DeserializationError: The record is not an event.
        """
        if record.value is None:
            return None
        opened = self.serializer.open(record)
        return opened.read(classes.get(opened.full_name) or self.catalog.find(opened.full_name))

    def remember_schemas(self) -> None:
        """Look up the schemas of all records: tests often read events after the connection."""
        for record in self.broker.everything():
            if record.value is not None:
                with suppress(SdkError):
                    self.serializer.open(record)


@frozen
class _Clients:
    """Creates the clients of a broker in memory, as configured in the settings."""

    broker: InMemoryBroker
    auto_offset_reset: str
    read_committed: bool

    def producer(self) -> BrokerProducer:
        return self.broker.producer()

    def check_transactions(self) -> None:
        """The broker in memory isolates transactions."""

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        return self.broker.transactional_producer(transactional_id)

    def consumer(self, group_id: str, *, read_committed: bool | None = None) -> BrokerConsumer:
        return self.broker.consumer(
            group_id,
            auto_offset_reset=self.auto_offset_reset,
            read_committed=self.read_committed if read_committed is None else read_committed,
        )

    def admin(self) -> BrokerAdmin:
        return self.broker.admin()


def connect(
    contracts: str | ModuleType | Catalog | None = None,
    *,
    broker: InMemoryBroker | None = None,
    settings: Settings | SettingsPaths | None = None,
    environment: str | None = None,
    uses: Iterable[type[Event] | str] | None = None,
    observers: Iterable[Observer] = (),
    interceptors: Iterable[Interceptor] = (),
    around: Iterable[AroundHandler] = (),
    tracer_provider: TracerProvider | None = None,
) -> InMemoryMessaging:
    """Return a connection whose Kafka is in memory; everything else is as in production.

    Events are checked, encoded and framed by the real serializers, against the broker's
    own registry, in which missing schemas are registered. The service's own settings are loaded,
    so that topics, formats and limits are those of production; addresses and credentials are not
    used. Delays pass on the broker's clock.

    Args:
        contracts: The generated contracts package (module or its name), or a catalog; by default
            what the setting ``contracts`` names.
        broker: The broker in memory, which the test may inspect; by default a new one with a
            virtual clock.
        settings: Path or paths of settings files, or settings made by hand; by default what
            `sdk.connect` would load, and defaults if there is nothing to load.
        environment: Its name; by default the variable ``SDK_ENV``, else ``embedded``.
        uses: As for `sdk.connect`.
        observers: As for `sdk.connect`.
        interceptors: As for `sdk.connect`.
        around: As for `sdk.connect`.
        tracer_provider: As for `sdk.connect`.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    given = settings if isinstance(settings, Settings) else _load(environment, settings)
    catalog = find_catalog(contracts if contracts is not None else given.contracts)
    kept = broker or InMemoryBroker(clock=VirtualClock())
    registry = EmbeddedRegistry(service=kept.registry)
    happenings: list[Happening] = []
    try:
        messaging = InMemoryMessaging(
            _usable(given, registry.url),
            catalog,
            broker=_Clients(
                kept,
                given.consumer.auto_offset_reset,
                given.consumer.isolation_level == "read_committed",
            ),
            uses=uses,
            observers=(happenings.append, *observers),
            interceptors=interceptors,
            around=around,
            tracer_provider=tracer_provider,
            clock=kept.clock,
        )
    except BaseException:
        registry.close()
        raise
    messaging.broker, messaging.happenings = kept, happenings
    for definition in messaging.topics.definitions():
        kept.define(definition)
    kept.connect(messaging)
    messaging.closes(registry.close)
    messaging.closes(messaging.remember_schemas)
    return messaging


def _usable(given: Settings, registry_url: str) -> Settings:
    """Return settings with servers in this process and quick retries of requests."""
    return evolve(
        given,
        kafka=_KAFKA,
        registry=evolve(
            given.registry,
            url=(registry_url,),
            auto_register=True,
            username=None,
            password=None,
            bearer_token=None,
            tls=None,
        ),
        retry=RetryOptions(retry_count=given.retry.retry_count, base_delay_ms=1, max_delay_ms=10),
    )


def _load(environment: str | None, settings: SettingsPaths | None) -> Settings:
    # The embedded environment is the default: no test needs a server's address.
    return load_settings(environment or os.environ.get("SDK_ENV") or EMBEDDED, settings=settings)
