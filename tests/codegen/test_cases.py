"""Golden cases: what the generator writes for every construct of Avro, to the byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.regenerate import CASES, OPTIONS
from tests.codegen.tree import Tree, run, texts

NAMES = sorted(case.name for case in CASES.iterdir() if case.is_dir())
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_case_is_generated_as_it_was_reviewed(name: str, tmp_path: Path) -> None:
    """Each case comes out byte for byte as its expected output."""
    schemas = CASES / name / "schemas"
    done = run("--schemas", str(schemas), "--output", str(tmp_path / "expected"), *OPTIONS)
    assert done.status == 0, done.err
    assert texts(tmp_path / "expected") == texts(CASES / name / "expected")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All expected packages beside each other, so that one tool run sees them all."""
    folder = tmp_path_factory.mktemp("packages")
    for name in NAMES:
        for path, text in texts(CASES / name / "expected").items():
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return folder


def test_cases_pass_the_strict_type_checker(packages: Path) -> None:
    """Mypy --strict has nothing to say about any case."""
    check_types(packages)


def test_cases_pass_the_linter_and_the_formatter(packages: Path) -> None:
    """Ruff's default rules find nothing, and its formatter would change nothing."""
    check_style(packages)


def test_cases_import(packages: Path) -> None:
    """Every module of every case can be imported."""
    check_imports(packages)


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


def check_types(packages: Path) -> None:
    """Run mypy --strict over every package of a folder."""
    config = packages / "mypy.ini"
    config.write_text(
        f"[mypy]\nstrict = true\nmypy_path = {packages}:{ROOT}\ncache_dir = {packages}/.cache\n"
        "[mypy-sdk.*]\nfollow_imports = silent\n",
        encoding="utf-8",
    )
    names = [each.name for each in sorted(packages.iterdir()) if (each / "__init__.py").exists()]
    arguments = [each for name in names for each in ("-p", name)]
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=packages, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_style(packages: Path) -> None:
    """Run ruff's linter and formatter over every package of a folder."""
    tool = [sys.executable, "-m", "ruff"]
    for command in (["check"], ["format", "--line-length", "100", "--check"]):
        done = subprocess.run(
            [*tool, command[0], "--isolated", "--no-cache", *command[1:], str(packages)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def check_imports(packages: Path) -> None:
    """Import every module of every package of a folder, in a process of its own."""
    script = (
        "import importlib, pathlib, sys\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "for path in sorted(root.rglob('*.py')):\n"
        "    parts = path.relative_to(root).with_suffix('').parts\n"
        "    importlib.import_module('.'.join(parts).removesuffix('.__init__'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(packages), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
