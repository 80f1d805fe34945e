"""Schemas as Apache Avro's Java library sees them: validity, identity, compatibility."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk.avro.resolution.registry_rule import incompatibilities
from sdk.avro.schema.canonical import canonical_form, fingerprint
from sdk.avro.schema.parsing import parse_schema
from sdk.errors import InvalidSchemaError
from tests.servers.peer import JavaError, JavaPeer

CORPUS = Path(__file__).parents[1] / "data" / "corpus"

# The types whose pairs are compared, each as it stands in a field.
TYPES: dict[str, object] = {
    "null": "null",
    "boolean": "boolean",
    "int": "int",
    "long": "long",
    "float": "float",
    "double": "double",
    "bytes": "bytes",
    "string": "string",
    "date": {"type": "int", "logicalType": "date"},
    "millis": {"type": "long", "logicalType": "timestamp-millis"},
    "micros": {"type": "long", "logicalType": "timestamp-micros"},
    "decimal": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
    "ints": {"type": "array", "items": "int"},
    "longs": {"type": "array", "items": "long"},
    "map of int": {"type": "map", "values": "int"},
    "map of string": {"type": "map", "values": "string"},
    "enum AB": {"type": "enum", "name": "E", "symbols": ["A", "B"]},
    "enum ABC": {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]},
    "enum A or A": {"type": "enum", "name": "E", "symbols": ["A"], "default": "A"},
    "enum F": {"type": "enum", "name": "F", "symbols": ["A", "B"], "aliases": ["n.E"]},
    "other enum E": {"type": "enum", "name": "m.E", "symbols": ["A", "B"]},
    "fixed 4": {"type": "fixed", "name": "X", "size": 4},
    "fixed 8": {"type": "fixed", "name": "X", "size": 8},
    "record": {"type": "record", "name": "N", "fields": [{"name": "a", "type": "int"}]},
    "record of another name": {
        "type": "record",
        "name": "M",
        "fields": [{"name": "a", "type": "int"}],
    },
    "record with alias": {
        "type": "record",
        "name": "M",
        "aliases": ["N"],
        "fields": [{"name": "b", "aliases": ["a"], "type": "long"}],
    },
    "record with more": {
        "type": "record",
        "name": "N",
        "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}],
    },
    "record with more by default": {
        "type": "record",
        "name": "N",
        "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 0}],
    },
    "recursive": {
        "type": "record",
        "name": "N",
        "fields": [
            {"name": "a", "type": "int"},
            {"name": "next", "type": ["null", "N"], "default": None},
        ],
    },
    "no type": [],
    "nullable int": ["null", "int"],
    "int or null": ["int", "null"],
    "nullable long": ["null", "long"],
    "int or string": ["int", "string"],
    "long or string or bytes": ["long", "string", "bytes"],
    "double or long": ["double", "long"],
    "nullable record": [
        "null",
        {"type": "record", "name": "N", "fields": [{"name": "a", "type": "int"}]},
    ],
    "two records": [
        {"type": "record", "name": "K", "fields": [{"name": "k", "type": "int"}]},
        {"type": "record", "name": "N", "fields": [{"name": "a", "type": "long"}]},
    ],
}


def _corpus() -> Iterator[Path]:
    with (CORPUS / "MANIFEST.tsv").open(newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            if row["kind"] in {"avsc", "schema-json"}:
                yield CORPUS / row["file"]


DEFAULTS = [
    "NaN",
    "-NaN",
    "+Infinity",
    "infinity",
    "nan",
    "inf",
    "NaNf",
    "1.5",
    "1.5f",
    "1.5D",
    "5.",
    ".5",
    ".",
    "1e3",
    "1e",
    "1_000",
    "0x1p3",
    "0x1.8p1f",
    "0x.8P0",
    "0x1",
    "x",
    "\u0661",
]
NAMES = ("S", ".S", "a.S", "b.S", ".a.S", "..S", "a..S", ".int", ".S.T")


@pytest.mark.parametrize("default", [*DEFAULTS, "", " 1.5 ", "\t1\n", "1 f"])
def test_textual_defaults_of_numbers_are_those_that_java_reads(
    java_avro: JavaPeer, default: str
) -> None:
    """Neither Python's notation nor Java's alone."""
    fields = [{"name": "f", "type": "double", "default": default}]
    text = json.dumps({"type": "record", "name": "R", "fields": fields})
    assert (_our_identity(text) is None) == (_java_identity(java_avro, text) is None)


@pytest.mark.parametrize(("defined", "named"), list(itertools.product(("S", ".S", "b.S"), NAMES)))
def test_references_are_found_where_java_finds_them(
    java_avro: JavaPeer, defined: str, named: str
) -> None:
    """In the namespace around them, else without one; a leading dot is not for references."""
    fixed = {"type": "fixed", "name": defined, "size": 1}
    fields = [{"name": "x", "type": fixed}, {"name": "y", "type": named}]
    text = json.dumps({"type": "record", "name": "a.R", "fields": fields})
    assert _our_identity(text) == _java_identity(java_avro, text)


def test_the_corpus_is_judged_as_java_judges_it(java_avro: JavaPeer) -> None:
    """Every public schema is valid to us when it is to Java, with the same identity."""
    differing = []
    for file in _corpus():
        text = file.read_text(encoding="utf-8")
        ours, theirs = _our_identity(text), _java_identity(java_avro, text)
        if ours != theirs:
            differing.append(f"{file.relative_to(CORPUS)}:\n  we   {ours}\n  Java {theirs}")
    assert not differing, "\n".join(differing)


def test_pairs_of_types_are_as_compatible_as_java_says(java_avro: JavaPeer) -> None:
    """For every ordered pair of types the reasons are Java's, with place and words."""
    schemas = {name: _record(a_type) for name, a_type in TYPES.items()}
    pairs = itertools.product(schemas.items(), repeat=2)
    differing = []
    for (writer_name, writer), (reader_name, reader) in pairs:
        ours = _our_reasons(reader, writer)
        theirs = _java_reasons(java_avro, reader, writer)
        if ours != theirs:
            differing.append(f"{writer_name} → {reader_name}:\n  we   {ours}\n  Java {theirs}")
    assert not differing, "\n".join(differing)


def test_version_histories_of_the_corpus_are_as_compatible_as_java_says(
    java_avro: JavaPeer,
) -> None:
    """Each version of a public schema against each other one, in both directions."""
    histories: dict[str, list[str]] = {}
    with (CORPUS / "MANIFEST.tsv").open(newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            if row["set"].startswith("VERSIONS"):
                text = (CORPUS / row["file"]).read_text(encoding="utf-8")
                histories.setdefault(row["set"], []).append(text)
    assert len(histories) >= 7
    for name, versions in histories.items():
        for reader, writer in itertools.permutations(versions, 2):
            expected = _java_reasons(java_avro, reader, writer)
            assert _our_reasons(reader, writer) == expected, name


@pytest.mark.parametrize("text", ['"int"', '{"type": "fixed", "name": "a.F", "size": 16}'])
def test_fingerprints_are_in_the_byte_order_of_single_object_encoding(
    java_avro: JavaPeer, text: str
) -> None:
    """Java gives the same eight bytes."""
    assert java_avro.ask("parse", schema=text)["fingerprint"] == fingerprint(parse_schema(text))


def _record(a_type: object) -> str:
    fields = [{"name": "f", "type": a_type}]
    return json.dumps({"type": "record", "name": "n.R", "fields": fields})


def _our_identity(text: str) -> tuple[str, str] | None:
    try:
        schema = parse_schema(text)
    except InvalidSchemaError:
        return None
    return canonical_form(schema), fingerprint(schema)


def _java_identity(java: JavaPeer, text: str) -> tuple[str, str] | None:
    try:
        answer = java.ask("parse", schema=text)
    except JavaError:
        return None
    return answer["canonical"], answer["fingerprint"]


def _our_reasons(reader: str, writer: str) -> list[tuple[str, str, str]]:
    found = incompatibilities(parse_schema(reader), parse_schema(writer))
    return [(each.type, each.location, each.message) for each in found]


def _java_reasons(java: JavaPeer, reader: str, writer: str) -> list[tuple[str, str, str]]:
    try:
        reasons = java.ask("compatible", reader=reader, writer=writer)["reasons"]
    except JavaError as error:
        if "matches multiple fields" not in error.message:
            raise
        return [("AMBIGUOUS_FIELD", "/", error.message)]
    return [(each["type"], each["location"], each["message"]) for each in reasons]
