"""Golden cases: what the generator writes for every construct of Avro, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.codegen.regenerate import CASES, OPTIONS
from tests.codegen.tree import Tree, run, texts

NAMES = sorted(case.name for case in CASES.iterdir() if case.is_dir())


@pytest.mark.parametrize("name", NAMES)
def test_case_is_generated_as_it_was_reviewed(name: str, tmp_path: Path) -> None:
    """Each case comes out byte for byte as its expected output."""
    schemas = CASES / name / "schemas"
    done = run("--schemas", str(schemas), "--output", str(tmp_path / "expected"), *OPTIONS)
    assert done.status == 0, done.err
    assert texts(tmp_path / "expected") == texts(CASES / name / "expected")


def test_lists_and_dicts_are_accepted_and_frozen(tmp_path: Path) -> None:
    """Constructors take lists and dicts at any depth, and keep tuples and copies."""
    tree = Tree(tmp_path)
    tree.write(
        {
            "shop/Basket/v1.avsc": (
                CASES / "arrays_and_maps/schemas/shop/Basket/v1.avsc"
            ).read_text(encoding="utf-8")
        }
    )
    assert tree.run().status == 0
    with tree.imported("shop.basket.v1") as module:
        prices = {"tea": 1.5}
        basket = module.Basket(
            numbers=[1, 2],
            prices=prices,
            matrix=[[1], [2, 3]],
            by_day={"mon": ["a"]},
            days=[{"x": True}],
            items=iter([module.Item(sku="s")]),
        )
        prices.clear()
        assert basket.numbers == (1, 2)
        assert basket.prices == {"tea": 1.5}
        assert basket.matrix == ((1,), (2, 3))
        assert basket.by_day == {"mon": ("a",)}
        assert basket.items == (module.Item(sku="s"),)


def test_defaults_are_never_shared(tmp_path: Path) -> None:
    """Two instances share no container and no record that a default gave them."""
    tree = Tree(tmp_path)
    path = CASES / "defaults/schemas/shop/Defaults/v1.avsc"
    tree.write({"shop/Defaults/v1.avsc": path.read_text(encoding="utf-8")})
    assert tree.run().status == 0
    with tree.imported("shop.defaults.v1") as module:
        first, second = module.Defaults(), module.Defaults()
        assert first.labels is not second.labels
        assert first.counts is not second.counts
        assert first.point is not second.point
        assert first.path[0] is not second.path[0]
        assert first.point.tags is not second.point.tags
