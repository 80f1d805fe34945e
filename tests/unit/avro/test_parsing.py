"""Parsing of schemas: what is accepted, what is refused, and how defects are reported."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.avro.schema import (
    NO_DEFAULT,
    ArraySchema,
    FixedSchema,
    LogicalType,
    PrimitiveSchema,
    RecordSchema,
    UnionSchema,
    check_schema,
    named_types,
    parse_schema,
)
from sdk.avro.schema.printing import to_json
from sdk.errors import InvalidSchemaError
from tests.unit.avro.schemas import schemas

CORPUS = Path(__file__).parents[2] / "data" / "corpus"


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    """A record of some fields."""
    return {"type": "record", "name": name, "fields": list(fields), **more}


def one(kind: Any, **more: Any) -> dict[str, Any]:
    """A record with one field ``x``."""
    return record({"name": "x", "type": kind, **more})


ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
FIXED = {"type": "fixed", "name": "F", "size": 4}
NESTED = record({"name": "q", "type": "int"}, name="N")


def fields_of(schema: object) -> dict[str, Any]:
    """The fields of a record by name."""
    assert isinstance(schema, RecordSchema)
    return {each.name: each for each in schema.fields}


class TestAccepted:
    def test_a_record_keeps_everything_its_author_wrote(self) -> None:
        """Docs, aliases, order, defaults and foreign attributes survive parsing."""
        schema = parse_schema(
            record(
                {
                    "name": "x",
                    "type": {"type": "long", "unit": "ms"},
                    "doc": "when",
                    "default": 0,
                    "order": "descending",
                    "aliases": ["y"],
                    "pii": True,
                },
                name="a.b.R",
                doc="a thing",
                aliases=["Old", "c.Older"],
                owner="team",
            )
        )
        assert isinstance(schema, RecordSchema)
        assert (schema.name, schema.doc) == ("a.b.R", "a thing")
        assert schema.aliases == ("a.b.Old", "c.Older")
        assert schema.props == {"owner": "team"}
        (field,) = schema.fields
        assert (field.doc, field.default, field.order) == ("when", 0, "descending")
        assert field.aliases == ("y",)
        assert field.props == {"pii": True}
        assert isinstance(field.schema, PrimitiveSchema)
        assert field.schema.props == {"unit": "ms"}

    def test_a_default_of_null_is_not_a_missing_default(self) -> None:
        """The two are told apart, because only one of them lets old data be read."""
        fields = fields_of(
            parse_schema(
                record({"name": "a", "type": "null", "default": None}, {"name": "b", "type": "int"})
            )
        )
        assert fields["a"].default is None
        assert fields["b"].default is NO_DEFAULT

    def test_names_inherit_the_namespace_around_them(self) -> None:
        """A nested name without dots belongs to the namespace of the type around it."""
        inner = {"type": "enum", "name": "E", "symbols": ["A"]}
        other = {"type": "fixed", "name": "F", "namespace": "z", "size": 1}
        root = {"type": "fixed", "name": "G", "namespace": "", "size": 1}
        schema = parse_schema(
            record(
                {"name": "e", "type": inner},
                {"name": "f", "type": other},
                {"name": "g", "type": root},
                {"name": "again", "type": "E"},
                {"name": "h", "type": "z.F"},
                name="a.R",
            )
        )
        assert [each.name for each in named_types(schema)] == ["a.R", "a.E", "z.F", "G"]
        fields = fields_of(schema)
        assert fields["again"].schema is fields["e"].schema

    def test_a_leading_dot_means_the_null_namespace(self) -> None:
        """A leading dot means the null namespace, as Java writes aliases without one."""
        schema = parse_schema(record(name=".R", namespace="a", aliases=["Old", ".Older"]))
        assert isinstance(schema, RecordSchema)
        assert (schema.name, schema.aliases) == ("R", ("Old", "Older"))

    def test_a_simple_name_falls_back_to_the_null_namespace(self) -> None:
        """Java looks there when the surrounding namespace has no such type."""
        schema = parse_schema(
            [{"type": "fixed", "name": "F", "size": 1}, one("F") | {"name": "a.R"}]
        )
        assert isinstance(schema, UnionSchema)
        assert fields_of(schema.branches[1])["x"].schema is schema.branches[0]

    def test_recursion_is_one_object(self) -> None:
        """A recursive type refers to itself, not to a copy."""
        schema = parse_schema(one(["null", "R"]))
        union = fields_of(schema)["x"].schema
        assert union.branches[1] is schema

    def test_a_type_may_be_used_before_it_is_defined(self) -> None:
        """Forward references resolve, as Java's parser allows since 1.12."""
        schema = parse_schema(record({"name": "a", "type": "E"}, {"name": "b", "type": ENUM}))
        fields = fields_of(schema)
        assert fields["a"].schema is fields["b"].schema

    def test_comments_are_white_space(self) -> None:
        """Block and line comments may stand wherever white space may, but not inside strings."""
        schema = parse_schema('/* a */ {"type": "long", // b\n "doc2": "// no /* comment */"}')
        assert isinstance(schema, PrimitiveSchema)
        assert schema.props == {"doc2": "// no /* comment */"}

    @pytest.mark.parametrize("name", ["Größe", "名前", "_x1", "a.string", "record"])
    def test_names_may_be_anything_java_lets_in(self, name: str) -> None:
        """Unicode letters, and type names inside a namespace, are legal in registries."""
        assert parse_schema({"type": "fixed", "name": name, "size": 1}, strict=True).name == name

    def test_an_identical_redefinition_is_the_first_definition(self) -> None:
        """Java accepts a type that is written out twice; docs and aliases may differ."""
        again = {**ENUM, "doc": "again", "aliases": ["Other"]}
        schema = parse_schema(record({"name": "a", "type": ENUM}, {"name": "b", "type": again}))
        fields = fields_of(schema)
        assert fields["a"].schema is fields["b"].schema
        assert fields["a"].schema.doc is None

    def test_references_bring_their_types(self) -> None:
        """A schema may use types of others, which are given as text or as nodes."""
        address = json.dumps(record({"name": "e", "type": ENUM}, name="s.Address"))
        order = json.dumps(one("s.Address") | {"name": "o.Order"})
        order_schema = parse_schema(order, references=[address], strict=True)
        assert [each.name for each in named_types(order_schema)] == ["o.Order", "s.Address", "s.E"]
        basket = parse_schema(one(["null", "o.Order", "s.E"]), references=[order_schema])
        assert "s.Address" in [each.name for each in named_types(basket)]

    def test_a_schema_may_repeat_a_reference_word_for_word(self) -> None:
        """A definition that equals a referenced type is that type."""
        known = parse_schema(ENUM)
        schema = parse_schema(one(ENUM), references=[known])
        assert fields_of(schema)["x"].schema is known

    @pytest.mark.parametrize(
        ("source", "logical"),
        [
            ({"type": "int", "logicalType": "date"}, LogicalType("date")),
            ({"type": "string", "logicalType": "uuid"}, LogicalType("uuid")),
            (
                {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
                LogicalType("decimal", 9, 2),
            ),
            (
                {"type": "bytes", "logicalType": "decimal", "precision": 9},
                LogicalType("decimal", 9, 0),
            ),
            (
                {**FIXED, "logicalType": "decimal", "precision": 9},
                LogicalType("decimal", 9, 0),
            ),
            ({**FIXED, "size": 12, "logicalType": "duration"}, LogicalType("duration")),
            ({**FIXED, "size": 16, "logicalType": "uuid"}, LogicalType("uuid")),
            (
                {"type": "long", "logicalType": "local-timestamp-nanos"},
                LogicalType("local-timestamp-nanos"),
            ),
            ({"type": "bytes", "logicalType": "big-decimal"}, LogicalType("big-decimal")),
        ],
    )
    def test_valid_logical_types_are_recognized(
        self, source: dict[str, Any], logical: LogicalType
    ) -> None:
        """The annotation is parsed, and its attributes stay among the properties."""
        schema = parse_schema(source, strict=True)
        assert isinstance(schema, PrimitiveSchema | FixedSchema)
        assert schema.logical == logical
        assert schema.props["logicalType"] == logical.name

    @pytest.mark.parametrize(
        "source",
        [
            {"type": "long", "logicalType": "made-up"},
            {"type": "long", "logicalType": 7},
        ],
    )
    def test_unknown_logical_types_are_ignored_with_a_warning(self, source: dict[str, Any]) -> None:
        """The specification says to ignore it; the warning tells the author."""
        schema = parse_schema(source, strict=True)
        assert getattr(schema, "logical", None) is None
        (defect,) = check_schema(source)
        assert defect.warning
        assert defect.path == "/logicalType"

    @pytest.mark.parametrize(
        "source",
        [
            {"type": "int", "logicalType": "timestamp-millis"},
            {"type": "bytes", "logicalType": "decimal"},
            {"type": "bytes", "logicalType": "decimal", "precision": 0},
            {"type": "bytes", "logicalType": "decimal", "precision": True},
            {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3},
            {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": -1},
            {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 10},
            {"type": "fixed", "name": "F", "size": 15, "logicalType": "uuid"},
            {"type": "array", "items": "int", "logicalType": "date"},
        ],
    )
    def test_misused_logical_types_are_ignored_with_a_warning(self, source: dict[str, Any]) -> None:
        """The value is of the plain type, as Avro says; schemas of others cannot be edited."""
        assert getattr(parse_schema(source, strict=True), "logical", None) is None
        (defect,) = check_schema(source)
        assert (defect.path, defect.warning) == ("/logicalType", True)

    @pytest.mark.parametrize("namespace", ["a-b", "1a", "a.2-b", "-"])
    def test_namespaces_of_older_tools_are_read_with_a_warning(self, namespace: str) -> None:
        """Java allowed any namespace until 1.11, and Debezium writes such ones."""
        source = record({"name": "x", "type": f"{namespace}.F"}, namespace=namespace)
        source["fields"].insert(0, {"name": "w", "type": FIXED})
        schema = parse_schema(source, strict=True)
        assert [each.name for each in named_types(schema)] == [f"{namespace}.R", f"{namespace}.F"]
        (defect,) = check_schema(source)
        assert (defect.path, defect.warning) == ("/namespace", True)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1.5", "1.5"),
            (" 1.5f ", "1.5"),
            ("5.D", "5.0"),
            (".5e1d", "5.0"),
            ("-Infinity", "-inf"),
            ("+NaN", "nan"),
            ("0x1.8p1f", "3.0"),
            ("0x1p9999", "inf"),
            ("1e999", "inf"),
        ],
    )
    def test_defaults_of_floats_may_be_text_in_javas_notation(self, text: str, value: str) -> None:
        """Whatever ``Double.valueOf`` reads, and nothing else (see what is refused)."""
        (field,) = fields_of(parse_schema(one("double", default=text))).values()
        assert repr(field.default) == value

    def test_a_logical_type_beside_a_fields_type_is_a_warning(self) -> None:
        """A logical type beside a field's type is a common mistake that every parser ignores."""
        (defect,) = check_schema(one("long", logicalType="timestamp-millis"))
        assert (defect.path, defect.warning) == ("/fields/0/logicalType", True)

    def test_an_alias_that_is_another_fields_name_is_a_warning(self) -> None:
        """Apache's own schemas have one; old data then goes to the field with the alias."""
        source = record(
            {"name": "x", "type": "int"}, {"name": "y", "type": "int", "aliases": ["x"]}
        )
        (defect,) = check_schema(source)
        assert (defect.path, defect.warning) == ("/fields/1/aliases/0", True)

    @pytest.mark.parametrize(
        ("kind", "default"),
        [
            ("double", "NaN"),
            ("double", 1),
            ("float", "1.5"),
            ("bytes", "\xff"),
            (["null", "string"], "x"),
            (["string", "null"], None),
            ([ENUM, "string"], "neither A nor B"),
            (FIXED, "\x00\x01\x02\x03"),
            (record({"name": "q", "type": "int", "default": 1}, name="N"), {}),
            ({"type": "map", "values": {"type": "array", "items": "int"}}, {"a": [1]}),
        ],
    )
    def test_fitting_defaults_are_accepted(self, kind: Any, default: Any) -> None:
        """Among them any branch of a union, as the specification says since 1.12."""
        assert check_schema(one(kind, default=default)) == ()

    @given(schemas(logical=True))
    def test_printing_and_parsing_again_gives_the_same_schema(self, source: Any) -> None:
        """Nothing is lost or changed on the way through the nodes."""
        printed = to_json(parse_schema(json.dumps(source), strict=True))
        assert to_json(parse_schema(printed, strict=True)) == printed


REFUSED: dict[str, tuple[Any, str]] = {
    "not a schema": (7, ""),
    "null": (None, ""),
    "no type": ({"name": "x"}, ""),
    "type in type": ({"type": {"type": "int"}}, "/type"),
    "unknown type": (one("Foo"), "/fields/0/type"),
    "named kind without definition": (one("record"), "/fields/0/type"),
    "record without a name": ({"type": "record", "fields": []}, ""),
    "name that is a number": ({"type": "record", "name": 1, "fields": []}, "/name"),
    "record name with dash": (record(name="a-b"), "/name"),
    "namespace with a space": (record(namespace="a b"), "/namespace"),
    "namespace with a quote": (record(name='a".R'), "/name"),
    "reference with a leading dot": ([{**FIXED, "namespace": ""}, one(".F")], "/1/fields/0/type"),
    "namespace with two dots": (record(name="a..R"), "/name"),
    "name of a primitive": (record(name="string"), "/name"),
    "record without fields": ({"type": "record", "name": "R"}, ""),
    "fields that are not an array": ({"type": "record", "name": "R", "fields": {}}, "/fields"),
    "field that is no object": (record("x"), "/fields/0"),
    "field without a name": (record({"type": "int"}), "/fields/0"),
    "field name with dash": (record({"name": "a-b", "type": "int"}), "/fields/0/name"),
    "field without a type": (record({"name": "x"}), "/fields/0"),
    "duplicate field names": (
        record({"name": "x", "type": "int"}, {"name": "x", "type": "int"}),
        "/fields/1/name",
    ),
    "order invalid": (one("int", order="up"), "/fields/0/order"),
    "aliases that are not an array": (record(aliases="x"), "/aliases"),
    "alias that is not a name": (record(aliases=["a-b"]), "/aliases/0"),
    "enum without symbols": ({"type": "enum", "name": "E"}, ""),
    "symbols that are not an array": ({"type": "enum", "name": "E", "symbols": "A"}, "/symbols"),
    "enum symbol with dash": ({"type": "enum", "name": "E", "symbols": ["A-B"]}, "/symbols/0"),
    "enum symbol that is a number": ({"type": "enum", "name": "E", "symbols": [1]}, "/symbols/0"),
    "duplicate enum symbols": ({"type": "enum", "name": "E", "symbols": ["A", "A"]}, "/symbols/1"),
    "enum default not a symbol": ({**ENUM, "default": "C"}, "/default"),
    "fixed without a size": ({"type": "fixed", "name": "F"}, ""),
    "fixed of negative size": ({**FIXED, "size": -1}, "/size"),
    "fixed of fractional size": ({**FIXED, "size": 1.5}, "/size"),
    "array without items": ({"type": "array"}, ""),
    "map without values": ({"type": "map"}, ""),
    "union of same type twice": (["int", {"type": "int"}], "/1"),
    "union of two arrays": (
        [{"type": "array", "items": "int"}, {"type": "array", "items": "string"}],
        "/1",
    ),
    "logical type does not tell branches apart": (
        ["long", {"type": "long", "logicalType": "timestamp-millis"}],
        "/1",
    ),
    "nested union": (["null", ["int", "string"]], "/1"),
    "redefined named type": (
        record({"name": "a", "type": FIXED}, {"name": "b", "type": {**FIXED, "size": 5}}),
        "/fields/1/type",
    ),
    "redefined as another kind": (
        record({"name": "a", "type": FIXED}, {"name": "b", "type": {**ENUM, "name": "F"}}),
        "/fields/1/type",
    ),
    "double default that is not a number": (one("double", default="much"), "/fields/0/default"),
    "double default in Python's notation": (one("double", default="1_000"), "/fields/0/default"),
    "infinite default in Python's notation": (one("float", default="inf"), "/fields/0/default"),
    "textual default of a union": (one(["null", "R2"], default="1"), "/fields/0/type/1"),
}

REFUSED_WHEN_STRICT: dict[str, tuple[Any, str]] = {
    "default of wrong type": (one("int", default="a"), "/fields/0/default"),
    "boolean default for int": (one("int", default=True), "/fields/0/default"),
    "int default overflow": (one("int", default=2**31), "/fields/0/default"),
    "long default overflow": (one("long", default=-(2**63) - 1), "/fields/0/default"),
    "long default 1.5": (one("long", default=1.5), "/fields/0/default"),
    "bytes default beyond U+00FF": (one("bytes", default="\u0100"), "/fields/0/default"),
    "fixed default of wrong length": (one(FIXED, default="\x00"), "/fields/0/default"),
    "enum field default not a symbol": (one(ENUM, default="C"), "/fields/0/default"),
    "record default missing nested": (one(NESTED, default={}), "/fields/0/default"),
    "record default of wrong type": (one(NESTED, default={"q": "x"}), "/fields/0/default/q"),
    "array default item": (
        one({"type": "array", "items": "int"}, default=[1, "2"]),
        "/fields/0/default/1",
    ),
    "map default value": (
        one({"type": "map", "values": "int"}, default={"a/b": None}),
        "/fields/0/default/a~1b",
    ),
    "union default of no branch": (one(["null", "int"], default="x"), "/fields/0/default"),
    "default that contains itself": (
        one("int", name="R") | {"fields": [{"name": "r", "type": "R", "default": {}}]},
        "/fields/0/default",
    ),
    "empty enum": ({"type": "enum", "name": "E", "symbols": []}, "/symbols"),
    "empty union": ([], ""),
    "enum default that is not text": ({**ENUM, "default": 1}, "/default"),
    "field alias that is not a name": (one("int", aliases=["a-b"]), "/fields/0/aliases/0"),
    "two fields alias the same name": (
        record(
            {"name": "x", "type": "int", "aliases": ["old"]},
            {"name": "y", "type": "int", "aliases": ["old"]},
        ),
        "/fields/1/aliases/0",
    ),
}


class TestRefused:
    @pytest.mark.parametrize(("source", "path"), REFUSED.values(), ids=REFUSED)
    def test_invalid_in_either_mode(self, source: Any, path: str) -> None:
        """Java's parser refuses it; we say where and what to do."""
        for strict in (False, True):
            with pytest.raises(InvalidSchemaError) as caught:
                parse_schema(json.dumps(source), strict=strict)
            assert caught.value.path == path
            assert caught.value.remedy

    @pytest.mark.parametrize(
        ("source", "path"), REFUSED_WHEN_STRICT.values(), ids=REFUSED_WHEN_STRICT
    )
    def test_invalid_when_about_to_be_published(self, source: Any, path: str) -> None:
        """Java's parser lets it pass, so it can arrive from a registry; we do not publish it."""
        parse_schema(json.dumps(source))
        with pytest.raises(InvalidSchemaError) as caught:
            parse_schema(json.dumps(source), strict=True)
        assert caught.value.path == path

    @pytest.mark.parametrize(
        "text", ["", "{", '{"type": "int",}', "int", '"int" "int"', '{"type": NaN}', "'int'"]
    )
    def test_what_is_not_json(self, text: str) -> None:
        """The message has line and column, or the invalid number."""
        with pytest.raises(InvalidSchemaError, match="not JSON"):
            parse_schema(text)

    def test_a_key_that_stands_twice(self) -> None:
        """JSON readers silently keep the last value; a schema's author should know."""
        text = '{"type": "record", "name": "R", "fields": [], "name": "S"}'
        assert parse_schema(text).name == "S"
        (defect,) = check_schema(text)
        assert (defect.path, defect.warning) == ("/name", False)

    def test_all_defects_are_reported_at_once(self) -> None:
        """One run shows everything that is to be corrected, in the order of the document."""
        source = record({"name": "a-b", "type": "int"}, {"name": "x", "type": "Foo"}, aliases=[1])
        paths = [defect.path for defect in check_schema(source)]
        assert paths == ["/aliases/0", "/fields/0/name", "/fields/1/type"]
        with pytest.raises(InvalidSchemaError, match="and 2 more"):
            parse_schema(source)

    def test_what_is_not_json_is_the_only_defect(self) -> None:
        """Text that is not JSON has exactly one defect."""
        (defect,) = check_schema("{")
        assert (defect.path, defect.warning) == ("", False)
        assert "line 1, column 2" in defect.message
        assert defect.remedy

    def test_a_redefinition_of_a_reference(self) -> None:
        """A schema cannot give another meaning to a type that it refers to."""
        with pytest.raises(InvalidSchemaError, match="defined twice"):
            parse_schema(one(FIXED), references=[{**FIXED, "size": 9}])

    @pytest.mark.parametrize("depth", [201, 5_000, 100_000])
    def test_hostile_nesting(self, depth: int) -> None:
        """Depth ends in our error, never in a crash."""
        text = '{"type": "array", "items": ' * depth + '"int"' + "}" * depth
        with pytest.raises(InvalidSchemaError, match=r"nested too deeply|more than 1048576"):
            parse_schema(text)

    @pytest.mark.parametrize("key", ["default", "custom"])
    def test_hostile_nesting_of_values(self, key: str) -> None:
        """Defaults and properties have their own depth limit."""
        text = json.dumps(one("int", **{key: 0})).replace(f'"{key}": 0', f'"{key}": @')
        with pytest.raises(InvalidSchemaError, match="nested too deeply"):
            parse_schema(text.replace("@", "[" * 900 + "]" * 900))

    def test_a_default_that_could_be_read_in_endless_ways(self) -> None:
        """Union after union, each value fits no branch: known at once, not after 2 to the 60."""
        value: Any = "nothing"
        for _ in range(60):
            value = {"n": value}
        other = record({"name": "n", "type": ["A", "B"]}, name="B")
        source = record({"name": "n", "type": ["A", other]}, name="A")
        source["fields"].append({"name": "d", "type": "A", "default": value})
        assert "/fields/1/default" in [defect.path[:17] for defect in check_schema(source)]

    def test_sane_nesting_is_fine(self) -> None:
        """Records may nest to the limit; the stack suffices for that."""
        text = '"int"'
        for level in range(199):
            text = json.dumps(record({"name": "x", "type": 0}, name=f"R{level}")).replace(
                '"type": 0', f'"type": {text}'
            )
        assert sum(1 for _ in named_types(parse_schema(text, strict=True))) == 199

    def test_ten_thousand_types_in_a_chain(self) -> None:
        """The number of types is no depth: each is named once and refers to the next."""
        chain = [one(f"R{level + 1}") | {"name": f"R{level}"} for level in range(9_999)]
        chain.append(one("int") | {"name": "R9999"})
        schema = parse_schema(chain)
        assert sum(1 for _ in named_types(schema)) == 10_000
        assert to_json(schema).startswith('[{"type":"record","name":"R0"')

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ("type", "name", "fields", "items", "symbols", "size", "default")
                    ),
                    inner | st.sampled_from(("record", "enum", "fixed", "array", "int", "A")),
                    max_size=5,
                )
            ),
            max_leaves=15,
        )
    )
    def test_any_json_is_accepted_or_refused_cleanly(self, value: Any) -> None:
        """No input brings out anything but our own error."""
        with contextlib.suppress(InvalidSchemaError):
            parse_schema(json.dumps(value), strict=True)


def _corpus(status: str) -> Iterator[Path]:
    with (CORPUS / "MANIFEST.tsv").open(newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            if row["kind"] in {"avsc", "schema-json"} and row["status"] == status:
                yield CORPUS / row["file"]


class TestCorpus:
    def test_every_valid_public_schema_is_accepted_strictly(self) -> None:
        """Real schemas must not trip over our strictness."""
        files = list(_corpus("standalone"))
        assert len(files) > 60
        for file in files:
            parse_schema(file.read_text(encoding="utf-8"), strict=True)

    def test_every_invalid_public_schema_is_refused_leniently(self) -> None:
        """The schemas of Apache's C test set for failures are refused."""
        files = list(_corpus("NEGATIVE"))
        assert len(files) == 12
        for file in files:
            with pytest.raises(InvalidSchemaError):
                parse_schema(file.read_text(encoding="utf-8"))

    def test_a_missing_definition_is_reported_by_name(self) -> None:
        """A schema of several files needs the others as references."""
        folder = CORPUS / "actgardner__gogen-avro/v10/test/complex-arrays-multifile"
        parent = (folder / "parent.avsc").read_text(encoding="utf-8")
        with pytest.raises(InvalidSchemaError, match="unknown type child"):
            parse_schema(parent)
        child = (folder / "child.avsc").read_text(encoding="utf-8")
        items = fields_of(parse_schema(parent, references=[child]))
        assert any(isinstance(each.schema, ArraySchema) for each in items.values())
