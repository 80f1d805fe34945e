"""Long defaults are broken into lines as the formatter breaks them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.wrapping import wrapped


@pytest.mark.parametrize(
    "source",
    [
        "Stamp(time=0)",
        f'Stamp(time=0, actor="{"a" * 60}", note="é日")',
        f'Stamp(time=0, actor="{"a" * 60}", note="{"b" * 40}")',
        f'(Stamp(time=0, actor="{"a" * 50}"), Stamp(time=1, actor="{"b" * 50}"))',
        f'({{"k": Stamp(text="{"a" * 40}"), "l": (Stamp(text="{"b" * 30}"),)}},)',
        f'Decimal("{"1" * 90}")',
    ],
)
def test_lines_stand_as_the_formatter_leaves_them(source: str, tmp_path: Path) -> None:
    """The wrapped text is the same expression, and the formatter would not change it."""
    made = wrapped("default=", source, " " * 8)
    assert ast.dump(ast.parse(made.removeprefix("default="), mode="eval")) == ast.dump(
        ast.parse(source, mode="eval")
    )
    file = tmp_path / "x.py"
    head = "class X:\n    attribute: Annotation = field(\n"
    text = f"{head}        {made},\n        validator=v,\n    )\n"
    file.write_text(text, encoding="utf-8")
    options = ("--isolated", "--no-cache", "--line-length", "100", "--check", str(file))
    done = subprocess.run([sys.executable, "-m", "ruff", "format", *options], check=False)
    assert done.returncode == 0, text
