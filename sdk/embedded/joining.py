"""Replaces the word ``embedded`` in settings by addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from attrs import evolve, frozen

from sdk.abstractions import BrokerAdmin
from sdk.embedded.quirks import adapt_consumer, is_mock_cluster
from sdk.settings import Settings
from sdk.topics import TopicDefinition

logger = logging.getLogger("sdk.embedded")


@frozen
class Joined:
    """The connection of a process to embedded servers, its own or another process's.

    Attributes:
        settings: With addresses instead of the word ``embedded``, and with the group protocol
            that the embedded broker needs.
        admin: Creates topics; None for real brokers.
        close: Releases the leases.
    """

    settings: Settings
    admin: BrokerAdmin | None
    close: Callable[[], None]


def join(settings: Settings, topics: Iterable[TopicDefinition] = ()) -> Joined:
    """Start or share the embedded servers that the settings name.

    Args:
        settings: Any settings; those of real servers are returned unchanged.
        topics: Created at once on an embedded broker of this process.

    Raises:
        ConfigurationError: The embedded broker is unavailable, or refuses a topic.
    """
    admin: BrokerAdmin | None = None
    with ExitStack() as leases:
        if settings.kafka.embedded:
            settings, admin = _with_broker(settings, topics, leases)
        elif is_mock_cluster(settings.kafka):
            settings, admin = _with_host(settings)
        if settings.registry.embedded:
            settings = _with_registry(settings, leases)
        return Joined(settings, admin, leases.pop_all().close)


# Imported only if needed: services with real servers start without them.


def _with_broker(
    settings: Settings, topics: Iterable[TopicDefinition], leases: ExitStack
) -> tuple[Settings, BrokerAdmin]:
    from sdk.embedded.broker import EmbeddedAdmin
    from sdk.embedded.sharing import lease_broker

    broker = leases.enter_context(lease_broker()).value
    broker.create_topics(topics)
    servers = tuple(broker.bootstrap_servers.split(","))
    settings = evolve(settings, kafka=evolve(settings.kafka, bootstrap_servers=servers))
    return _fitted(settings), EmbeddedAdmin(broker)


def _with_host(settings: Settings) -> tuple[Settings, BrokerAdmin | None]:
    from sdk.embedded.host import HostAdmin

    if settings.registry.embedded:
        logger.warning(
            "%s is the embedded broker of another process, but the schema registry is this "
            "process's own: set SDK_REGISTRY__URL as well, as the host prints it",
            settings.kafka.bootstrap_servers[0],
        )
        return _fitted(settings), None
    return _fitted(settings), HostAdmin(settings.registry.url[0])


def _with_registry(settings: Settings, leases: ExitStack) -> Settings:
    from sdk.embedded.sharing import lease_registry

    registry = leases.enter_context(lease_registry()).value
    return evolve(settings, registry=evolve(settings.registry, url=(registry.url,)))


def _fitted(settings: Settings) -> Settings:
    consumer, dropped = adapt_consumer(settings.consumer)
    if dropped:
        logger.warning(
            "the embedded broker's consumers join by group.protocol=consumer: %s of "
            "[consumer.librdkafka] is left out",
            ", ".join(dropped),
        )
    return evolve(settings, consumer=consumer)
