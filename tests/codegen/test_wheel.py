"""The contracts package can be distributed separately."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.codegen.tree import Tree, record

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from the lines that the documentation gives."""
    pytest.importorskip("setuptools", minversion="77")
    tree = Tree(tmp_path_factory.mktemp("project"))
    tree.write({"shop/Order/v1.avsc": record("Order", ("id", "string"))})
    assert tree.run().status == 0
    text = (ROOT / "schemas" / "README.md").read_text(encoding="utf-8")
    (project,) = re.findall(r"```toml\n(\[project\].*?)```", text, re.DOTALL)
    (tree.base / "pyproject.toml").write_text(project, encoding="utf-8")
    target = tree.base / "dist"
    target.mkdir()
    script = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", script, str(target)], cwd=tree.base, check=True, capture_output=True
    )
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_has_modules_and_the_typing_mark(wheel: Path) -> None:
    """Modules and py.typed are inside, schemas are not needed: they stand in the modules."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"contracts/__init__.py", "contracts/shop/order/v1.py", "contracts/py.typed"} <= names
    assert not any(name.endswith(".avsc") for name in names)


def test_classes_work_from_the_wheel(wheel: Path) -> None:
    """A service that has the wheel and the SDK needs nothing else, whatever its folder."""
    script = (
        f"import sys; sys.path[:0] = [{str(wheel)!r}, {str(ROOT)!r}]\n"
        "from contracts import CATALOG\n"
        "from contracts.shop import Order\n"
        "assert CATALOG.find('Order') is Order\n"
        "print(Order(id='a'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=wheel.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "Order(id='a')"
