"""Every defect is refused with file, line, column, JSON pointer, reason and remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.codegen.tree import Tree, record

PLACE = r"schemas/{file}:{line}:\d+{pointer}: .*{reason}.*\n    remedy: \S"


def field_schema(kind: Any, **more: Any) -> str:
    """Return a record, one line for each level, whose field on line 7 has a type."""
    return json.dumps(
        {
            "type": "record",
            "name": "R",
            "namespace": "shop",
            "fields": [{"name": "x", "type": kind, **more}],
        },
        indent=1,
    )


def nested(name: str) -> dict[str, Any]:
    """Return a record without fields."""
    return {"type": "record", "name": name, "fields": []}


DEFECTS = {
    "not JSON": ('{\n  "type": "record",\n  "name" "R"\n}', 3, "", "not JSON"),
    "an empty file": ("", 1, "", "not JSON"),
    "key given twice": (
        '{"type": "record", "name": "R",\n "fields": [],\n "fields": []}',
        3,
        "/fields",
        "given twice",
    ),
    "no type": ('{"name": "R"}', 1, "", "without a type"),
    "unknown type": (field_schema("strin"), 8, "/fields/0/type", "unknown type shop.strin"),
    "record name with dash": (json.dumps(nested("a-b")), 1, "/name", "is not a name"),
    "field name with dash": (
        field_schema("int").replace('"x"', '"x-y"'),
        7,
        "/fields/0/name",
        "is not a name",
    ),
    "name starts with a digit": (json.dumps(nested("2d")), 1, "/name", "is not a name"),
    "a type called string": (json.dumps(nested("string")), 1, "/name", "may not be called"),
    "record without fields": ('{"type": "record", "name": "R"}', 1, "", "without fields"),
    "array without items": (field_schema({"type": "array"}), 8, "/fields/0/type", "without items"),
    "union of two ints": (field_schema(["int", "int"]), 10, "/fields/0/type/1", "two branches"),
    "nested union": (field_schema(["int", ["null"]]), 10, "/fields/0/type/1", "inside a union"),
    "unknown order": (field_schema("int", order="up"), 9, "/fields/0/order", "not an order"),
    "negative fixed": (
        field_schema({"type": "fixed", "name": "F", "size": -1}),
        11,
        "/fields/0/type/size",
        "",
    ),
    "wrong default": (
        field_schema("int", default="a"),
        9,
        "/fields/0/default",
        "is not of type int",
    ),
    "int default overflow": (field_schema("int", default=2**31), 9, "/fields/0/default", "range"),
    "fractional long default": (field_schema("long", default=1.5), 9, "/fields/0/default", "long"),
    "default of no branch": (
        field_schema(["null", "int"], default="x"),
        12,
        "/fields/0/default",
        "matches no branch",
    ),
    "bytes default beyond latin-1": (
        field_schema("bytes", default="\u0100"),
        9,
        "/fields/0/default",
        "not bytes",
    ),
    "date default beyond Python": (
        field_schema({"type": "int", "logicalType": "date"}, default=2**31 - 1),
        12,
        "/fields/0/default",
        "is not a valid date",
    ),
    "decimal default of too many digits": (
        field_schema(
            {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 1},
            default="\u0001\u0000",
        ),
        14,
        "/fields/0/default",
        "has 3 digits, the schema allows 2",
    ),
    "uuid default that is none": (
        field_schema({"type": "string", "logicalType": "uuid"}, default="x"),
        12,
        "/fields/0/default",
        "is not a valid uuid",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_is_reported_with_its_place(name: str, tmp_path: Path) -> None:
    """A defect names file, line, column, pointer, reason and remedy, and exits 1."""
    text, line, pointer, reason = DEFECTS[name]
    tree = Tree(tmp_path)
    tree.write({"shop/R/v1.avsc": text})
    done = tree.run()
    assert done.status == 1
    wanted = PLACE.format(
        file="shop/R/v1.avsc",
        line=line,
        pointer=re.escape(f" {pointer}") if pointer else "",
        reason=re.escape(reason),
    )
    assert re.search(wanted, done.err), done.err
    assert not tree.output.exists()


def test_all_defects_are_reported_at_once(tmp_path: Path) -> None:
    """All defects, in one file or in several, are reported in one run."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/A/v1.avsc": record("A", ("x", "nope"), ("y", "nada")),
            "shop/B/v1.avsc": "{",
            "shop/C/v2.avsc": record("C"),
        }
    )
    done = tree.run()
    assert done.status == 1
    for text in ("unknown type shop.nope", "unknown type shop.nada", "B/v1.avsc", "v1 missing"):
        assert text in done.err


def test_comments_are_accepted_and_left_out_of_the_contract(tmp_path: Path) -> None:
    """Comments stand where Java allows them; the registry gets plain JSON."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/R/v1.avsc": '/* why */ {"type": "record", // a record\n'
            ' "name": "R", "fields": [{"name": "url", "type": "string", "default": "http://x"}]}'
        }
    )
    assert tree.run().status == 0
    with tree.imported("shop.r.v1") as module:
        assert json.loads(module.R.__event__.schema)["fields"][0]["default"] == "http://x"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"shop/R/v1.avsc": "{}", "shop/R/v1.avdl": "protocol P {}"}, "is version 1 too"),
        ({"shop/R/v0.avsc": "{}"}, "is not a version"),
        ({"shop/R/v01.avsc": "{}"}, "is not a version"),
        ({"shop/R/v3.avsc": "{}"}, "v1, v2 missing"),
        ({"shop/R/v999999999999.avsc": "{}"}, "v1, v2, v3, v4, v5 missing"),
        ({"shop/R/event.toml": ""}, "no schema beside it"),
        ({"shop/R/v1.avsc": "{}", "shop/R/event.toml": "key = "}, "not TOML"),
        ({"shop/R/v1.avsc": "{}", "shop/R/event.toml": 'kee = "x"'}, "did you mean 'key'"),
        ({"shop/R/v1.avsc": "{}", "shop/R/event.toml": "key = 5"}, "which is not text"),
        (
            {"shop/R/v1.avsc": "{}", "shop/R/event.toml": 'compatibility = "backwards"'},
            "did you mean 'BACKWARD'",
        ),
        ({"shop/R/v1.avsc": "{}", "shop/R/event.toml": "[versions.one]\n"}, "not a version table"),
        (
            {
                "shop/R/v1.avsc": record("R"),
                "shop/R/event.toml": '[versions.1.references]\n"a.B" = "x"\n',
            },
            "which is not a version",
        ),
        (
            {"shop/R/v1.avsc": record("R", ("x", "int")), "shop/R/event.toml": 'key = "y"'},
            "has no field 'y'",
        ),
        (
            {"shop/R/v1.avsc": record("R"), "shop/R/event.toml": "[versions.2.references]\n"},
            "there is no version 2",
        ),
        ({"a.avsc": "\0{\0}"}, "holds NUL characters, as UTF-16 does"),
        ({"a.avsc": record("R"), "b.avsc": record("R", ("x", "int"))}, "is defined in"),
        ({"shop/P/v1.avpr": "[]"}, "not a protocol"),
        ({"shop/P/v1.avpr": '{"protocol": "P", "types": [{"type": "int"}]}'}, "not a named type"),
        ({"shop/P/v1.avdl": "protocol P { record R { int x } }"}, "expected ';'"),
        ({"shop/P/v1.avdl": "protocol P { record R { int x; }"}, "the end of the file"),
        ({"shop/P/v1.avdl": "protocol P { record R { int \u00a7; } }"}, "unexpected"),
    ],
)
def test_defect_of_a_tree_is_reported(files: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """Defects in file names, event.toml, protocols and IDL are reported like all others."""
    tree = Tree(tmp_path)
    tree.write(files)
    done = tree.run()
    assert done.status == 1
    assert reason in done.err
    assert "remedy: " in done.err


def test_what_is_valid_but_hardly_meant_is_a_warning(tmp_path: Path) -> None:
    """A logical type in the wrong place is ignored by every reader, so its author is told."""
    tree = Tree(tmp_path)
    tree.write({"shop/R/v1.avsc": field_schema("long", logicalType="timestamp-millis")})
    done = tree.run()
    assert done.status == 0
    assert "warning: " in done.err
    assert "shop/R/v1.avsc:9:19 /fields/0/logicalType" in done.err
    assert tree.output.exists()


@pytest.mark.parametrize("suffix", ["avsc", "avpr"])
def test_hostile_nesting_is_refused(suffix: str, tmp_path: Path) -> None:
    """JSON nested without end is a finding, not a crash."""
    for number, depth in enumerate((600, 5000, 100_000), start=1):
        deep = '{"type": "array", "items": ' * depth + '"int"' + "}" * depth
        tree = Tree(tmp_path / str(number))
        tree.write({f"shop/Deep/v1.{suffix}": deep})
        done = tree.run()
        assert done.status == 1
        assert "nested too deeply" in done.err


def test_a_type_defined_inside_several_others_must_be_defined_alike(tmp_path: Path) -> None:
    """A name that two files define inside themselves can be used if both say the same."""
    inner = record("Meta", ("trace", "string"))
    tree = Tree(tmp_path)
    tree.write(
        {
            "a.avsc": record("A", ("meta", inner)),
            "b.avsc": record("B", ("meta", inner)),
            "c.avsc": record("C", ("meta", "Meta")),
        }
    )
    assert tree.run().status == 0
    tree.write({"b.avsc": record("B", ("meta", record("Meta", ("trace", "long"))))})
    done = tree.run()
    assert done.status == 1
    assert "c.avsc:8:15 /fields/0/type: shop.Meta is defined inside shop.A and shop.B" in done.err
    assert "1 finding;" in done.err


def test_a_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a finding, not a crash."""
    tree = Tree(tmp_path)
    tree.write({"shop/R/v1.avsc": "{}"})
    (tree.schemas / "shop/R/v1.avsc").write_bytes(b"\xff\xfe{")
    done = tree.run()
    assert done.status == 1
    assert "not UTF-8" in done.err
