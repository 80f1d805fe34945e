"""Everything wired on a broker in memory, for the tests of a service."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import ModuleType

from attrs import evolve

from sdk.abstractions import Observer
from sdk.consuming.consumer import Consumer
from sdk.events import Catalog
from sdk.messaging import Messaging, find_catalog
from sdk.settings import KafkaOptions, RegistryOptions, RetryOptions, Settings
from sdk.testing.broker import InMemoryBroker
from sdk.topics import TopicRouter
from sdk.transport import open_transport

_KAFKA = KafkaOptions(bootstrap_servers=("in-memory:1",))
_LOOK_SECONDS = 0.01


def connect(
    contracts: str | ModuleType | Catalog | None = None,
    *,
    broker: InMemoryBroker | None = None,
    settings: Settings | None = None,
    observers: Iterable[Observer] = (),
) -> Messaging:
    """Return a connection whose Kafka is in memory; everything else is as in production.

    Events are checked, encoded and framed by the real serializers, against a registry inside this
    process that registers what it does not know.

    Args:
        contracts: The generated contracts package (module or its name), or a catalog.
        broker: Where records go, to be looked into by the test; a new one by default.
        settings: Routes, formats and the like; addresses in them are not used.
        observers: See what happens to messages.
    """
    given = settings or Settings(
        environment="testing", kafka=_KAFKA, registry=RegistryOptions(url=("embedded",))
    )
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
    catalog = find_catalog(contracts if contracts is not None else given.contracts)
    topics = TopicRouter(usable.routing, usable.topics, catalog)
    kept = broker or InMemoryBroker()
    for definition in topics.definitions():
        kept.define(definition)
    transport = open_transport(usable, catalog)
    reset = usable.consumer.auto_offset_reset
    messaging = Messaging(
        catalog,
        topics,
        evolve(
            transport,
            producer=kept.producer,
            consumer=lambda group: kept.consumer(group, auto_offset_reset=reset),
            admin=kept.admin,
        ),
        observers=observers,
    )
    messaging.closes(transport.close)
    return messaging


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
