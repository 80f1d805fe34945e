"""Random schemas and data, compared with Java's parser, rule of compatibility and decoder."""

from __future__ import annotations

import csv
import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk.avro.resolution.registry_rule import incompatibilities
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import (
    NO_DEFAULT,
    RecordSchema,
    Schema,
    check_schema,
    named_types,
    parse_schema,
    short_name,
)
from sdk.avro.schema.canonical import canonical_form, fingerprint
from sdk.avro.schema.defaults import java_accepts_default
from sdk.avro.schema.printing import to_json
from sdk.errors import IncompatibleSchemaError, InvalidSchemaError
from tests.servers.peer import JavaError, JavaPeer
from tests.unit.avro.schemas import WITH_DEFAULT, pairs, schemas
from tests.unit.avro.wire import UnreadableValueError, bodies, read

CORPUS = Path(__file__).parents[1] / "data" / "corpus"
REFUSED = object()
MANY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def histories() -> dict[str, list[str]]:
    """The corpus's sets of versions of one schema."""
    found: dict[str, list[str]] = defaultdict(list)
    with (CORPUS / "MANIFEST.tsv").open(newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            if row["set"].startswith("VERSIONS"):
                found[row["set"]].append((CORPUS / row["file"]).read_text(encoding="utf-8"))
    return found


def ours(writer: Schema, reader: Schema, body: bytes) -> Any:
    """The value of a body by our resolution, or `REFUSED`."""
    try:
        return read(resolve(writer, reader), body)
    except (IncompatibleSchemaError, UnreadableValueError):
        return REFUSED


def javas(java: JavaPeer, writer: str, reader: str, body: bytes) -> Any:
    """The value of a body by Java's decoder, or `REFUSED`."""
    try:
        return java.ask("decode", writer=writer, reader=reader, hex=body.hex())["value"]
    except JavaError as error:
        assume("StackOverflowError" not in error.name)  # a type whose values never end
        return REFUSED


@MANY
@given(pair=pairs(), data=st.data())
def test_what_is_read_is_what_java_reads(
    java_avro: JavaPeer, pair: tuple[Any, Any], data: st.DataObject
) -> None:
    """For random evolution and random data: the same value, or both refuse.

    Java's decoder minds a changed namespace more than its rule of compatibility does; there we
    follow the rule: a field alias counts, and an enum fits its branch.
    """
    writer, reader = (json.dumps(each) for each in pair)
    assume('"fields": []' not in writer + reader)  # Java's JSON encoder loses empty records
    old, new = parse_schema(writer), parse_schema(reader)
    body = data.draw(bodies(old))
    mine, theirs = ours(old, new, body), javas(java_avro, writer, reader, body)
    assert mine == theirs or moved(old, new)


def moved(writer: Schema, reader: Schema) -> bool:
    """Whether a type kept its name in another namespace, or a renamed record has aliases."""
    old = {each.name for each in named_types(writer)}
    new = {each.name for each in named_types(reader)}
    if {short_name(each) for each in old - new} & {short_name(each) for each in new - old}:
        return True
    records = (each for each in named_types(reader) if isinstance(each, RecordSchema))
    return any(field.aliases for each in records if each.name not in old for field in each.fields)


@pytest.mark.parametrize(("kind", "default"), WITH_DEFAULT)
def test_defaults_are_filled_as_java_fills_them(
    java_avro: JavaPeer, kind: Any, default: Any
) -> None:
    """Records, unions of any branch, bytes and 32-bit numbers, wherever they nest."""
    writer = {"type": "record", "name": "a.R", "fields": [{"name": "x", "type": "int"}]}
    extra = {"name": "extra", "type": kind, "default": default}
    reader = json.dumps({**writer, "fields": [extra, *writer["fields"]]})
    old = json.dumps(writer)
    mine = ours(parse_schema(old), parse_schema(reader, strict=True), b"\x02")
    assert mine == javas(java_avro, old, reader, b"\x02")


def test_a_default_goes_to_a_branch_that_holds_it(java_avro: JavaPeer) -> None:
    """Java takes the first number type, and makes 1.5 an int 1; the specification says match."""
    field = {"name": "x", "type": ["int", "double"], "default": 1.5}
    reader = json.dumps({"type": "record", "name": "R", "fields": [field]})
    writer = json.dumps({"type": "record", "name": "R", "fields": []})
    assert javas(java_avro, writer, reader, b"") == {"x": {"int": 1}}
    assert ours(parse_schema(writer), parse_schema(reader), b"") == {"x": {"double": 1.5}}


@settings(MANY, max_examples=20)
@given(data=st.data())
def test_version_histories_of_the_corpus_resolve_pairwise_as_java_does(
    java_avro: JavaPeer, data: st.DataObject
) -> None:
    """Each version of a public schema, read as each other one, with random data."""
    for versions in histories().values():
        for reader, writer in itertools.permutations(versions, 2):
            mine = parse_schema(writer)
            body = data.draw(bodies(mine))
            assert ours(mine, parse_schema(reader), body) == javas(java_avro, writer, reader, body)


@MANY
@given(pair=pairs(logical=True))
def test_reasons_of_incompatibility_are_javas(java_avro: JavaPeer, pair: tuple[Any, Any]) -> None:
    """Type, place and words of every reason, in order."""
    writer, reader = (json.dumps(each) for each in pair)
    found = incompatibilities(parse_schema(reader), parse_schema(writer))
    reasons = java_avro.ask("compatible", reader=reader, writer=writer)["reasons"]
    assert [(each.type, each.location, each.message) for each in found] == [
        (each["type"], each["location"], each["message"]) for each in reasons
    ]


@MANY
@given(source=schemas(logical=True))
def test_schemas_print_as_java_prints_them(java_avro: JavaPeer, source: Any) -> None:
    """The text that a registry keeps, canonical form and fingerprint."""
    text = json.dumps(source)
    schema = parse_schema(text)
    answer = java_avro.ask("parse", schema=text)
    assert to_json(schema) == answer["text"]
    assert canonical_form(schema) == answer["canonical"]
    assert fingerprint(schema) == answer["fingerprint"]


def test_public_schemas_print_as_java_prints_them(java_avro: JavaPeer) -> None:
    """With docs, aliases, orders, properties and defaults of every kind."""
    for file in sorted(CORPUS.rglob("*.avsc")):
        text = file.read_text(encoding="utf-8")
        try:
            answer = java_avro.ask("parse", schema=text)
        except JavaError:
            continue  # needs references
        assert to_json(parse_schema(text)) == answer["text"], file


@st.composite
def broken_schemas(draw: Any) -> Any:
    """A schema of which some value was removed or replaced by another."""
    source = draw(schemas(logical=True))
    places = [place for place in _places(source, ()) if place]
    assume(places)
    *way, last = draw(st.sampled_from(places))
    holder = source
    for step in way:
        holder = holder[step]
    if isinstance(holder, dict) and draw(st.booleans()):
        del holder[last]
    else:
        holder[last] = draw(st.sampled_from(_JUNK))
    return source


_JUNK = (
    *(None, True, 1, -1, 1.5, "", "x", "a-b", "1a", "a.b", "a..b", ".x", "é", "int", "record"),
    *([], {}, ["null"], ["int", "int"], ["int", ["string"]], {"type": "int"}, {"type": "array"}),
)


def _places(value: Any, way: tuple[Any, ...]) -> Any:
    yield way
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*way, key))


@MANY
@given(source=broken_schemas())
def test_java_refuses_what_we_refuse(java_avro: JavaPeer, source: Any) -> None:
    """Whatever Java reads can be read; what may be published is valid to Java."""
    text = json.dumps(source)
    try:
        java_avro.ask("parse", schema=text)
    except JavaError as error:
        # Java calls a type that is written out twice, once inside itself, a redefinition
        assume("Can't redefine" not in str(error))
        assert any(not defect.warning for defect in check_schema(text))
    else:
        try:
            schema = parse_schema(text)
        except InvalidSchemaError as error:
            raise AssertionError(f"Java accepts {text}, we say: {error}") from error
        assert all(map(has_defaults_for_java, named_types(schema)))


def has_defaults_for_java(schema: Schema) -> bool:
    """Whether all defaults of a record are valid to Java's parser, which checks them."""
    return not isinstance(schema, RecordSchema) or all(
        each.default is NO_DEFAULT or java_accepts_default(each.schema, each.default)
        for each in schema.fields
    )


DEFAULTS = ("", "x", "B", "\u0100", None, True, 1, -1, 2**31, 2**63, 1.5, [], [1], {}, {"q": 1})
TYPES = (
    *("null", "boolean", "int", "long", "float", "double", "bytes", "string"),
    {"type": "enum", "name": "E", "symbols": ["A", "B"]},
    {"type": "fixed", "name": "F", "size": 2},
    {"type": "array", "items": "int"},
    {"type": "map", "values": "int"},
    {"type": "record", "name": "N", "fields": [{"name": "q", "type": "int"}]},
    {"type": "record", "name": "N", "fields": [{"name": "q", "type": "int", "default": 0}]},
    ["null", "string"],
    ["int", {"type": "array", "items": ["null", "double"]}],
)


@pytest.mark.parametrize("kind", TYPES, ids=json.dumps)
def test_the_defaults_that_java_accepts(java_avro: JavaPeer, kind: Any) -> None:
    """The rule by which a registry validates defaults, to the letter."""
    for default in DEFAULTS:
        field = {"name": "x", "type": kind, "default": default}
        text = json.dumps({"type": "record", "name": "R", "fields": [field]})
        try:
            java_avro.ask("parse", schema=text)
            accepted = True
        except JavaError:
            accepted = False
        try:
            schema = parse_schema(text)
        except InvalidSchemaError:
            assert not accepted, text
        else:
            assert all(map(has_defaults_for_java, named_types(schema))) == accepted, text
