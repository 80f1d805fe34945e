"""The compose file follows the Compose specification and agrees with the settings for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator

from sdk.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "data" / "compose-spec" / "compose-spec.json"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file as parsed YAML."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text())
    return parsed


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """A validator of the Compose specification's schema."""
    return Draft202012Validator(json.loads(SCHEMA.read_text()))


@pytest.fixture(scope="module")
def settings() -> Settings:
    """The environment docker of the sample settings."""
    return load_settings("docker", settings=ROOT / "samples" / "settings.toml", environ={})


def published(compose: dict[str, Any]) -> dict[int, str]:
    """Return host port → service."""
    return {
        int(port.rsplit(":", 2)[-2]): name
        for name, service in compose["services"].items()
        for port in service["ports"]
    }


def test_compose_specification(compose: dict[str, Any], validator: Draft202012Validator) -> None:
    """The file is valid under the Compose specification."""
    assert [error.message for error in validator.iter_errors(compose)] == []


def test_schema_would_tell(compose: dict[str, Any], validator: Draft202012Validator) -> None:
    """The schema does find a mistyped key, so the test above can fail."""
    service = {**compose["services"]["kafka"], "imaeg": "x"}
    assert list(validator.iter_errors({**compose, "services": {"kafka": service}}))


def test_tags_are_pinned(compose: dict[str, Any]) -> None:
    """Every image has an exact release as its tag."""
    for service in compose["services"].values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])


def test_every_service_is_waited_for(compose: dict[str, Any]) -> None:
    """`up --wait` has a health check of every service to wait for, started in their order."""
    services = compose["services"]
    for service in services.values():
        assert service["healthcheck"]["test"]
        for other, condition in service.get("depends_on", {}).items():
            assert other in services
            assert condition == {"condition": "service_healthy"}


def test_ports_are_local(compose: dict[str, Any]) -> None:
    """Nothing without a password is open to the network."""
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_settings_point_to_kafka(compose: dict[str, Any], settings: Settings) -> None:
    """The settings' broker is the published and advertised address of Kafka in KRaft mode."""
    assert settings.kafka.bootstrap_servers == ("localhost:9094",)
    assert published(compose)[9094] == "kafka"
    environment = compose["services"]["kafka"]["environment"]
    assert "EXTERNAL://localhost:9094" in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"


def test_settings_point_to_the_registry(compose: dict[str, Any], settings: Settings) -> None:
    """The settings' registry is the published address of Schema Registry."""
    (url,) = settings.registry.url
    assert published(compose)[urlsplit(url).port or 0] == "schema-registry"


def test_services_find_each_other(compose: dict[str, Any]) -> None:
    """Registry and UI reach Kafka by its inner listener, and the UI decodes by the registry."""
    services = compose["services"]
    inner = "kafka:9092"
    assert f"INTERNAL://{inner}" in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    registry = services["schema-registry"]["environment"]
    assert registry["SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS"] == f"PLAINTEXT://{inner}"
    ui = services["kafka-ui"]["environment"]
    assert ui["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == inner
    assert ui["KAFKA_CLUSTERS_0_SCHEMAREGISTRY"] == "http://schema-registry:8081"
    assert ui["KAFKA_CLUSTERS_0_DEFAULTVALUESERDE"] == "SchemaRegistry"
