"""Settings: frozen options, loaded and validated once."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class TlsOptions:
    """How a server's certificate is checked and, for mutual TLS, our own is shown.

    Attributes:
        ca_location: File of trusted certificates (PEM); None means the system's.
        certificate_location: Our own certificate (PEM).
        key_location: Its private key (PEM).
        key_password: Password of the private key.
        verify: Check the certificate and host name; False only for experiments.
    """

    ca_location: str | None = None
    certificate_location: str | None = None
    key_location: str | None = None
    key_password: str | None = field(default=None, repr=False)
    verify: bool = True


@frozen(kw_only=True)
class SaslOptions:
    """How we prove who we are to Kafka.

    Attributes:
        mechanism: ``PLAIN``, ``SCRAM-SHA-256``, ``SCRAM-SHA-512`` or ``OAUTHBEARER``.
        username: For PLAIN and SCRAM.
        password: For PLAIN and SCRAM.
    """

    mechanism: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class KafkaOptions:
    """The ``[kafka]`` table.

    Attributes:
        bootstrap_servers: ``host:port`` each, or the single word ``embedded``.
        client_id: Name in the broker's logs and quotas.
        tls: Set for TLS, with or without SASL.
        sasl: Set for SASL, with or without TLS.
        librdkafka: Further keys for every client, passed through as they are.
    """

    bootstrap_servers: tuple[str, ...]
    client_id: str | None = None
    tls: TlsOptions | None = None
    sasl: SaslOptions | None = None
    librdkafka: Mapping[str, str | int | float | bool] = field(factory=dict, repr=False)

    @property
    def embedded(self) -> bool:
        """Whether the broker is the one inside this process."""
        return self.bootstrap_servers == ("embedded",)


@frozen(kw_only=True)
class ProducerOptions:
    """The ``[producer]`` table.

    Attributes:
        acks: ``all``, ``0`` or ``1``.
        enable_idempotence: In order and without duplicates within ``delivery_timeout_ms``.
        linger_ms: How long a batch waits for company, milliseconds.
        compression_type: ``none``, ``gzip``, ``snappy``, ``lz4`` or ``zstd``.
        delivery_timeout_ms: Limit from `produce` to the acknowledgement, milliseconds.
        queue_full_timeout_ms: How long `produce` waits for room in the queue, milliseconds.
        close_timeout_ms: How long closing waits for acknowledgements, milliseconds.
        format: ``avro`` or ``json``.
        key_format: ``text`` or ``avro``.
        schema_id_location: ``prefix`` (5 bytes before the body) or ``header`` (GUID).
        cloud_events: Send the standard headers.
        librdkafka: Further keys, passed through as they are.
    """

    acks: str = "all"
    enable_idempotence: bool = True
    linger_ms: float = 5
    compression_type: str = "none"
    delivery_timeout_ms: int = 120_000
    queue_full_timeout_ms: int = 10_000
    close_timeout_ms: int = 30_000
    format: str = "avro"
    key_format: str = "text"
    schema_id_location: str = "prefix"
    cloud_events: bool = True
    librdkafka: Mapping[str, str | int | float | bool] = field(factory=dict, repr=False)


@frozen(kw_only=True)
class ConsumerOptions:
    """The ``[consumer]`` table.

    Attributes:
        group_id: Default consumer group.
        auto_offset_reset: ``earliest``, ``latest`` or ``error``, for a group without offsets.
        group_protocol: ``classic`` or ``consumer`` (KIP-848).
        session_timeout_ms: For the classic protocol, milliseconds.
        max_poll_records: Records taken at once.
        librdkafka: Further keys, passed through as they are.
    """

    group_id: str | None = None
    auto_offset_reset: str = "earliest"
    group_protocol: str = "classic"
    session_timeout_ms: int = 45_000
    max_poll_records: int = 500
    librdkafka: Mapping[str, str | int | float | bool] = field(factory=dict, repr=False)


@frozen(kw_only=True)
class RetryOptions:
    """The ``[retry]`` table.

    Attributes:
        retry_count: Further attempts after the first; 0 means none.
        base_delay_ms: Wait before the first retry, doubled each time, milliseconds.
        max_delay_ms: Upper bound of a wait, milliseconds.
        jitter: Share of each wait that is random, 0 to 1.
    """

    retry_count: int = 5
    base_delay_ms: int = 100
    max_delay_ms: int = 10_000
    jitter: float = 0.5


@frozen(kw_only=True)
class RegistryOptions:
    """The ``[registry]`` table.

    Attributes:
        url: One URL or several (fail-over), or the single word ``embedded``; no userinfo.
        username: For basic authentication.
        password: For basic authentication.
        bearer_token: For bearer authentication.
        tls: Set for a private CA or mutual TLS.
        timeout_ms: Limit of one request, milliseconds; never infinite.
        subject_strategy: ``record``, ``topic`` or ``topic_record``.
        auto_register: Register missing schemas; on only in the embedded environment.
    """

    url: tuple[str, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    tls: TlsOptions | None = None
    timeout_ms: int = 10_000
    subject_strategy: str = "record"
    auto_register: bool = False

    @property
    def embedded(self) -> bool:
        """Whether the registry is the one inside this process."""
        return self.url == ("embedded",)


@frozen(kw_only=True)
class TopicOptions:
    """One entry of ``[[topics]]``.

    Attributes:
        event: Short or full name of the event.
        version: Route only this version; None routes all that have no route of their own.
        name: Topic name.
        partitions: Partition count, or None for the broker's default.
        replication: Replication factor, or None for the broker's default.
        config: Topic configuration, such as ``{"retention.ms": "604800000"}``.
    """

    event: str
    name: str
    version: int | None = None
    partitions: int | None = None
    replication: int | None = None
    config: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class RoutingOptions:
    """The ``[routing]`` table.

    Attributes:
        strategy: ``template`` (explicit routes override it) or ``explicit``.
        template: Over ``{domain}``, ``{event_kebab}``, ``{event_snake}``, ``{event_dotted}``
            and ``{version}``.
        partitions: Partition count of topics without an explicit route.
        provision: ``none``, ``create`` or ``verify``: what happens to topics at start.
    """

    strategy: str = "template"
    template: str = "{domain}.{event_kebab}"
    partitions: int | None = None
    provision: str = "none"


@frozen(kw_only=True)
class LoggingOptions:
    """The ``[logging]`` table.

    Attributes:
        configure: Set up logging in `connect`; False leaves it to the host.
        level: Minimum level.
        overrides: Logger name → level.
        format: ``console`` or ``json``.
        thread_id: Add the thread id to each line.
        machine_name: Add the host name to each line.
    """

    configure: bool = False
    level: str = "INFO"
    overrides: Mapping[str, str] = field(factory=dict)
    format: str = "console"
    thread_id: bool = True
    machine_name: bool = True


@frozen(kw_only=True)
class Settings:
    """Everything, structured.

    Attributes:
        environment: Its name, such as ``embedded`` or ``production``.
        contracts: Module of the generated contracts package.
        source: CloudEvents source of what this service publishes, such as ``/orders``.
    """

    environment: str
    kafka: KafkaOptions
    registry: RegistryOptions
    producer: ProducerOptions = field(factory=ProducerOptions)
    consumer: ConsumerOptions = field(factory=ConsumerOptions)
    retry: RetryOptions = field(factory=RetryOptions)
    routing: RoutingOptions = field(factory=RoutingOptions)
    topics: tuple[TopicOptions, ...] = ()
    logging: LoggingOptions = field(factory=LoggingOptions)
    contracts: str | None = None
    source: str | None = None
