"""The sample settings: valid in every environment, complete, and fit for the sample contracts."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
from contracts import CATALOG

from sdk.settings import Settings, load_settings
from sdk.topics import TopicRouter

SETTINGS = Path(__file__).parents[2] / "samples" / "settings.toml"
ENVIRONMENTS = ["embedded", "docker", "production"]


def load(environment: str) -> Settings:
    """Load one environment of the sample settings, without any variables."""
    return load_settings(environment, settings=SETTINGS, environ={})


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_loads(environment: str) -> None:
    """Every environment of the sample settings is valid."""
    settings = load(environment)
    assert settings.environment == environment
    assert settings.contracts == "contracts"
    assert settings.source == "/samples/order-service"
    assert settings.logging.configure
    assert settings.kafka.embedded == (environment == "embedded")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_sample_event_has_a_topic(environment: str) -> None:
    """The routes name events that exist, and every event and version has its topic."""
    settings = load(environment)
    router = TopicRouter(settings.routing, settings.topics, CATALOG, origin=settings.topics_origin)
    names = {entry.full_name: router.resolve(entry.load()).name for entry in CATALOG}
    assert names == {
        "delivery.ShipmentDelivered": "delivery.shipment-delivered",
        "delivery.ShipmentDispatched": "delivery.shipment-dispatched",
        "orders.OrderCancelled": "orders.cancelled",
        "orders.OrderCreated": "orders.created",
        "payments.PaymentAuthorized": "payments.payment-authorized",
        "payments.PaymentDeclined": "payments.payment-declined",
    }
    assert {definition.name for definition in router.definitions()} == set(names.values())
    assert all(definition.partitions for definition in router.definitions())


@pytest.mark.parametrize(
    "table",
    ["kafka", "producer", "consumer", "retry", "registry", "routing", "logging", "tracing"],
)
def test_every_key_is_shown(table: str) -> None:
    """Each key of each table stands in the file, as a setting or in a comment."""
    text = SETTINGS.read_text()
    assert re.search(rf"^\[default\.{table}\]", text, re.MULTILINE)
    options = type(getattr(load("docker"), table))
    for field in attrs.fields(options):
        assert re.search(rf"(\b|__){field.name}\b", text, re.IGNORECASE), field.name


def test_routes_are_shown() -> None:
    """[[topics]] stands in the file with each of its keys."""
    text = SETTINGS.read_text()
    assert "[[default.topics]]" in text
    for key in ("event", "name", "version", "partitions", "replication", "config"):
        assert re.search(rf"\b{key}\b", text), key


@pytest.mark.parametrize("key", ["password", "bearer_token", "key_password", "secret"])
def test_no_secret_is_shown(key: str) -> None:
    """The file sets no password, not even an invented one."""
    assert not re.search(rf"^\s*{key}\s*=", SETTINGS.read_text(), re.MULTILINE)
