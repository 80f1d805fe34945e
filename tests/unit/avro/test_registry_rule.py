"""The registry's rule: Java's verdicts, places and words, and Confluent's messages."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import pytest
from hypothesis import assume, given

from sdk.avro.resolution.registry_rule import MAX_REPORTED, Incompatibility, incompatibilities
from sdk.avro.schema import parse_schema
from tests.unit.avro.schemas import pairs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import avro.schema
    from avro.compatibility import ReaderWriterCompatibilityChecker


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


def found(writer: Any, reader: Any) -> list[tuple[str, str, str]]:
    """Type, location and message of everything that is refused."""
    new, old = parse_schema(json.dumps(reader)), parse_schema(json.dumps(writer))
    return [(each.type, each.location, each.message) for each in incompatibilities(new, old)]


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """A type with an annotation."""
    return {"type": kind, "logicalType": name, **more}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    """A decimal on bytes."""
    return logical("bytes", "decimal", precision=precision, scale=scale)


ID = field("id", "string")
N = record(ID, name="N")
M = record(ID, name="M")
F4 = {"type": "fixed", "name": "F", "size": 4}
F8 = {"type": "fixed", "name": "F", "size": 8}
LIST = record(field("v", "int"), field("next", ["null", "R"], default=None))
WIDE_LIST = record(field("v", "long"), field("next", ["null", "R"], default=None))


def mismatch(location: str, reader: str, writer: str) -> list[tuple[str, str, str]]:
    """One type mismatch."""
    message = f"reader type: {reader} not compatible with writer type: {writer}"
    return [("TYPE_MISMATCH", location, message)]


def missing(location: str, name: str) -> list[tuple[str, str, str]]:
    """One field without default."""
    return [("READER_FIELD_MISSING_DEFAULT_VALUE", location, name)]


def lacking(location: str, writer: str) -> list[tuple[str, str, str]]:
    """One union branch that is gone."""
    return [("MISSING_UNION_BRANCH", location, f"reader union lacking writer type: {writer}")]


UNKNOWN_C = [("MISSING_ENUM_SYMBOLS", "/fields/0/type/symbols", "[C]")]

# writer, reader, what Java answers
CASES: dict[str, tuple[Any, Any, list[tuple[str, str, str]]]] = {
    "field added with default": (record(ID), record(ID, field("x", "int", default=7)), []),
    "field added without default": (
        record(ID),
        record(ID, field("x", "int")),
        missing("/fields/1", "x"),
    ),
    "nullable added without default": (
        record(ID),
        record(ID, field("x", ["null", "int"])),
        missing("/fields/1", "x"),
    ),
    "field dropped": (record(ID, field("x", "int")), record(ID), []),
    "fields reordered": (record(ID, field("x", "int")), record(field("x", "int"), ID), []),
    "rename without alias": (
        record(ID, field("old", "int")),
        record(ID, field("new", "int")),
        missing("/fields/1", "new"),
    ),
    "rename without alias but default": (
        record(ID, field("old", "int")),
        record(ID, field("new", "int", default=0)),
        [],
    ),
    "rename with reader alias": (
        record(ID, field("old", "int")),
        record(ID, field("new", "int", aliases=["old"])),
        [],
    ),
    "rename with alias, the other way": (
        record(ID, field("new", "int", aliases=["old"])),
        record(ID, field("old", "int")),
        missing("/fields/1", "old"),
    ),
    "int to long": (one("int"), one("long"), []),
    "int to float": (one("int"), one("float"), []),
    "long to double": (one("long"), one("double"), []),
    "float to double": (one("float"), one("double"), []),
    "long to int": (one("long"), one("int"), mismatch("/fields/0/type", "INT", "LONG")),
    "double to float": (one("double"), one("float"), mismatch("/fields/0/type", "FLOAT", "DOUBLE")),
    "string to bytes": (one("string"), one("bytes"), []),
    "bytes to string": (one("bytes"), one("string"), []),
    "int to string": (one("int"), one("string"), mismatch("/fields/0/type", "STRING", "INT")),
    "T to nullable T": (one("int"), one(["null", "int"]), []),
    "nullable T to T": (
        one(["null", "int"]),
        one("int"),
        mismatch("/fields/0/type/0", "INT", "NULL"),
    ),
    "union branch added": (one(["null", "int"]), one(["null", "int", "string"]), []),
    "union branch removed": (
        one(["null", "int", "string"]),
        one(["null", "int"]),
        lacking("/fields/0/type/2", "STRING"),
    ),
    "union branches reordered": (one(["null", "int"]), one(["int", "null"]), []),
    "union int to union long": (one(["null", "int"]), one(["null", "long"]), []),
    "enum symbol added": (one(enum("A")), one(enum("A", "B")), []),
    "enum symbol removed": (one(enum("A", "B", "C")), one(enum("A", "B")), UNKNOWN_C),
    "enum symbol removed, enum default": (
        one(enum("A", "B", "C")),
        one(enum("A", "B", default="A")),
        [],
    ),
    "enum symbol removed, field default only": (
        one(enum("A", "B", "C")),
        one(enum("A", "B"), default="A"),
        UNKNOWN_C,
    ),
    "new enum field with enum default only": (
        record(ID),
        record(ID, field("e", enum("A", default="A"))),
        mismatch("/fields/1/type", "ENUM", "RECORD"),
    ),
    "enum in nullable union, unknown symbol, enum default": (
        one(["null", enum("A", "C")]),
        one(["null", enum("A", default="A")]),
        [],
    ),
    "enum symbols reordered": (one(enum("A", "B")), one(enum("B", "A")), []),
    "enum to string": (
        one(enum("A")),
        one("string"),
        mismatch("/fields/0/type", "STRING", "ENUM"),
    ),
    "string to enum": (one("string"), one(enum("A")), mismatch("/fields/0/type", "ENUM", "STRING")),
    "namespace changed": (record(ID, name="a.R"), record(ID, name="b.R"), []),
    "record renamed": (
        record(ID, name="a.R"),
        record(ID, name="a.S"),
        [("NAME_MISMATCH", "/name", "expected: a.R")],
    ),
    "record renamed with alias": (
        record(ID, name="a.R"),
        record(ID, name="a.S", aliases=["R"]),
        [],
    ),
    "record renamed and moved with full alias": (
        record(ID, name="a.R"),
        record(ID, name="b.S", aliases=["a.R"]),
        [],
    ),
    "unqualified alias in another namespace": (
        record(ID, name="a.R"),
        record(ID, name="b.S", aliases=["R"]),
        [("NAME_MISMATCH", "/name", "expected: a.R")],
    ),
    "nested record renamed": (
        one(N),
        one(M),
        [("NAME_MISMATCH", "/fields/0/type/name", "expected: N")],
    ),
    "nested record renamed in a union": (
        one(["null", N]),
        one(["null", M]),
        lacking("/fields/0/type/1", "RECORD"),
    ),
    "nested record's namespace changed": (one(N), one({**N, "namespace": "x"}), []),
    "fixed size changed": (
        one(F8),
        one(F4),
        [("FIXED_SIZE_MISMATCH", "/fields/0/type/size", "expected: 8, found: 4")],
    ),
    "array items widened": (
        one({"type": "array", "items": "int"}),
        one({"type": "array", "items": "long"}),
        [],
    ),
    "array items narrowed": (
        one({"type": "array", "items": "long"}),
        one({"type": "array", "items": "int"}),
        mismatch("/fields/0/type/items", "INT", "LONG"),
    ),
    "array to map": (
        one({"type": "array", "items": "int"}),
        one({"type": "map", "values": "int"}),
        mismatch("/fields/0/type", "MAP", "ARRAY"),
    ),
    "map values of an enum with an unknown symbol": (
        one({"type": "map", "values": enum("A", "C")}),
        one({"type": "map", "values": enum("A")}),
        [("MISSING_ENUM_SYMBOLS", "/fields/0/type/values/symbols", "[C]")],
    ),
    "timestamp unit changed": (
        one(logical("long", "timestamp-millis")),
        one(logical("long", "timestamp-micros")),
        [],
    ),
    "decimal scale changed": (one(decimal(9, 2)), one(decimal(9, 4)), []),
    "date to timestamp": (
        one(logical("int", "date")),
        one(logical("long", "timestamp-millis")),
        [],
    ),
    "string to uuid": (one("string"), one(logical("string", "uuid")), []),
    "default changed": (one("int", default=7), one("int", default=8), []),
    "recursive widened": (LIST, WIDE_LIST, []),
    "recursive narrowed": (WIDE_LIST, LIST, mismatch("/fields/0/type", "INT", "LONG")),
    "top union to record": (["null", N], N, mismatch("/0", "RECORD", "NULL")),
    "several symbols are sorted": (
        one(enum("Z", "A", "M", "B")),
        one(enum("A")),
        [("MISSING_ENUM_SYMBOLS", "/fields/0/type/symbols", "[B, M, Z]")],
    ),
}


class TestVerdicts:
    @pytest.mark.parametrize(("writer", "reader", "expected"), CASES.values(), ids=CASES)
    def test_javas_answer(
        self, writer: Any, reader: Any, expected: list[tuple[str, str, str]]
    ) -> None:
        """Type, location and message are Java's."""
        assert found(writer, reader) == expected

    def test_a_pair_met_twice_keeps_its_first_place(self) -> None:
        """Java remembers results by pair, so both fields report the place of the first."""
        writer = record(field("a", N), field("b", "N"))
        reader = record(field("a", record(field("id", "int"), name="N")), field("b", "N"))
        place = "/fields/0/type/fields/0/type"
        assert found(writer, reader) == mismatch(place, "INT", "STRING") * 2

    def test_a_pair_met_in_a_union_first_has_its_place_from_there(self) -> None:
        """Branches are tried at the root, and the place is remembered with the result."""
        writer = record(field("a", ["null", F8]), field("b", "F"))
        reader = record(field("a", ["null", F4]), field("b", "F"))
        assert found(writer, reader) == [
            *lacking("/fields/0/type/1", "FIXED"),
            ("FIXED_SIZE_MISMATCH", "/size", "expected: 8, found: 4"),
        ]

    def test_a_field_that_was_written_under_two_names(self) -> None:
        """Java raises an exception here, and the registry reports it."""
        writer = record(field("x", "int"), field("y", "int"))
        reader = parse_schema(record(field("y", "int", aliases=["x"])))
        (only,) = incompatibilities(reader, parse_schema(writer))
        assert only.type == "AMBIGUOUS_FIELD"
        assert only.registry_message().startswith(
            "Unexpected exception during compatibility check: Reader record field y type:INT pos:0 "
            'matches multiple fields in writer record schema {"type":"record"'
        )

    def test_reports_of_a_hostile_pair_are_bounded(self) -> None:
        """Each level repeats the one below twice; the list stays bounded."""
        levels = [record(field("x", "int"), name="R0")]
        for level in range(1, 40):
            kind = f"R{level - 1}"
            levels.append(record(field("a", kind), field("b", kind), name=f"R{level}"))
        writer = parse_schema(levels).branches[-1]  # type: ignore[union-attr]
        text = json.dumps(levels).replace('"int"', '"string"')
        reader = parse_schema(text).branches[-1]  # type: ignore[union-attr]
        assert len(incompatibilities(reader, writer)) == MAX_REPORTED

    def test_a_chain_of_thousands_does_not_exhaust_the_stack(self) -> None:
        """Depth of types costs no Python frames."""
        chain = [record(field("x", f"R{level + 1}"), name=f"R{level}") for level in range(1500)]
        chain.append(record(field("x", "int"), name="R1500"))
        schema = parse_schema(chain).branches[0]  # type: ignore[union-attr]
        other = parse_schema(chain).branches[0]  # type: ignore[union-attr]
        assert incompatibilities(schema, other) == ()

    @given(pairs(logical=True))
    def test_pythons_avro_agrees(self, pair: tuple[Any, Any]) -> None:
        """An independent port of Java's rule gives the same verdict and the same error types.

        But for an unqualified alias in another namespace, which it takes for the old name.
        """
        writer, reader = (json.dumps(each) for each in pair)
        assume(not re.search(r'"aliases": \["[A-Z]"\]', reader))
        mine = incompatibilities(parse_schema(reader), parse_schema(writer))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it reports logical types it does not know
                theirs = ReaderWriterCompatibilityChecker().get_compatibility(
                    avro.schema.parse(reader), avro.schema.parse(writer)
                )
        except avro.errors.AvroException:
            return  # it knows no forward references
        assert {each.type for each in mine} == {
            each.name.upper() for each in theirs.incompatibilities
        }
        assert (not mine) == (theirs.compatibility.name == "compatible")


class TestWords:
    @pytest.mark.parametrize(
        ("kind", "message", "description"),
        [
            (
                "READER_FIELD_MISSING_DEFAULT_VALUE",
                "x",
                "The field 'x' at path '/p' in the new schema has no default value and is missing "
                "in the old schema",
            ),
            (
                "TYPE_MISMATCH",
                "reader type: INT not compatible with writer type: LONG",
                "The type (path '/p') of a field in the new schema does not match with the old "
                "schema",
            ),
            (
                "NAME_MISMATCH",
                "expected: a.R",
                "The name of the schema has changed (path '/p')",
            ),
            (
                "MISSING_ENUM_SYMBOLS",
                "[C]",
                "The new schema is missing enum symbols '[C]' at path '/p' in the old schema",
            ),
            (
                "MISSING_UNION_BRANCH",
                "reader union lacking writer type: INT",
                "The new schema is missing a type inside a union field at path '/p' in the old "
                "schema",
            ),
            (
                "FIXED_SIZE_MISMATCH",
                "expected: 4, found: 8",
                "The size of FIXED type field at path '/p' in the new schema does not match with "
                "the old schema",
            ),
        ],
    )
    def test_confluents_words(self, kind: str, message: str, description: str) -> None:
        """The item of a registry's answer, to the letter."""
        item = Incompatibility(kind, "/p", message)
        assert item.registry_message() == (
            f"{{errorType:'{kind}', description:'{description}', additionalInfo:'{message}'}}"
        )
        swapped = item.describe("old", "new")
        assert swapped == description.replace("new", "NEW").replace("old", "new").replace(
            "NEW", "old"
        )

    def test_each_type_has_our_number(self) -> None:
        """C101 to C106, with a name for people."""
        item = Incompatibility("MISSING_ENUM_SYMBOLS", "/p", "[C]")
        assert (item.rule, item.name) == ("C104", "enum-symbol-removed")
