"""The registry client and the serializer against the embedded registry, as they start together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import Rule, RuleKind, RuleMode, RuleSet, Schema
from confluent_kafka.schema_registry import SchemaRegistryClient as ConfluentClient

from sdk.embedded.registry.server import RegistryServer
from sdk.embedded.registry.service import RegistryService
from sdk.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    RegistryRefusedError,
    SchemaNotFoundError,
)
from sdk.events import EventInfo
from sdk.records import Header
from sdk.topics import record_name, topic_record_name
from tests.unit.serialization.conftest import Connect, avro
from tests.unit.serialization.shop import OrderV1, OrderV2, info
from tests.unit.serialization.test_avro_serializer import CATALOG, record
from tests.unit.serialization.test_json_format import V1, V2


@pytest.fixture
def url() -> Iterator[str]:
    """Address of an embedded registry without schemas."""
    server = RegistryServer(RegistryService())
    yield server.url
    server.close()


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    """Confluent's own client of it."""
    with ConfluentClient({"url": url}) as own:
        yield own


@pytest.mark.parametrize("location", ["prefix", "header"])
def test_both_versions_travel_from_start_to_end(
    url: str, connect: Connect, client: Any, location: str
) -> None:
    """Registered in order, at their level, shared type first; read as either side's class."""
    ours = avro(
        connect(url, auto_register=True, catalog=CATALOG),
        topic_record_name,
        schema_id_location=location,
    )
    ours.warm_up([(OrderV2, "orders")])
    for event in (V1, V2):
        headers: list[Header] = []
        arrived = record(ours.encode(event, "orders", headers), headers, topic="orders")
        assert ours.open(arrived).full_name == "shop.Order"
        assert ours.open(arrived).read(type(event)) == event
        assert isinstance(ours.open(arrived).read(OrderV2), OrderV2)
    assert client.get_subjects() == ["common.Currency", "orders-shop.Order"]
    assert client.get_versions("orders-shop.Order") == [1, 2]
    assert client.get_compatibility("orders-shop.Order") == "BACKWARD_TRANSITIVE"
    references = client.get_latest_version("orders-shop.Order").schema.references
    assert [(each.name, each.version) for each in references] == [("common.Currency", 1)]


def test_what_is_registered_needs_no_registering(url: str, connect: Connect, client: Any) -> None:
    """A second service finds what the first registered, in READONLY mode as well."""
    avro(connect(url, auto_register=True, catalog=CATALOG)).warm_up([(OrderV2, "orders")])
    client.update_global_mode("READONLY")
    for auto in (False, True):
        ours = avro(connect(url, auto_register=auto, catalog=CATALOG))
        ours.warm_up([(OrderV1, "orders"), (OrderV2, "orders")])
        assert ours.open(record(ours.encode(V2, "orders", []))).read(OrderV2) == V2
    with pytest.raises(RegistryRefusedError):
        connect(url, auto_register=True).registered("other", OrderV1.__event__)


def test_what_was_deleted_is_registered_again(url: str, connect: Connect, client: Any) -> None:
    """A subject whose versions are all deleted counts as one without ours."""
    registry = connect(url, auto_register=True)
    first = registry.registered("shop.Order", OrderV1.__event__)
    client.delete_subject("shop.Order")
    with pytest.raises(SchemaNotFoundError):
        connect(url).registered("shop.Order", OrderV1.__event__)
    again = connect(url, auto_register=True).registered("shop.Order", OrderV1.__event__)
    assert again.schema_id == first.schema_id
    assert again.version == 2


def test_an_incompatible_version_is_refused_with_its_reason(url: str, connect: Connect) -> None:
    """The registry's account becomes one line that names the field."""
    registry = connect(url, auto_register=True)
    registry.registered("shop.Order", OrderV1.__event__)
    other: EventInfo = info("shop.Order", [{"name": "needed", "type": "string"}], version=2)
    with pytest.raises(IncompatibleSchemaError, match="READER_FIELD_MISSING_DEFAULT") as caught:
        registry.registered("shop.Order", other)
    assert "needed" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_invalid_schema_is_refused_as_such(url: str, connect: Connect) -> None:
    """Schemas of other formats are neither missing nor an outage."""
    broken = EventInfo(full_name="a.B", version=1, schema='{"type": "rec"}', fingerprint="")
    with pytest.raises(InvalidSchemaError):
        connect(url, auto_register=True).registered("a.B", broken)


def test_rules_that_were_registered_beside_us_are_obeyed(
    url: str, connect: Connect, client: Any
) -> None:
    """A team that governs the registry adds a rule to a schema; the service that uses it obeys."""
    pytest.importorskip("celpy", reason="the rules extra is not installed")
    rule = Rule(  # type: ignore[call-arg]
        name="note",
        doc=None,
        kind=RuleKind.TRANSFORM,
        mode=RuleMode.WRITE,
        type="CEL_FIELD",
        tags=None,
        params=None,
        expr="name == 'note' ; value + ' (checked)'",
        on_success=None,
        on_failure=None,
        disabled=None,
    )
    registry = connect(url, auto_register=True)
    registry.registered("common.Currency", OrderV2.__event__.references[0])
    plain = registry.registered("shop.Order", OrderV2.__event__)
    stored = client.get_schema(plain.schema_id)
    ruled = Schema(stored.schema_str, "AVRO", stored.references, rule_set=RuleSet(None, [rule]))
    schema_id = client.register_schema("shop.Order", ruled)
    assert schema_id != plain.schema_id

    ours = avro(connect(url), record_name)
    event = OrderV2(order_id=V2.order_id, created_at=V2.created_at, amount=V2.amount, note="ring")
    value = ours.encode(event, "orders", [])

    assert int.from_bytes(value[1:5], "big") == schema_id
    assert ours.open(record(value)).read(OrderV2).note == "ring (checked)"
