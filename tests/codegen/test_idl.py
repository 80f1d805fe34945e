"""IDL and protocols: Apache's golden pairs, and positions in IDL."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from codegen.idl import read_idl
from codegen.linker import link
from codegen.loader import load
from codegen.progress import Progress
from sdk.avro.schema import NamedSchema
from sdk.avro.schema.printing import to_json
from tests.codegen.tree import Tree

IDL = Path(__file__).parents[1] / "data/corpus/apache__avro/lang/java/idl/src/test/idl"
PAIRS = ["comments", "cycle", "forward_ref", "interop", "mr_events", "namespaces", "simple"]


def named(tree: Path, *sources: Path) -> dict[str, NamedSchema]:
    """Return every named type that some files define."""
    tree.mkdir()
    for source in sources:
        shutil.copyfile(source, tree / source.name)
    loaded = load(tree, "schemas")
    linked = link(loaded.roots, Progress(io.StringIO()))
    assert not loaded.findings
    assert not linked.findings
    return {node.name: node for unit in linked.units for node in unit.own}


@pytest.mark.parametrize("name", [*PAIRS, "reservedwords", "unicode", "uuid", "baseball"])
def test_idl_means_what_apaches_protocol_says(name: str, tmp_path: Path) -> None:
    """An .avdl yields the named types of its .avpr: names, fields, docs, properties, defaults."""
    extra = [IDL / "input/position.avsc", IDL / "input/player.avsc"] if name == "baseball" else []
    ours = named(tmp_path / "idl", IDL / f"input/{name}.avdl", *extra)
    theirs = named(tmp_path / "protocol", IDL / f"output/{name}.avpr")
    assert {full_name: to_json(node) for full_name, node in ours.items()} == {
        full_name: to_json(node) for full_name, node in theirs.items()
    }


def test_imported_types_come_from_the_files_of_the_tree(tmp_path: Path) -> None:
    """An import names a file of the tree, whose types are separate roots anyway."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "main.avdl": (IDL / "input/schema_syntax_schema.avdl").read_text(encoding="utf-8"),
            "status.avdl": (IDL / "input/status_schema.avdl").read_text(encoding="utf-8"),
        }
    )
    assert tree.run().status == 0
    with tree.imported("monitoring") as monitoring:
        assert monitoring.StatusUpdate.__event__.references[0].full_name == "system.Status"


def test_a_version_in_idl_yields_all_its_types(tmp_path: Path) -> None:
    """The event's schema contains the types it needs; the other types are separate versions."""
    idl = (
        "@namespace('shop') protocol P {{ record Line {{ int n; }} record Order {{ Line line; {} }}"
    )
    idl += " record Apart {{ union {{ null, Line }} line; }} }}"
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/Order/v1.avdl": idl.format(""),
            "shop/Order/v2.avdl": idl.format("int count = 1;"),
        }
    )
    assert tree.run().status == 0
    with tree.imported() as contracts:
        versions = [(each.full_name, each.version) for each in contracts.CATALOG]
    assert versions == [("shop.Apart", 1), ("shop.Apart", 2), ("shop.Order", 1), ("shop.Order", 2)]


def test_a_defect_in_idl_is_reported_at_its_place(tmp_path: Path) -> None:
    """Positions lead to the IDL text, not to the JSON that it stands for."""
    tree = Tree(tmp_path)
    tree.write({"a.avdl": "protocol P {\n  record R {\n    int x = 1;\n    Nope y;\n  }\n}\n"})
    done = tree.run()
    assert done.status == 1
    assert "a.avdl:4:5 /types/0/fields/1/type: unknown type" in done.err


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0x10", 16),
        ("010", 8),
        ("-5L", -5),
        ("1.5f", 1.5),
        ("'it\\'s \"x\"'", 'it\'s "x"'),
        ('"\\u00e9\\n"', "é\n"),
        ('[1, {"a": null}, true]', [1, {"a": None}, True]),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
    ],
)
def test_json_in_idl_is_read_as_java_reads_it(value: str, expected: object) -> None:
    """Defaults may be hexadecimal, octal, suffixed, single-quoted and not finite."""
    (record,) = read_idl(f"protocol P {{ record R {{ Any x = {value}; }} }}").types
    assert record["fields"][0]["default"] == expected


def test_hostile_nesting_is_refused() -> None:
    """Types nested without end are a syntax error, not a crash."""
    from codegen.idl_tokens import IdlSyntaxError

    with pytest.raises(IdlSyntaxError):
        read_idl("protocol P { record R { " + "array<" * 5000 + "int" + ">" * 5000 + " x; } }")
    with pytest.raises(IdlSyntaxError):
        read_idl("protocol P { record R { int x = " + "[" * 50000 + "; } }")


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        ("/** One line. */", "One line."),
        ("/**\n   * A frame.\n   *\n   *   * kept\n   */", "A frame.\n\n  * kept"),
        ("/** A list:\n * one\n * two */", "A list:\n* one\n* two"),
        ("/** Indented\n      by six\n        and eight */", "Indented\nby six\n  and eight"),
        (
            "/** Indented\n      by six\n\n      and six */",
            "Indented\n      by six\n\n      and six",
        ),
        ("/**\n ** Two stars\n ** each\n */", "Two stars\neach"),
        ("/**\n *one\n **two */", "one\n*two"),
        ("/** trailing   \n   lines   */", "trailing   \nlines"),
        ("/** */", ""),
    ],
)
def test_doc_comments_are_read_to_the_letter_as_java_reads_them(comment: str, text: str) -> None:
    """An .avdl yields the same schema text as in Java: star frames and indents are removed."""
    (made,) = read_idl(f"namespace n;\n{comment}\nrecord R {{ }}").types
    assert made["doc"] == text
