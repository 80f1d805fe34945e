"""Message keys, and the choice of formats."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given
from hypothesis import strategies as st

from sdk.avro.codec.wire import long_bytes
from sdk.errors import (
    RegistryUnavailableError,
    SchemaNotFoundError,
    SerializationError,
)
from sdk.events import EventInfo
from sdk.serialization import MixedKeySerializer, TextKeySerializer
from sdk.serialization.avro_keys import AvroKeySerializer
from sdk.serialization.framing import KEY_SCHEMA_ID
from tests.unit.serialization.conftest import Connect
from tests.unit.serialization.registry_server import RegistryServer
from tests.unit.serialization.shop import OrderV1

pytestmark = pytest.mark.usefixtures("executor")

ID = UUID("3f2b8a52-6c1e-4d6e-9f38-0f5a1c1c7a11")


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("tea ☕", "tea ☕".encode()),
        ("", b""),
        (4711, b"4711"),
        (-1, b"-1"),
        (ID, b"3f2b8a52-6c1e-4d6e-9f38-0f5a1c1c7a11"),
        (b"\x00\xff", b"\x00\xff"),
        (None, None),
    ],
)
def test_keys_travel_as_text(key: object, data: bytes | None) -> None:
    """Text, integers and UUIDs are UTF-8 text; bytes and null stay what they are."""
    assert TextKeySerializer().encode(key, OrderV1, "orders") == data


@pytest.mark.parametrize("key", [1.5, True, [1], "\ud800", pytest.param(10**5000, id="huge")])
def test_other_keys_are_refused(key: object, server: RegistryServer, connect: Connect) -> None:
    """Values without a unique text form are no keys, in either format."""
    for serializer in (TextKeySerializer(), AvroKeySerializer(connect(auto_register=True))):
        with pytest.raises(SerializationError) as caught:
            serializer.encode(key, OrderV1, "orders")
        assert caught.value.topic == "orders"


@pytest.mark.parametrize(
    ("key", "value"), [("tea ☕", "tea ☕"), (4711, 4711), (-(2**63), -(2**63)), (ID, str(ID))]
)
def test_avro_keys_are_read_by_confluents_deserializer(
    server: RegistryServer, connect: Connect, key: object, value: object
) -> None:
    """Keys in Avro are primitives in the usual framing, under the topic's key subject."""
    keys = AvroKeySerializer(connect(auto_register=True))
    data = keys.encode(key, OrderV1, "orders")
    assert data is not None
    with SchemaRegistryClient({"url": server.url}) as client:
        deserialize = AvroDeserializer(
            client, conf={"subject.name.strategy": lambda *_: "orders-key"}
        )
        assert deserialize(data, SerializationContext("orders", MessageField.KEY)) == value
    assert len(server.versions("orders-key")) == 1


def test_avro_keys_ask_the_registry_once_a_topic(server: RegistryServer, connect: Connect) -> None:
    """After the first key of a topic, no request is made; bytes and null make none at all."""
    keys = AvroKeySerializer(connect(auto_register=True))
    assert keys.encode(b"raw", OrderV1, "orders") == b"raw"
    assert keys.encode(None, OrderV1, "orders") is None
    assert server.requests == []
    keys.encode("a", OrderV1, "orders")
    asked = len(server.requests)
    for number in range(100):
        keys.encode(str(number), OrderV1, "orders")
    assert len(server.requests) == asked


def test_avro_keys_are_not_registered_unasked(connect: Connect) -> None:
    """Without auto-registration a missing key schema is an error."""
    with pytest.raises(SchemaNotFoundError):
        AvroKeySerializer(connect()).encode("a", OrderV1, "orders")


@pytest.mark.parametrize("key", [2**63, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_no_avro_key(connect: Connect, key: int) -> None:
    """Avro's long has 64 bits."""
    with pytest.raises(SerializationError, match="does not fit a long"):
        AvroKeySerializer(connect(auto_register=True)).encode(key, OrderV1, "orders")


@given(st.integers(-(2**63), 2**63 - 1))
def test_longs_are_zigzag_varints(number: int) -> None:
    """The encoding equals fastavro's."""
    import io

    import fastavro

    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, "long", number)
    assert long_bytes(number) == expected.getvalue()


@pytest.mark.parametrize("own", ["avro", "text"])
def test_keys_are_read_in_the_format_in_which_they_were_written(
    server: RegistryServer, connect: Connect, own: str
) -> None:
    """Whatever this service writes itself, a key that names a schema is read by it."""
    avro_keys = AvroKeySerializer(connect(auto_register=True))
    keys = MixedKeySerializer(
        avro_keys if own == "avro" else TextKeySerializer(), lambda: avro_keys
    )
    for key, read in (("order-1", "order-1"), (4711, 4711), (ID, str(ID)), ("", "")):
        assert keys.decode(avro_keys.encode(key, OrderV1, "orders"), "orders") == read
    for data, read in ((b"o-1", "o-1"), (b"\xff\x00", b"\xff\x00"), (b"", ""), (None, None)):
        assert keys.decode(data, "orders") == read


def test_a_key_of_another_team_is_read_by_its_schema(
    server: RegistryServer, connect: Connect
) -> None:
    """Java's string type and Debezium's records are values, not text with odd letters."""
    java = server.add("a-key", '{"type": "string", "avro.java.string": "String"}')
    fields = [{"name": "id", "type": "int"}]
    row = server.add("b-key", json.dumps({"type": "record", "name": "Key", "fields": fields}))
    keys = MixedKeySerializer(TextKeySerializer(), lambda: AvroKeySerializer(connect()))
    assert keys.decode(b"\x00" + java.to_bytes(4, "big") + b"\x06abc", "a") == "abc"
    assert keys.decode(b"\x00" + row.to_bytes(4, "big") + b"\x0e", "b") == {"id": 7}


def test_a_key_may_be_named_by_a_header(server: RegistryServer, connect: Connect) -> None:
    """Confluent's header mode puts the schema's GUID beside the bare key."""
    server.add("orders-key", '"string"')
    registry = connect()
    contract = EventInfo(full_name="string", version=1, schema='"string"', fingerprint="")
    guid = registry.registered("orders-key", contract).guid
    assert guid is not None
    headers = [(KEY_SCHEMA_ID, b"\x01" + UUID(guid).bytes)]
    keys = MixedKeySerializer(TextKeySerializer(), lambda: AvroKeySerializer(registry))
    assert keys.decode(b"\x06abc", "orders", headers) == "abc"


@pytest.mark.parametrize(
    "data",
    [
        (2**33).to_bytes(8, "big"),  # looks like schema id 2 and three bytes
        b"\x00\x00\x00\x00\x00\x00\x00\x2a",
        b"\x00\xff\xff\xff\xff\xff",
        b"\x00\x00\x00\x00\x01\x06ab",  # an id of ours, and a body that is cut off
        b"\x00\x00\x00\x00\x01\x06abcd",
    ],
)
def test_what_only_looks_like_a_framed_key_stays_bytes_or_text(
    server: RegistryServer, connect: Connect, data: bytes
) -> None:
    """A number in eight bytes is no reason to stop a consumer."""
    server.add("orders-key", '"string"')
    keys = MixedKeySerializer(TextKeySerializer(), lambda: AvroKeySerializer(connect()))
    assert keys.decode(data, "orders") == TextKeySerializer().decode(data, "orders")


def test_a_key_is_not_guessed_while_its_registry_is_down(connect: Connect) -> None:
    """A key that would be another value tomorrow is worse than one that comes later."""
    with RegistryServer() as gone:
        url = gone.url
    keys = MixedKeySerializer(TextKeySerializer(), lambda: AvroKeySerializer(connect(url)))
    with pytest.raises(RegistryUnavailableError):
        keys.decode(b"\x00\x00\x00\x00\x01\x06abc", "orders")


def test_warming_up_makes_avro_keys_ready(server: RegistryServer, connect: Connect) -> None:
    """The key field determines the schema of the keys of an event."""
    keys = AvroKeySerializer(connect(auto_register=True))
    assert not keys.ready(ID, "orders")
    keys.warm_up([(OrderV1, "orders")])
    asked = len(server.requests)
    assert keys.ready(ID, "orders")
    assert keys.ready(b"raw", "orders")
    assert not keys.ready(5, "orders")
    keys.encode(ID, OrderV1, "orders")
    assert len(server.requests) == asked
