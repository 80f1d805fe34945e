"""The composition root: settings → wired producer and consumers."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from sdk import correlation
from sdk.abstractions import BrokerAdmin, BrokerConsumer, Interceptor, Observer, TokenSource
from sdk.closing import ClosingDeliveries
from sdk.cloud_events import CloudEventHeaders
from sdk.consuming.consumer import Consumer
from sdk.consuming.engine import ConsumerParts
from sdk.consuming.failures import FailurePolicy
from sdk.consuming.forwarding import Forwarder
from sdk.consuming.intake import Limits
from sdk.consuming.retry_topics import RetryTopics
from sdk.errors import ClosedError, ConfigurationError
from sdk.events import Catalog
from sdk.observers import Observers
from sdk.once import Once
from sdk.provisioning import provision
from sdk.publishing.delivery import Delivery
from sdk.publishing.encoder import Encoder
from sdk.publishing.producer import Producer
from sdk.records import ProducerRecord
from sdk.settings import ConsumerOptions, Settings
from sdk.signals import exit_on_sigterm
from sdk.topics import DEAD_LETTER_SUFFIX, PARKED_SUFFIX, TopicRouter
from sdk.transport import Transport, open_transport

if TYPE_CHECKING:
    from sdk.replay import DeadLetters
    from sdk.settings.loading import SettingsPaths


def connect(
    environment: str | None = None,
    *,
    settings: Settings | SettingsPaths | None = None,
    contracts: str | ModuleType | Catalog | None = None,
    token: TokenSource | None = None,
    observers: Iterable[Observer] = (),
    interceptors: Iterable[Interceptor] = (),
) -> Messaging:
    """Read the settings and return everything wired; the single call that a service makes.

    Args:
        environment: Name of the environment; by default what the variable ``SDK_ENV`` says.
        settings: Path or paths of settings files, or settings made by hand.
        contracts: The generated contracts package (module or its name), or a catalog; by default
            what the setting ``contracts`` names.
        token: Returns a fresh OAUTHBEARER token and when it expires; called by the Kafka clients.
        observers: Called with what happens to messages.
        interceptors: Called in turn with each record that is made of an event, before it is sent;
            each returns the record to go on with.

    Returns:
        The connection, to be used as a context manager: ``with`` or ``async with``.

    Raises:
        ConfigurationError: A setting is wrong; no client has been built.
        BrokerError: Topics are to be provisioned, and Kafka gave no usable answer.
    """
    loaded = settings if isinstance(settings, Settings) else _load(environment, settings)
    catalog = find_catalog(contracts if contracts is not None else loaded.contracts)
    if loaded.logging.configure:
        from sdk.observability.logging import configure_logging

        configure_logging(loaded.logging)
    topics = TopicRouter(loaded.routing, loaded.topics, catalog, origin=loaded.topics_origin)
    with ExitStack() as opened:
        transport = open_transport(loaded, catalog, topics.definitions, token)
        opened.callback(transport.close)
        if loaded.routing.provision != "none":
            with closing(transport.admin()) as admin:
                provision(admin, topics.definitions(), loaded.routing.provision)
        messaging = Messaging(
            catalog, topics, transport, observers=observers, interceptors=interceptors
        )
        messaging.closes(opened.pop_all().close)
    return messaging


class Messaging(ClosingDeliveries):
    """Producer and consumers of one environment; made by `connect`.

    Args:
        catalog: The events that this service knows.
        topics: Event classes → topics.
        transport: How clients are made.
        observers: Called with what happens to messages.
        interceptors: As for `connect`.

    Attributes:
        settings: The options.
        catalog: The events that this service knows.
        topics: Event classes → topics.
    """

    def __init__(
        self,
        catalog: Catalog,
        topics: TopicRouter,
        transport: Transport,
        *,
        observers: Iterable[Observer] = (),
        interceptors: Iterable[Interceptor] = (),
    ) -> None:
        self.settings = transport.settings
        self.catalog = catalog
        self.topics = topics
        self._transport = transport
        self._observers = Observers(observers)
        self._interceptors = (*interceptors, correlation.carry_on)
        self._making = threading.Lock()
        self._producer: Producer | None = None
        self._encoders: Once[None, Encoder] = Once()
        self._consumers: list[Consumer] = []
        self._opened = ExitStack()
        self._opened.callback(exit_on_sigterm())
        self._closed = False
        self._process = os.getpid()

    @property
    def producer(self) -> Producer:
        """The long-lived producer, made when first asked for.

        Raises:
            ConfigurationError: librdkafka refuses a setting.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        if self._producer is not None:
            return self._producer
        with self._making:
            self._check_usable()
            if self._producer is None:
                self._producer = self._make_producer()
            return self._producer

    @property
    def encoder(self) -> Encoder:
        """Makes records of events without sending them, and without a client of Kafka.

        Raises:
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        self._check_usable()
        return self._encoders.get(None, self._make_encoder)

    def consumer(
        self,
        group_id: str | None = None,
        *,
        concurrency: int | None = None,
        ordering: str | None = None,
        failures: FailurePolicy | None = None,
    ) -> Consumer:
        """Return a new consumer.

        Args:
            group_id: Consumer group; by default the setting ``consumer.group_id``.
            concurrency: How many records are handled at the same time; by default the setting
                ``consumer.concurrency``.
            ordering: ``key``, ``partition`` or ``none``; by default ``consumer.ordering``.
            failures: Rules for records that fail, beside those of ``[consumer.failures]``.

        Raises:
            ConfigurationError: There is no group, or a value is out of range.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        self._check_usable()
        group = group_id or self.settings.consumer.group_id
        if not group:
            raise ConfigurationError(
                "the consumer has no group",
                remedy="pass group_id, or set consumer.group_id (SDK_CONSUMER__GROUP_ID)",
            )
        options = evolve(
            self.settings.consumer,
            concurrency=concurrency or self.settings.consumer.concurrency,
            ordering=ordering or self.settings.consumer.ordering,
        )
        policy = (failures or FailurePolicy()).configured(options, group)
        consumer = Consumer(
            ConsumerParts(
                connect=lambda: self._member(group, policy.topics),
                serializer=self._transport.serializer(),
                topics=self.topics,
                keys=self._transport.keys(),
                group=group,
                observers=self._observers,
                policy=policy,
                forwarder=self._forwarder(group, policy.topics, options),
                concurrency=options.concurrency,
                ordering=options.ordering,
                unknown=options.unknown,
                limits=Limits.configured(options),
                commit_seconds=options.commit_interval_ms / 1000,
            )
        )
        self._consumers.append(consumer)
        return consumer

    def dead_letters(self, topic: str, *, group: str | None = None) -> DeadLetters:
        """Return the dead letters of a topic: to list, show, replay and park.

        Args:
            topic: A source topic, or a dead-letter or parked topic itself.
            group: Consumer group, where dead-letter topics carry its name; by default the setting
                ``consumer.group_id``.

        Raises:
            ConfigurationError: librdkafka refuses a setting.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        from sdk.replay import DeadLetters, TopicReader

        self._check_usable()
        options = self.settings.consumer
        if not topic.endswith((DEAD_LETTER_SUFFIX, PARKED_SUFFIX)):
            names = RetryTopics.configured(options, group or options.group_id or "")
            topic = names.dead_letter(topic)
        return DeadLetters(
            topic=topic,
            reader=TopicReader(connect=self._transport.consumer),
            sender=self.producer,
            admin=self.admin(),
            serializer=self._transport.serializer(),
            catalog=self.catalog,
        )

    def admin(self) -> BrokerAdmin:
        """Return a new client that creates and describes topics; close it after use."""
        self._check_usable()
        return self._transport.admin()

    def _forwarder(
        self, group: str, topics: RetryTopics, options: ConsumerOptions
    ) -> Forwarder | None:
        dead_letters = options.dead_letters
        if dead_letters is None and options.retry_topics is None:
            return None
        counts: Once[str, int | None] = Once()
        return Forwarder(
            _Sender(self),
            topics,
            group,
            partitions=lambda topic: counts.get(topic, lambda: self._partition_count(topic)),
            stack_trace_bytes=dead_letters.stack_trace_bytes if dead_letters else 0,
        )

    def _partition_count(self, topic: str) -> int | None:
        with closing(self.admin()) as admin:
            found = admin.describe([topic]).get(topic)
        return None if found is None else found.partitions

    def warm_up(self, *event_classes: type[Any]) -> None:
        """Resolve all that publishing will need, so that `produce` never waits for the registry.

        Args:
            *event_classes: What this service publishes; by default every event and version of
                the catalog.

        Raises:
            SchemaNotFoundError: A schema is not registered, and is not to be registered.
            RegistryError: The registry gave no usable answer.
            RoutingError: An event has no topic.
            ConfigurationError: librdkafka refuses a setting.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        self._check_usable()
        # Made first, so that it connects to Kafka while the registry is asked.
        _ = self.producer
        classes = event_classes or tuple(entry.load() for entry in self.catalog)
        routes = [(event_class, self.topics.resolve(event_class).name) for event_class in classes]
        self._transport.serializer().warm_up(routes)
        self._transport.keys().warm_up(routes)

    def close(self, timeout: float | None = None) -> None:
        """Stop the consumers, wait for what is under way, release everything; again does nothing.

        Nor does it in a forked child: all is the parent's.

        Args:
            timeout: Seconds; the setting ``producer.close_timeout_ms`` by default.

        Raises:
            UndeliveredError: Records were not delivered; each has been logged.
        """
        if os.getpid() != self._process:
            return
        with self._making:
            if self._closed:
                return
            self._closed = True
        with ExitStack() as stack:
            stack.enter_context(self._opened)
            if self._producer is not None:
                stack.callback(self._producer.close, timeout)
            for consumer in self._consumers:
                stack.callback(consumer.close, self.settings.producer.close_timeout_ms / 1000)

    def closes(self, release: Callable[[], object]) -> None:
        """Have `close` call a function in the end, such as one that releases an observer."""
        self._opened.callback(release)

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError("the connection is closed", remedy="open another")
        if os.getpid() != self._process:
            # Sockets are shared with the parent, and threads have stayed there.
            raise ClosedError(
                "the connection belongs to the parent process", remedy="open another after forking"
            )

    def _member(self, group: str, retry_topics: RetryTopics) -> BrokerConsumer:
        self._check_usable()
        options = self.settings.consumer
        if self.settings.routing.provision != "none" and options.dead_letters is not None:
            with closing(self._transport.admin()) as admin:
                names = [definition.name for definition in self.topics.definitions()]
                sources = admin.describe(names).values()
                needed = retry_topics.definitions(sources, options)
                provision(admin, needed, self.settings.routing.provision)
        return self._transport.consumer(group)

    def _make_producer(self) -> Producer:
        # The client first, so that it connects while the serializer's libraries are being loaded.
        broker = self._transport.producer()
        try:
            encoder = self.encoder
        except BaseException:
            broker.close(0)
            raise
        options = self.settings.producer
        return Producer(
            broker,
            encoder,
            observers=self._observers,
            queue_full_timeout=options.queue_full_timeout_ms / 1000,
            close_timeout=options.close_timeout_ms / 1000,
        )

    def _make_encoder(self) -> Encoder:
        serializer = self._transport.serializer()
        headers = CloudEventHeaders(self.settings.source, serializer.content_type)
        return Encoder(
            serializer,
            self._transport.keys(),
            self.topics,
            headers if self.settings.producer.cloud_events else None,
            self._interceptors,
        )


@frozen
class _Sender:
    """Sends failed records by the connection's producer, which is made when the first one fails."""

    messaging: Messaging

    def send(self, record: ProducerRecord) -> Delivery:
        """Queue a record and return at once."""
        return self.messaging.producer.send(record)


def _load(environment: str | None, settings: SettingsPaths | None) -> Settings:
    # Here, because settings made by hand need no dynaconf.
    from sdk.settings import load_settings

    return load_settings(environment, settings=settings)


def find_catalog(contracts: str | ModuleType | Catalog | None) -> Catalog:
    """Return the catalog of a contracts package; an empty one for None.

    Args:
        contracts: The package, its name, or a catalog.

    Raises:
        ConfigurationError: There is no such module, or it carries no catalog.
    """
    if contracts is None:
        return Catalog(())
    if isinstance(contracts, Catalog):
        return contracts
    if isinstance(contracts, str):
        try:
            contracts = importlib.import_module(contracts)
        except ImportError as error:
            raise ConfigurationError(
                f"the contracts package {contracts!r} cannot be imported: {error}",
                remedy="generate it, put its parent folder on the path, or correct `contracts`",
            ) from error
    catalog = getattr(contracts, "CATALOG", None)
    if not isinstance(catalog, Catalog):
        raise ConfigurationError(
            f"module {contracts.__name__} carries no CATALOG",
            remedy="name the top package that the generator made",
        )
    return catalog
