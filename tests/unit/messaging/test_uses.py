"""The events that a service uses are the scope of warm-up, provisioning and registration."""

from __future__ import annotations

from pathlib import Path

import contracts
import pytest
from attrs import evolve
from contracts.orders import OrderCreated
from contracts.orders.order_created import v1
from contracts.payments import PaymentDeclined

import sdk
from sdk.errors import ConfigurationError, RoutingError
from sdk.settings import (
    KafkaOptions,
    RegistryOptions,
    RoutingOptions,
    Settings,
    TlsOptions,
    TopicOptions,
)
from sdk.testing import InMemoryBroker, connect

SETTINGS = Settings(
    environment="testing",
    kafka=KafkaOptions(bootstrap_servers="embedded"),
    registry=RegistryOptions(url="embedded"),
    topics=(TopicOptions(event="OrderCancelled", name="cancelled"),),
    contracts="contracts",
)


def names(messaging: sdk.Messaging) -> set[str]:
    """Return the names of the topics that the connection declares."""
    return {topic.name for topic in messaging.topics.definitions()}


def test_whole_catalog_by_default() -> None:
    """Without a word about it, every event of the catalog and every route counts."""
    with connect(settings=SETTINGS) as messaging:
        assert {"orders.order-created", "cancelled", "payments.payment-declined"} <= names(
            messaging
        )
        assert messaging.uses is None


def test_topics_of_what_is_used() -> None:
    """Classes and names are taken, and only their topics are declared."""
    with connect(settings=SETTINGS, uses=[OrderCreated, "PaymentDeclined"]) as messaging:
        assert names(messaging) == {"orders.order-created", "payments.payment-declined"}
        assert messaging.uses == (OrderCreated, PaymentDeclined)


def test_uses_of_the_settings() -> None:
    """The setting names events, and the argument takes its place."""
    settings = evolve(SETTINGS, uses=("OrderCancelled",))
    with connect(settings=settings) as messaging:
        assert names(messaging) == {"cancelled"}
    with connect(settings=settings, uses=[OrderCreated]) as messaging:
        assert names(messaging) == {"orders.order-created"}


def test_unknown_name() -> None:
    """A mistyped name is an error with the near one."""
    with pytest.raises(ConfigurationError, match="did you mean 'OrderCreated'"):
        connect(settings=SETTINGS, uses=["OrderCraeted"])


def test_explicit_routes_of_what_is_used() -> None:
    """Under explicit routing, only events that are used need a route."""
    explicit = evolve(SETTINGS, routing=RoutingOptions(strategy="explicit"))
    with connect(settings=explicit, uses=["OrderCancelled"]) as messaging:
        assert names(messaging) == {"cancelled"}
    with pytest.raises(RoutingError, match=r"no route for orders\.OrderCreated"):
        connect(settings=explicit, uses=[OrderCreated])


def test_warm_up_registers_what_is_used() -> None:
    """Warm-up registers the schemas of the events that are used, and no others."""
    with sdk.connect(settings=SETTINGS, contracts=contracts, uses=[v1.OrderCreated]) as messaging:
        messaging.warm_up()
        ready = messaging.serializer.ready
        assert ready(v1.OrderCreated, "orders.order-created")
        assert not ready(OrderCreated, "orders.order-created")
        assert not ready(PaymentDeclined, "payments.payment-declined")


def test_provisioning_creates_what_is_used() -> None:
    """Topics are created for the events that are used, and for others when that is asked for."""
    broker = InMemoryBroker(auto_create=False)
    settings = evolve(SETTINGS, routing=RoutingOptions(provision="create", partitions=2))
    messaging = sdk.Messaging(settings, contracts.CATALOG, uses=[OrderCreated], broker=broker)
    with messaging:
        messaging.provision()
        messaging.provision(PaymentDeclined)
        wanted = ["orders.order-created", "payments.payment-declined", "cancelled"]
        assert set(messaging.admin().describe(wanted)) == set(wanted[:2])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A certificate file that is missing is named with its setting, before any client is made."""
    missing = tmp_path / "ca.pem"
    tls = TlsOptions(ca_location=str(missing))
    kafka = KafkaOptions(bootstrap_servers="kafka:9092", tls=tls)
    registry = RegistryOptions(url="https://registry", tls=tls)
    passed = KafkaOptions(
        bootstrap_servers="kafka:9092", librdkafka={"ssl.crl.location": str(missing)}
    )
    for settings, name in (
        (evolve(SETTINGS, kafka=kafka), r"kafka\.tls\.ca_location"),
        (evolve(SETTINGS, registry=registry), r"registry\.tls\.ca_location"),
        (evolve(SETTINGS, kafka=passed), r"kafka\.ssl\.crl\.location"),
    ):
        with pytest.raises(ConfigurationError, match=f"{name} names a file .*ca.pem: No such file"):
            sdk.connect(settings=settings)
    missing.touch()
    evolve(SETTINGS, kafka=kafka, registry=registry).check_files()


def test_one_event_may_be_given_as_text() -> None:
    """A text is one event, as in the settings, not the events named by its letters."""
    with connect(settings=SETTINGS, uses="PaymentDeclined") as messaging:
        assert messaging.uses == (PaymentDeclined,)
