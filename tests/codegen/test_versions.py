"""Versions: side by side, immutable once followed, compatible as their level says, pinned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdk.errors import ConfigurationError
from tests.codegen.tree import Tree, record

V1 = record("Order", ("id", "string"))
V2 = record("Order", ("id", "string"), ("note", ["null", "string"], None))
V3 = record("Order", ("id", "string"), ("note", ["null", "string"], None), ("count", "int", 1))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An event in two versions, generated."""
    tree = Tree(tmp_path)
    tree.write({"shop/Order/v1.avsc": V1, "shop/Order/v2.avsc": V2})
    assert tree.run().status == 0
    return tree


def test_versions_stand_side_by_side(tree: Tree) -> None:
    """Each version has its module; packages offer the newest, the catalog all."""
    with tree.imported() as contracts:
        newest = contracts.CATALOG.find("Order")
        assert newest.__event__.version == 2
        assert [cls.__event__.version for cls in contracts.CATALOG.versions("shop.Order")] == [1, 2]
    with tree.imported("shop") as shop:
        assert shop.Order is shop.order.v2.Order is shop.order.Order
        assert not hasattr(shop, "Nothing")


def test_a_followed_version_is_immutable(tree: Tree) -> None:
    """Changing v1 after v2 exists is refused, with the way out."""
    tree.write({"shop/Order/v1.avsc": record("Order", ("id", "string"), ("x", "int", 0))})
    done = tree.run()
    assert done.status == 1
    assert "shop/Order/v1.avsc:1:1" in done.err
    assert "git restore" in done.err
    assert "v3" in done.err


def test_white_space_and_comments_are_no_change(tree: Tree) -> None:
    """A version may be reformatted after a newer one exists."""
    tree.write({"shop/Order/v1.avsc": "// old\n" + json.dumps(V1)})
    assert tree.run().status == 0


def test_the_newest_version_may_change(tree: Tree) -> None:
    """Until it is followed, a version is a draft."""
    tree.write({"shop/Order/v2.avsc": V3})
    assert tree.run().status == 0


def test_a_pin_of_a_followed_version_is_immutable(tmp_path: Path) -> None:
    """Pinning an old version to another type changes what it means."""
    tree = Tree(tmp_path)
    paid = [record("Paid", ("order", "Order")), record("Paid", ("order", "Order"), ("n", "int", 0))]
    pins = '[versions.1.references]\n"shop.Order" = {}\n[versions.2.references]\n"shop.Order" = 2\n'
    tree.write(
        {
            "shop/Order/v1.avsc": V1,
            "shop/Order/v2.avsc": V2,
            "shop/Paid/v1.avsc": paid[0],
            "shop/Paid/v2.avsc": paid[1],
            "shop/Paid/event.toml": pins.format(1),
        }
    )
    assert tree.run().status == 0
    tree.write({"shop/Paid/event.toml": pins.format(2)})
    done = tree.run()
    assert done.status == 1
    assert "shop/Paid/v1.avsc" in done.err


def level(name: str) -> dict[str, Any]:
    """Return an event.toml of a compatibility level."""
    return {"shop/Order/event.toml": f'compatibility = "{name}"\n'}


def test_an_incompatible_version_is_refused_with_reason_and_path(tree: Tree) -> None:
    """A new field without a default cannot be read from old data; both verdicts are told."""
    tree.write({"shop/Order/v2.avsc": record("Order", ("id", "string"), ("x", "int"))})
    done = tree.run()
    assert done.status == 1
    assert "shop/Order/v2.avsc:10:5 /fields/1" in done.err
    assert "v2 cannot read v1, which BACKWARD_TRANSITIVE requires" in done.err
    assert "the registry rejects it; our reader rejects it" in done.err


def test_what_only_our_reader_refuses_is_distinguished(tree: Tree) -> None:
    """A registry lets a decimal's scale change, and every amount would be read wrongly."""

    def amount(scale: int) -> dict[str, Any]:
        kind = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": scale}
        return record("Money", ("amount", kind))

    tree.write({"shop/Money/v1.avsc": amount(2), "shop/Money/v2.avsc": amount(4)})
    done = tree.run()
    assert done.status == 1
    assert "the registry accepts it; our reader rejects it" in done.err


def test_transitive_levels_compare_all_pairs(tree: Tree) -> None:
    """v3 reads v2 but not v1: allowed by BACKWARD, refused by BACKWARD_TRANSITIVE."""
    versions = [
        record("Order", ("id", "string")),
        record("Order", ("id", "string"), ("x", "int", 1)),
        record("Order", ("id", "string"), ("x", "int")),
    ]
    tree = Tree(tree.base / "pairs")
    tree.write({f"shop/Order/v{n}.avsc": each for n, each in enumerate(versions, start=1)})
    tree.write(level("BACKWARD"))
    assert tree.run().status == 0
    tree.write(level("BACKWARD_TRANSITIVE"))
    done = tree.run()
    assert done.status == 1
    assert "v3 cannot read v1" in done.err
    assert "v3 cannot read v2" not in done.err


@pytest.mark.parametrize(
    ("name", "accepts"),
    [("FORWARD", True), ("FULL", False), ("NONE", True), ("BACKWARD", False)],
)
def test_levels_ask_for_their_direction(name: str, accepts: bool, tree: Tree) -> None:
    """A new field without a default is compatible with old readers only."""
    tree = Tree(tree.base / name)
    added = record("Order", ("id", "string"), ("x", "int"))
    tree.write({"shop/Order/v1.avsc": V1, "shop/Order/v2.avsc": added, **level(name)})
    assert (tree.run().status == 0) is accepts


def test_versions_may_not_change_the_name(tree: Tree) -> None:
    """Files of one folder are versions of one event, so they share its full name."""
    tree.write({"shop/Order/v2.avsc": record("Orders", ("id", "string"))})
    done = tree.run()
    assert done.status == 1
    assert "shop.Orders" in done.err


def test_an_unpinned_reference_to_several_versions_is_refused(tree: Tree) -> None:
    """The error says what to write, and where."""
    tree.write({"shop/Paid/v1.avsc": record("Paid", ("order", "Order"))})
    done = tree.run()
    assert done.status == 1
    assert "shop/Paid/v1.avsc:8:15 /fields/0/type" in done.err
    assert '[versions.1.references]\n        "shop.Order" = 2' in done.err
    assert "1 finding;" in done.err


def test_pins_choose_the_version(tree: Tree) -> None:
    """Each version of an event refers to the version that it is pinned to."""
    tree.write(
        {
            "shop/Paid/v1.avsc": record("Paid", ("order", "Order")),
            "shop/Paid/event.toml": '[versions.1.references]\n"shop.Order" = 1\n',
        }
    )
    assert tree.run().status == 0
    with tree.imported("shop.paid.v1") as paid:
        (order,) = paid.Paid.__event__.references
        assert (order.full_name, order.version) == ("shop.Order", 1)


@pytest.mark.parametrize(
    ("pin", "message"),
    [('"shop.Order" = 9', "has no version 9"), ('"shop.Other" = 1', "names no type shop.Other")],
)
def test_wrong_pins_are_refused(pin: str, message: str, tree: Tree) -> None:
    """A pin to nothing, or of nothing, is a mistake."""
    tree.write(
        {
            "shop/Paid/v1.avsc": record("Paid", ("order", "Order")),
            "shop/Paid/event.toml": f"[versions.1.references]\n{pin}\n",
        }
    )
    done = tree.run()
    assert done.status == 1
    assert message in done.err
    assert "shop/Paid/event.toml:2:1" in done.err


def test_two_versions_of_a_type_may_not_meet_in_one_event(tree: Tree) -> None:
    """A schema can define a name once, so an event may not reach two versions of it."""
    tree.write(
        {
            "shop/Box/v1.avsc": record("Box", ("order", "Order")),
            "shop/Box/event.toml": '[versions.1.references]\n"shop.Order" = 1\n',
            "shop/Van/v1.avsc": record("Van", ("box", "Box"), ("order", "Order")),
            "shop/Van/event.toml": '[versions.1.references]\n"shop.Order" = 2\n',
        }
    )
    done = tree.run()
    assert done.status == 1
    assert "two versions of shop.Order" in done.err


def test_what_a_followed_version_refers_to_is_immutable(tmp_path: Path) -> None:
    """A shared type may not change under an event's old version, though it has one version only."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/Money/v1.avsc": record("Money", ("amount", "long")),
            "shop/Paid/v1.avsc": record("Paid", ("money", "Money")),
        }
    )
    assert tree.run().status == 0
    tree.write({"shop/Money/v1.avsc": record("Money", ("amount", "double"))})
    assert tree.run().status == 0, "nothing is followed yet"
    tree.write({"shop/Paid/v2.avsc": record("Paid", ("money", "Money"), ("n", "int", 0))})
    assert tree.run().status == 0
    tree.write({"shop/Money/v1.avsc": record("Money", ("amount", "string"))})
    done = tree.run()
    assert done.status == 1
    assert "shop/Money/v1.avsc:1:1" in done.err
    assert "refers to it" in done.err


def test_what_another_schema_names_is_an_event_if_it_is_configured(tmp_path: Path) -> None:
    """An event.toml makes an event, with or without a key; without one it is a shared type."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/Customer/v1.avsc": record("Customer", ("id", "string")),
            "shop/Order/v1.avsc": record("Order", ("by", "shop.Customer")),
        }
    )
    assert tree.run().status == 0
    with tree.imported() as contracts:
        assert [each.full_name for each in contracts.CATALOG] == ["shop.Order"]
        with pytest.raises(ConfigurationError, match="stands beside it"):
            contracts.CATALOG.find("Customer")
    tree.write({"shop/Customer/event.toml": 'owner = "team-customers"'})
    assert tree.run().status == 0
    with tree.imported() as contracts:
        assert contracts.CATALOG.find("Customer").__event__.key_field is None


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("double", "float"),
        ("boolean", "bool"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4}, "Decimal"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "datetime"),
        ({"type": "array", "items": "string"}, "array"),
        (record("Id", ("x", "int")), "record"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "enum"),
        (["null", "string", "float"], "float"),
    ],
)
def test_a_key_must_be_of_a_type_that_keys_have(kind: Any, told: str, tmp_path: Path) -> None:
    """A field that no key serializer takes is refused as the key when code is generated."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/Order/v1.avsc": record("Order", ("id", kind)),
            "shop/Order/event.toml": 'owner = "x"\nkey = "id"\n',
        }
    )
    done = tree.run()
    assert done.status == 1
    assert "shop/Order/event.toml:2:1 /key: " in done.err
    assert f"is of type {told}, not a key" in done.err


@pytest.mark.parametrize(
    "kind",
    [
        "string",
        "long",
        "bytes",
        {"type": "string", "logicalType": "uuid"},
        {"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"},
        {"type": "fixed", "name": "F", "size": 4},
        ["null", "int"],
    ],
)
def test_a_key_may_be_text_a_number_a_uuid_or_bytes(kind: Any, tmp_path: Path) -> None:
    """Key fields may have every type that key serializers accept."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/Order/v1.avsc": record("Order", ("id", kind)),
            "shop/Order/event.toml": 'key = "id"\n',
        }
    )
    assert tree.run().status == 0


def test_line_endings_of_a_checkout_are_no_change(tree: Tree) -> None:
    """Files that version control gave CRLF are up to date, also where old versions are held."""
    for path in (*tree.output.rglob("*.py"), *tree.schemas.rglob("*.avsc")):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    done = tree.run("--check")
    assert done.status == 0, done.err
    tree.write({"shop/Order/v1.avsc": record("Order", ("id", "string"), ("x", "int", 0))})
    assert "has changed" in tree.run().err
