"""librdkafka behind our seams: what it refuses, what it fails, and how that is told."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from attrs import evolve
from confluent_kafka import KafkaError
from confluent_kafka import Producer as Client

from sdk.embedded import EmbeddedBroker
from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    DeliveryError,
    DeliveryTimeoutError,
    FencedError,
    MessageTooLargeError,
    SdkError,
    UndeliveredError,
)
from sdk.kafka.calls import Call
from sdk.kafka.config import consumer_config, producer_config
from sdk.kafka.consumer import ConfluentConsumer
from sdk.kafka.failures import broker_failure
from sdk.kafka.health import ClientHealth
from sdk.kafka.producer import ConfluentProducer
from sdk.publishing.producer import Producer
from sdk.records import DeliveryReport, ProducerRecord
from sdk.settings import ConsumerOptions, KafkaOptions, ProducerOptions, SaslOptions, TlsOptions
from sdk.topics import TopicDefinition
from tests.conformance.brokers import Member
from tests.unit.messaging.shop import Shop

NOWHERE = KafkaOptions(bootstrap_servers=("127.0.0.1:1",))
RECORD = ProducerRecord(topic="orders", value=b"v", key=b"k")


@pytest.fixture
def cluster() -> Iterator[EmbeddedBroker]:
    """Host a broker whose answers a test may spoil."""
    with EmbeddedBroker(topics=[TopicDefinition(name="orders", partitions=1)]) as cluster:
        yield cluster


def kafka_of(cluster: EmbeddedBroker) -> KafkaOptions:
    """Return the options that reach a cluster."""
    return KafkaOptions(bootstrap_servers=tuple(cluster.bootstrap_servers.split(",")))


def poll_for(consumer: ConfluentConsumer, seconds: float) -> None:
    """Poll for a while, whatever comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        consumer.poll(0.1, 10)


def outcome(
    kafka: KafkaOptions, record: ProducerRecord = RECORD, wait: float = 60, **options: Any
) -> DeliveryReport | SdkError:
    """Produce one record and return what became of it."""
    outcomes: list[DeliveryReport | SdkError | None] = []
    producer = ConfluentProducer(kafka, ProducerOptions(linger_ms=0, **options))
    producer.produce(record, lambda report, error: outcomes.append(error or report))
    producer.flush(wait)
    producer.close(0)
    (found,) = outcomes
    assert found is not None
    return found


def test_acknowledgement_tells_the_place(cluster: EmbeddedBroker) -> None:
    """The report of a delivered record names topic, partition and offset."""
    report = outcome(kafka_of(cluster))
    assert isinstance(report, DeliveryReport)
    assert (report.topic, report.partition, report.offset) == ("orders", 0, 0)


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AuthorizationError),
        (KafkaError.MSG_SIZE_TOO_LARGE, MessageTooLargeError),
        (KafkaError.INVALID_RECORD, BrokerError),
    ],
)
def test_refusals_are_classed(
    cluster: EmbeddedBroker, code: int, error_class: type[SdkError]
) -> None:
    """The broker's answer to a record becomes an error that says what to do about it."""
    cluster.fail_requests("produce", [code])
    error = outcome(kafka_of(cluster), enable_idempotence=False)
    assert type(error) is error_class
    assert error.topic == "orders"


def test_passing_failures_are_retried(cluster: EmbeddedBroker) -> None:
    """Failures that pass by themselves are librdkafka's business: the record is delivered."""
    cluster.fail_requests("produce", [KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.REQUEST_TIMED_OUT])
    assert isinstance(outcome(kafka_of(cluster)), DeliveryReport)


@pytest.mark.parametrize("partition", [None, 0])
def test_unreachable_brokers_fail_records_with_the_cause(partition: int | None) -> None:
    """Without any broker a record fails in time, with the reason, and is known not to be sent."""
    started = time.monotonic()
    error = outcome(NOWHERE, RECORD._replace(partition=partition), delivery_timeout_ms=1_000)
    assert isinstance(error, BrokerUnavailableError | DeliveryTimeoutError)
    assert "Connection refused" in error.message
    # Older clients do not report whether they have ever reached a broker.
    if partition is None or hasattr(Client, "cluster_id"):
        assert type(error) is BrokerUnavailableError
        assert "nothing was sent" in error.message
    else:
        assert "a copy may exist" in str(error)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("place", "tls", "cause"),
    [
        ("unknown.invalid:9092", None, "resolve"),
        ("plaintext", TlsOptions(), "SSL_HANDSHAKE"),
        ("another service", None, "Disconnected"),
        ("another service", TlsOptions(), "SSL"),
    ],
)
def test_wrong_addresses_and_listeners_are_named(
    cluster: EmbeddedBroker, foreign_service: str, place: str, tls: TlsOptions | None, cause: str
) -> None:
    """A wrong host, port or protocol is the reason that the record's error gives."""
    address = {"plaintext": cluster.bootstrap_servers, "another service": foreign_service}
    kafka = KafkaOptions(bootstrap_servers=(address.get(place, place),), tls=tls)
    error = outcome(kafka, delivery_timeout_ms=3_000)
    assert isinstance(error, BrokerUnavailableError | AuthenticationError)
    assert cause in error.message
    assert "nothing was sent" in error.message
    assert "kafka.tls" in str(error)
    assert "copy" not in str(error)


def test_a_refused_client_fails_what_is_queued(cluster: EmbeddedBroker) -> None:
    """Where no broker accepts the client, records fail soon instead of after two minutes."""
    sasl = SaslOptions(mechanism="PLAIN", username="alice", password="wonderland")
    started = time.monotonic()
    error = outcome(evolve(kafka_of(cluster), sasl=sasl), wait=60)
    assert type(error) is AuthenticationError
    assert "nothing was sent" in error.message
    assert "wonderland" not in str(error)
    assert time.monotonic() - started < 60


@pytest.fixture
def foreign_service() -> Iterator[str]:
    """Listen on a port where no broker is, and hang up on everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_one_line_tells_of_an_unreachable_broker(caplog: pytest.LogCaptureFixture) -> None:
    """However often the client tries to connect, the log says once what is wrong."""
    outcome(NOWHERE, delivery_timeout_ms=2_000)
    lines = [line.getMessage() for line in caplog.records if line.name.startswith("sdk")]
    assert len(lines) == 1
    assert "Connection refused" in lines[0]


def test_connection_error_is_known_while_it_lasts() -> None:
    """A client that reaches no broker knows so before any message has timed out."""
    producer = ConfluentProducer(NOWHERE, ProducerOptions())
    deadline = time.monotonic() + 60
    while producer.connection_error() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert isinstance(producer.connection_error(), BrokerUnavailableError)
    assert producer.close(0) == 0


def test_closing_fails_what_is_left() -> None:
    """Closing before the acknowledgement ends each record with an error."""
    outcomes: list[Any] = []
    producer = ConfluentProducer(NOWHERE, ProducerOptions())
    producer.produce(RECORD, lambda report, error: outcomes.append(error))
    assert producer.close(0.05) == 1
    (error,) = outcomes
    assert type(error) is DeliveryError
    assert "closed before" in error.message
    assert "nothing was sent" in error.message


def test_flushing_waits_for_another_threads_callback() -> None:
    """Flushing returns once every failure has been reported, whichever thread reports it."""
    begun, outcomes = threading.Event(), list[Any]()

    def settle_slowly(report: DeliveryReport | None, error: SdkError | None) -> None:
        begun.set()
        time.sleep(0.5)
        outcomes.append(error)

    producer = ConfluentProducer(NOWHERE, ProducerOptions(linger_ms=0, delivery_timeout_ms=500))
    producer.produce(RECORD, settle_slowly)
    assert begun.wait(60)
    assert producer.flush(60) == 0
    assert len(outcomes) == 1
    producer.close(0)


def test_flushing_ends_in_time_while_a_callback_runs() -> None:
    """Waiting for the thread that flushes does not block it; the record counts as left."""
    begun, flushed = threading.Event(), threading.Event()

    def wait_for_flush(report: DeliveryReport | None, error: SdkError | None) -> None:
        begun.set()
        flushed.wait(5)

    producer = ConfluentProducer(NOWHERE, ProducerOptions(linger_ms=0, delivery_timeout_ms=500))
    producer.produce(RECORD, wait_for_flush)
    assert begun.wait(20)
    started = time.monotonic()
    left = producer.flush(0.2)
    seconds = time.monotonic() - started
    flushed.set()
    producer.close(0)
    assert (left, seconds < 3) == (1, True)


def test_a_callback_that_raises_holds_up_no_other(
    cluster: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Its exception is logged, and who waits for the batch is woken all the same."""
    woken = threading.Event()

    def fail(report: DeliveryReport | None, error: SdkError | None) -> None:
        raise ValueError("a defect of an exporter")

    producer = ConfluentProducer(kafka_of(cluster), ProducerOptions(linger_ms=0))
    producer.after_deliveries(woken.set)
    producer.produce(RECORD, fail)
    assert woken.wait(10)
    producer.close(20)
    assert "a defect of an exporter" in caplog.text


def test_a_callback_of_a_failure_that_raises_holds_up_no_other() -> None:
    """Every failure is reported, although the callback of an earlier one has raised."""
    reported, woken = threading.Semaphore(0), threading.Event()

    def fail(report: DeliveryReport | None, error: SdkError | None) -> None:
        reported.release()
        raise ValueError("a defect of an exporter")

    producer = ConfluentProducer(NOWHERE, ProducerOptions(linger_ms=0, delivery_timeout_ms=500))
    for _ in range(3):
        producer.produce(RECORD, fail)
    for _ in range(3):
        assert reported.acquire(timeout=10)
    producer.after_deliveries(woken.set)
    assert woken.wait(10)
    producer.close(0)


def test_a_closed_client_has_nothing_to_flush() -> None:
    """Another thread may close the client just before it is flushed."""
    producer = ConfluentProducer(NOWHERE, ProducerOptions())
    producer.close(0)
    assert producer.flush(1) == 0


def test_closing_loses_nothing_that_another_thread_was_allowed_to_produce(
    cluster: EmbeddedBroker,
) -> None:
    """A record is delivered, fails or is refused; none vanishes with the client."""
    producer = ConfluentProducer(kafka_of(cluster), ProducerOptions(linger_ms=50))
    allowed, settled = list[int](), list[int]()
    began = threading.Event()

    def produce() -> None:
        with suppress(ClosedError):
            while True:
                producer.produce(RECORD, lambda report, error: settled.append(1))
                allowed.append(1)
                began.set()
                time.sleep(0.0005)

    threads = [threading.Thread(target=produce) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert began.wait(20)
    time.sleep(0.2)
    producer.close(1)
    for thread in threads:
        thread.join()
    assert len(settled) == len(allowed)


def test_a_call_raises_whatever_it_ended_with() -> None:
    """An exception that ends the thread of a call is raised."""

    def refuse() -> None:
        raise RuntimeError("the client is closed")

    with pytest.raises(RuntimeError, match="the client is closed"):
        Call("call", refuse).within(20)


def test_producing_does_not_wait_for_another_threads_callback(cluster: EmbeddedBroker) -> None:
    """A callback may wait for a thread that produces meanwhile."""
    begun, produced, waits = threading.Event(), threading.Event(), list[bool]()

    def wait_for_producing() -> None:
        begun.set()
        waits.append(produced.wait(60))

    producer = ConfluentProducer(kafka_of(cluster), ProducerOptions(linger_ms=0))
    producer.after_deliveries(wait_for_producing)
    producer.produce(RECORD, lambda report, error: None)
    assert begun.wait(60)
    for _ in range(3):
        for _ in range(500):
            producer.produce(RECORD, lambda report, error: None)
        time.sleep(0.1)
    produced.set()
    assert producer.close(60) == 0
    assert all(waits)


def test_a_producer_closes_without_any_broker() -> None:
    """Closing ends in time without an answer, and lists the undelivered records."""
    started = time.monotonic()
    producer = Producer(ConfluentProducer(NOWHERE, ProducerOptions()), Shop().encoder())
    delivery = producer.send(RECORD)
    with pytest.raises(UndeliveredError) as caught:
        producer.close(0.2)
    assert caught.value.failures == (delivery,)
    assert time.monotonic() - started < 60


def test_a_record_unsent_at_closing_does_not_blame_the_topic_alone() -> None:
    """Before a broker has answered, more time for closing may be all that is missing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silence = KafkaOptions(bootstrap_servers=(f"127.0.0.1:{silent.getsockname()[1]}",))
        producer = Producer(ConfluentProducer(silence, ProducerOptions()), Shop().encoder())
        producer.send(RECORD)
        with pytest.raises(UndeliveredError, match="close_timeout_ms"):
            producer.close(0)


def test_what_was_perhaps_sent_is_said_to_be(cluster: EmbeddedBroker) -> None:
    """An unanswered record may have reached the broker, if one was connected."""
    options = ProducerOptions(linger_ms=0, delivery_timeout_ms=1_500)
    producer = ConfluentProducer(kafka_of(cluster), options)
    outcomes: list[Any] = []
    producer.produce(RECORD, lambda report, error: outcomes.append(error))
    assert producer.flush(60) == 0
    cluster.close()
    producer.produce(RECORD, lambda report, error: outcomes.append(error))
    assert producer.flush(60) == 0
    producer.close(0)
    delivered, failed = outcomes
    assert delivered is None
    assert type(failed) is DeliveryTimeoutError
    assert "cannot reach Kafka" in failed.message
    assert "nothing was sent" not in str(failed)
    assert "a copy may exist" in str(failed)


def test_too_large_record_is_refused_at_once() -> None:
    """The client's own limit is told by `produce`."""
    producer = ConfluentProducer(NOWHERE, ProducerOptions())
    with pytest.raises(MessageTooLargeError):
        producer.produce(
            ProducerRecord(topic="orders", value=bytes(1_100_000)), lambda report, error: None
        )
    producer.close(0)


def test_denied_topic_stops_a_consumer(cluster: EmbeddedBroker) -> None:
    """A consumer that may not read a topic raises, and does not wait for ever."""
    cluster.fail_requests("fetch", [KafkaError.TOPIC_AUTHORIZATION_FAILED] * 20)
    options = ConsumerOptions(group_protocol="consumer")
    consumer = ConfluentConsumer(kafka_of(cluster), options, "group")
    Member("billing", consumer, ["orders"])
    with pytest.raises(AuthorizationError) as caught:
        poll_for(consumer, 60)
    assert caught.value.topic == "orders"
    consumer.close()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"librdkafka": {"no.such.key": 1}}, "'no.such.key' of the table [producer]"),
        ({"librdkafka": {"batch.size": "big"}}, "'batch.size' of the table [producer]"),
        ({"librdkafka": {"linger.ms": -5}}, "'linger.ms' of the table [producer]"),
        ({"linger_ms": 0, "librdkafka": {"debug": "all-of-it"}}, "'debug' of the table"),
    ],
)
def test_refused_key_names_its_table(options: dict[str, Any], named: str) -> None:
    """Librdkafka's refusal becomes a settings error that names our table and key."""
    with pytest.raises(ConfigurationError) as caught:
        ConfluentProducer(NOWHERE, ProducerOptions(**options))
    assert named in str(caught.value)


def test_missing_certificate_names_our_setting() -> None:
    """A file that TLS needs and that is not there is told by our setting's name."""
    kafka = KafkaOptions(
        bootstrap_servers=("127.0.0.1:1",), tls=TlsOptions(ca_location="/no/such/file.pem")
    )
    with pytest.raises(ConfigurationError, match=r"kafka\.tls\.ca_location"):
        ConfluentProducer(kafka, ProducerOptions())


def test_empty_group_id_is_refused() -> None:
    """An empty group id, which would end the process inside librdkafka, is an error."""
    with pytest.raises(ConfigurationError, match="group id is empty"):
        ConfluentConsumer(NOWHERE, ConsumerOptions(), "")


def test_password_is_in_no_error() -> None:
    """A refused setting beside a password does not show the password."""
    kafka = KafkaOptions(
        bootstrap_servers=("127.0.0.1:1",),
        sasl=SaslOptions(mechanism="PLAIN", username="alice", password="wonderland"),
        librdkafka={"no.such.key": 1},
    )
    with pytest.raises(ConfigurationError) as caught:
        ConfluentProducer(kafka, ProducerOptions())
    assert "wonderland" not in str(caught.value)
    assert "wonderland" not in repr(kafka)


def test_configuration_of_a_producer() -> None:
    """Every producer's configuration has the keys for durability and partitioning."""
    config = producer_config(NOWHERE, ProducerOptions())
    assert config["acks"] == "all"
    assert config["enable.idempotence"] is True
    assert config["partitioner"] == "murmur2_random"
    assert config["security.protocol"] == "PLAINTEXT"


def test_configuration_of_a_consumer() -> None:
    """Nothing is committed behind our back, and the group protocol decides over its keys."""
    classic = consumer_config(NOWHERE, ConsumerOptions(), "group")
    assert classic["enable.auto.commit"] is False
    assert classic["session.timeout.ms"] == 45_000
    assert classic["fetch.queue.backoff.ms"] == 5
    newer = consumer_config(NOWHERE, ConsumerOptions(group_protocol="consumer"), "group")
    assert "session.timeout.ms" not in newer
    assert "partition.assignment.strategy" not in newer


@pytest.mark.parametrize(
    ("tls", "sasl", "protocol"),
    [
        (None, None, "PLAINTEXT"),
        (TlsOptions(), None, "SSL"),
        (None, SaslOptions(mechanism="PLAIN", username="u", password="p"), "SASL_PLAINTEXT"),
        (TlsOptions(), SaslOptions(mechanism="PLAIN", username="u", password="p"), "SASL_SSL"),
    ],
)
def test_security_follows_from_the_tables(
    tls: TlsOptions | None, sasl: SaslOptions | None, protocol: str
) -> None:
    """TLS and SASL are chosen by giving their tables, each with or without the other."""
    kafka = KafkaOptions(bootstrap_servers=("127.0.0.1:1",), tls=tls, sasl=sasl)
    assert producer_config(kafka, ProducerOptions())["security.protocol"] == protocol


@pytest.mark.parametrize(
    ("name", "error_class"),
    [
        ("_AUTHENTICATION", AuthenticationError),
        ("_SSL", AuthenticationError),
        ("GROUP_AUTHORIZATION_FAILED", AuthorizationError),
        ("_MSG_TIMED_OUT", DeliveryTimeoutError),
        ("_ALL_BROKERS_DOWN", BrokerUnavailableError),
        ("_FENCED", FencedError),
        ("UNKNOWN_TOPIC_OR_PART", BrokerError),
        ("UNKNOWN", BrokerError),
    ],
)
def test_every_error_has_its_class(name: str, error_class: type[SdkError]) -> None:
    """Librdkafka's errors are classed by what can be done about them, with its own words."""
    failure = broker_failure(KafkaError(getattr(KafkaError, name)), "do it", topic="orders")
    assert type(failure) is error_class
    assert name in failure.message
    assert failure.topic == "orders"


@pytest.mark.parametrize(
    ("name", "error_class"),
    [
        ("FENCED_INSTANCE_ID", FencedError),
        ("CLUSTER_AUTHORIZATION_FAILED", AuthorizationError),
        ("UNKNOWN", BrokerError),
    ],
)
def test_fatal_errors_are_classed_by_their_cause(name: str, error_class: type[SdkError]) -> None:
    """The cause of a consumer's fatal error is only in its message."""
    words = f"Fatal error: {KafkaError(getattr(KafkaError, name)).str()}: and more"
    assert type(broker_failure(KafkaError(KafkaError._FATAL, words), "do it")) is error_class


def test_refusal_outlives_outages_until_a_broker_answers() -> None:
    """Refused credentials are told rather than the outage that follows, until they are taken."""
    health = ClientHealth("reach Kafka")
    health.record(KafkaError(KafkaError._AUTHENTICATION))
    health.record(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert isinstance(health.error, AuthenticationError)
    assert health.refusal is None, "another broker may still take the client"
    health.clear()
    assert health.error is None


@pytest.mark.parametrize("first", ["log", "callback"])
def test_the_log_explains_why_all_brokers_are_down(
    caplog: pytest.LogCaptureFixture, first: str
) -> None:
    """The reason of some failures is only in the client's log, before or after the callback."""
    health = ClientHealth("reach Kafka")
    down = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
    line = ("%s [%s] %s", "FAIL", "rdkafka#producer-1", "[thrd:b/bootstrap]: b: Disconnected")
    if first == "log":
        health.log(logging.INFO, *line)
        health.record(down)
    else:
        health.record(down)
        health.log(logging.INFO, *line)
    health.record(down)
    health.log(logging.INFO, *line)
    assert isinstance(health.error, BrokerUnavailableError)
    assert "cannot reach Kafka: b: Disconnected" in health.error.message
    (logged,) = caplog.messages
    assert "Disconnected" in logged


def test_other_lines_of_the_client_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Lines other than repeated connection failures are logged unchanged."""
    health = ClientHealth("reach Kafka")
    health.log(logging.WARNING, "%s [%s] %s", "GETPID", "rdkafka#producer-1", "retrying")
    assert caplog.messages == ["GETPID [rdkafka#producer-1] retrying"]
    assert health.error is None
