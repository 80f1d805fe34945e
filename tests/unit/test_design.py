"""The design page says what the import rule enforces."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_layers_of_the_design_page() -> None:
    """The layers that docs/design.md draws are those of pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (layers,) = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    drawn = (ROOT / "docs" / "design.md").read_text().split("## Imports point one way")[1]
    assert drawn.split("```")[1].split("\n")[1:-1] == layers


def test_files_of_the_design_page() -> None:
    """Every module that the page names exists."""
    page = (ROOT / "docs" / "design.md").read_text()
    table = page.split("## Where things are")[1].split("\n## ")[0]
    folder = ""
    for name in table.split("`")[1::2]:
        folder = name.rpartition("/")[0] if "/" in name else folder
        path = ROOT / (name if "/" in name else f"{folder}/{name}")
        assert path.exists(), name
