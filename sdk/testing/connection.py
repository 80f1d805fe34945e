"""Everything wired on a broker in memory, for the tests of a service."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from sdk.abstractions import BrokerAdmin, BrokerConsumer, BrokerProducer, Interceptor, Observer
from sdk.consuming.consumer import Consumer
from sdk.events import Catalog, Event, find_catalog
from sdk.messaging import Messaging
from sdk.settings import KafkaOptions, RegistryOptions, RetryOptions, Settings, load_settings
from sdk.settings.checking import EMBEDDED
from sdk.testing.broker import InMemoryBroker
from sdk.testing.reading import EventReader

if TYPE_CHECKING:
    from sdk.settings.loading import SettingsPaths

_KAFKA = KafkaOptions(bootstrap_servers=("in-memory:1",))
_LOOK_SECONDS = 0.01


@frozen
class _Clients:
    """The clients of a broker in memory, as settings want them."""

    broker: InMemoryBroker
    auto_offset_reset: str

    def producer(self) -> BrokerProducer:
        return self.broker.producer()

    def consumer(self, group_id: str) -> BrokerConsumer:
        return self.broker.consumer(group_id, auto_offset_reset=self.auto_offset_reset)

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
) -> Messaging:
    """Return a connection whose Kafka is in memory; everything else is as in production.

    Events are checked, encoded and framed by the real serializers, against a registry inside this
    process that registers what it does not know. The service's own settings are loaded, so that
    topics, formats and limits are those of production; addresses and credentials are not used.

    Args:
        contracts: The generated contracts package (module or its name), or a catalog; by default
            what the setting ``contracts`` names.
        broker: Where records go, to be looked into by the test; a new one by default.
        settings: Path or paths of settings files, or settings made by hand; by default what
            `sdk.connect` would load, and defaults where there is nothing to load.
        environment: Whose settings; by default the variable ``SDK_ENV``, else ``embedded``.
        uses: As for `sdk.connect`.
        observers: Called with what happens to messages.
        interceptors: As for `sdk.connect`.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    given = settings if isinstance(settings, Settings) else _load(environment, settings)
    usable = evolve(
        given,
        kafka=_KAFKA,
        registry=RegistryOptions(
            url=("embedded",),
            auto_register=True,
            subject_strategy=given.registry.subject_strategy,
        ),
        retry=RetryOptions(retry_count=given.retry.retry_count, base_delay_ms=1, max_delay_ms=10),
    )
    kept = broker or InMemoryBroker()
    messaging = Messaging(
        usable,
        find_catalog(contracts if contracts is not None else given.contracts),
        broker=_Clients(kept, usable.consumer.auto_offset_reset),
        uses=uses,
        observers=observers,
        interceptors=interceptors,
    )
    for definition in messaging.topics.definitions():
        kept.define(definition)
    reader = EventReader(lambda: messaging.serializer, messaging.topics)
    kept.read_with(reader)
    # Assertions often stand after the with block, when the registry is gone.
    messaging.closes(lambda: reader.remember(kept.everything()))
    return messaging


def _load(environment: str | None, settings: SettingsPaths | None) -> Settings:
    # Without a name the embedded environment is meant: no test needs a server's address.
    return load_settings(environment or os.environ.get("SDK_ENV") or EMBEDDED, settings=settings)


def run_until_idle(
    consumer: Consumer, broker: InMemoryBroker, group_id: str, timeout: float = 10.0
) -> None:
    """Run a consumer until its group has handled everything in its topics.

    Args:
        consumer: With its handlers.
        broker: The broker that it reads from.
        group_id: The consumer's group.
        timeout: Seconds after which it is stopped in any case.

    Raises:
        SdkError: As `Consumer.run`.
        TimeoutError: The group was not done in time.
    """
    ended = threading.Event()
    idle = threading.Event()

    def watch() -> None:
        waited = 0.0
        while not ended.wait(_LOOK_SECONDS) and waited < timeout:
            waited += _LOOK_SECONDS
            if broker.idle(group_id):
                idle.set()
                break
        consumer.stop()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        consumer.run()
    finally:
        ended.set()
        watcher.join()
    if not idle.is_set():
        raise TimeoutError(f"group {group_id} has not handled everything within {timeout:g} s")
