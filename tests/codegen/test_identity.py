"""Classes equal their schemas, and the comparison notices every kind of difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.codegen.identity import differences
from tests.codegen.regenerate import CASES
from tests.codegen.test_packages import event_classes
from tests.codegen.tree import Tree, texts


def test_generated_classes_equal_their_schemas(packages: Path) -> None:
    """No class of a golden case or of the corpus differs from its schema."""
    classes = list(event_classes(packages))
    assert len(classes) > 100
    assert [each for cls in classes for each in differences(cls)] == []


@pytest.mark.parametrize(
    ("case", "module", "before", "after", "difference"),
    [
        ("unions", "shop.choice.v1.Choice", "    single: int", "    single: str", "annotated"),
        ("unions", "shop.choice.v1.Choice", "Left | Right\n", "Left\n", "annotated"),
        ("unions", "shop.choice.v1.Choice", "    text: str | None\n", "", "attributes for"),
        ("unions", "shop.choice.v1.Choice", "    text: str", "    letters: str", "is called"),
        ("unions", "shop.choice.v1.Choice", 'None = "a"', 'None = "b"', "another default"),
        ("unions", "shop.choice.v1.Choice", 'None = "a"', "None", "has a default"),
        ("enums", "shop.ticket.v1.Ticket", 'OPEN = "OPEN"', 'OPEN = "OPENED"', "symbols"),
        ("defaults", "shop.defaults.v1.Defaults", "12.34", "12.35", "another default"),
        ("defaults", "shop.defaults.v1.Defaults", "Point(x=1, y=2)", "Point(x=2, y=2)", "default"),
        ("fixed", "shop.login.v1.Login", "either: bytes | Token", "either: bytes", "annotated"),
    ],
)
def test_a_difference_is_noticed(
    case: str, module: str, before: str, after: str, difference: str, tmp_path: Path
) -> None:
    """A class that was changed, by hand or by a fault of the generator, is found."""
    tree = Tree(tmp_path)
    for path, text in texts(CASES / case / "expected").items():
        target = tree.output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace(before, after), encoding="utf-8")
    name, _, cls = module.rpartition(".")
    with tree.imported(name) as imported:
        assert any(difference in each for each in differences(getattr(imported, cls)))
