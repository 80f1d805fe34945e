"""Examples in event.toml must be events of their version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.codegen.tree import Tree, record

ORDER = record(
    "Order",
    ("id", {"type": "string", "logicalType": "uuid"}),
    ("at", {"type": "long", "logicalType": "timestamp-millis"}),
    ("price", {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}),
    ("count", "int", 1),
    ("note", ["null", "string"]),
    ("tags", {"type": "array", "items": "string"}, []),
    ("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}, "A"),
)
GOOD = """
id = "3f2b8a52-6c1e-4d6e-9f38-0f5a1c1c7a11"
at = 2026-01-15T09:30:00Z
price = "1.50"
"""


def generate(tmp_path: Path, example: str) -> str:
    """Return what the command says about an example."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/Order/v1.avsc": ORDER,
            "shop/Order/event.toml": f"[[versions.1.examples]]{example}",
        }
    )
    return tree.run().err


def test_a_good_example_is_accepted(tmp_path: Path) -> None:
    """Fields with defaults and nullable fields may be left out."""
    assert "finding" not in generate(tmp_path, f'{GOOD}note = "x"\ntags = ["a"]\nkind = "B"\n')


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("id = ", "key = ", "field id is missing"),
        ("id = ", 'more = "x"\nid = ', "has no field more"),
        ("3f2b8a52-", "", "is not of type uuid"),
        ("09:30:00Z", "09:30:00", "is not of type timestamp-millis"),
        ('"1.50"', "1.5", "is not of type decimal"),
        ('price = "1.50"', 'price = "1.50"\ncount = 2147483648', "is not of type int"),
        ('price = "1.50"', 'price = "1.50"\nnote = 5', "is not of type union"),
        ('price = "1.50"', 'price = "1.50"\ntags = [5]', "is not of type string"),
        ('price = "1.50"', 'price = "1.50"\nkind = "C"', "not a symbol of shop.Kind"),
    ],
)
def test_a_wrong_example_is_reported(before: str, after: str, reason: str, tmp_path: Path) -> None:
    """An example that the schema does not allow would mislead its reader."""
    err = generate(tmp_path, GOOD.replace(before, after, 1))
    assert reason in err
    assert "shop/Order/event.toml:" in err
