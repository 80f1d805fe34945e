"""The composition root: settings → producer and consumers, each part created at first use."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import evolve

from sdk.abstractions import (
    AroundHandler,
    Broker,
    BrokerAdmin,
    BrokerConsumer,
    Interceptor,
    MessageSerializer,
    Meter,
    Observer,
    TokenSource,
)
from sdk.cache import Cache, locked_cached_property
from sdk.clock import Clock, SystemClock
from sdk.closing import ClosingDeliveries
from sdk.cloud_events import CloudEventHeaders
from sdk.consuming.around import combined
from sdk.correlation import correlate
from sdk.embedded.quirks import APPEND_TIME
from sdk.errors import AuthorizationError, ClosedError, ConfigurationError
from sdk.events import Catalog, Event, find_catalog
from sdk.kafka.broker import KafkaBroker
from sdk.observability.health import State
from sdk.observers import Observers
from sdk.provisioning import provision
from sdk.publishing.encoder import Encoder
from sdk.publishing.producer import Producer
from sdk.serializers import Serializers
from sdk.settings import ConsumerOptions, Settings
from sdk.settings.secrets import secrets_of
from sdk.signals import exit_on_sigterm
from sdk.topics import DEAD_LETTER_SUFFIX, PARKED_SUFFIX, TopicDefinition, TopicRouter
from sdk.transactions import JoinedTransactions, Transaction, Transactions

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from sdk.consuming.consumer import Consumer
    from sdk.consuming.failures import FailurePolicy
    from sdk.consuming.forwarding import Forwarder
    from sdk.consuming.retry_topics import RetryTopics
    from sdk.embedded import Joined
    from sdk.observability.server import StatusServer
    from sdk.observability.tracing import MessageTracing
    from sdk.replay import DeadLetters
    from sdk.settings.loading import SettingsPaths

logger = logging.getLogger(__name__)


def connect(
    environment: str | None = None,
    *,
    settings: Settings | SettingsPaths | None = None,
    contracts: str | ModuleType | Catalog | None = None,
    uses: Iterable[type[Event] | str] | None = None,
    token: TokenSource | None = None,
    observers: Iterable[Observer] = (),
    interceptors: Iterable[Interceptor] = (),
    around: Iterable[AroundHandler] = (),
    tracer_provider: TracerProvider | None = None,
) -> Messaging:
    """Read the settings and return a connection; the only call that a service needs.

    Args:
        environment: Name of the environment; by default the variable ``SDK_ENV``.
        settings: Path or paths of settings files, or options made in code.
        contracts: The generated contracts package (module or its name), or a catalog; by default
            what the setting ``contracts`` names.
        uses: The events that this service publishes or handles, as classes or names. Limits the
            topics that are provisioned and the schemas that `Messaging.warm_up` looks up and
            registers. By default the setting ``uses``, or else every event of the contracts.
        token: Returns a fresh OAUTHBEARER token and when it expires; called by the Kafka clients.
        observers: Called with the `sdk.happenings` of messages and clients.
        interceptors: Called in turn with each record of an event before it is sent; each returns
            the record to send.
        around: Return the context managers around each call of a handler, the first outermost.
        tracer_provider: Creates the OpenTelemetry tracer; by default the global provider, if
            ``tracing.enabled`` is set.

    Returns:
        The connection, to be used as a context manager: ``with`` or ``async with``.

    Raises:
        ConfigurationError: A setting is wrong; no client has been built.
        BrokerError: Topics could not be provisioned, because Kafka gave no usable answer.
    """
    loaded = settings if isinstance(settings, Settings) else _load(environment, settings)
    _configure_logging(loaded)
    loaded.check_files()
    if loaded.metrics.enabled:
        from sdk.observability.metrics import meter

        observers = (*observers, meter(loaded.metrics.output))
    messaging = Messaging(
        loaded,
        find_catalog(contracts if contracts is not None else loaded.contracts),
        uses=uses,
        token=token,
        observers=observers,
        interceptors=interceptors,
        around=around,
        tracer_provider=tracer_provider,
    )
    try:
        if loaded.metrics.port is not None:
            messaging.serve(loaded.metrics.host, loaded.metrics.port)
        messaging.provision()
    except BaseException:
        messaging.close()
        raise
    return messaging


def _load(environment: str | None, paths: SettingsPaths | None) -> Settings:
    from sdk.settings import load_settings  # dynaconf, which options made in code do not need

    return load_settings(environment, settings=paths)


def _configure_logging(settings: Settings) -> None:
    if not settings.logging.configure:
        return
    from sdk.observability.logging import configure_logging

    configure_logging(
        settings.logging,
        service=(settings.source or "").rstrip("/").rpartition("/")[2] or None,
        environment=settings.environment,
    )


class Messaging(ClosingDeliveries):
    """Producer and consumers of one environment; made by `connect`.

    Clients and serializers are created, and their libraries imported, at first use, so that the
    producer connects to Kafka while the registry's client is being imported.

    Args:
        settings: The options.
        catalog: The events that this service knows.
        uses: As for `connect`.
        broker: Creates the Kafka clients; by default librdkafka's.
        token: As for `connect`.
        observers: As for `connect`.
        interceptors: As for `connect`.
        around: As for `connect`.
        tracer_provider: As for `connect`.
        clock: The clock for retries and commits; by default the system's.

    Attributes:
        settings: The options, with the addresses of embedded servers.
        catalog: The events that this service knows.
        topics: Event classes → topics.
        uses: The classes of the events that this service uses; None means all of the catalog.

    Raises:
        ConfigurationError: A name or a route is wrong, or the embedded broker is unavailable.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        *,
        uses: Iterable[type[Event] | str] | None = None,
        broker: Broker | None = None,
        token: TokenSource | None = None,
        observers: Iterable[Observer] = (),
        interceptors: Iterable[Interceptor] = (),
        around: Iterable[AroundHandler] = (),
        tracer_provider: TracerProvider | None = None,
        clock: Clock | None = None,
    ) -> None:
        named = settings.uses or None if uses is None else uses
        if isinstance(named, str):  # which is also an iterable of texts, its letters
            named = [named]
        self.settings = settings
        self.catalog = catalog
        self.uses = (
            None
            if named is None
            else tuple(catalog.find(each) if isinstance(each, str) else each for each in named)
        )
        self.topics = TopicRouter(
            settings.routing,
            settings.topics,
            catalog,
            origin=settings.topics_origin,
            uses=self.uses,
        )
        self._clock = clock or SystemClock()
        self._tracing = tracing = _tracing(settings, tracer_provider)
        self._observers = Observers(observers, rare=[tracing.observe] if tracing else ())
        self._around = combined([tracing, *around] if tracing else around)
        self._interceptors = tuple(interceptors)
        for each in self._observers.meters:
            each.watch(self.state)
        self._lock = threading.RLock()
        self._consumers: list[Consumer] = []
        self._provisioned: set[str] = set()
        self._opened = ExitStack()
        self._closed = False
        self._process = os.getpid()
        joined: Cache[None, Joined] = Cache()
        join = partial(joined.get, None, self._join)
        if settings.registry.embedded or (broker is None and settings.kafka.embedded):
            self.settings = join().settings
        self._serializers = Serializers(self.settings, catalog, self._observers)
        self._opened.callback(self._serializers.close)
        self._broker = broker or KafkaBroker(
            self.settings,
            join,
            token,
            observers=self._observers,
            ignored_append_time=APPEND_TIME,
        )
        self._opened.callback(exit_on_sigterm())
        logger.info(
            "environment %s: Kafka at %s, schema registry at %s",
            self.settings.environment,
            ",".join(self.settings.kafka.bootstrap_servers),
            ",".join(self.settings.registry.url),
        )

    @locked_cached_property
    def producer(self) -> Producer:
        """The long-lived producer, created at first use.

        Raises:
            ConfigurationError: librdkafka refuses a setting.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        self._check_usable()
        # The client first, so that it connects while the serializer's libraries are being loaded.
        client = self._broker.producer()
        try:
            encoder = self._publishing_encoder
        except BaseException:
            client.close(0)
            raise
        options = self.settings.producer
        return Producer(
            client,
            encoder,
            observers=self._observers,
            queue_full_timeout=options.queue_full_timeout_ms / 1000,
            close_timeout=options.close_timeout_ms / 1000,
        )

    def transaction(self) -> Transaction:
        """Return a new transaction: ``with`` or ``async with``, see `Transaction`.

        All transactions use one long-lived producer, one after another. It has the id of the
        setting ``producer.transactional_id`` and is created for the first transaction.

        Raises:
            ConfigurationError: The setting is missing.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        return self._transactions.transaction()

    @property
    def encoder(self) -> Encoder:
        """Creates records of events without sending them and without a Kafka client.

        Raises:
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        self._check_usable()
        return self._encoder

    @property
    def serializer(self) -> MessageSerializer:
        """Events ↔ record values: ``serializer.open(record).read(OrderCreated)`` reads a record."""
        return self._serializers.values

    def consumer(
        self,
        group_id: str | None = None,
        *,
        concurrency: int | None = None,
        ordering: str | None = None,
        failures: FailurePolicy | None = None,
        exactly_once: bool = False,
    ) -> Consumer:
        """Return a new consumer.

        Args:
            group_id: Consumer group; by default the setting ``consumer.group_id``.
            concurrency: How many records are handled at the same time; by default the setting
                ``consumer.concurrency``.
            ordering: ``key``, ``partition`` or ``none``; by default ``consumer.ordering``.
            failures: Rules for failures, in addition to ``[consumer.failures]``.
            exactly_once: Commit the consumed offsets and everything that handlers publish with
                `producer` in one transaction. Needs a broker with transactions.

        Raises:
            ConfigurationError: There is no group, a value is out of range, or the broker cannot
                isolate transactions.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        # Imported here, so that a service that only publishes starts sooner.
        from sdk.consuming.consumer import Consumer
        from sdk.consuming.engine import ConsumerParts
        from sdk.consuming.failures import FailurePolicy

        self._check_usable()
        group = group_id or self.settings.consumer.group_id
        if not group:
            raise ConfigurationError(
                "the consumer has no group",
                remedy="pass group_id, or set consumer.group_id (SDK_CONSUMER__GROUP_ID)",
            )
        options = self.settings.consumer
        options = evolve(
            options,
            concurrency=options.concurrency if concurrency is None else concurrency,
            ordering=options.ordering if ordering is None else ordering,
        )
        policy = (failures or FailurePolicy()).configured(options, group)
        transactions = self._handler_transactions(group, options) if exactly_once else None
        consumer = Consumer(
            ConsumerParts(
                connect=lambda: self._member(group, policy.topics, exactly_once=exactly_once),
                serializer=self._serializers.values,
                topics=self.topics,
                keys=self._serializers.keys,
                group=group,
                observers=self._observers,
                around=self._around,
                transactions=transactions,
                policy=policy,
                forwarder=self._forwarder(group, policy.topics, options),
                options=options,
                clock=self._clock,
            )
        )
        self._consumers.append(consumer)
        return consumer

    def dead_letters(self, topic: str, *, group: str | None = None) -> DeadLetters:
        """Return the dead letters of a topic: to list, show, replay and park.

        Args:
            topic: A source topic, or a dead-letter or parked topic itself.
            group: Consumer group, if the names of dead-letter topics contain it; by default the
                setting ``consumer.group_id``.

        Raises:
            ConfigurationError: librdkafka refuses a setting.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        from sdk.consuming.retry_topics import RetryTopics
        from sdk.replay import DeadLetters, TopicReader

        self._check_usable()
        options = self.settings.consumer
        if not topic.endswith((DEAD_LETTER_SUFFIX, PARKED_SUFFIX)):
            names = RetryTopics.configured(options, group or options.group_id or "")
            topic = names.dead_letter(topic)
        return DeadLetters(
            topic=topic,
            reader=TopicReader(connect=self._broker.consumer),
            send=self.producer.send,
            admin=self.admin(),
            serializer=self._serializers.values,
            catalog=self.catalog,
        )

    def admin(self) -> BrokerAdmin:
        """Return a new client that creates and describes topics; close it after use."""
        self._check_usable()
        return self._broker.admin()

    def warm_up(self, *event_classes: type[Event]) -> None:
        """Look up the schemas of events, so that `produce` never waits for the registry.

        With auto-registration, it registers missing ones.

        Args:
            *event_classes: The events that this service publishes; by default those that it `uses`,
                or else every event and version of the catalog.

        Raises:
            SchemaNotFoundError: A schema is missing, and auto-registration is off.
            RegistryError: The registry gave no usable answer.
            RoutingError: An event has no topic.
            ConfigurationError: librdkafka refuses a setting.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        self._check_usable()
        # Made first, so that it connects to Kafka while the registry is asked.
        _ = self.producer
        classes = event_classes or self.uses or tuple(entry.load() for entry in self.catalog)
        routes = [(event_class, self.topics.resolve(event_class).name) for event_class in classes]
        self._serializers.values.warm_up(routes)
        self._serializers.keys.warm_up(routes)

    def provision(self, *event_classes: type[Event]) -> None:
        """Create or verify topics, as the setting ``routing.provision`` says; `connect` calls it.

        Args:
            *event_classes: The events of the topics; by default those that this service `uses`, or
                else all topics of the routes and of the events in the catalog.

        Raises:
            ConfigurationError: Under ``verify``, a topic is missing or differs.
            BrokerError: Kafka gave no usable answer.
            ClosedError: The connection was closed, or belongs to the parent process.
        """
        self._check_usable()
        definitions: Iterable[TopicDefinition] = (
            [topic for event_class in event_classes for topic in self.topics.readable(event_class)]
            if event_classes
            else self.topics.definitions()
        )
        self._provision(
            (topic for topic in definitions if topic.name not in self._provisioned),
            self.settings.routing.provision,
        )

    @property
    def metrics(self) -> Meter | None:
        """The first meter among the observers, such as that of ``[metrics]``; None without one."""
        return next(iter(self._observers.meters), None)

    def live(self) -> bool:
        """Return whether no restart is needed: no error has ended a consumer."""
        return self.state().live

    def ready(self) -> bool:
        """Return whether each consumer runs, is a member of its group, and keeps up."""
        return self.state().ready

    def status(self) -> dict[str, Any]:
        """Return the state with reasons, as JSON values; cheap, and sends no request."""
        return self.state().described()

    def state(self) -> State:
        """Return the state as objects."""
        producer: Producer | None = vars(self).get("producer")
        return State(
            environment=self.settings.environment,
            brokers=self.settings.kafka.bootstrap_servers,
            kafka=None if producer is None else producer.connection_error(),
            registry=self.settings.registry.url,
            registry_error=self._serializers.outage,
            queued=None if producer is None else producer.queued(),
            consumers=tuple(each.health() for each in self._consumers),
            outboxes=self._observers.outboxes.copy(),
            closed="the connection is closed" if self._closed else None,
        )

    def serve(self, host: str = "127.0.0.1", port: int = 9100) -> StatusServer:
        """Serve ``/live``, ``/ready``, ``/status`` and ``/metrics`` until `close`.

        Args:
            host: Address to listen at.
            port: Port to listen at; 0 takes a free one.

        Raises:
            ConfigurationError: The address cannot be listened at.
        """
        from sdk.observability.server import StatusServer

        server = StatusServer(self.status, metrics=self.metrics, host=host, port=port).start()
        self._opened.callback(server.close)
        return server

    def close(self, timeout: float | None = None) -> None:
        """Stop the consumers, wait for outstanding deliveries, and release everything.

        A second call does nothing, and neither does one in a forked child.

        Args:
            timeout: Seconds for each consumer, whose handlers may still run, and for each producer;
                by default the setting ``producer.close_timeout_ms``.

        Raises:
            UndeliveredError: Records were not delivered; each has been logged.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if timeout is None:
            timeout = self.settings.producer.close_timeout_ms / 1000
        with ExitStack() as stack:
            stack.callback(logger.info, "the connection is closed")
            stack.enter_context(self._opened)
            for name in ("producer", "_transactions"):
                if name in vars(self):
                    stack.callback(vars(self)[name].close, timeout)
            for consumer in self._consumers:
                stack.callback(consumer.close, timeout)
            for consumer in self._consumers:
                consumer.stop()  # before the first is waited for, so that they end side by side

    def closes(self, release: Callable[[], object]) -> None:
        """Register a function to call at the end of `close`, such as one that ends an observer."""
        self._opened.callback(release)

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError("the connection is closed", remedy="open another")
        if os.getpid() != self._process:
            # Sockets are shared with the parent, and threads do not survive a fork.
            raise ClosedError(
                "the connection belongs to the parent process", remedy="open another after forking"
            )

    def _member(
        self, group: str, retry_topics: RetryTopics, *, exactly_once: bool
    ) -> BrokerConsumer:
        self._check_usable()
        options = self.settings.consumer
        mode = self.settings.routing.provision
        if mode == "none" and retry_topics.ordered:
            mode = "create"  # topics auto-created by a broker may have too few partitions
        if mode != "none" and (options.dead_letters or options.retry_topics) is not None:
            with closing(self.admin()) as admin:
                names = [definition.name for definition in self.topics.definitions()]
                sources = admin.describe(names).values()
            self._provision(retry_topics.definitions(sources, options), mode)
        return self._broker.consumer(group, read_committed=True if exactly_once else None)

    def _handler_transactions(
        self, group: str, options: ConsumerOptions
    ) -> Callable[[], JoinedTransactions]:
        """Return a function that makes the transactions of one run of an exactly-once consumer."""
        if options.retry_topics is not None and options.retry_topics.ordered:
            raise ConfigurationError(
                "an exactly-once consumer cannot keep the order of keys across retry topics",
                path="consumer.retry_topics.ordered",
                remedy="set ordered = false, or consume at least once",
            )
        self._broker.check_transactions()
        template = self.settings.producer.transactional_id or f"{{instance}}-{uuid4().hex[:12]}"
        name = template.format(instance=self.settings.instance)
        number = sum(1 for each in self._consumers if each.group_id == group)
        return lambda: JoinedTransactions(self._make_transactions(f"{name}-{group}-{number}"))

    def _forwarder(
        self, group: str, topics: RetryTopics, options: ConsumerOptions
    ) -> Forwarder | None:
        dead_letters = options.dead_letters
        if dead_letters is None and options.retry_topics is None:
            return None
        from sdk.consuming.forwarding import Forwarder

        counts: dict[str, int | None] = {}

        def partitions(topic: str) -> int | None:
            if topic not in counts:
                try:
                    found = self._partition_count(topic)
                except AuthorizationError as error:  # writing to it may be allowed all the same
                    logger.warning("the partition count of %s is unknown: %s", topic, error)
                    counts[topic] = None
                else:
                    if found is None:  # the first record may create the topic
                        return None
                    counts[topic] = found
            return counts[topic]

        return Forwarder(
            lambda record: self.producer.send(record),  # made for the first one
            topics,
            group,
            now=self._clock.time,
            partitions=partitions,
            secrets=secrets_of(self.settings),
            stack_trace_bytes=dead_letters.stack_trace_bytes if dead_letters else 0,
            trace=self._tracing.attempts.headers if self._tracing else lambda _: [],
        )

    def _partition_count(self, topic: str) -> int | None:
        with closing(self.admin()) as admin:
            found = admin.describe([topic]).get(topic)
        return None if found is None else found.partitions

    def _provision(self, definitions: Iterable[TopicDefinition], mode: str) -> None:
        wanted = list(definitions)
        if mode == "none" or not wanted:
            return
        with closing(self._broker.admin()) as admin:
            provision(admin, wanted, mode)
        self._provisioned.update(topic.name for topic in wanted)

    def _join(self) -> Joined:
        from sdk.embedded import join

        joined = join(self.settings, self.topics.definitions())
        self._opened.callback(joined.close)
        return joined

    @locked_cached_property
    def _transactions(self) -> Transactions:
        self._check_usable()
        template = self.settings.producer.transactional_id
        if template is None:
            raise ConfigurationError(
                "transactions need a transactional id",
                path="producer.transactional_id",
                remedy="set producer.transactional_id, for example to 'orders-{instance}':"
                " different for each running instance",
            )
        return self._make_transactions(template.format(instance=self.settings.instance))

    def _make_transactions(self, transactional_id: str) -> Transactions:
        options = self.settings.producer
        return Transactions(
            self._broker.transactional_producer,
            transactional_id,
            self._publishing_encoder,
            observers=self._observers,
            timeout=options.transaction_timeout_ms / 1000,
            queue_full_timeout=options.queue_full_timeout_ms / 1000,
            close_timeout=options.close_timeout_ms / 1000,
        )

    @locked_cached_property
    def _encoder(self) -> Encoder:
        return self._make_encoder(None)

    @locked_cached_property
    def _publishing_encoder(self) -> Encoder:
        """The encoder of records that are sent at once, each with its own span."""
        return self._make_encoder(self._tracing) if self._tracing else self._encoder

    def _make_encoder(self, spans: MessageTracing | None) -> Encoder:
        serializer, tracing, interceptors = self.serializer, self._tracing, self._interceptors
        if tracing and not spans:
            interceptors = (*interceptors, tracing.inject)
        headers = CloudEventHeaders(self.settings.source, serializer.content_type)
        return Encoder(
            serializer,
            self._serializers.keys,
            self.topics,
            # Bound, as calling an instance takes twice as long.
            headers.__call__ if self.settings.producer.cloud_events else None,
            interceptors,
            spans,
            partial(correlate, trace_headers=()) if tracing else correlate,
        )


def _tracing(settings: Settings, provider: TracerProvider | None) -> MessageTracing | None:
    options = settings.tracing
    if options.enabled is False or (options.enabled is None and provider is None):
        return None
    try:
        from sdk.observability.tracing import MessageTracing
    except ImportError as error:
        raise ConfigurationError(
            "tracing.enabled needs OpenTelemetry's API",
            remedy="pip install 'avro-messaging-sdk[otel]'",
        ) from error
    client_id = settings.kafka.client_id
    return MessageTracing(options, provider, client_id=client_id, secrets=secrets_of(settings))
