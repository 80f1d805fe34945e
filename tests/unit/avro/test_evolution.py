"""Two verdicts on one change, told apart, and the checks that a compatibility level asks for."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from attrs import field as attribute
from attrs import frozen
from hypothesis import given

from sdk.avro.resolution.evolution import LEVELS, comparisons, compatibility
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from sdk.errors import IncompatibleSchemaError, SchemaError
from tests.unit.avro.schemas import pairs


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    """A record of some fields."""
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    """A field."""
    return {"name": name, "type": kind, **more}


def one(kind: Any, **more: Any) -> dict[str, Any]:
    """A record with one field ``x``."""
    return record(field("x", kind, **more))


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    """An enum called E."""
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """A type with an annotation."""
    return {"type": kind, "logicalType": name, **more}


MILLIS = logical("long", "timestamp-millis")
MICROS = logical("long", "timestamp-micros")
DECIMAL = logical("bytes", "decimal", precision=10, scale=2)

# writer, reader, rule, severity, path: findings that no registry reports
FINDINGS: dict[str, tuple[Any, Any, str, str, str]] = {
    "timestamp unit": (one(MILLIS), one(MICROS), "C201", "error", "/fields/0/type"),
    "timestamp unit in a nullable": (
        one(["null", MILLIS]),
        one(["null", MICROS]),
        "C201",
        "error",
        "/fields/0/type/1",
    ),
    "date to timestamp": (
        one(logical("int", "date")),
        one(MILLIS),
        "C201",
        "error",
        "/fields/0/type",
    ),
    "timestamp to plain": (one(MILLIS), one("long"), "C201", "warning", "/fields/0/type"),
    "plain to uuid": (
        one("string"),
        one(logical("string", "uuid")),
        "C201",
        "warning",
        "/fields/0/type",
    ),
    "timestamp unit in an array": (
        one({"type": "array", "items": MILLIS}),
        one({"type": "array", "items": MICROS}),
        "C201",
        "error",
        "/fields/0/type/items",
    ),
    "timestamp unit in a map": (
        one({"type": "map", "values": MILLIS}),
        one({"type": "map", "values": MICROS}),
        "C201",
        "error",
        "/fields/0/type/values",
    ),
    "decimal scale": (
        one(DECIMAL),
        one({**DECIMAL, "scale": 4}),
        "C202",
        "error",
        "/fields/0/type",
    ),
    "decimal precision in a nullable": (
        one(["null", DECIMAL]),
        one(["null", {**DECIMAL, "precision": 4}]),
        "C202",
        "error",
        "/fields/0/type/1",
    ),
    "namespace": (record(name="a.R"), record(name="b.R"), "C203", "warning", ""),
    "probable rename": (
        one("int"),
        record(field("xx", "int", default=0)),
        "C204",
        "warning",
        "/fields/0",
    ),
    "default changed": (
        one("int", default=1),
        one("int", default=2),
        "C205",
        "warning",
        "/fields/0/default",
    ),
    "long to double": (one("long"), one("double"), "C206", "warning", "/fields/0/type"),
    "bytes to string": (one("bytes"), one("string"), "C207", "warning", "/fields/0/type"),
    "enum default absorbs": (
        one(enum("A", "B")),
        one(enum("A", default="A")),
        "C208",
        "info",
        "/fields/0/type/symbols",
    ),
    "alias": (
        one("int"),
        record(field("y", "int", aliases=["x"])),
        "C216",
        "info",
        "/fields/0",
    ),
}


class TestTwoVerdicts:
    @pytest.mark.parametrize(
        ("writer", "reader", "rule", "severity", "path"), FINDINGS.values(), ids=FINDINGS
    )
    def test_what_no_registry_tells(
        self, writer: Any, reader: Any, rule: str, severity: str, path: str
    ) -> None:
        """The registry accepts the change; our reader reports a finding with its path."""
        verdict = compatibility(reader, writer)
        assert verdict.registry_accepts
        (finding,) = verdict.reader
        assert (finding.rule, finding.severity, finding.path) == (rule, severity, path)
        assert verdict.reader_accepts == (severity != "error")
        assert bool(verdict) == verdict.ok == (severity != "error")

    @pytest.mark.parametrize(
        ("writer", "reader"),
        [
            (one("long"), one("int")),
            (one(["null", "int"]), one("int")),
            (one(enum("A", "B")), one(enum("A"))),
            (record(), one("int")),
            (one({"type": "array", "items": "int"}), one({"type": "array", "items": "string"})),
        ],
    )
    def test_what_both_refuse(self, writer: Any, reader: Any) -> None:
        """Both report it in their own terms."""
        verdict = compatibility(reader, writer)
        assert not verdict.registry_accepts
        assert [finding.rule for finding in verdict.errors] == ["C200"]

    def test_what_only_the_registry_refuses(self) -> None:
        """A record's new name is no hindrance to our reader."""
        verdict = compatibility(record(name="a.S"), record(name="a.R"))
        assert [each.rule for each in verdict.registry] == ["C103"]
        assert verdict.reader_accepts
        assert not verdict.ok

    def test_a_change_without_meaning(self) -> None:
        """Docs and the order of symbols have no effect."""
        writer = one(enum("A", "B"), doc="old")
        assert compatibility(one(enum("B", "A")), writer).reader == ()

    def test_a_field_that_looks_like_no_other_is_no_rename(self) -> None:
        """A field of another type is no rename either."""
        gone = record(field("customer", "int"))
        assert compatibility(record(field("zone", "int", default=0)), gone).reader == ()
        other = record(field("customer_id", "string", default=""))
        assert compatibility(other, gone).reader == ()

    @given(pairs(logical=True))
    def test_without_errors_everything_is_readable(self, pair: tuple[Any, Any]) -> None:
        """The verdict is the resolver's: what resolves wholly has no finding that it cannot."""
        writer, reader = (parse_schema(json.dumps(each)) for each in pair)
        verdict = compatibility(reader, writer)
        try:
            resolve(writer, reader)
        except IncompatibleSchemaError:
            assert not verdict.reader_accepts

    @given(pairs(logical=True))
    def test_what_our_reader_cannot_read_a_registry_refuses_or_c2xx_explains(
        self, pair: tuple[Any, Any]
    ) -> None:
        """No refusal is without a reason that one of the two verdicts names."""
        writer, reader = (parse_schema(json.dumps(each)) for each in pair)
        verdict = compatibility(reader, writer)
        unreadable = [finding for finding in verdict.errors if finding.rule == "C200"]
        assert not unreadable or not verdict.registry_accepts


@frozen
class Contract:
    """The schema parts of a generated class."""

    full_name: str
    schema: str
    references: tuple[Contract, ...] = attribute(default=())


STREET = Contract("s.Street", json.dumps(record(field("no", "int"), name="s.Street")))
ADDRESS = Contract(
    "s.Address", json.dumps(record(field("street", "s.Street"), name="s.Address")), (STREET,)
)


class OrderV1:
    """An event class with references to shared types."""

    __event__: ClassVar[Contract] = Contract(
        "o.Order", json.dumps(record(field("to", "s.Address"), name="o.Order")), (ADDRESS, STREET)
    )


class TestSources:
    def test_event_classes_bring_their_references(self) -> None:
        """Shared types resolve through the contract of the class."""
        assert compatibility(OrderV1, OrderV1).ok

    @pytest.mark.parametrize(
        "source", ['{"type": "int"}', {"type": "int"}, parse_schema('"int"'), ["int"]]
    )
    def test_text_json_values_and_nodes(self, source: Any) -> None:
        """Schemas can be given as JSON text, JSON values or nodes."""
        assert compatibility('"long"', source).registry_accepts

    def test_other_classes_are_refused(self) -> None:
        """The error is ours and has a remedy."""
        with pytest.raises(SchemaError, match="not an event class") as caught:
            compatibility(int, '"int"')
        assert caught.value.remedy


class TestLevels:
    @pytest.mark.parametrize(
        ("level", "compared"),
        [
            ("NONE", []),
            ("BACKWARD", [(3, "backward")]),
            ("BACKWARD_TRANSITIVE", [(3, "backward"), (2, "backward"), (1, "backward")]),
            ("FORWARD", [(3, "forward")]),
            ("FORWARD_TRANSITIVE", [(3, "forward"), (2, "forward"), (1, "forward")]),
            ("FULL", [(3, "forward"), (3, "backward")]),
            (
                "FULL_TRANSITIVE",
                [
                    (3, "forward"),
                    (3, "backward"),
                    (2, "forward"),
                    (2, "backward"),
                    (1, "forward"),
                    (1, "backward"),
                ],
            ),
        ],
    )
    def test_what_is_compared(self, level: str, compared: list[tuple[int, str]]) -> None:
        """The latest version, or every one; newest first, forward before backward."""
        found = comparisons(level, [1, 2, 3])
        assert [(each, way) for each, ways in found for way in ways] == compared

    def test_the_first_version_has_nothing_to_be_compared_with(self) -> None:
        """The first version is compatible under every level."""
        assert not [pair for level in LEVELS for pair in comparisons(level, [])]
