"""Java reads our records, and we Java's, over real Kafka and a real registry.

Two peers: Apache Avro's library, to which the tests hand the body behind the 5-byte prefix, and
Confluent's own serializer and deserializer inside Apache's Kafka clients.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from confluent_kafka import Producer as RawProducer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from hypothesis import HealthCheck, given, settings

from sdk.avro import decode, encode
from sdk.avro.codec.codecs import decoder_for
from sdk.settings import Settings
from sdk.testing.murmur2 import partition_of
from tests.integration.measured import AS_JSON, ID, LOGICAL, measured, measured_newer, random_events
from tests.integration.wiring import connected, settings_for, stopping_after, stored
from tests.servers.peer import JavaPeer
from tests.servers.target import Target

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).parent / "schemas"
JAVA_TOPIC_RECORD = "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy"


@pytest.fixture(scope="session")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The classes of ``tests/integration/schemas``, generated afresh."""
    folder = tmp_path_factory.mktemp("generated")
    command = [sys.executable, str(ROOT / "codegen" / "generate.py"), "--schemas", str(SCHEMAS)]
    command += ["--output", str(folder / "interop_contracts"), "--package", "interop_contracts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    from interop_contracts.interop import Place
    from interop_contracts.interop.measured import v1, v2

    return SimpleNamespace(v1=v1, v2=v2, Place=Place)


def test_bodies_equal_javas_byte_for_byte(contracts: Any, java_avro: JavaPeer) -> None:
    """For one value of every type, ours and Java's bytes are the same, and each reads the other."""
    event = measured(contracts)
    schema = _texts(contracts.v1.Measured)
    theirs = bytes.fromhex(java_avro.ask("encode", schema=schema, json=AS_JSON)["hex"])
    assert encode(event) == theirs
    assert decode(contracts.v1.Measured, theirs) == event
    answer = java_avro.ask("decode", writer=schema, hex=encode(event).hex())
    assert answer == {"rest": 0, "value": AS_JSON}


def test_logical_types_mean_the_same_to_java(contracts: Any, java_avro: JavaPeer) -> None:
    """Java's conversions of our bytes yield the values that we wrote."""
    schema = _texts(contracts.v1.Measured)
    hex_body = encode(measured(contracts)).hex()
    value = java_avro.ask("decode", writer=schema, hex=hex_body, logical=True)["value"]
    assert {name: value[name] for name in LOGICAL} == LOGICAL


def test_java_reads_the_older_version_as_we_do(contracts: Any, java_avro: JavaPeer) -> None:
    """Version 1 read as version 2: promotions, the alias, the new symbol list, the default."""
    old, new = contracts.v1.Measured, contracts.v2.Measured
    body = encode(measured(contracts))
    ours = _read_as(new, old, body)
    answer = java_avro.ask("decode", writer=_texts(old), reader=_texts(new), hex=body.hex())
    assert java_avro.ask("encode", schema=_texts(new), json=answer["value"])["hex"] == (
        encode(ours).hex()
    )
    assert (ours.label, ours.unit, ours.level.value) == ("größe 😀", "metre", "HIGH")


def test_random_events_survive_java(contracts: Any, java_avro: JavaPeer) -> None:
    """Java reads whatever we write, writes it again, and the bytes are the same."""
    schema = _texts(contracts.v1.Measured)

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(event=random_events(contracts))
    def check(event: Any) -> None:
        body = encode(event)
        value = java_avro.ask("decode", writer=schema, hex=body.hex())["value"]
        again = bytes.fromhex(java_avro.ask("encode", schema=schema, json=value)["hex"])
        assert again == body
        assert decode(contracts.v1.Measured, again) == event

    check()


def test_confluents_java_deserializer_reads_our_events(
    contracts: Any,
    kafka: Target,
    registry: Target,
    java_confluent: JavaPeer,
    unique: Callable[[str], str],
) -> None:
    """Both versions of an event, with references and a tombstone, as their writers wrote them."""
    topic = unique("to-java")
    event, newer = measured(contracts), measured_newer(contracts)
    with connected(_settings(kafka, registry, topic)) as messaging:
        messaging.producer.produce(event).result(30)
        messaging.producer.produce(newer).result(30)
        messaging.producer.produce_tombstone(contracts.v1.Measured, event.id).result(30)
    records = _ask(java_confluent, kafka, registry, "consume", topic=topic, count=3)["records"]
    assert [record["event"] for record in records[:2]] == ["interop.Measured"] * 2
    assert [record["key"] for record in records] == [str(ID)] * 3
    assert records[0]["json"] == AS_JSON
    assert records[1]["json"]["unit"] == "feet"
    assert records[1]["json"]["level"] == "MEDIUM"
    assert records[2]["json"] is None
    headers = dict(records[0]["headers"])
    assert bytes.fromhex(headers["ce_type"]).decode().startswith("interop.Measured")


def test_we_read_events_of_confluents_java_serializer(
    contracts: Any,
    kafka: Target,
    registry: Target,
    java_confluent: JavaPeer,
    unique: Callable[[str], str],
) -> None:
    """Both versions arrive as the handler's class, and a tombstone as one."""
    topic = unique("from-java")
    wiring = _settings(kafka, registry, topic)
    old, new = contracts.v1.Measured, contracts.v2.Measured
    with connected(wiring) as messaging:
        messaging.warm_up()  # registers both versions, and makes the topic
        newer_json = AS_JSON | {"label": {"string": "more"}, "unit": "feet", "level": "MEDIUM"}
        del newer_json["text"]
        _ask(
            java_confluent,
            kafka,
            registry,
            "produce",
            topic=topic,
            records=[
                {"key": str(ID), "schema": _texts(old), "json": AS_JSON},
                {"key": str(ID), "schema": _texts(new), "json": newer_json},
                {"key": str(ID), "json": None},
            ],
        )
        events: list[Any] = []
        tombstones: list[Any] = []
        consumer = messaging.consumer(unique("group"))

        def bury(tombstone: Any) -> None:
            tombstones.append(tombstone)
            consumer.stop()

        consumer.handle(new, events.append, tombstone=bury)
        with stopping_after(consumer, 30):
            consumer.run()
    expected = _read_as(new, old, encode(measured(contracts)))
    assert events == [expected, measured_newer(contracts)]
    assert len(tombstones) == 1


def test_apache_avro_reads_and_writes_our_framing(
    contracts: Any,
    kafka: Target,
    registry: Target,
    java_avro: JavaPeer,
    unique: Callable[[str], str],
) -> None:
    """The body behind the 5-byte prefix is plain Avro of the schema with that id, both ways."""
    topic = unique("framed")
    wiring = _settings(kafka, registry, topic)
    event = measured(contracts)
    with connected(wiring) as messaging:
        messaging.producer.produce(event).result(30)
        (record,) = stored(kafka.address, topic)
        assert record.value is not None
        assert record.value[0] == 0
        schema_id = int.from_bytes(record.value[1:5], "big")
        texts = _registered(registry, schema_id)
        assert java_avro.ask("decode", writer=texts, hex=record.value[5:].hex())["value"] == AS_JSON

        hex_body = java_avro.ask("encode", schema=texts, json=AS_JSON | {"small": 7})["hex"]
        producer = RawProducer({"bootstrap.servers": kafka.address})
        producer.produce(topic, record.value[:5] + bytes.fromhex(hex_body), str(ID))
        assert producer.flush(30) == 0
        events: list[Any] = []
        consumer = messaging.consumer(unique("group"))

        def handle(read: Any) -> None:
            events.append(read)
            if len(events) == 2:
                consumer.stop()

        consumer.handle(contracts.v1.Measured, handle)
        with stopping_after(consumer, 30):
            consumer.run()
    assert [read.small for read in events] == [-(2**31), 7]


def test_keys_are_placed_as_javas_producer_places_them(
    contracts: Any,
    kafka: Target,
    registry: Target,
    java_confluent: JavaPeer,
    unique: Callable[[str], str],
) -> None:
    """Java's default partitioner and ours choose the same partition of each key."""
    topic = unique("placed")
    keys = [f"order-{number}" for number in range(60)] + ["größe", "日本", str(ID)]
    event = measured(contracts)
    with connected(_settings(kafka, registry, topic, partitions=7)) as messaging:
        deliveries = [messaging.producer.produce(event, key=key) for key in keys]
        ours = [delivery.result(30).partition for delivery in deliveries]
    reports = _ask(
        java_confluent,
        kafka,
        registry,
        "produce",
        topic=topic,
        records=[{"key": key, "json": None} for key in keys],
    )["reports"]
    assert ours == [report["partition"] for report in reports]
    assert ours == [partition_of(key.encode(), 7) for key in keys]


def _read_as(new: Any, old: Any, body: bytes) -> Any:
    """Read what one class wrote as another."""
    *references, writer = _texts(old)
    return decoder_for(new, writer, references=references)(body)


def _settings(kafka: Target, registry: Target, topic: str, partitions: int = 1) -> Settings:
    """Subjects that hold the topic's name, so that no test sees another's versions."""
    wiring = settings_for(
        kafka.address,
        registry.address,
        topic,
        event="interop.Measured",
        partitions=partitions,
        registry={"subject_strategy": "topic_record"},
    )
    return evolve(wiring, contracts="interop_contracts")


def _texts(event_class: Any) -> list[str]:
    info = event_class.__event__
    return [shared.schema for shared in info.references] + [info.schema]


def _registered(registry: Target, schema_id: int) -> list[str]:
    """Return the schema with an id and before it those that it refers to."""
    texts = []
    with SchemaRegistryClient({"url": registry.address, "timeout": 30}) as client:
        schema: Schema = client.get_schema(schema_id)
        for reference in schema.references or []:
            assert isinstance(reference, SchemaReference)
            shared = client.get_version(str(reference.subject), int(reference.version or 0))
            texts.append(str(shared.schema.schema_str))
        texts.append(str(schema.schema_str))
    return texts


def _ask(
    java: JavaPeer, kafka: Target, registry: Target, operation: str, **arguments: Any
) -> dict[str, Any]:
    return java.ask(
        operation,
        bootstrap_servers=kafka.address,
        registry=registry.address,
        strategy=JAVA_TOPIC_RECORD,
        **arguments,
    )
