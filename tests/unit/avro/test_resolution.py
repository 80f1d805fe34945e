"""Resolution: for each rule of the specification, and each choice of ours, what is decided."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.avro.resolution.actions import ReadRecord, ReadUnion, Resolution, Unreadable
from sdk.avro.resolution.resolver import attempt, resolve
from sdk.avro.schema import parse_schema
from sdk.errors import IncompatibleSchemaError
from tests.unit.avro.schemas import pairs, schemas
from tests.unit.avro.wire import UnreadableValueError, bodies, long, read, text


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    """A record of some fields."""
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    """A field."""
    return {"name": name, "type": kind, **more}


def enum(*symbols: str, name: str = "E", **more: Any) -> dict[str, Any]:
    """An enum."""
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def fixed(size: int, name: str = "F", **more: Any) -> dict[str, Any]:
    """A fixed."""
    return {"type": "fixed", "name": name, "size": size, **more}


def resolved(writer: Any, reader: Any) -> Resolution:
    """The resolution of two schemas given as JSON values."""
    return resolve(parse_schema(json.dumps(writer)), parse_schema(json.dumps(reader)))


def got(writer: Any, reader: Any, body: bytes) -> Any:
    """The value of a body."""
    return read(resolved(writer, reader), body)


def refusal(writer: Any, reader: Any) -> IncompatibleSchemaError:
    """The error of a pair that can never be read."""
    with pytest.raises(IncompatibleSchemaError) as caught:
        resolved(writer, reader)
    assert caught.value.remedy
    return caught.value


PROMOTED = [
    ("int", "long", long(5), 5),
    ("int", "float", long(16777217), 16777216.0),
    ("int", "double", long(16777217), 16777217.0),
    ("long", "float", long(2**40 + 1), 1099511627776.0),
    ("long", "double", long(5), 5.0),
    ("float", "double", struct.pack("<f", 0.5), 0.5),
    ("string", "bytes", text("é"), "Ã©"),
    ("bytes", "string", text("é"), "é"),
]
PROMOTIONS = {(writer, reader) for writer, reader, _, _ in PROMOTED}
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class TestPrimitives:
    @pytest.mark.parametrize(("writer", "reader", "body", "value"), PROMOTED)
    def test_promotions(self, writer: str, reader: str, body: bytes, value: Any) -> None:
        """The specification's eight; what becomes a float is rounded to 32 bits."""
        assert got(writer, reader, body) == value

    def test_nothing_else_is_promoted(self) -> None:
        """Every other pair of different primitives can never be read."""
        for writer in PRIMITIVES:
            for reader in PRIMITIVES:
                if writer != reader and (writer, reader) not in PROMOTIONS:
                    error = refusal(writer, reader)
                    assert f"{writer} cannot be read as {reader}" in error.message

    @pytest.mark.parametrize(
        ("writer", "reader"),
        [
            ("long", {"type": "long", "logicalType": "timestamp-millis"}),
            (
                {"type": "long", "logicalType": "timestamp-millis"},
                {"type": "long", "logicalType": "timestamp-micros"},
            ),
            ({"type": "long", "logicalType": "timestamp-millis"}, "long"),
            (
                {"type": "int", "logicalType": "date"},
                {"type": "long", "logicalType": "timestamp-millis"},
            ),
            ("string", {"type": "string", "logicalType": "uuid"}),
            ("bytes", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
        ],
    )
    def test_the_readers_logical_type_converts(self, writer: Any, reader: Any) -> None:
        """The writer's annotation does not count; the raw value is taken over."""
        expected = parse_schema(json.dumps(reader))
        node = resolved(writer, reader).root
        assert node.reader.logical == expected.logical  # type: ignore[union-attr]

    @pytest.mark.parametrize("changed", [{"precision": 6}, {"scale": 3}])
    def test_decimals_must_agree(self, changed: dict[str, int]) -> None:
        """Another scale would misread every amount; the specification says no match."""
        writer = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
        assert "decimals differ" in refusal(writer, {**writer, **changed}).message
        in_fixed = fixed(8, logicalType="decimal", precision=4, scale=2)
        assert "decimals differ" in refusal(in_fixed, {**in_fixed, **changed}).message


class TestNamedTypes:
    def test_fixed_of_another_size(self) -> None:
        """Sizes must agree."""
        assert refusal(fixed(4), fixed(8)).path == "/size"

    @pytest.mark.parametrize("make", [lambda **n: fixed(1, **n), lambda **n: enum("A", **n)])
    def test_enum_and_fixed_need_their_unqualified_name_or_an_alias(self, make: Any) -> None:
        """A namespace may change, a name needs an alias, and an alias is a full name."""
        resolved(make(name="a.N"), make(name="b.N"))
        resolved(make(name="a.N"), make(name="b.M", aliases=["a.N"]))
        refusal(make(name="a.N"), make(name="a.M"))
        refusal(make(name="a.N"), make(name="b.M", aliases=["N"]))

    def test_symbols_are_matched_by_name(self) -> None:
        """Order does not matter, and unknown symbols become the default."""
        assert got(enum("A", "B"), enum("B", "A"), long(0)) == "A"
        assert got(enum("A", "X"), enum("U", "A", default="U"), long(1)) == "U"

    def test_an_unknown_symbol_without_default_fails_when_it_arrives(self) -> None:
        """An unknown symbol is an error only when it arrives."""
        assert got(enum("A", "X"), enum("A"), long(0)) == "A"
        with pytest.raises(UnreadableValueError):
            got(enum("A", "X"), enum("A"), long(1))

    def test_an_enum_of_which_nothing_can_be_read(self) -> None:
        """That is an error at once."""
        assert refusal(enum("X"), enum("A")).path == "/symbols"

    def test_records_match_whatever_they_are_called(self) -> None:
        """Java's decoder never asks; which class to read is the caller's choice."""
        body = text("k")
        assert got(record(field("x", "string")), record(field("x", "string"), name="S"), body)


class TestRecords:
    def test_fields_are_matched_by_name(self) -> None:
        """Fields may be in any order; unknown ones are skipped, missing ones have defaults."""
        writer = record(field("a", "int"), field("gone", {"type": "array", "items": "string"}))
        reader = record(field("new", "string", default="d"), field("a", "long"))
        body = long(7) + long(1) + text("skipped") + b"\0"
        assert got(writer, reader, body) == {"new": "d", "a": 7}

    def test_a_missing_field_without_default(self) -> None:
        """The path is that of the reader's field."""
        error = refusal(record(), record(field("a", ["null", "int"])))
        assert error.path == "/fields/0"
        assert "no default" in error.message

    def test_a_bad_default_is_found_when_it_is_needed(self) -> None:
        """Schemas of registries may have one; it matters only to old data."""
        reader = record(field("a", "int", default="x"))
        assert got(reader, reader, long(1)) == {"a": 1}
        assert refusal(record(), reader).path == "/fields/0/default"

    def test_an_alias_takes_the_old_field(self) -> None:
        """It renames the writer's field, in whatever namespace the record is now."""
        reader = record(field("b", "int", aliases=["a"]), name="n.R")
        assert got(record(field("a", "int")), reader, long(1)) == {"b": 1}

    def test_an_alias_takes_a_field_even_from_its_own_name(self) -> None:
        """As in Java, the rename comes first: then the original is missing."""
        reader = record(field("x", "int"), field("y", "int", aliases=["x"], default=0))
        assert refusal(record(field("x", "int")), reader).path == "/fields/0"
        assert got(reader, reader, long(1) + long(2)) == {"x": 1, "y": 2}

    def test_two_old_fields_for_one_new(self) -> None:
        """Which of them counts cannot be told."""
        writer = record(field("x", "int"), field("y", "int"))
        error = refusal(writer, record(field("y", "int", aliases=["x"])))
        assert error.path == "/fields/0"
        assert "two written fields" in error.message

    def test_a_nested_error_has_its_path(self) -> None:
        """The path leads from the root of the reader's schema to the difference."""
        inner = record(field("q", "int"), name="N")
        other = record(field("q", "string"), name="N")
        writer = record(field("a", "int"), field("n", inner))
        reader = record(field("n", other), field("a", "int"))
        assert refusal(writer, reader).path == "/fields/0/type/fields/0/type"


class TestContainers:
    @pytest.mark.parametrize("kind", ["array", "map"])
    def test_items_that_cannot_be_read_fail_when_one_arrives(self, kind: str) -> None:
        """An empty array or map of any type can be read."""
        key = "items" if kind == "array" else "values"
        writer, reader = {"type": kind, key: "int"}, {"type": kind, key: "string"}
        assert got(writer, reader, b"\0") in ([], {})
        item = long(5) if kind == "array" else text("k") + long(5)
        with pytest.raises(UnreadableValueError, match="int cannot be read as string"):
            got(writer, reader, long(1) + item + b"\0")

    def test_an_array_is_no_map(self) -> None:
        """Containers do not change kind."""
        refusal({"type": "array", "items": "int"}, {"type": "map", "values": "int"})


class TestWritersUnion:
    def test_a_branch_that_cannot_be_read_fails_when_it_arrives(self) -> None:
        """A null of [null, int] reads under [null, string]."""
        assert got(["null", "int"], ["null", "string"], long(0)) is None
        with pytest.raises(UnreadableValueError):
            got(["null", "int"], ["null", "string"], long(1) + long(5))

    def test_a_union_may_lose_its_null(self) -> None:
        """Values are read until a null arrives."""
        assert got(["null", "int"], "int", long(1) + long(5)) == 5
        with pytest.raises(UnreadableValueError):
            got(["null", "int"], "int", long(0))

    def test_no_branch_can_be_read(self) -> None:
        """That is an error at once."""
        refusal(["null", "int"], "string")

    def test_equivalent_unions_are_read_branch_by_branch(self) -> None:
        """The structure decides, even if names alone would not identify the record."""
        writer = [
            record(field("k", "int"), name="a.N"),
            record(field("k", "int"), name="b.N"),
        ]
        reader = [
            record(field("k", "int"), name="c.N"),
            record(field("k", "int"), name="d.N"),
        ]
        assert got(writer, reader, long(0) + long(1)) == {"c.N": {"k": 1}}
        assert got(writer, reader, long(1) + long(1)) == {"d.N": {"k": 1}}

    @pytest.mark.parametrize(("kind", "taken"), [("int", "b.N"), ("long", "a.N")])
    def test_unions_that_differ_far_inside_are_not_equivalent(self, kind: str, taken: str) -> None:
        """If unions differ deep inside, full names decide, not the positions of branches."""

        def union(inner: str, *spaces: str) -> list[Any]:
            return [
                record(
                    field("next", ["null", f"{space}.N"]),
                    field("i", record(field("y", inner), name=f"{space}.I")),
                    name=f"{space}.N",
                )
                for space in spaces
            ]

        body = long(0) + long(0) + long(1)
        value = got(union("int", "a", "b"), union(kind, "b", "a"), body)
        assert value == {taken: {"next": None, "i": {"y": 1}}}


K = field("k", "int")


class TestReadersUnion:
    @pytest.mark.parametrize(
        ("writer", "reader", "branch"),
        [
            ("string", ["bytes", "string"], 1),
            ("int", ["long", "int"], 1),
            ("int", ["double", "long"], 0),
            ("int", ["string", "float", "double"], 1),
            ("bytes", ["null", "string"], 1),
            (record(K, name="a.A"), [record(K, name="b.A"), record(K, name="a.A")], 1),
            (record(K, name="a.A"), [record(K, name="b.A"), record(K, name="c.A")], 1),
            (record(K, name="a.A"), [record(K, name="a.B"), record(K, name="b.A")], 1),
            (record(K, name="a.A"), [record(K, name="b.B")], 0),
            (
                record(K, name="a.A"),
                [record(field("z", "int"), name="b.A"), record(K, name="b.B")],
                1,
            ),
            (
                record(K, name="a.A"),
                [record(K, name="b.A"), record(K, name="c.C", aliases=["a.A"])],
                1,
            ),
            (enum("A", name="a.E"), ["null", enum("A", name="b.E")], 1),
            (enum("A", name="a.E"), [enum("A", name="b.E"), enum("A", name="a.E")], 1),
            (fixed(2, name="a.F"), [fixed(3, name="c.F"), fixed(2, name="b.F")], 1),
            ({"type": "array", "items": "int"}, ["int", {"type": "array", "items": "long"}], 1),
        ],
    )
    def test_which_branch_takes_the_value(self, writer: Any, reader: Any, branch: int) -> None:
        """Full name, type, unqualified name (the last), fitting record, first promotion."""
        node = resolved(writer, reader).root
        assert node.index == branch  # type: ignore[union-attr]

    def test_an_exact_name_is_final(self) -> None:
        """If that record cannot be read, no other is tried."""
        writer = record(K, name="a.A")
        reader = [record(field("z", "int"), name="a.A"), record(K, name="a.B")]
        assert refusal(writer, reader).path == "/0/fields/0"

    @pytest.mark.parametrize("writer", ["boolean", enum("A", name="X"), fixed(1, name="X")])
    def test_no_branch_fits(self, writer: Any) -> None:
        """Enums and fixed are never matched by structure."""
        refusal(writer, ["null", "string", enum("A"), fixed(1)])

    def test_decimals_must_agree_in_unions_too(self) -> None:
        """The null still reads."""
        decimal = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
        node = resolved(["null", decimal], ["null", {**decimal, "scale": 3}]).root
        assert isinstance(node, ReadUnion)
        assert isinstance(node.branches[1], Unreadable)
        assert node.branches[1].rule == "C202"


class TestRecursion:
    LIST = record(field("v", "int"), field("next", ["null", "R"]))

    def test_a_pair_of_records_is_resolved_once(self) -> None:
        """Recursion refers back to it."""
        wide = record(field("v", "long"), field("next", ["null", "R"]))
        resolution = resolved(self.LIST, wide)
        assert resolution.root == ReadRecord(0)
        assert len(resolution.records) == 1
        body = long(1) + long(1) + long(2) + long(0)
        expected = {"v": 1, "next": {"R": {"v": 2, "next": None}}}
        assert read(resolution, body) == expected

    def test_a_recursive_pair_that_can_never_be_read(self) -> None:
        """The error inside is found although it is behind a cycle."""
        other = record(field("v", "string"), field("next", ["null", "R"]))
        assert refusal(self.LIST, other).path == "/fields/0/type"

    def test_mutual_recursion(self) -> None:
        """Each pair of mutually recursive records is resolved once."""
        b = record(field("a", ["null", "A"]), field("again", ["null", "B"]), name="B")
        a = record(field("b", b), field("self", ["null", "A"]), name="A")
        assert len(resolved(a, a).records) == 2

    def test_many_ways_to_one_record_cost_nothing(self) -> None:
        """Twice as many paths at each of sixty levels: the result has sixty records."""
        levels = [record(field("x", "int"), name="R0")]
        for level in range(1, 60):
            kind = f"R{level - 1}"
            levels.append(record(field("a", kind), field("b", ["null", kind]), name=f"R{level}"))
        schema = parse_schema(json.dumps(levels))
        other = parse_schema(json.dumps(levels).replace('"int"', '"long"'))
        assert len(resolve(schema, other).records) == 60

    def test_a_chain_of_thousands_does_not_exhaust_the_stack(self) -> None:
        """Records are queued, not descended into, and errors come back from the far end."""
        chain = [record(field("x", f"R{level + 1}"), name=f"R{level}") for level in range(1500)]
        chain.append(record(field("x", "int"), name="R1500"))
        schema = parse_schema(json.dumps(chain)).branches[0]  # type: ignore[union-attr]
        assert len(resolve(schema, schema).records) == 1501
        other = parse_schema(json.dumps(chain).replace('"int"', '"string"'))
        with pytest.raises(IncompatibleSchemaError) as caught:
            resolve(schema, other.branches[0])  # type: ignore[union-attr]
        assert (caught.value.path or "").count("/fields/0") == 1501


class TestProperties:
    @given(st.data())
    def test_a_schema_reads_its_own_data(self, data: st.DataObject) -> None:
        """Resolving a schema with itself never fails and loses nothing."""
        source = data.draw(schemas(logical=True))
        schema, again = parse_schema(json.dumps(source)), parse_schema(json.dumps(source))
        body = data.draw(bodies(schema))
        assert read(resolve(schema, again), body) == read(resolve(schema, schema), body)

    @given(pairs(logical=True))
    def test_what_resolves_has_no_unreadable_record(self, pair: tuple[Any, Any]) -> None:
        """Unreadable parts stand only where they may never arrive."""
        writer, reader = (parse_schema(json.dumps(each)) for each in pair)
        resolution = attempt(writer, reader)
        if isinstance(resolution.root, Unreadable):
            with pytest.raises(IncompatibleSchemaError) as caught:
                resolve(writer, reader)
            assert caught.value.path == resolution.root.path
        else:
            for each in resolution.records[0].fields if resolution.records else ():
                if resolution.root == ReadRecord(0):
                    assert not isinstance(getattr(each, "value", None), Unreadable)
