"""Avro record values behind a registry, held against Confluent's own serdes."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve, fields, frozen
from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    header_schema_id_serializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import HealthCheck, assume, given, settings

from sdk.avro.duration import Duration
from sdk.errors import (
    ConfigurationError,
    DeserializationError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SerializationError,
)
from sdk.events import Catalog, CatalogEntry, EventInfo
from sdk.records import ConsumerRecord, Header
from sdk.registry.lookup import Registry
from sdk.serialization.framed import FramedSerializer
from sdk.serialization.framing import VALUE_SCHEMA_ID
from sdk.topics import SUBJECT_STRATEGIES, record_name, topic_name
from tests.servers.gateway import Answer, Gateway
from tests.unit.serialization.conftest import Connect, avro
from tests.unit.serialization.registry_server import RegistryServer
from tests.unit.serialization.shop import (
    CURRENCY,
    Cat,
    Currency,
    Dog,
    Everything,
    Flag,
    Node,
    Nothing,
    OrderV1,
    OrderV2,
    info,
)
from tests.unit.serialization.strategies import everything, orders
from tests.unit.serialization.test_json_format import ALL, V1, V2

pytestmark = pytest.mark.usefixtures("executor")

HERE = "tests.unit.serialization.shop"
CATALOG = Catalog(
    [
        CatalogEntry("shop.Order", 1, HERE, "OrderV1"),
        CatalogEntry("shop.Order", 2, HERE, "OrderV2"),
        CatalogEntry("shop.Flag", 1, HERE, "Flag"),
    ]
)


@pytest.fixture
def registry(connect: Connect) -> Registry:
    """A client that registers what is missing."""
    return connect(auto_register=True)


@pytest.fixture
def serializer(registry: Registry) -> FramedSerializer:
    """Prefix mode, one subject for an event."""
    return avro(registry, record_name)


@pytest.fixture
def client(server: RegistryServer) -> Iterator[SchemaRegistryClient]:
    """Confluent's own client of the same registry."""
    with SchemaRegistryClient({"url": server.url}) as own:
        yield own


def record(
    value: bytes | None, headers: list[Header] | tuple[Header, ...] = (), topic: str = "t"
) -> ConsumerRecord:
    """Return a record as a consumer hands it over."""
    return ConsumerRecord(topic=topic, partition=3, offset=42, value=value, headers=tuple(headers))


def plain(value: Any) -> Any:
    """Return what Confluent's serializer takes for an event of `shop`."""
    if isinstance(value, Duration):
        return struct.pack("<3I", value.months, value.days, value.milliseconds)
    if isinstance(value, Cat | Dog):
        return (f"shop.{type(value).__name__}", {"name": value.name})
    if hasattr(type(value), "__attrs_attrs__"):
        return {
            each.name.rstrip("_"): plain(getattr(value, each.name)) for each in fields(type(value))
        }
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return getattr(value, "value", value)


def confluents(
    client: SchemaRegistryClient, event: Any, topic: str, headers: list[Header], **conf: Any
) -> bytes:
    """Return what Confluent's serializer makes of an event."""
    contract = type(event).__event__
    references = [
        SchemaReference(each.full_name, each.full_name, 1) for each in contract.references
    ]
    serializer = AvroSerializer(
        client, Schema(contract.schema, "AVRO", references), lambda obj, _: plain(obj), conf
    )
    context = SerializationContext(topic, MessageField.VALUE, headers)  # type: ignore[arg-type]
    data = serializer(event, context)
    assert data is not None
    return data


def on_the_edge(value: Decimal) -> bool:
    """Return whether fastavro writes a value with a needless byte: the least of a byte count."""
    cents = -int(value.scaleb(2))
    return cents > 0 and cents & (cents - 1) == 0 and cents.bit_length() % 8 == 0


@pytest.mark.parametrize("strategy", ["record", "topic", "topic_record"])
@pytest.mark.parametrize("location", ["prefix", "header"])
@pytest.mark.parametrize("event", [V1, V2, ALL, Nothing(), Flag(on=True), Node(value=-5)])
def test_values_and_headers_equal_confluents_own(
    registry: Registry, client: SchemaRegistryClient, strategy: str, location: str, event: Any
) -> None:
    """Body, framing and subject are those of Confluent's serializer, byte for byte."""
    own = SUBJECT_STRATEGIES[strategy]
    ours = avro(registry, own, schema_id_location=location)
    headers: list[Header] = [("a", b"1")]
    value = ours.encode(event, "orders", headers)

    framing = prefix_schema_id_serializer if location == "prefix" else header_schema_id_serializer
    expected_headers: list[Header] = [("a", b"1")]
    expected = confluents(
        client,
        event,
        "orders",
        expected_headers,
        **{
            "auto.register.schemas": False,
            "subject.name.strategy": lambda context, name: own(context.topic, name),
            "schema.id.serializer": framing,
        },
    )
    assert value == expected
    assert headers == expected_headers
    assert len(headers) == (2 if location == "header" else 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(event=orders | everything)
def test_bodies_equal_confluents_over_many_values(
    serializer: FramedSerializer, client: SchemaRegistryClient, event: Any
) -> None:
    """Every type and value; the one named difference has a separate test."""
    assume(not on_the_edge(event.amount if isinstance(event, OrderV2) else event.price))
    value = serializer.encode(event, "orders", [])
    conf = {"subject.name.strategy": lambda _, name: name, "auto.register.schemas": False}
    assert value == confluents(client, event, "orders", [], **conf)
    assert serializer.open(record(value)).read(type(event)) == event


def test_the_least_decimal_of_a_byte_count_is_written_as_java_does(
    serializer: FramedSerializer,
) -> None:
    """-1.28 has the minimal body 0280; fastavro, and so Confluent's Python, writes 04ff80."""
    event = evolve(V1, total=Decimal("-1.28"))
    assert serializer.encode(event, "orders", []).endswith(b"\x02\x80")


@pytest.mark.parametrize("event", [V1, V2])
def test_confluents_deserializer_reads_ours(
    serializer: FramedSerializer, client: SchemaRegistryClient, event: Any
) -> None:
    """Confluent's deserializer reads our records, references included."""
    value = serializer.encode(event, "orders", [])
    read = AvroDeserializer(client, conf={"subject.name.strategy": lambda _, name: name})
    assert read(value, SerializationContext("orders", MessageField.VALUE)) == plain(event)


@pytest.mark.parametrize("location", ["prefix", "header"])
@pytest.mark.parametrize("event", [Nothing(), Flag(on=True), V1, V2, ALL])
def test_every_event_comes_back(registry: Registry, location: str, event: Any) -> None:
    """Empty and one-byte bodies too, which Confluent's deserializer refuses."""
    ours = avro(registry, record_name, schema_id_location=location)
    headers: list[Header] = []
    arrived = record(ours.encode(event, "t", headers), headers)
    assert ours.open(arrived).full_name == type(event).__event__.full_name
    assert ours.open(arrived).read(type(event)) == event


def test_a_guid_may_stand_before_the_body_too(registry: Registry, server: RegistryServer) -> None:
    """Confluent's readers parse the longer prefix as well; a null header counts for nothing."""
    headers: list[Header] = []
    ours = avro(registry, record_name, schema_id_location="header")
    body = ours.encode(V1, "t", headers)
    guid = headers[0][1]
    assert guid is not None
    empty: list[Header] = [(VALUE_SCHEMA_ID, None), (VALUE_SCHEMA_ID, b"only the first counts")]
    assert ours.open(record(guid + body, empty)).read(OrderV1) == V1


def test_each_topic_keeps_its_own_schema_id(connect: Connect, server: RegistryServer) -> None:
    """One serializer for several topics never mixes ids, as a shared one of Confluent's does."""
    first = server.add("a-value", OrderV1.__event__.schema)
    second = server.add("b-value", OrderV1.__event__.schema, metadata={"properties": {"x": "1"}})
    assert first != second
    newest = server.add("b-value", Flag.__event__.schema)
    ours = avro(connect(), topic_name)
    server.add("b-value", OrderV1.__event__.schema)

    ids = [_id(ours.encode(V1, topic, [])) for topic in "abaab"]
    assert ids[0] == ids[2] == ids[3] == first
    assert ids[1] == ids[4]
    assert _id(ours.encode(Flag(on=True), "b", [])) == newest


def _id(value: bytes) -> int:
    return int.from_bytes(value[1:5], "big")


def test_ten_thousand_messages_cost_no_request_beyond_the_first(
    serializer: FramedSerializer, server: RegistryServer
) -> None:
    """The registry is asked once for each schema, on either side."""
    first = record(serializer.encode(V2, "t", []))
    serializer.open(first).read(OrderV2)
    asked = len(server.requests)
    for number in range(10_000):
        event = evolve(V1 if number % 2 else V2, order_id=UUID(int=number))
        arrived = record(serializer.encode(event, "t", []))
        assert serializer.open(arrived).full_name == "shop.Order"
        serializer.open(arrived).read(OrderV2)
        if number == 1:
            asked = len(server.requests)
    assert len(server.requests) == asked


def test_older_and_newer_versions_are_read_as_the_class_asked_for(
    serializer: FramedSerializer,
) -> None:
    """Avro resolution: defaults, aliases, and fields skipped."""
    older = record(serializer.encode(V1, "t", []))
    newer = record(serializer.encode(V2, "t", []))
    assert serializer.open(older).read(OrderV2) == evolve(V2, lines=())
    assert serializer.open(newer).read(OrderV2) == V2


def test_a_class_that_can_never_read_the_writer_is_poison(
    serializer: FramedSerializer,
) -> None:
    """The error names class, writer, field and place, every time it is tried."""
    arrived = record(serializer.encode(V2, "t", []))
    for _ in range(2):
        with pytest.raises(DeserializationError, match="cannot be read as OrderV1") as caught:
            serializer.open(arrived).read(OrderV1)
        error = caught.value
        assert (error.topic, error.partition, error.offset) == ("t", 3, 42)
        assert error.schema_id == 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "it is empty"),
        (b"\x00\x00", "00 00"),
        (b'{"a": 1}', "7b 22"),
        (b"\x01" + bytes(10), "01 00"),
        (b"\x02" + bytes(20), "02 00"),
    ],
)
def test_a_value_without_a_schema_id_is_poison(
    serializer: FramedSerializer, value: bytes | None, reason: str
) -> None:
    """The error shows the first bytes and where the record stands."""
    for ask in (
        lambda: serializer.open(record(value)).full_name,
        lambda: serializer.open(record(value)).read(OrderV1),
    ):
        with pytest.raises(DeserializationError, match=reason) as caught:
            ask()
        assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("t", 3, 42)


@pytest.mark.parametrize(
    "header", [b"", b"\x01abc", b"\x00\x01", b"\x07" + bytes(16), b"\x01" + bytes(17)]
)
def test_a_damaged_header_is_poison(serializer: FramedSerializer, header: bytes) -> None:
    """A GUID header wins, so a broken one makes the record unreadable."""
    with pytest.raises(DeserializationError, match="not a schema id"):
        serializer.open(record(b"\x00", [(VALUE_SCHEMA_ID, header)]))


def test_an_unknown_schema_id_is_poison(serializer: FramedSerializer) -> None:
    """The registry does not have the schema, so waiting cannot help."""
    with pytest.raises(DeserializationError, match="no such schema") as caught:
        serializer.open(record(b"\x00\x00\x00\x03\xe7abc"))
    assert caught.value.schema_id == 999
    assert isinstance(caught.value.__cause__, SchemaNotFoundError)


def test_a_flood_of_unknown_ids_is_no_flood_of_requests(
    connect: Connect, server: RegistryServer
) -> None:
    """An unknown id is asked for again only after a while; by then it may be known."""
    now = 1000.0
    ours = avro(connect(clock=lambda: now))
    arrived = record(b"\x00\x00\x00\x00\x01\x01")
    for _ in range(100):
        with pytest.raises(DeserializationError, match="no such schema"):
            ours.open(arrived).read(Flag)
    assert server.count("GET /schemas/ids/1") == 1
    server.add("shop.Flag", Flag.__event__.schema)
    now += 10
    assert ours.open(arrived).read(Flag) == Flag(on=True)


def test_an_outage_is_never_poison(server: RegistryServer, connect: Connect) -> None:
    """While the registry is out of order the record is unread, not unreadable; then it is read."""
    value = avro(connect(auto_register=True), record_name).encode(V1, "t", [])
    with Gateway(server.url) as gateway:
        ours = avro(connect(gateway.url), record_name)
        for answer in (
            Answer(status=503),
            Answer(status=404, body=b"<html>wrong path</html>"),
            Answer(status=404, body=b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
            Answer(status=200, body=b"<html>log in</html>"),
        ):
            gateway.next(answer)
            with pytest.raises(RegistryUnavailableError) as caught:
                ours.open(record(value)).read(OrderV1)
            assert (caught.value.topic, caught.value.offset, caught.value.schema_id) == ("t", 42, 1)
        gateway.next(Answer(status=401))
        with pytest.raises(RegistryRefusedError):
            ours.open(record(value)).read(OrderV1)
        assert ours.open(record(value)).read(OrderV1) == V1


@pytest.mark.parametrize(
    ("schema", "kind", "reason"),
    [
        ('{"type": "object"}', "JSON", "is JSON, not AVRO"),
        ('syntax = "proto3";', "PROTOBUF", "is PROTOBUF, not AVRO"),
        ('"string"', "AVRO", "a bare string"),
        ('{"type": "record"}', "AVRO", "is not valid"),
    ],
)
def test_a_writer_schema_that_is_no_record_is_poison(
    serializer: FramedSerializer, server: RegistryServer, schema: str, kind: str, reason: str
) -> None:
    """Other formats and other types than records are told as what they are."""
    schema_id = server.add("x", schema, schemaType=kind)
    with pytest.raises(DeserializationError, match=reason) as caught:
        serializer.open(record(b"\x00" + schema_id.to_bytes(4, "big")))
    assert caught.value.schema_id == schema_id


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_damaged_body_is_poison_with_its_place(serializer: FramedSerializer, cut: int) -> None:
    """Truncated and trailing bytes are found; the error names event, field and record."""
    value = serializer.encode(V2, "t", [])
    for damaged in (value[:-cut], value + b"\x00" * cut):
        with pytest.raises(DeserializationError) as caught:
            serializer.open(record(damaged)).read(OrderV2)
        error = caught.value
        assert (error.topic, error.partition, error.offset) == ("t", 3, 42)
        assert (error.event, error.schema_id) == ("shop.Order", 2)


def test_an_event_that_does_not_fit_is_not_written(serializer: FramedSerializer) -> None:
    """The error names event, field and topic, and no header is left behind."""
    naive = evolve(V1, created_at=datetime(2026, 1, 1))
    headers: list[Header] = []
    with pytest.raises(SerializationError) as caught:
        serializer.encode(naive, "orders", headers)
    assert (caught.value.event, caught.value.path) == ("shop.Order", "created_at")
    assert caught.value.topic == "orders"
    assert headers == []


def test_what_is_no_event_is_refused(serializer: FramedSerializer) -> None:
    """Only generated classes are events."""
    with pytest.raises(SerializationError, match="not a generated event class"):
        serializer.encode({"order_id": 1}, "orders", [])  # type: ignore[arg-type]


def test_registering_keeps_the_order_of_versions(connect: Connect, server: RegistryServer) -> None:
    """Shared types first, then all versions, oldest first, whichever is published first."""
    ours = avro(connect(auto_register=True, catalog=CATALOG), record_name)
    ours.warm_up([(OrderV2, "orders"), (Flag, "flags")])
    assert server.versions("shop.Order") == [
        OrderV1.__event__.schema,
        OrderV2.__event__.schema,
    ]
    assert server.versions("common.Currency") == [CURRENCY.schema]
    assert server.versions("shop.Flag") == [Flag.__event__.schema]
    assert server.levels["shop.Order"] == "BACKWARD_TRANSITIVE"


def test_shared_types_are_registered_oldest_first(connect: Connect, server: RegistryServer) -> None:
    """Whichever event comes first, the older version of a shared type is registered first."""
    text = CURRENCY.schema.replace('"USD"', '"USD", "GBP"')
    types = {"common.Currency": Enum("Currency", [(each, each) for each in ("EUR", "USD", "GBP")])}
    newer = evolve(CURRENCY, version=2, schema=text, types=types)

    def priced(name: str, currency: EventInfo) -> type[Any]:
        fields = [{"name": "currency", "type": "common.Currency"}]
        contract = info(f"shop.{name}", fields, references=(currency,))
        body = {"__event__": contract, "__annotations__": {"currency": Currency}}
        return frozen(kw_only=True)(type(name, (), body))

    ours = avro(connect(auto_register=True), record_name)
    ours.warm_up([(priced("Sale", newer), "sales"), (priced("Refund", CURRENCY), "refunds")])
    assert server.versions("common.Currency") == [CURRENCY.schema, newer.schema]


def test_versions_in_topics_of_their_own_have_subjects_of_their_own(
    connect: Connect, server: RegistryServer
) -> None:
    """A version that is routed elsewhere is not registered under this topic's subject."""
    ours = avro(connect(auto_register=True, catalog=CATALOG), topic_name)
    ours.warm_up([(OrderV1, "old"), (OrderV2, "new")])
    assert server.versions("old-value") == [OrderV1.__event__.schema]
    assert server.versions("new-value") == [OrderV2.__event__.schema]


def test_without_warming_up_the_order_is_kept_as_well(
    connect: Connect, server: RegistryServer
) -> None:
    """The first event of a service that did not warm up registers its older versions too."""
    ours = avro(connect(auto_register=True, catalog=CATALOG), record_name)
    ours.encode(V2, "orders", [])
    assert len(server.versions("shop.Order")) == 2


def test_a_warmed_serializer_asks_nothing_when_it_serializes(
    registry: Registry, server: RegistryServer
) -> None:
    """`produce` never waits for HTTP."""
    ours = avro(registry, record_name)
    ours.warm_up([(OrderV1, "orders"), (OrderV2, "orders")])
    asked = len(server.requests)
    ours.encode(V1, "orders", [])
    ours.encode(V2, "orders", [])
    assert len(server.requests) == asked


def test_a_missing_schema_is_an_error_at_start(connect: Connect) -> None:
    """A missing schema is an error at start with a remedy, not at the first order."""
    ours = avro(connect(catalog=CATALOG))
    with pytest.raises(SchemaNotFoundError, match="auto_register") as caught:
        ours.warm_up([(OrderV1, "orders")])
    assert (caught.value.event, caught.value.subject) == ("shop.Order", "shop.Order")


def test_all_missing_schemas_are_named_at_once(server: RegistryServer, connect: Connect) -> None:
    """One start reports all missing schemas."""
    server.add("shop.Flag", Flag.__event__.schema)
    ours = avro(connect(), record_name)
    routes = [(OrderV1, "orders"), (Flag, "flags"), (Node, "nodes"), (Nothing, "nothing")]
    with pytest.raises(SchemaNotFoundError, match="3 schemas are missing") as caught:
        ours.warm_up(routes)
    assert all(name in str(caught.value) for name in ("shop.Order", "shop.Node", "shop.Nothing"))
    assert "shop.Flag" not in str(caught.value)


def test_an_outage_at_start_is_reported_once(server: RegistryServer, connect: Connect) -> None:
    """The first failure ends warming up; what is left is not asked for."""
    with Gateway(server.url) as gateway:
        gateway.always(Answer(status=503, hang=0.05))
        ours = avro(connect(gateway.url), record_name)
        with pytest.raises(RegistryUnavailableError):
            ours.warm_up([(OrderV1, f"orders-{number}") for number in range(100)])
        with pytest.raises(RegistryUnavailableError):
            avro(connect(gateway.url), topic_name).warm_up(
                [(OrderV1, f"orders-{number}") for number in range(100)]
            )
        assert len(gateway.requests) < 100


def test_headers_need_a_registry_with_guids(connect: Connect) -> None:
    """A registry that gives none is told to be unfit for the header mode."""
    with RegistryServer(guids=False) as old:
        ours = avro(connect(old.url, auto_register=True), record_name, schema_id_location="header")
        with pytest.raises(ConfigurationError, match="schema_id_location"):
            ours.encode(V1, "t", [])


NO_GUIDS = (
    Answer(status=404),
    Answer(status=404, body=b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
)
BY_GUID = (
    record(b"", [(VALUE_SCHEMA_ID, b"\x01" + bytes(16))]),
    record(b"\x01" + bytes(16) + b"body"),
)


@pytest.mark.parametrize("answer", NO_GUIDS)
@pytest.mark.parametrize("arrived", BY_GUID)
def test_a_guid_is_poison_where_the_registry_serves_none(
    server: RegistryServer, connect: Connect, answer: Answer, arrived: ConsumerRecord
) -> None:
    """Only this record is to blame, so that the failure policy decides; nothing is asked twice."""
    with Gateway(server.url) as gateway:
        gateway.next(answer)
        ours = avro(connect(gateway.url))
        for _ in range(2):
            with pytest.raises(DeserializationError, match="by GUID") as caught:
                ours.open(arrived)
        assert caught.value.offset == arrived.offset
        assert len(gateway.requests) == 2


def test_a_guid_is_no_poison_while_the_registry_is_elsewhere(
    server: RegistryServer, connect: Connect
) -> None:
    """Where nothing is found at the address, the address is to blame and not the record."""
    with Gateway(server.url) as gateway:
        gateway.always(Answer(status=404))
        with pytest.raises(RegistryUnavailableError):
            avro(connect(gateway.url)).open(BY_GUID[0])


def test_a_service_that_uses_guids_needs_a_registry_that_serves_them(
    server: RegistryServer, connect: Connect
) -> None:
    """Set up to name schemas by GUID, it could read nothing that it writes itself."""
    with Gateway(server.url) as gateway:
        gateway.next(Answer(status=404))
        ours = avro(connect(gateway.url, uses_guids=True), schema_id_location="header")
        with pytest.raises(ConfigurationError, match="by GUID"):
            ours.open(BY_GUID[0])


@pytest.mark.parametrize("prefix", [b"\x00\xff\xff\xff\xff", b"\x00\x80\x00\x00\x00"])
@pytest.mark.parametrize("in_header", [False, True])
def test_an_id_that_cannot_exist_is_poison_without_a_request(
    serializer: FramedSerializer, server: RegistryServer, prefix: bytes, in_header: bool
) -> None:
    """Ids are positive: registries answer such a one as if their path were wrong."""
    arrived = record(b"", [(VALUE_SCHEMA_ID, prefix)]) if in_header else record(prefix + b"body")
    with pytest.raises(DeserializationError, match="not a schema id"):
        serializer.open(arrived)
    assert server.requests == []


def test_threads_that_start_together_ask_once(connect: Connect, server: RegistryServer) -> None:
    """Eight threads, one new topic: the requests of one, and right values in all."""
    server.add("shop.Order", OrderV1.__event__.schema)
    ours = avro(connect(), record_name)
    together = threading.Barrier(8)

    def run() -> bytes:
        together.wait(60)
        value = ours.encode(V1, "t", [])
        assert ours.open(record(value)).read(OrderV1) == V1
        return value

    with ThreadPoolExecutor(8) as pool:
        values = {future.result() for future in [pool.submit(run) for _ in range(8)]}
    assert len(values) == 1
    assert server.count("POST /subjects/shop.Order") == 1
    assert server.count("GET /schemas/ids/1") == 1


def test_errors_of_ours_are_all_that_comes_out(
    serializer: FramedSerializer,
) -> None:
    """Every cut of a value and every changed byte ends in an event or in an error of ours."""
    value = serializer.encode(ALL, "t", [])
    damaged = [value[:end] for end in range(len(value))]
    damaged += [
        value[:at] + bytes([value[at] ^ flip]) + value[at + 1 :]
        for at in range(5, len(value))
        for flip in (0x01, 0x80, 0xFF)
    ]
    for each in damaged:
        with suppress(DeserializationError):
            assert isinstance(serializer.open(record(each)).read(Everything), Everything)


def test_times_in_other_zones_are_written_as_instants(
    serializer: FramedSerializer,
) -> None:
    """The same instant has the same bytes."""
    assert V1.created_at.tzinfo is UTC
    moved = evolve(V1, created_at=V1.created_at.astimezone())
    assert serializer.encode(moved, "t", []) == serializer.encode(V1, "t", [])
    assert V2.currency is Currency.EUR
