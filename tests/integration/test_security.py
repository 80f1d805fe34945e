"""TLS, SASL and ACLs: the options that users set work, and refusals are reported as such."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from contracts.orders.order_created.v2 import OrderCreated

from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerUnavailableError,
    SdkError,
)
from sdk.kafka.producer import ConfluentProducer
from sdk.records import ProducerRecord
from sdk.settings import KafkaOptions, ProducerOptions, SaslOptions, Settings, TlsOptions
from tests.integration.wiring import (
    connected,
    number_of,
    order,
    settings_for,
    stopping_after,
    wait_until,
)
from tests.servers.certificates import Authority
from tests.servers.kafka import NEVER_KILLED, KafkaCluster, Security
from tests.servers.target import Target

TOLD_WITHIN = 60
"""Seconds within which a refusal must be reported; the delivery time-out is two minutes."""

USERS = {"admin": "root's own", "alice": "wonder land", "bob": "builder"}


@frozen
class Secured:
    """A cluster with TLS listeners, and what its clients need.

    Attributes:
        cluster: The cluster.
        authority: Signed its certificates.
        stranger: An authority that signed none of them.
        admin: A client that may do anything.
    """

    cluster: KafkaCluster
    authority: Path
    stranger: Path
    admin: AdminClient


@pytest.fixture(scope="module")
def secured(
    own_kafka: Callable[..., KafkaCluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    """One broker whose TLS listeners have a good, an expired and a misnamed certificate."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "authority")
    security = Security(
        keystores={
            "SECURE": authority.sign("secure", "localhost"),
            "EXPIRED": authority.sign("expired", "localhost", expired=True),
            "MISNAMED": authority.sign("misnamed", "elsewhere.test"),
        },
        users=USERS,
    )
    with own_kafka(folder / "kafka", security=security, properties=NEVER_KILLED) as cluster:
        yield Secured(
            cluster=cluster,
            authority=authority.certificate,
            stranger=Authority(folder / "stranger").certificate,
            admin=AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0}),
        )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_over_tls(
    secured: Secured, registry: Target, unique: Callable[[str], str], mechanism: str
) -> None:
    """Topics are made, events produced and consumed with user, password and the authority."""
    topic = unique("secure")
    settings = _settings(secured, registry, topic, user="admin", mechanism=mechanism)
    handled: list[int] = []
    with connected(settings) as messaging:
        messaging.producer.produce(order(1)).result(30)
        consumer = messaging.consumer(unique("group"))

        def handle(event: OrderCreated) -> None:
            handled.append(number_of(event))
            consumer.stop()

        consumer.handle(OrderCreated, handle)
        with stopping_after(consumer, 90):
            consumer.run()
    assert handled == [1]


def test_oauthbearer_with_a_token_source(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """Tokens come from the function given to `connect`, and are fetched again before they end."""
    topic = unique("token")
    settings = _settings(secured, registry, topic, user="admin", mechanism="OAUTHBEARER")
    fetched: list[float] = []

    def token() -> tuple[str, float]:
        fetched.append(time.time())
        return _unsigned_token("admin", fetched[-1] + 8), fetched[-1] + 8

    with connected(settings, token) as messaging:
        messaging.producer.produce(order(1)).result(30)
        before = len(fetched)
        wait_until(lambda: len(fetched) > before)
        messaging.producer.produce(order(2)).result(30)


def test_a_token_source_that_raises(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """The token source's exception is the cause; its text, perhaps secret, is not repeated."""
    settings = _settings(secured, registry, unique("t"), user="admin", mechanism="OAUTHBEARER")

    def token() -> tuple[str, float]:
        raise LookupError("secret of the identity provider")

    with (
        pytest.raises(AuthenticationError, match="LookupError") as caught,
        connected(settings, token) as messaging,
    ):
        messaging.producer.produce(order(1))
    assert isinstance(caught.value.__cause__, LookupError)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_reads_so_to_a_producer(
    secured: Secured, registry: Target, unique: Callable[[str], str], mechanism: str
) -> None:
    """A wrong password is an authentication error soon, not a time-out after two minutes."""
    settings = _settings(
        secured, registry, unique("t"), password="not-it-at-all", mechanism=mechanism
    )
    error = _produce_error(settings, AuthenticationError)
    assert "not-it-at-all" not in str(error)
    assert "sasl" in str(error).lower()


def test_a_wrong_password_reads_so_to_a_consumer(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """`Consumer.run` ends with an authentication error instead of waiting forever."""
    settings = _settings(secured, registry, unique("t"), password="not-it-at-all")
    _consume_error(settings, unique("group"), AuthenticationError)


def test_a_wrong_password_reads_so_at_the_start(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """If topics are created at start, connecting reports the refused credentials."""
    settings = _settings(
        secured, registry, unique("t"), password="not-it-at-all", provision="create"
    )
    started = time.monotonic()
    with pytest.raises(AuthenticationError), connected(settings):
        pass
    assert time.monotonic() - started < TOLD_WITHIN + 5


@pytest.mark.parametrize("defect", ["unknown authority", "expired", "wrong host name"])
def test_a_certificate_that_must_not_be_trusted(
    secured: Secured, registry: Target, unique: Callable[[str], str], defect: str
) -> None:
    """The error speaks of the certificate and of our settings for TLS."""
    listener = {"expired": "EXPIRED", "wrong host name": "MISNAMED"}.get(defect, "SECURE")
    authority = secured.stranger if defect == "unknown authority" else secured.authority
    tls = TlsOptions(ca_location=str(authority))
    settings = _settings(secured, registry, unique("t"), listener=listener, tls=tls)
    error = _produce_error(settings, AuthenticationError)
    assert "certificate" in str(error)
    assert "kafka.tls" in str(error)


@pytest.mark.parametrize(
    ("tls", "user"), [(False, None), (True, None), (False, "admin")], ids=["plain", "tls", "sasl"]
)
def test_a_listener_that_expects_more(secured: Secured, tls: bool, user: str | None) -> None:
    """Without TLS, without SASL or with SASL alone, the record's error says where it ended."""
    kafka = KafkaOptions(
        bootstrap_servers=(secured.cluster.secure_bootstrap_servers("SECURE"),),
        tls=TlsOptions(ca_location=str(secured.authority)) if tls else None,
        sasl=user and SaslOptions(mechanism="PLAIN", username=user, password=USERS[user]),
    )
    outcomes: list[SdkError | None] = []
    producer = ConfluentProducer(kafka, ProducerOptions(delivery_timeout_ms=5_000))
    producer.produce(ProducerRecord("t", b""), lambda report, error: outcomes.append(error))
    assert producer.close(30) == 0
    (error,) = outcomes
    assert isinstance(error, BrokerUnavailableError)
    assert "Disconnected" in error.message
    assert "nothing was sent" in error.message
    assert "kafka.tls" in str(error)


def test_no_certificate_is_checked_when_told_so(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """``verify = false`` connects to a broker with another host's certificate."""
    topic = unique("unverified")
    settings = _settings(
        secured,
        registry,
        topic,
        user="admin",
        listener="MISNAMED",
        tls=TlsOptions(verify=False),
        provision="create",
    )
    with connected(settings) as messaging:
        messaging.producer.produce(order(1)).result(30)


@pytest.mark.parametrize("idle", [0, 2])
def test_a_denied_topic(
    secured: Secured, registry: Target, unique: Callable[[str], str], idle: float
) -> None:
    """Writing without an ACL is an authorization error that names the topic.

    A user who may write nowhere is refused an idempotent producer as well, which is fatal to the
    client as soon as it has been told.
    """
    topic = unique("denied")
    secured.admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    with connected(_settings(secured, registry, topic)) as messaging:
        messaging.warm_up()
        producer = messaging.producer
        time.sleep(idle)
        for number in range(3):
            with pytest.raises(AuthorizationError) as raised:
                producer.produce(order(number)).result(30)
            assert topic in str(raised.value)


def test_a_denied_group_and_a_denied_topic_to_read(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """A consumer that may not join its group, or not read its topic, ends with that error."""
    topic, group = unique("unreadable"), unique("denied")
    secured.admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    _allow(secured, "bob", ResourceType.TOPIC, topic, AclOperation.READ)
    error = _consume_error(
        _settings(secured, registry, topic, user="bob"), group, AuthorizationError
    )
    assert "group" in str(error).lower()
    _allow(secured, "alice", ResourceType.GROUP, group, AclOperation.READ)
    error = _consume_error(_settings(secured, registry, topic), group, AuthorizationError)
    assert topic in str(error)


def test_what_acls_allow_works(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """A user with the ACLs of a service writes, also with the idempotent producer."""
    topic = unique("allowed")
    secured.admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    for operation in (AclOperation.WRITE, AclOperation.DESCRIBE):
        _allow(secured, "alice", ResourceType.TOPIC, topic, operation)
    with connected(_settings(secured, registry, topic)) as messaging:
        messaging.producer.produce(order(1)).result(30)


def test_a_producer_recovers_when_its_user_is_made(
    secured: Secured, registry: Target, unique: Callable[[str], str]
) -> None:
    """A refusal is reported soon, and cleared as soon as the broker accepts the credentials."""
    topic = unique("late")
    admin = secured.admin
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    for operation in (AclOperation.WRITE, AclOperation.DESCRIBE):
        _allow(secured, "late", ResourceType.TOPIC, topic, operation)
    settings = _settings(
        secured, registry, topic, user="late", password="made later", mechanism="SCRAM-SHA-512"
    )
    with connected(settings) as messaging:
        with pytest.raises(AuthenticationError):
            messaging.producer.produce(order(1)).result(TOLD_WITHIN)
        made = UserScramCredentialUpsertion(
            "late",
            ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096),
            b"made later",
        )
        admin.alter_user_scram_credentials([made])["late"].result(30)

        def delivered() -> bool:
            try:
                messaging.producer.produce(order(2)).result(TOLD_WITHIN)
            except AuthenticationError:
                return False
            return True

        wait_until(delivered)


def _settings(
    secured: Secured,
    registry: Target,
    topic: str,
    *,
    user: str = "alice",
    password: str | None = None,
    mechanism: str = "SCRAM-SHA-512",
    listener: str = "SECURE",
    tls: TlsOptions | None = None,
    provision: str | None = None,
) -> Settings:
    named = {"username": user, "password": password or USERS.get(user)}
    sasl = SaslOptions(mechanism=mechanism, **({} if mechanism == "OAUTHBEARER" else named))
    kafka: dict[str, Any] = {
        "tls": tls or TlsOptions(ca_location=str(secured.authority)),
        "sasl": sasl,
    }
    return settings_for(
        secured.cluster.secure_bootstrap_servers(listener),
        registry.address,
        topic,
        provision=provision or ("create" if user == "admin" else "none"),
        kafka=kafka,
    )


def _unsigned_token(user: str, until: float) -> str:
    """Return a JSON Web Token of the algorithm "none" (RFC 7519, section 6)."""
    parts = ({"alg": "none"}, {"sub": user, "iat": time.time() - 1, "exp": until})
    coded = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join([*coded, ""])


def _produce_error(settings: Settings, expected: type[Exception]) -> Exception:
    started = time.monotonic()
    with connected(settings) as messaging:
        delivery = messaging.producer.produce(order(1))
        with pytest.raises(expected) as raised:
            delivery.result(90)
        assert time.monotonic() - started < TOLD_WITHIN
    assert time.monotonic() - started < TOLD_WITHIN + 5, "closing took too long"
    return raised.value


def _consume_error(settings: Settings, group: str, expected: type[Exception]) -> Exception:
    started = time.monotonic()
    with connected(settings) as messaging:
        consumer = messaging.consumer(group)
        consumer.handle(OrderCreated, lambda event: None)
        with stopping_after(consumer, 90), pytest.raises(expected) as raised:
            consumer.run()
    assert time.monotonic() - started < TOLD_WITHIN + 5
    return raised.value


def _allow(
    secured: Secured, user: str, kind: ResourceType, name: str, operation: AclOperation
) -> None:
    allowed = AclBinding(
        kind,
        name,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )
    admin = secured.admin
    for answer in admin.create_acls([allowed]).values():
        answer.result(30)
    asked = AclBindingFilter(
        kind,
        name,
        ResourcePatternType.LITERAL,
        allowed.principal,
        "*",
        operation,
        allowed.permission_type,
    )
    wait_until(lambda: bool(admin.describe_acls(asked).result(30)))
