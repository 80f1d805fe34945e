"""Which registered version an event is written with: by text, by meaning, or the newest."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from sdk.errors import DeserializationError, SchemaNotFoundError
from sdk.events import Catalog, CatalogEntry, EventInfo
from sdk.happenings import Happening, RegistryRequested, SchemaResolved
from sdk.observers import Observers
from sdk.records import Header
from sdk.topics import topic_name
from tests.unit.avro.events import event_class, record
from tests.unit.serialization.conftest import Connect, avro
from tests.unit.serialization.registry_server import RegistryServer
from tests.unit.serialization.test_avro_serializer import record as arrived
from tests.unit.serialization.test_registry import MONEY, ORDER, contract

pytestmark = pytest.mark.usefixtures("executor")

ORDERS = record(("id", "string"), ("total", "long"), name="acme.Order")
Order: Any = event_class(ORDERS)
Refund: Any = event_class(record(("id", "string"), name="acme.Refund"))
EVENT = Order(id="o-1", total=5)

JAVA = record(("id", {"type": "string", "avro.java.string": "String"}), ("total", "long"))
JAVA |= {"name": "Order", "namespace": "acme", "doc": "Written by a Java team."}
WIDER = record(("id", "string"), ("total", "double"), name="acme.Order")
WIDER["fields"].append({"name": "note", "type": ["null", "string"], "default": None})
NEWER = record(("id", "string"), ("total", "long"), ("note", ["null", "string"], None))
NEWER["name"] = "acme.Order"
OTHER = record(("id", "string"), ("total", {"type": "long", "logicalType": "timestamp-millis"}))
OTHER["name"] = "acme.Order"


def written_with(data: bytes) -> int:
    """Return the schema id of a record value."""
    return int.from_bytes(data[1:5], "big")


def value_of(data: bytes, schema: Any) -> Any:
    """Return what fastavro reads behind the schema id."""
    stream = BytesIO(data[5:])
    value = fastavro.schemaless_reader(stream, fastavro.parse_schema(schema), None)
    assert not stream.read()
    return value


def test_another_text_is_not_ours_and_the_error_says_what_would_help(
    server: RegistryServer, connect: Connect
) -> None:
    """By default the text decides; the error names the versions, the difference and the way out."""
    schema_id = server.add("acme.Order", json.dumps(JAVA))
    with pytest.raises(SchemaNotFoundError) as caught:
        avro(connect()).warm_up([(Order, "orders")])
    text = str(caught.value)
    assert f"versions 1 (id {schema_id})" in text
    assert "/doc is only there" in text
    assert "registry.match to 'canonical'" in text


def test_the_nearest_version_is_compared(server: RegistryServer, connect: Connect) -> None:
    """The error describes the version with the fewest differences."""
    server.add("acme.Order", json.dumps(record(("x", "int"), name="acme.Order")))
    server.add("acme.Order", json.dumps(OTHER))
    server.add("acme.Order", json.dumps(WIDER))
    with pytest.raises(SchemaNotFoundError, match="of which 2 is nearest") as caught:
        avro(connect(match="canonical")).warm_up([(Order, "orders")])
    assert "/fields/total/type" in str(caught.value)
    assert "auto_register" in str(caught.value)


@pytest.mark.parametrize("theirs", [JAVA, {**ORDERS, "fields": ORDERS["fields"], "doc": "x"}])
def test_the_same_meaning_is_enough_where_the_setting_says_so(
    server: RegistryServer, connect: Connect, theirs: Any
) -> None:
    """Canonical form and logical types are equal, so the bytes are the same."""
    server.add("acme.Order", json.dumps(OTHER))
    schema_id = server.add("acme.Order", json.dumps(theirs))
    server.add("acme.Order", json.dumps(WIDER))
    ours = avro(connect(match="canonical"))
    data = ours.encode(EVENT, "orders", [])
    assert written_with(data) == schema_id
    assert value_of(data, theirs) == {"id": "o-1", "total": 5}
    assert ours.open(arrived(data)).read(Order) == EVENT


def test_the_very_text_wins_over_the_same_meaning(server: RegistryServer, connect: Connect) -> None:
    """Where both are registered, readers see the schema that the event was generated from."""
    exact = server.add("acme.Order", Order.__event__.schema)
    server.add("acme.Order", json.dumps(JAVA))
    assert written_with(avro(connect(match="canonical")).encode(EVENT, "orders", [])) == exact


def test_another_logical_type_is_another_meaning(server: RegistryServer, connect: Connect) -> None:
    """A number that readers take for a time is not the number that we wrote."""
    server.add("acme.Order", json.dumps(OTHER))
    with pytest.raises(SchemaNotFoundError):
        avro(connect(match="canonical")).warm_up([(Order, "orders")])


def test_the_newest_version_that_we_can_write_is_used(
    server: RegistryServer, connect: Connect
) -> None:
    """An event is written as the newest version, with its defaults, if nothing of it is lost."""
    server.add("acme.Order", Order.__event__.schema)
    newest = server.add("acme.Order", json.dumps(NEWER))
    server.add("acme.Order", json.dumps(WIDER))  # a long beyond 2**53 would lose digits
    server.add("acme.Order", json.dumps(record(("id", "string"), name="acme.Order")))
    ours = avro(connect(match="latest_compatible"))
    ours.warm_up([(Order, "orders")])
    assert ours.ready(Order, "orders")
    data = ours.encode(EVENT, "orders", [])
    assert written_with(data) == newest
    assert value_of(data, NEWER) == {"id": "o-1", "total": 5, "note": None}


def test_no_version_that_we_can_write_is_an_error_at_start(
    server: RegistryServer, connect: Connect
) -> None:
    """Events that would lose a field are never written, and warming up reports it."""
    server.add("acme.Order", json.dumps(record(("id", "string"), name="acme.Order")))
    with pytest.raises(SchemaNotFoundError, match="/fields/total is missing there"):
        avro(connect(match="latest_compatible")).warm_up([(Order, "orders")])


@pytest.mark.parametrize("location", ["prefix", "header"])
@pytest.mark.parametrize(
    "union",
    [["null", Order.__event__.schema], [Refund.__event__.schema, Order.__event__.schema]],
)
def test_events_of_a_union_are_written_and_identified_by_their_branch(
    server: RegistryServer, connect: Connect, union: list[str], location: str
) -> None:
    """A subject may hold one union of all its event types, as Connect and Debezium register."""
    branches = [each if each == "null" else json.loads(each) for each in union]
    schema_id = server.add("orders-value", json.dumps(branches))
    ours = avro(connect(), topic_name, schema_id_location=location)
    headers: list[Header] = []
    data = ours.encode(EVENT, "orders", headers)
    if location == "prefix":
        assert written_with(data) == schema_id
        assert value_of(data, branches) == {"id": "o-1", "total": 5}
    incoming = ours.open(arrived(data, headers))
    assert incoming.full_name == "acme.Order"
    assert incoming.read(Order) == EVENT
    with pytest.raises(DeserializationError):
        incoming.read(event_class(record(("id", "string"), ("x", "int"), name="acme.Other")))


def test_several_events_share_the_union_of_one_subject(
    server: RegistryServer, connect: Connect
) -> None:
    """Each record is dispatched by what it holds, not by what the last one held."""
    union = [json.loads(each.__event__.schema) for each in (Order, Refund)]
    server.add("orders-value", json.dumps(union))
    ours = avro(connect(), topic_name)
    events = [EVENT, Refund(id="r-1"), EVENT]
    opened = [ours.open(arrived(ours.encode(event, "orders", []))) for event in events]
    assert [each.full_name for each in opened] == ["acme.Order", "acme.Refund", "acme.Order"]
    assert [each.read(type(event)) for each, event in zip(opened, events, strict=True)] == events


def test_a_union_of_references_is_one_contract_for_many_events(
    server: RegistryServer, connect: Connect
) -> None:
    """Confluent's own way to put several event types into one subject: each by reference."""
    references = []
    for cls in (Order, Refund):
        server.add(cls.__event__.full_name, cls.__event__.schema)
        name = cls.__event__.full_name
        references.append({"name": name, "subject": name, "version": 1})
    union = '["acme.Order", "acme.Refund"]'
    schema_id = server.add("orders-value", union, references=references)
    ours = avro(connect(), topic_name)
    data = ours.encode(Refund(id="r-1"), "orders", [])
    assert (written_with(data), data[5:6]) == (schema_id, b"\x02")
    assert ours.open(arrived(data)).read(Refund) == Refund(id="r-1")


@pytest.mark.parametrize(
    ("body", "name"), [(b"\x00", "null"), (b"\x04", None), (b"\x06", None), (b"", None)]
)
def test_a_union_without_an_event_is_passed_over_or_poison(
    server: RegistryServer, connect: Connect, body: bytes, name: str | None
) -> None:
    """The branch null is an event without a handler; other non-events are poison."""
    union = ["null", json.loads(Order.__event__.schema), "string"]
    schema_id = server.add("orders-value", json.dumps(union))
    value = b"\x00" + schema_id.to_bytes(4, "big") + body
    ours = avro(connect(), topic_name)
    if name is not None:
        assert ours.open(arrived(value)).full_name == name
        return
    with pytest.raises(DeserializationError) as caught:
        ours.open(arrived(value))
    assert (caught.value.offset, caught.value.schema_id) == (42, schema_id)


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        ({"reference_subject": "{name}"}, "Money"),
        ({"reference_subject": "{namespace}-{name}-value"}, "shop-Money-value"),
        ({"references": {"shop.Money": "currency"}}, "currency"),
        ({"references": {"shop.Other": "other"}}, "shop.Money"),
    ],
)
def test_shared_types_stand_under_the_subjects_that_settings_name(
    server: RegistryServer, connect: Connect, options: dict[str, Any], subject: str
) -> None:
    """As the Maven plugin registers them: by a template, or each by its own name."""
    connect(auto_register=True, **options).registered("orders", ORDER)
    assert server.versions(subject) == [MONEY.schema]
    assert server.version("orders", 1)["references"] == [
        {"name": "shop.Money", "subject": subject, "version": 1}
    ]
    assert connect(**options).registered("orders", ORDER).version == 1


def test_a_missing_shared_type_is_named(server: RegistryServer, connect: Connect) -> None:
    """The event cannot be registered before what it refers to."""
    with pytest.raises(SchemaNotFoundError, match=r"shop\.Money is not registered") as caught:
        connect().registered("orders", ORDER)
    assert (caught.value.subject, caught.value.event) == ("orders", "shop.Order")


def test_shared_types_that_stand_inside_the_event_mean_the_same(
    server: RegistryServer, connect: Connect
) -> None:
    """A Java team registers one text with everything in it; its bytes are the same."""
    schema = json.loads(ORDER.schema)
    schema["fields"][1]["type"] = json.loads(MONEY.schema)
    schema_id = server.add("orders", json.dumps(schema))
    assert connect(match="canonical").registered("orders", ORDER).schema_id == schema_id


def test_versions_are_registered_in_the_order_of_their_numbers(
    server: RegistryServer, connect: Connect
) -> None:
    """Ten comes after nine and two, whichever is published first."""
    versions = {
        number: contract("shop.Order", *(f"f{i}" for i in range(number)), version=number)
        for number in (10, 2, 9)
    }
    registry = connect(auto_register=True, catalog=_catalog(versions))
    registry.register([("orders", versions[9])])
    assert server.versions("orders") == [versions[number].schema for number in (2, 9, 10)]


def _catalog(versions: dict[int, EventInfo]) -> Catalog:
    """Return a catalog of classes that have nothing but their contracts."""
    for number, info in versions.items():
        globals()[f"V{number}"] = type(f"V{number}", (), {"__event__": info})
    return Catalog(
        CatalogEntry("shop.Order", number, __name__, f"V{number}") for number in versions
    )


def test_observers_see_requests_and_resolved_schemas(
    server: RegistryServer, connect: Connect
) -> None:
    """Metrics count requests, and those that failed, without patching anything."""
    seen: list[Happening] = []
    server.add("shop.Money", MONEY.schema)
    registry = connect(observers=Observers([seen.append]))
    registry.registered("shop.Money", MONEY)
    with pytest.raises(SchemaNotFoundError):
        registry.fetch(99)
    requests = [each for each in seen if isinstance(each, RegistryRequested)]
    assert requests[0].operation == "lookup"
    assert requests[0].subject == "shop.Money"
    assert requests[0].error is None
    assert isinstance(requests[-1].error, SchemaNotFoundError)
    assert all(each.seconds >= 0 for each in requests)
    assert SchemaResolved("shop.Money", "shop.Money", 1) in seen


def test_each_route_is_ready_when_it_is_resolved(server: RegistryServer, connect: Connect) -> None:
    """Until then encoding may ask the registry, which no event loop should wait for."""
    server.add("acme.Order", Order.__event__.schema)
    ours = avro(connect())
    assert not ours.ready(Order, "orders")
    ours.encode(EVENT, "orders", [])
    assert ours.ready(Order, "orders")
    assert not ours.ready(Order, "elsewhere")
