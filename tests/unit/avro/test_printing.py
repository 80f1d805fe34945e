"""Schemas as text again: Java's form, canonical form, fingerprints, cache keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given

from sdk.avro.schema import parse_schema
from sdk.avro.schema.canonical import canonical_form, fingerprint, normalized_hash
from sdk.avro.schema.printing import json_text, to_json
from tests.unit.avro.schemas import schemas

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
VECTORS = CORPUS / "apache__avro" / "share" / "test" / "data" / "schema-tests.txt"


def _vectors() -> list[dict[str, str]]:
    """The cases of Apache's file: INPUT, canonical and, mostly, fingerprint."""
    cases = re.split(r"^// \d+\n", VECTORS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    parsed = []
    for case in cases:
        parts = re.split(r"^<<(INPUT|canonical|fingerprint) ?", case, flags=re.MULTILINE)
        values = {key: text.strip() for key, text in zip(parts[1::2], parts[2::2], strict=True)}
        values["INPUT"] = re.sub(r"^INPUT\n|\nINPUT$", "", values["INPUT"])
        parsed.append(values)
    return parsed


class TestCanonicalForm:
    @pytest.mark.parametrize("case", _vectors(), ids=lambda case: case["canonical"][:40])
    def test_apaches_vectors(self, case: dict[str, str]) -> None:
        """Canonical form and fingerprint are those that Apache's own tests ask for."""
        schema = parse_schema(case["INPUT"])
        assert canonical_form(schema) == case["canonical"]
        if "fingerprint" in case:
            number = int(case["fingerprint"]) % 2**64
            assert fingerprint(schema) == number.to_bytes(8, "little").hex()

    def test_there_are_vectors(self) -> None:
        """The file was found and split."""
        assert len(_vectors()) > 25

    @given(schemas(logical=True))
    def test_fastavro_agrees(self, source: Any) -> None:
        """The independent implementation gives the same text and the same digits."""
        schema = parse_schema(json.dumps(source))
        theirs = fastavro.schema.to_parsing_canonical_form(json.loads(to_json(schema)))
        assert canonical_form(schema) == theirs
        assert fingerprint(schema) == fastavro.schema.fingerprint(theirs, "CRC-64-AVRO")


class TestJavasForm:
    @pytest.mark.parametrize(
        ("source", "printed"),
        [
            ('"int"', '"int"'),
            ('{"type": "int"}', '"int"'),
            (
                '{"logicalType": "date", "type": "int"}',
                '{"type":"int","logicalType":"date"}',
            ),
            (
                '{"type":"record","name":"a.R","doc":"d","aliases":["a.O","b.P"],"x":1,"fields":[]}',
                '{"type":"record","name":"R","namespace":"a","doc":"d","fields":[],"x":1,'
                '"aliases":["O","b.P"]}',
            ),
            (
                '{"type":"record","name":"a.R","fields":[{"p":[1],"default":1.0,"aliases":["y"],'
                '"order":"ignore","doc":"d","name":"x","type":"double"}]}',
                '{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":"double",'
                '"doc":"d","default":1.0,"order":"ignore","aliases":["y"],"p":[1]}]}',
            ),
            (
                '{"type":"record","name":"a.R","fields":[{"name":"x","type":{"type":"enum",'
                '"name":"E","symbols":["A"],"default":"A"}},{"name":"y","type":"a.E"},{"name":"z",'
                '"type":["null",{"type":"fixed","namespace":"","name":"F","size":1}]}]}',
                '{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":{"type":'
                '"enum","name":"E","symbols":["A"],"default":"A"}},{"name":"y","type":"E"},'
                '{"name":"z","type":["null",{"type":"fixed","name":"F","namespace":"","size":1}]}]}',
            ),
            (
                '{"type":"error","name":"R","fields":[]}',
                '{"type":"error","name":"R","fields":[]}',
            ),
            (
                '{"type":"array","items":{"type":"map","values":"long","q":null},"java-class":"X"}',
                '{"type":"array","items":{"type":"map","values":"long","q":null},"java-class":"X"}',
            ),
            (
                '[{"type":"fixed","name":"a.record","size":1},'
                '{"type":"record","name":"a.R","fields":[{"name":"x","type":"record"}]}]',
                '[{"type":"fixed","name":"record","namespace":"a","size":1},'
                '{"type":"record","name":"R","namespace":"a","fields":'
                '[{"name":"x","type":"a.record"}]}]',
            ),
        ],
    )
    def test_schemas_print_as_java_prints_them(self, source: str, printed: str) -> None:
        """Key order, short names and kept attributes are those of Schema.toString()."""
        assert to_json(parse_schema(source)) == printed

    @pytest.mark.parametrize(
        ("value", "printed"),
        [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.001, "0.001"),
            (0.0009999, "9.999E-4"),
            (9999999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12345678.9, "1.23456789E7"),
            (1.5e300, "1.5E300"),
            (-2.5e-10, "-2.5E-10"),
            (float("nan"), '"NaN"'),
            (float("-inf"), '"-Infinity"'),
            (2**70, "1180591620717411303424"),
            ('é\x1f\n"/', '"é\\u001F\\n\\"/"'),
            ({"a": [True, None]}, '{"a":[true,null]}'),
        ],
    )
    def test_values_print_as_java_prints_them(self, value: Any, printed: str) -> None:
        """Numbers follow Double.toString, text follows Jackson."""
        assert json_text(value) == printed

    def test_types_that_are_known_elsewhere_are_only_named(self) -> None:
        """Types known elsewhere are only named, as in registries with references."""
        schema = parse_schema(
            '{"type":"record","name":"a.R","fields":[{"name":"x","type":"a.E"}]}',
            references=['{"type":"enum","name":"a.E","symbols":["A"]}'],
        )
        assert to_json(schema, known=["a.E"]).endswith('"fields":[{"name":"x","type":"E"}]}')


BASE = {
    "type": "record",
    "name": "a.R",
    "fields": [
        {"name": "x", "type": "long", "default": 1},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
    ],
}


def _changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


class TestCacheKey:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"default": 1', '"default": 2'),
            ('"default": 1', '"default": true'),
            ('"default": 1', '"aliases": ["y"], "default": 1'),
            ('"long"', '{"type": "long", "logicalType": "timestamp-millis"}'),
            ('["A", "B"]', '["A", "B"], "default": "A"'),
            ('"name": "E"', '"name": "E", "aliases": ["F"]'),
            ('"name": "x"', '"name": "xx"'),
        ],
    )
    def test_whatever_a_codec_depends_on_changes_the_key(self, old: str, new: str) -> None:
        """Canonical form drops most of these, which is why it is no key."""
        text = json.dumps(BASE)
        changed = _changed(text, old, new)
        assert normalized_hash(parse_schema(text)) != normalized_hash(parse_schema(changed))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"name": "x"', '"doc": "d", "name": "x"'),
            ('"name": "a.R"', '"namespace": "a", "name": "R"'),
            ('"long"', '{"type": "long"}'),
            ('"default": 1', '"order": "ignore", "default": 1'),
        ],
    )
    def test_what_a_codec_does_not_see_keeps_the_key(self, old: str, new: str) -> None:
        """Docs and spelling do not cost a second compiled codec."""
        text = json.dumps(BASE)
        changed = _changed(text, old, new)
        assert normalized_hash(parse_schema(text)) == normalized_hash(parse_schema(changed))

    @given(schemas(logical=True), schemas(logical=True))
    def test_equal_keys_mean_equal_schemas(self, one: Any, other: Any) -> None:
        """No two schemas that print differently share a key."""
        left, right = parse_schema(json.dumps(one)), parse_schema(json.dumps(other))
        same_text = to_json(left) == to_json(right)
        assert (normalized_hash(left) == normalized_hash(right)) == same_text
