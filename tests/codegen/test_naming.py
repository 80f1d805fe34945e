"""Python names: legal, stable, distinct, and as close to the schema's as Python allows."""

from __future__ import annotations

import keyword
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.naming import (
    attribute_names,
    class_names,
    distinct_paths,
    member_names,
    module_name,
    type_module_name,
)

AVRO_NAMES = st.lists(
    st.from_regex(r"[A-Za-z_ßﬁ][A-Za-z0-9_ßﬁ]{0,6}", fullmatch=True), min_size=1, unique=True
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OrderCreated", "order_created"),
        ("HTTPServerError", "http_server_error"),
        ("order_id", "order_id"),
        ("Order2Created", "order2_created"),
        ("order-service", "order_service"),
        ("2024", "_2024"),
        ("class", "class_"),
        ("__x__", "x"),
        ("___", "_"),
        ("Ünïcode", "ünïcode"),
    ],
)
def test_modules_are_called_in_snake_case(name: str, expected: str) -> None:
    """Packages of events and namespaces follow the field's custom."""
    assert module_name(name) == expected


def test_the_package_of_a_lower_case_type_does_not_hide_its_class() -> None:
    """``contracts.shop.player`` is the class, so the package is ``player_``."""
    assert type_module_name("player") == "player_"
    assert type_module_name("Player") == "player"


def test_a_name_that_is_free_keeps_its_spelling() -> None:
    """A reserved name does not displace a field with the escaped name."""
    assert attribute_names(["class", "class_", "id"], set()) == ["class__", "class_", "id"]


def test_attributes_do_not_hide_types() -> None:
    """A field with the name of a class would break every annotation after it."""
    assert attribute_names(["Address", "address"], {"Address"}) == ["Address_", "address"]


@given(AVRO_NAMES)
def test_attributes_are_legal_and_distinct(names: list[str]) -> None:
    """A class can have fields with any names."""
    chosen = attribute_names(names, {"R"})
    assert len(set(chosen)) == len(names)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in chosen)
    assert not any(name.startswith("__") and not name.endswith("__") for name in chosen)


@given(AVRO_NAMES)
def test_members_are_members(names: list[str]) -> None:
    """Every symbol becomes a separate member of the enum, whatever its name."""
    chosen = member_names(names)
    source = "class E(Enum):\n" + "".join(
        f"    {name} = {symbol!r}\n" for name, symbol in zip(chosen, names, strict=True)
    )
    space = {"Enum": Enum}
    exec(source, space)
    assert [member.value for member in space["E"]] == names


def test_members_are_members_to_type_checkers_too() -> None:
    """No member has an underscore at both ends, which type checkers take for a special name."""
    assert member_names(["_x_", "_", "__", "_1_", "_a", "a_", "_a__b"]) == [
        *("x_", "underscore", "underscore_", "n1_", "_a", "a_", "a__b"),
    ]


def test_types_of_one_short_name_are_distinguished_by_namespace() -> None:
    """The first keeps the short name, the others take as much namespace as they need."""
    assert class_names(["a.Money", "b.Money", "c.b.Money"]) == {
        "a.Money": "Money",
        "b.Money": "BMoney",
        "c.b.Money": "CBMoney",
    }


def test_types_do_not_hide_builtins_or_what_the_module_imports() -> None:
    """A record may be called list, Enum or v1."""
    chosen = class_names(["list", "Enum", "Exception", "v1", "None"])
    assert list(chosen.values()) == ["list_", "Enum_", "Exception_", "v1_", "None_"]


def test_packages_are_distinct_and_hold_no_event_and_namespace_at_once() -> None:
    """Equal paths are numbered, and a path that others stand below gives way."""
    wanted = {"A": ("x", "y"), "B": ("x", "y"), "C": ("x",), "D": ("z",)}
    chosen = distinct_paths(wanted)
    assert chosen == {"A": ("x", "y"), "B": ("x", "y_2"), "C": ("x_2",), "D": ("z",)}
