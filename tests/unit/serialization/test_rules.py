"""Versions with rule sets: checked, transformed and encrypted as Confluent's clients do it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any, ClassVar
from uuid import UUID

import pytest
from attrs import evolve, frozen
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from sdk.errors import (
    ConfigurationError,
    DeserializationError,
    RegistryUnavailableError,
    SerializationError,
)
from sdk.events import EventInfo
from sdk.records import Header
from sdk.registry.rules import RuleEngine
from sdk.serialization.framed import FramedSerializer
from sdk.settings import RegistryOptions
from sdk.topics import record_name, topic_name
from tests.servers.gateway import Answer, Gateway
from tests.unit.serialization.conftest import Connect, avro
from tests.unit.serialization.registry_server import Json, RegistryServer
from tests.unit.serialization.shop import UUID_TEXT, Cat, Dog, info
from tests.unit.serialization.test_avro_serializer import record

pytest.importorskip("tink", reason="the rules extra is not installed")

CLIENT = tuple(int(part) for part in version("confluent-kafka").split(".")[:2])
SECRET = {"secret": "mysecret"}
CARD = "4711 0815"


@frozen(kw_only=True)
class PaymentV1:
    """A payment whose card number is secret."""

    payment_id: UUID
    card: str
    amount: int

    __event__: ClassVar[EventInfo] = info(
        "shop.Payment",
        [
            {"name": "payment_id", "type": UUID_TEXT},
            {"name": "card", "type": "string", "confluent:tags": ["PII"]},
            {"name": "amount", "type": "long"},
        ],
    )


@frozen(kw_only=True)
class PaymentV2:
    """The second version knows the holder, too."""

    payment_id: UUID
    card: str
    amount: int
    holder: str = "unknown"

    __event__: ClassVar[EventInfo] = info(
        "shop.Payment",
        [
            {"name": "payment_id", "type": UUID_TEXT},
            {"name": "card", "type": "string", "confluent:tags": ["PII"]},
            {"name": "amount", "type": "long"},
            {"name": "holder", "type": "string", "default": "unknown", "confluent:tags": ["PII"]},
        ],
        version=2,
    )


@frozen(kw_only=True)
class Adoption:
    """A union of two records that only their names distinguish."""

    pet: Cat | Dog
    at: datetime
    fee: Decimal

    __event__: ClassVar[EventInfo] = info(
        "shop.Adoption",
        [
            {
                "name": "pet",
                "type": [
                    {
                        "type": "record",
                        "name": kind,
                        "fields": [{"name": "name", "type": "string", "confluent:tags": ["PII"]}],
                    }
                    for kind in ("Cat", "Dog")
                ],
            },
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {
                "name": "fee",
                "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            },
        ],
        types={"shop.Cat": Cat, "shop.Dog": Dog},
    )


V1 = PaymentV1(payment_id=UUID(int=1), card=CARD, amount=5)
V2 = PaymentV2(payment_id=UUID(int=2), card=CARD, amount=6, holder="Alice")


def rule(name: str, kind: str, mode: str, type_: str, **more: Any) -> Json:
    """Return a rule set of one domain rule."""
    own = {"name": name, "kind": kind, "mode": mode, "type": type_, **more}
    return {"domainRules": [own]}


ENCRYPT = rule(
    "encrypt-pii",
    "TRANSFORM",
    "WRITEREAD",
    "ENCRYPT",
    tags=["PII"],
    params={
        "encrypt.kek.name": "kek1",
        "encrypt.kms.type": "local-kms",
        "encrypt.kms.key.id": "key1",
    },
    onFailure="ERROR,ERROR",
)
PAYLOAD = {
    "encodingRules": [
        {key: value for key, value in ENCRYPT["domainRules"][0].items() if key != "tags"}
        | {"type": "ENCRYPT_PAYLOAD"}
    ]
}
POSITIVE = rule("positive", "CONDITION", "WRITE", "CEL", expr="message.amount > 0")
UPPER = rule("upper", "TRANSFORM", "WRITE", "CEL_FIELD", expr="name == 'card' ; value + '-written'")
ON_READ = rule("on-read", "TRANSFORM", "READ", "CEL_FIELD", expr="name == 'card' ; value + '-read'")


@pytest.fixture
def serializer(connect: Connect) -> FramedSerializer:
    """A serializer that knows the secret of the key management."""
    return avro(connect(rules=SECRET), record_name)


def schema(event_class: type[Any]) -> str:
    """Return the text of an event's schema."""
    contract: EventInfo = event_class.__event__
    return contract.schema


@pytest.mark.parametrize("location", ["prefix", "header"])
def test_an_encrypted_field_leaves_no_plain_text_and_comes_back(
    server: RegistryServer, connect: Connect, location: str
) -> None:
    """A tagged field is encrypted on the wire and plain in the event."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=ENCRYPT)
    ours = avro(connect(rules=SECRET), record_name, schema_id_location=location)
    headers: list[Header] = []
    value = ours.encode(V1, "payments", headers)
    assert CARD.encode() not in value
    assert len(headers) == (1 if location == "header" else 0)

    arrived = record(value, headers)
    assert ours.open(arrived).full_name == "shop.Payment"
    assert ours.open(arrived).read(PaymentV1) == V1
    assert ours.open(arrived).read(PaymentV2) == PaymentV2(
        payment_id=V1.payment_id, card=CARD, amount=5
    )


def test_versions_with_and_without_rules_stand_side_by_side(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """Version 1 goes out plain, version 2 encrypted; both are read as either class."""
    plain_id = server.add("shop.Payment", schema(PaymentV1))
    ruled_id = server.add("shop.Payment", schema(PaymentV2), ruleSet=ENCRYPT)
    first = serializer.encode(V1, "payments", [])
    second = serializer.encode(V2, "payments", [])

    assert [int.from_bytes(each[1:5], "big") for each in (first, second)] == [plain_id, ruled_id]
    assert CARD.encode() in first
    assert CARD.encode() not in second
    assert b"Alice" not in second
    assert serializer.open(record(second)).read(PaymentV2) == V2
    assert serializer.open(record(second)).read(PaymentV1) == PaymentV1(
        payment_id=V2.payment_id, card=CARD, amount=6
    )
    assert serializer.open(record(first)).read(PaymentV1) == V1


def test_each_version_obeys_its_own_rules(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """Two versions with different rules do not share them."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=UPPER)
    server.add("shop.Payment", schema(PaymentV2), ruleSet=ENCRYPT)
    first = serializer.encode(V1, "payments", [])
    second = serializer.encode(V2, "payments", [])
    assert serializer.open(record(first)).read(PaymentV1).card == f"{CARD}-written"
    assert serializer.open(record(second)).read(PaymentV2).card == CARD


def test_confluents_own_clients_and_we_read_each_other(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """The same key decrypts what the other side has encrypted."""
    schema_id = server.add("shop.Payment", schema(PaymentV1), ruleSet=ENCRYPT)
    context = SerializationContext("payments", MessageField.VALUE)
    engine = RuleEngine(RegistryOptions(url=(server.url,), rules=SECRET))
    client = SchemaRegistryClient({"url": server.url})
    conf = {"subject.name.strategy": lambda *_: "shop.Payment"}
    rules = engine.rules
    write = AvroSerializer(
        client,
        conf={**conf, "auto.register.schemas": False, "use.schema.id": schema_id},
        rule_conf=SECRET,
        rule_registry=rules,
    )
    read = AvroDeserializer(client, conf=conf, rule_conf=SECRET, rule_registry=rules)
    value = {"payment_id": V1.payment_id, "card": CARD, "amount": 5}

    theirs = write(dict(value), context)
    assert theirs is not None
    assert CARD.encode() not in theirs
    assert serializer.open(record(theirs)).read(PaymentV1) == V1
    assert read(serializer.encode(V1, "payments", []), context) == value
    engine.close()
    client.__exit__(None, None, None)


def test_a_rule_that_changes_what_is_read_does_so(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """Rules for reading run on the writer's shape, before our resolution."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=ON_READ)
    value = serializer.encode(V1, "payments", [])
    assert CARD.encode() in value
    assert b"-read" not in value
    assert serializer.open(record(value)).read(PaymentV2).card == f"{CARD}-read"


def test_a_condition_refuses_what_it_forbids(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """The error names event, topic and subject, and the rule's own words."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=POSITIVE)
    serializer.encode(V1, "payments", [])
    with pytest.raises(SerializationError, match="amount > 0") as caught:
        serializer.encode(evolve(V1, amount=-1), "payments", [])
    error = caught.value
    assert (error.event, error.topic, error.subject) == ("shop.Payment", "payments", "shop.Payment")


def test_a_condition_on_reading_makes_a_record_poison(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """A record that a rule rejects is poison."""
    forbid = rule("never", "CONDITION", "READ", "CEL", expr="message.amount > 100")
    server.add("shop.Payment", schema(PaymentV1), ruleSet=forbid)
    value = serializer.encode(V1, "payments", [])
    with pytest.raises(DeserializationError, match="amount > 100") as caught:
        serializer.open(record(value)).read(PaymentV1)
    assert (caught.value.partition, caught.value.offset, caught.value.schema_id) == (3, 42, 1)


def test_a_rule_of_an_unknown_type_is_reported_with_its_remedy(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """Nothing goes out while a rule cannot be applied."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=rule("x", "TRANSFORM", "WRITE", "MAGIC"))
    with pytest.raises(SerializationError, match="MAGIC") as caught:
        serializer.encode(V1, "payments", [])
    assert caught.value.remedy is not None
    assert "[rules]" in caught.value.remedy


def test_a_key_that_does_not_decrypt_makes_records_unreadable(
    server: RegistryServer, connect: Connect, serializer: FramedSerializer
) -> None:
    """Decryption fails with an error of ours that holds neither the secret nor the plain text."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=ENCRYPT)
    value = serializer.encode(V1, "payments", [])
    server.damage_keys()
    other = avro(connect(rules=SECRET), record_name)
    with pytest.raises(DeserializationError, match="rule") as caught:
        other.open(record(value)).read(PaymentV1)
    assert SECRET["secret"] not in str(caught.value)
    assert CARD not in str(caught.value)


def test_an_outage_behind_the_rules_is_an_outage(
    server: RegistryServer, connect: Connect, serializer: FramedSerializer
) -> None:
    """While the encryption key cannot be fetched, a record is not poison."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=ENCRYPT)
    value = serializer.encode(V1, "payments", [])
    with Gateway(server.url) as gateway:
        other = avro(connect(gateway.url, rules=SECRET), record_name)
        other.open(record(value))
        gateway.always(Answer(status=503))
        with pytest.raises(RegistryUnavailableError) as caught:
            other.open(record(value)).read(PaymentV1)
        assert (caught.value.topic, caught.value.offset) == ("t", 42)
        gateway.always(None)
        assert other.open(record(value)).read(PaymentV1) == V1


def test_an_outage_that_was_handled_before_is_not_this_ones_cause(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """The error is the rule's, even if the caller is handling a network error."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=POSITIVE)
    try:
        raise ConnectionError("handled")
    except ConnectionError:
        with pytest.raises(SerializationError, match="amount > 0"):
            serializer.encode(evolve(V1, amount=-1), "payments", [])


def test_the_header_mode_needs_guids_with_rules_too(connect: Connect) -> None:
    """A registry without GUIDs is told at the first event, not as a rule's failure."""
    with RegistryServer(guids=False) as old:
        old.add("shop.Payment", schema(PaymentV1), ruleSet=UPPER)
        ours = avro(connect(old.url), record_name, schema_id_location="header")
        with pytest.raises(ConfigurationError, match="no GUID"):
            ours.encode(V1, "payments", [])


def test_a_damaged_value_with_rules_is_poison(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """Every cut ends in an error of ours."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=ENCRYPT)
    value = serializer.encode(V1, "payments", [])
    for end in range(5, len(value)):
        with pytest.raises(DeserializationError):
            serializer.open(record(value[:end])).read(PaymentV1)


# Base64, which the encrypted names are in, has no space.
@pytest.mark.parametrize("pet", [Cat(name="Old Tom"), Dog(name="Old Rex")])
def test_records_in_a_union_are_encrypted_and_keep_their_type(
    server: RegistryServer, serializer: FramedSerializer, pet: Cat | Dog
) -> None:
    """Branches that only their names distinguish are neither swapped nor skipped."""
    server.add("shop.Adoption", schema(Adoption), ruleSet=ENCRYPT)
    event = Adoption(pet=pet, at=datetime(2026, 1, 1, tzinfo=UTC), fee=Decimal("1.50"))
    if CLIENT < (2, 16):  # older clients pass such records over, so we refuse to work with them
        with pytest.raises(ConfigurationError, match="several records"):
            serializer.encode(event, "pets", [])
        return
    value = serializer.encode(event, "pets", [])
    assert pet.name.encode() not in value
    assert serializer.open(record(value)).read(Adoption) == event


@pytest.mark.parametrize("location", ["prefix", "header"])
def test_a_whole_payload_can_be_encrypted(
    server: RegistryServer, connect: Connect, location: str
) -> None:
    """Rules of the encoding phase work on the bytes; nothing of the event is left to see."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=PAYLOAD)
    ours = avro(connect(rules=SECRET), record_name, schema_id_location=location)
    headers: list[Header] = []
    value = ours.encode(V1, "payments", headers)
    assert CARD.encode() not in value
    assert str(V1.payment_id).encode() not in value
    arrived = record(value, headers)
    assert ours.open(arrived).read(PaymentV1) == V1
    assert ours.open(arrived).read(PaymentV2).card == CARD


@pytest.mark.parametrize("forwarder", ["kafka_", "kafka_dlt-"])
def test_a_record_in_a_retry_topic_is_decrypted_as_in_its_own(
    server: RegistryServer, connect: Connect, forwarder: str
) -> None:
    """Keys belong to the subject, and where topics name subjects, to the first topic's."""
    server.add("payments-value", schema(PaymentV1), ruleSet=ENCRYPT)
    ours = avro(connect(rules=SECRET), topic_name)
    value = ours.encode(V1, "payments", [])
    headers = [(f"{forwarder}original-topic", b"payments")]
    forwarded = record(value, headers, topic="payments-retry")
    assert ours.open(forwarded).read(PaymentV1) == V1


def test_rules_cost_no_request_for_each_message(
    server: RegistryServer, serializer: FramedSerializer
) -> None:
    """After the first, schemas and keys are known."""
    server.add("shop.Payment", schema(PaymentV1), ruleSet=ENCRYPT)
    serializer.open(record(serializer.encode(V1, "payments", []))).read(PaymentV1)
    asked = len(server.requests)
    for _ in range(50):
        serializer.open(record(serializer.encode(V1, "payments", []))).read(PaymentV1)
    assert len(server.requests) == asked


@pytest.mark.parametrize("rules", [ENCRYPT, PAYLOAD])
def test_rules_of_a_union_at_the_root_are_applied_before_its_branch_is_read(
    server: RegistryServer, connect: Connect, rules: Json
) -> None:
    """Where the whole payload is encrypted, only what was decrypted says what it holds."""
    union = json.dumps(["null", json.loads(schema(PaymentV1))])
    server.add("payments-value", union, ruleSet=rules)
    ours = avro(connect(rules=SECRET), topic_name)
    value = ours.encode(V1, "payments", [])
    assert CARD.encode() not in value
    incoming = ours.open(record(value, topic="payments"))
    assert incoming.full_name == "shop.Payment"
    assert incoming.read(PaymentV1) == V1
    assert incoming.read(PaymentV2).card == CARD
