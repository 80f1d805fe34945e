"""Limits on the cost of hostile schemas and deep events, and how to raise them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdk import avro
from sdk.avro import Limits
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from sdk.errors import (
    ConfigurationError,
    DeserializationError,
    IncompatibleSchemaError,
    InvalidSchemaError,
    SerializationError,
)
from sdk.events import Catalog
from sdk.serializers import Serializers
from sdk.settings import KafkaOptions, RegistryOptions, Settings, load_settings
from tests.unit.avro.events import event_class, record
from tests.unit.serialization.registry_server import RegistryServer
from tests.unit.serialization.shop import Node


def steps(work: Callable[[], Any]) -> int:
    """Return how many functions a piece of work calls: its cost, whatever the machine does."""
    count = 0

    def call(*_: Any) -> None:
        nonlocal count
        count += 1

    sys.setprofile(call)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def mutual(size: int, namespace: str, extra: str, *, every: bool = False) -> Any:
    """Return records that all refer to all; the last one (or every one) has a further field."""
    records = []
    for index in range(size):
        fields: list[Any] = [
            {
                "name": f"f{shift}",
                "type": ["null"] + [f"R{(shift + n) % size}" for n in range(size)],
            }
            for shift in range(3)
        ]
        if every or index == size - 1:
            fields.append({"name": "z", "type": extra})
        name = {"type": "record", "name": f"R{index}", "namespace": namespace}
        records.append({**name, "fields": fields})
    return parse_schema(records).branches[0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("extra", "every"), [("int", False), ("string", False), ("string", True), ("int", True)]
)
def test_records_that_all_refer_to_all_are_resolved_in_polynomial_time(
    extra: str, every: bool
) -> None:
    """Twice the records make twice the unions, each of twice the branches: no more than that."""

    def work(size: int) -> int:
        writer, reader = (
            mutual(size, "w", "int", every=every),
            mutual(size, "r", extra, every=every),
        )

        def attempt() -> None:
            try:
                resolve(writer, reader)
            except IncompatibleSchemaError:
                assert extra == "string"

        return steps(attempt)

    assert work(24) < 10 * work(12)


def test_a_pair_that_is_met_often_is_resolved_once() -> None:
    """Each level of these schemas names the next one twice."""

    def work(levels: int) -> int:
        writer, reader = (
            parse_schema(
                [
                    record(("a", f"R{n + 1}"), ("b", ["null", f"R{n + 1}"]), name=f"R{n}")
                    for n in range(levels)
                ]
                + [record(("x", kind), name=f"R{levels}")]
            ).branches[0]  # type: ignore[union-attr]
            for kind in ("int", "long")
        )
        return steps(lambda: resolve(writer, reader))

    assert work(40) < 3 * work(20)


def chain(length: int, cls: Any) -> Any:
    """Return so many records inside each other."""
    event = None
    for number in range(length):
        event = cls(value=number, next=event)
    return event


@pytest.mark.usefixtures("executor")
def test_a_long_list_can_be_read_when_the_limit_is_raised() -> None:
    """251 linked records: refused by default in both directions, and fine on request."""
    cls = event_class(record(("value", "int"), ("next", ["null", "R"])))
    event = chain(251, cls)
    with pytest.raises(SerializationError, match="more than 200 records"):
        avro.encode(event)
    more = Limits(max_depth=300)
    body = avro.encoder_for(cls, limits=more)(event)
    with pytest.raises(DeserializationError, match="more than 200 records"):
        avro.decode(cls, body)
    assert avro.decoder_for(cls, limits=more)(body) == event


@pytest.mark.usefixtures("executor")
def test_depth_beyond_the_stack_is_our_error() -> None:
    """A limit that is too generous does not end in a RecursionError."""
    cls = event_class(record(("value", "int"), ("next", ["null", "R"])))
    generous = Limits(max_depth=1_000_000)
    with pytest.raises(DeserializationError, match="nested too deeply"):
        avro.decoder_for(cls, limits=generous)(b"\x00\x02" * 100_000 + b"\x00\x00")
    text = '{"type": "array", "items": ' * 900 + '"int"' + "}" * 900
    with pytest.raises(InvalidSchemaError, match="nested too deeply"):
        parse_schema(text, limits=Limits(max_schema_depth=100_000))


@pytest.mark.usefixtures("executor")
def test_a_schema_may_be_as_large_and_as_deep_as_its_limits_say() -> None:
    """The writer's schema comes from outside, so it is bounded as a payload is."""
    cls = event_class(record(("f", "int")))
    text = json.dumps({**record(("f", "int"), ("g", "int")), "doc": "x" * 1000})
    assert avro.decode(cls, b"\x02\x04", text) == cls(f=1)
    with pytest.raises(InvalidSchemaError, match="more than 1000"):
        avro.decoder_for(cls, text, limits=Limits(max_schema_length=1000))
    nested: Any = "int"
    for _ in range(10):
        nested = {"type": "array", "items": nested}
    deep = json.dumps(record(("f", "int"), ("g", nested)))
    avro.decoder_for(cls, deep)
    with pytest.raises(InvalidSchemaError, match="nested too deeply"):
        avro.decoder_for(cls, deep, limits=Limits(max_schema_depth=5))


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "many"])
def test_a_limit_is_a_positive_whole_number(value: Any) -> None:
    """Nothing is unlimited by mistake."""
    with pytest.raises(ConfigurationError, match="max_depth"):
        Limits(max_depth=value)


def test_the_limits_are_the_codec_table_of_the_settings(tmp_path: Path) -> None:
    """A service raises them as it sets anything else; a wrong one is told by its path."""
    file = tmp_path / "settings.toml"
    text = '[default.kafka]\nbootstrap_servers = "embedded"\n[default.registry]\nurl = "embedded"\n'
    file.write_text(f"{text}[default.codec]\nmax_depth = 300\n")
    assert load_settings("embedded", settings=file, environ={}).codec == Limits(max_depth=300)
    file.write_text(f"{text}[default.codec]\nmax_depth = 0\n")
    with pytest.raises(ConfigurationError, match=r"codec\.max_depth.*must be a whole number"):
        load_settings("embedded", settings=file, environ={})


def test_a_connected_service_is_held_to_its_limits() -> None:
    """The settings reach the codec of record values."""
    with RegistryServer() as server:
        settings = Settings(
            environment="x",
            kafka=KafkaOptions(bootstrap_servers=("nowhere:1",)),
            registry=RegistryOptions(url=(server.url,), auto_register=True),
            codec=Limits(max_depth=2),
        )
        serializers = Serializers(settings, Catalog([]))
        with contextlib.closing(serializers):
            two = Node(value=1, next=Node(value=2))
            assert serializers.values.encode(two, "t", [])
            with pytest.raises(SerializationError, match="more than 2 records"):
                serializers.values.encode(Node(value=0, next=two), "t", [])
