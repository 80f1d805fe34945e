"""The options: frozen, typed, and checked when they are created."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import Factory, field, frozen
from attrs.validators import optional

from sdk.avro.limits import Limits
from sdk.errors import ConfigurationError
from sdk.settings import checking as checks
from sdk.settings.checking import Scalar, WrittenOut
from sdk.settings.failures import DeadLetterOptions, FailuresOptions, RetryTopicsOptions
from sdk.settings.observability import LoggingOptions, MetricsOptions, TracingOptions
from sdk.settings.security import SaslOptions, TlsOptions


@frozen(kw_only=True)
class KafkaOptions:
    """The ``[kafka]`` table.

    Attributes:
        bootstrap_servers: ``host:port`` for each, or the single word ``embedded``; one text, with
            commas, or several.
        client_id: Name in the broker's logs and quotas.
        tls: Set for TLS, with or without SASL.
        sasl: Set for SASL, with or without TLS.
        librdkafka: Further keys for every client, passed through as they are.
    """

    bootstrap_servers: tuple[str, ...] = field(converter=checks.texts, validator=checks.servers)
    client_id: str | None = field(default=None, validator=checks.filled)
    tls: TlsOptions | None = None
    sasl: SaslOptions | None = None
    librdkafka: Mapping[str, Scalar] = field(factory=dict, repr=False, validator=checks.credentials)

    @property
    def embedded(self) -> bool:
        """Whether the broker is the one inside this process."""
        return self.bootstrap_servers == ("embedded",)


def _acks(value: str) -> str:
    return "all" if value == "-1" else value


@frozen(kw_only=True)
class ProducerOptions:
    """The ``[producer]`` table.

    Attributes:
        acks: ``all``, ``0`` or ``1``.
        enable_idempotence: In order and without duplicates within ``delivery_timeout_ms``.
        linger_ms: How long a batch waits for further records, milliseconds.
        compression_type: ``none``, ``gzip``, ``snappy``, ``lz4`` or ``zstd``.
        delivery_timeout_ms: Limit from `produce` to the acknowledgement, milliseconds.
        queue_full_timeout_ms: How long `produce` waits for room in the queue, milliseconds.
        close_timeout_ms: How long closing waits for acknowledgements, milliseconds.
        transactional_id: Needed for transactions, and different for each running instance of the
            service; ``{instance}`` is replaced by the setting ``instance``, as in
            ``orders-{instance}``.
        transaction_timeout_ms: After this time without an end, the broker aborts a transaction,
            milliseconds; also the limit of each request that begins or ends one.
        format: ``avro`` or ``json``.
        key_format: ``text`` or ``avro``.
        schema_id_location: ``prefix`` (5 bytes before the body) or ``header`` (GUID).
        cloud_events: Send the standard headers.
        librdkafka: Further keys, passed through as they are.
    """

    acks: WrittenOut = field(
        default="all", converter=_acks, validator=checks.one_of("all", "1", "0")
    )
    enable_idempotence: bool = True
    linger_ms: float = field(default=5, validator=checks.between(0, 900_000))
    compression_type: str = field(
        default="none", validator=checks.one_of("none", "gzip", "snappy", "lz4", "zstd")
    )
    delivery_timeout_ms: int = field(default=120_000, validator=checks.at_least(1))
    queue_full_timeout_ms: int = field(default=10_000, validator=checks.at_least(0))
    close_timeout_ms: int = field(default=30_000, validator=checks.at_least(0))
    transactional_id: str | None = field(
        default=None, validator=optional(checks.template("instance"))
    )
    transaction_timeout_ms: int = field(default=60_000, validator=checks.between(1_000, 2**31 - 1))
    format: str = field(default="avro", validator=checks.one_of("avro", "json"))
    key_format: str = field(default="text", validator=checks.one_of("text", "avro"))
    schema_id_location: str = field(default="prefix", validator=checks.one_of("prefix", "header"))
    cloud_events: bool = True
    librdkafka: Mapping[str, Scalar] = field(factory=dict, repr=False, validator=checks.credentials)

    def __attrs_post_init__(self) -> None:
        if self.enable_idempotence and self.acks != "all":
            raise ConfigurationError(
                "needs acks = 'all'",
                path="enable_idempotence",
                remedy="set enable_idempotence = false as well, and accept loss or duplicates",
            )
        if self.transactional_id is not None and not self.enable_idempotence:
            raise ConfigurationError(
                "needs enable_idempotence = true",
                path="transactional_id",
                remedy="remove enable_idempotence = false, or do without transactions",
            )


@frozen(kw_only=True)
class ConsumerOptions:
    """The ``[consumer]`` table.

    Attributes:
        group_id: Default consumer group.
        auto_offset_reset: ``earliest``, ``latest`` or ``error``, for a group without offsets.
        isolation_level: ``read_committed``, which leaves out the records of aborted transactions
            and waits for open ones, or ``read_uncommitted``.
        group_protocol: ``classic`` or ``consumer`` (KIP-848).
        session_timeout_ms: For the classic protocol, milliseconds.
        group_instance_id: Name of this member, for static membership: a restart within the session
            time-out moves no partitions. Unique in the group.
        max_poll_records: Records taken at once.
        concurrency: How many records are handled at the same time.
        ordering: The order kept when concurrency is above 1: of the records of a ``key`` (those
            without a key as their partition), of a ``partition``, or ``none``. With a concurrency
            of 1, the order of partitions is kept.
        max_in_flight: Most records that are taken and not done.
        max_in_flight_bytes: Most bytes in them.
        commit_interval_ms: How often offsets are committed while there is work, milliseconds.
        drain_timeout_ms: How long running handlers may take when their partition is revoked, or
            when the consumer stops, milliseconds.
        handler_limit_ms: A record that is in work for longer makes the consumer not ready,
            milliseconds.
        transaction_records: Most records that a transaction of an exactly-once consumer spans.
        transaction_ms: How long such a transaction is open; what is published in it becomes visible
            after that, milliseconds.
        unknown: The outcome of events without a handler: ``skip``, ``dead_letter`` or ``stop``.
        retry: Further attempts in place, while the key or the partition waits.
        retry_topics: Set for further attempts through retry topics.
        dead_letter: Set for dead letters; with retry topics they are on unless it says otherwise.
        failures: Which failures are retried, dead-lettered, skipped, or stop the consumer.
        librdkafka: Further keys, passed through as they are.
    """

    group_id: str | None = field(default=None, validator=checks.filled)
    auto_offset_reset: str = field(
        default="earliest", validator=checks.one_of("earliest", "latest", "error")
    )
    isolation_level: str = field(
        default="read_committed", validator=checks.one_of("read_committed", "read_uncommitted")
    )
    group_protocol: str = field(default="classic", validator=checks.one_of("classic", "consumer"))
    session_timeout_ms: int = field(default=45_000, validator=checks.between(1, 3_600_000))
    group_instance_id: str | None = field(default=None, validator=checks.filled)
    max_poll_records: int = field(default=500, validator=checks.between(1, 1_000_000))
    concurrency: int = field(default=1, validator=checks.between(1, 1_000))
    ordering: str = field(default="key", validator=checks.one_of("key", "partition", "none"))
    max_in_flight: int = field(default=10_000, validator=checks.between(1, 10_000_000))
    max_in_flight_bytes: int = field(default=64 * 2**20, validator=checks.between(1, 2**40))
    commit_interval_ms: int = field(default=1_000, validator=checks.between(1, 3_600_000))
    drain_timeout_ms: int = field(default=10_000, validator=checks.between(0, 3_600_000))
    handler_limit_ms: int = field(default=300_000, validator=checks.between(1, 86_400_000))
    transaction_records: int = field(default=10_000, validator=checks.between(1, 10_000_000))
    transaction_ms: int = field(default=100, validator=checks.between(1, 3_600_000))
    unknown: str = field(default="skip", validator=checks.one_of("skip", "dead_letter", "stop"))
    retry: InPlaceRetryOptions = field(factory=lambda: InPlaceRetryOptions())
    retry_topics: RetryTopicsOptions | None = None
    dead_letter: DeadLetterOptions | None = None
    failures: FailuresOptions = field(factory=FailuresOptions)
    librdkafka: Mapping[str, Scalar] = field(factory=dict, repr=False, validator=checks.credentials)

    def __attrs_post_init__(self) -> None:
        ordered = self.retry_topics is not None and self.retry_topics.ordered
        if ordered and self.ordering == "none":
            raise ConfigurationError(
                "is 'none', which excludes retry_topics.ordered",
                path="ordering",
                remedy="set ordering = 'key', or ordered = false",
            )

    @property
    def dead_letters(self) -> DeadLetterOptions | None:
        """The effective dead-letter options; None if failed records stop the consumer."""
        options = self.dead_letter
        if options is None:
            return None if self.retry_topics is None else DeadLetterOptions()
        return options if options.enabled else None


@frozen(kw_only=True)
class RetryOptions:
    """The ``[retry]`` table.

    Attributes:
        retry_count: Further attempts after the first; 0 means none.
        base_delay_ms: Wait before the first retry, doubled each time, milliseconds.
        max_delay_ms: Upper bound of a wait, milliseconds.
        jitter: Share of each wait that is random, 0 to 1.
    """

    retry_count: int = field(default=5, validator=checks.between(0, 1000))
    base_delay_ms: int = field(default=100, validator=checks.between(0, 3_600_000))
    max_delay_ms: int = field(default=10_000, validator=checks.between(0, 3_600_000))
    jitter: float = field(default=0.5, validator=checks.between(0, 1))

    def __attrs_post_init__(self) -> None:
        if self.max_delay_ms < self.base_delay_ms:
            raise ConfigurationError(
                f"must be at least base_delay_ms ({self.base_delay_ms}), not {self.max_delay_ms}",
                path="max_delay_ms",
            )


@frozen(kw_only=True)
class InPlaceRetryOptions(RetryOptions):
    """The ``[consumer.retry]`` table: as ``[retry]``, for handlers, with shorter defaults."""

    retry_count: int = field(default=2, validator=checks.between(0, 1000))
    max_delay_ms: int = field(default=1_000, validator=checks.between(0, 3_600_000))


@frozen(kw_only=True)
class RegistryOptions:
    """The ``[registry]`` table.

    Attributes:
        url: One URL or several (fail-over), or the single word ``embedded``; no userinfo. One text,
            with commas, or several.
        username: For basic authentication.
        password: For basic authentication.
        bearer_token: For bearer authentication.
        tls: Set for a private CA or mutual TLS.
        timeout_ms: Limit of one request, milliseconds; never infinite.
        subject_strategy: ``record``, ``topic`` or ``topic_record``.
        auto_register: Register missing schemas; on only for the embedded registry, which starts
            empty, and in the environment ``embedded``.
        match: Which registered version an event is written with: ``exact``, the one with the same
            text; ``canonical``, also one of the same meaning (canonical form and logical types);
            ``latest_compatible``, the newest that the event can be written as without loss.
        reference_subject: Template of a shared type's subject, with ``{full_name}``,
            ``{namespace}`` and ``{name}``.
        references: Full name of a shared type → its subject, where the template does not fit.
        use_proxies: Follow the proxies of the environment; never for this machine.
        rules: Given to the executors of rule sets, such as the credentials of a key management
            service, under the names that Confluent's executors use.
    """

    url: tuple[str, ...] = field(converter=checks.texts, validator=checks.registry_urls)
    username: str | None = field(default=None, validator=checks.user_name)
    password: str | None = field(default=None, repr=False, validator=checks.credential)
    bearer_token: str | None = field(default=None, repr=False, validator=checks.bearer_token)
    tls: TlsOptions | None = None
    timeout_ms: int = field(default=10_000, validator=checks.between(1, 3_600_000))
    subject_strategy: str = field(
        default="record", validator=checks.one_of("record", "topic", "topic_record")
    )
    auto_register: bool = field(default=Factory(lambda self: self.embedded, takes_self=True))
    match: str = field(
        default="exact", validator=checks.one_of("exact", "canonical", "latest_compatible")
    )
    reference_subject: str = field(default="{full_name}", validator=checks.subject_template)
    references: Mapping[str, str] = field(factory=dict)
    use_proxies: bool = True
    rules: Mapping[str, str] = field(factory=dict, repr=False, validator=checks.credentials)

    def __attrs_post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            absent = "username" if self.username is None else "password"
            raise ConfigurationError("is needed for basic authentication", path=absent)
        if self.username is not None and self.bearer_token is not None:
            raise ConfigurationError(
                "and username exclude each other", path="bearer_token", remedy="keep one of them"
            )

    @property
    def embedded(self) -> bool:
        """Whether the registry is the one inside this process."""
        return self.url == ("embedded",)


@frozen(kw_only=True)
class TopicOptions:
    """One entry of ``[[topics]]``.

    Attributes:
        event: Short or full name of the event.
        version: Route only this version; None routes all versions without their own route.
        name: Topic name.
        partitions: Partition count, or None for the broker's default.
        replication: Replication factor, or None for the broker's default.
        config: Topic configuration, such as ``{"retention.ms": "604800000"}``.
    """

    event: str = field(validator=checks.filled)
    name: str = field(validator=checks.topic_name)
    version: int | None = field(default=None, validator=checks.at_least(1))
    partitions: int | None = field(default=None, validator=checks.between(1, 100_000))
    replication: int | None = field(default=None, validator=checks.between(1, 100))
    config: Mapping[str, WrittenOut] = field(factory=dict)


@frozen(kw_only=True)
class RoutingOptions:
    """The ``[routing]`` table.

    Attributes:
        strategy: ``template`` (explicit routes override it) or ``explicit``.
        template: Template of topic names, with ``{domain}``, ``{namespace}``, ``{event}``,
            ``{event_kebab}``, ``{event_snake}``, ``{event_dotted}`` and ``{version}``.
        partitions: Partition count of topics without an explicit route.
        provision: ``none``, ``create`` or ``verify``: what happens to topics at start.
    """

    strategy: str = field(default="template", validator=checks.one_of("template", "explicit"))
    template: str = field(default="{domain}.{event_kebab}", validator=checks.topic_template)
    partitions: int | None = field(default=None, validator=checks.between(1, 100_000))
    provision: str = field(default="none", validator=checks.one_of("none", "create", "verify"))


def _routes(value: TopicOptions | Iterable[TopicOptions]) -> tuple[TopicOptions, ...]:
    return (value,) if isinstance(value, TopicOptions) else tuple(value)


@frozen(kw_only=True)
class Settings:
    """All settings of an environment.

    Attributes:
        environment: Its name, such as ``embedded`` or ``production``.
        kafka: The ``[kafka]`` table.
        registry: The ``[registry]`` table.
        producer: The ``[producer]`` table.
        consumer: The ``[consumer]`` table.
        retry: The ``[retry]`` table.
        routing: The ``[routing]`` table.
        topics: The ``[[topics]]`` entries.
        logging: The ``[logging]`` table.
        tracing: The ``[tracing]`` table.
        metrics: The ``[metrics]`` table.
        codec: The ``[codec]`` table: limits on the cost of one payload and one writer's schema.
        contracts: Module of the generated contracts package.
        uses: Names of the events that the service publishes or handles; empty means all.
        instance: Name of this instance of the service, unique among its running instances; by
            default the host's name, which is the pod's name on Kubernetes.
        source: CloudEvents source of the events that this service publishes, such as ``/orders``.
        topics_origin: Where ``topics`` was written, for the errors about them.
    """

    environment: str = field(metadata=checks.NOT_A_KEY)
    kafka: KafkaOptions
    registry: RegistryOptions
    producer: ProducerOptions = field(factory=ProducerOptions)
    consumer: ConsumerOptions = field(factory=ConsumerOptions)
    retry: RetryOptions = field(factory=RetryOptions)
    routing: RoutingOptions = field(factory=RoutingOptions)
    topics: tuple[TopicOptions, ...] = field(default=(), converter=_routes)
    logging: LoggingOptions = field(factory=LoggingOptions)
    tracing: TracingOptions = field(factory=TracingOptions)
    metrics: MetricsOptions = field(factory=MetricsOptions)
    codec: Limits = field(factory=Limits)
    contracts: str | None = field(default=None, validator=checks.module_name)
    uses: tuple[str, ...] = field(default=(), converter=checks.texts)
    instance: str = field(factory=socket.gethostname, validator=checks.filled)
    source: str | None = field(default=None, validator=checks.source_uri)
    topics_origin: str = field(
        default="[[topics]]", eq=False, repr=False, metadata=checks.NOT_A_KEY
    )

    def check_files(self) -> None:
        """Check that the files named in the settings can be read, before a client is created.

        Raises:
            ConfigurationError: One cannot; the setting and the file are named.
        """
        named = {f"kafka.{key}": path for key, path in self.kafka.librdkafka.items()}
        named = {key: path for key, path in named.items() if key.endswith(".location")}
        for table, tls in (("kafka.tls", self.kafka.tls), ("registry.tls", self.registry.tls)):
            for key in ("ca_location", "certificate_location", "key_location"):
                named[f"{table}.{key}"] = getattr(tls, key, None) or ""
        for name, path in named.items():
            try:
                if path and not Path(str(path)).is_dir():
                    Path(str(path)).open("rb").close()
            except OSError as error:
                raise ConfigurationError(
                    f"{name} names a file that cannot be read: {path}: {error.strerror}",
                    path=name,
                    remedy="correct the path, or the permissions of the file",
                ) from error
