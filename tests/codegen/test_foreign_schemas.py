"""Schemas of other teams, which cannot be edited: accepted as by Java, with a warning."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from codegen.findings import naming
from sdk import avro
from tests.codegen.tree import Tree, record

MISPLACED = {"type": "int", "logicalType": "timestamp-millis"}
UUID_TEXT = {"type": "string", "logicalType": "uuid"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1}
UUID_FIXED = {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}
OTHER_UUID = {"type": "fixed", "name": "Other", "size": 16, "logicalType": "uuid"}


def test_a_logical_type_on_another_base_is_warned_of_and_ignored(tmp_path: Path) -> None:
    """Avro says to ignore it, so the field has the plain type; the place is named."""
    tree = Tree(tmp_path)
    tree.write({"shop/R/v1.avsc": record("R", ("at", MISPLACED))})
    done = tree.run()
    assert done.status == 0
    assert "warning:" in done.err
    assert "/fields/0/type/logicalType" in done.err
    with tree.imported("shop") as shop:
        assert shop.R(at=5).at == 5


@pytest.mark.parametrize("how", ["option", "setting"])
def test_strictness_refuses_warnings_in_versions_only(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the switch a warning in ``v1.avsc`` is an error, also when only checking."""
    tree = Tree(tmp_path)
    tree.write({"vendor/theirs.avsc": record("Theirs", ("at", MISPLACED))})
    if how == "setting":
        (tmp_path / "pyproject.toml").write_text("[tool.sdk.codegen]\nstrict = true\n")
        monkeypatch.chdir(tmp_path)
    arguments = ["--strict"] if how == "option" else []
    assert tree.run(*arguments).status == 0
    tree.write({"shop/Ours/v1.avsc": record("Ours", ("at", MISPLACED))})
    for more in ([], ["--check"]):
        done = tree.run(*arguments, *more)
        assert done.status == 1
        assert "1 finding" in done.err
        assert "shop/Ours/v1.avsc" in done.err


def test_namespaces_that_python_cannot_spell_get_a_safe_name(tmp_path: Path) -> None:
    """Hyphens and leading digits are spelled with underscores, and the full name stays."""
    tree = Tree(tmp_path)
    tree.write({"debezium.avsc": record("Envelope", ("x", "int"), namespace="my-server.2.orders")})
    done = tree.run()
    assert done.status == 0
    assert "warning:" in done.err
    with tree.imported("my_server._2.orders") as module:
        assert module.Envelope.__event__.full_name == "my-server.2.orders.Envelope"
        assert avro.decode(module.Envelope, avro.encode(module.Envelope(x=1))).x == 1


def test_classes_of_one_name_are_distinguished_by_any_namespace(tmp_path: Path) -> None:
    """Namespaces whose last part begins with a digit still make an identifier."""
    tree = Tree(tmp_path)
    inner = [record("Address", namespace=f"geo._{number}") for number in (1, 2)]
    tree.write({"shop/R/v1.avsc": record("R", ("a", inner[0]), ("b", inner[1]))})
    assert tree.run().status == 0
    with tree.imported("shop.r.v1") as module:
        names = [cls.__name__ for cls in module.R.__event__.types.values()]
        assert sorted(names) == ["Address", "R", "_2Address"]


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        (["null", "double", UUID_TEXT], "c0ffee00-0000-4000-8000-000000000000", UUID),
        (["double", DECIMAL], "\x01", Decimal),
        (
            [UUID_FIXED, {"type": "bytes", "logicalType": "decimal", "precision": 40}],
            "\x01",
            Decimal,
        ),
        (["string", {"type": "long", "logicalType": "timestamp-millis"}], 5, dt.datetime),
        (["int", "float"], 1.5, float),
    ],
)
def test_a_default_may_be_of_any_branch(
    kind: Any, default: Any, value: type[Any], tmp_path: Path
) -> None:
    """Since Avro 1.12 the default of a union may match any branch; it is built as that type."""
    tree = Tree(tmp_path)
    tree.write({"shop/R/v1.avsc": record("R", ("x", kind, default))})
    done = tree.run()
    assert done.status == 0, done.err
    with tree.imported("shop") as shop:
        assert type(shop.R().x) is value
        assert avro.decode(shop.R, avro.encode(shop.R())) == shop.R()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ([UUID_FIXED, OTHER_UUID], "shop.Id and shop.Other become UUID"),
        (["int", {"type": "long", "logicalType": "timestamp-nanos"}], "int and timestamp-nanos"),
        ({"type": "array", "items": ["null", "float", "double"]}, "float and double become float"),
    ],
)
def test_branches_of_one_python_type_are_warned_of(kind: Any, told: str, tmp_path: Path) -> None:
    """Where the branch that was read cannot be told from the value, the generator says so."""
    tree = Tree(tmp_path)
    tree.write({"shop/R/v1.avsc": record("R", ("x", kind))})
    done = tree.run()
    assert done.status == 0
    assert "/fields/0/type: " in done.err
    assert told in done.err


def test_branches_that_values_tell_apart_are_not_warned_of(tmp_path: Path) -> None:
    """A plain fixed beside other bytes has its own class."""
    tree = Tree(tmp_path)
    fixed = [{"type": "fixed", "name": name, "size": 4} for name in "AB"]
    date = {"type": "int", "logicalType": "date"}
    instant = {"type": "long", "logicalType": "timestamp-millis"}
    tree.write({"shop/R/v1.avsc": record("R", ("x", [date, instant]), ("y", ["bytes", *fixed]))})
    done = tree.run()
    assert done.status == 0
    assert "warning" not in done.err


def test_nothing_that_a_schema_says_steers_the_terminal(tmp_path: Path) -> None:
    """Control and bidirectional characters are printed escaped."""
    tree = Tree(tmp_path)
    hostile = "\x1b[2J\u202egnp\x07"
    tree.write({"shop/R/v1.avsc": json.dumps(record("R", (hostile, "int")), ensure_ascii=False)})
    done = tree.run()
    assert done.status == 1
    assert not {"\x1b", "\u202e", "\x07"} & set(done.err)
    assert "\\u202e" in done.err


def test_one_bad_file_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    """A run reports the name of any unreadable file, and defects in other files as well."""
    tree = Tree(tmp_path)
    deep: Any = "int"
    for _ in range(400):
        deep = {"type": "array", "items": deep}
    tree.write(
        {
            "shop/A/v1.avsc": record("A", ("x", deep)),
            "shop/B/v1.avsc": record("B", ("x", "nope")),
            "shop/C/v1.avsc": "\x00",
            "shop/D/v1.avsc": record("D", ("x", "int")),
        }
    )
    done = tree.run()
    assert done.status == 1
    for name in "ABC":
        assert f"shop/{name}/v1.avsc:" in done.err
    assert "shop/D" not in done.err


def test_an_unexpected_error_names_the_file() -> None:
    """Where the generator itself fails, its traceback says which file it was working on."""
    with pytest.raises(KeyError) as failed, naming("schemas/shop/A/v1.avsc"):
        raise KeyError("x")
    assert failed.value.__notes__ == ["while generating from schemas/shop/A/v1.avsc"]
