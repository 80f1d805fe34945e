"""Every golden case and every valid schema of the corpus: imports, strict types, style, values."""

from __future__ import annotations

import copy
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from sdk import avro
from sdk.errors import ConfigurationError
from sdk.testing import events
from tests.codegen.corpus import Source, sources
from tests.codegen.tree import Tree

ROOT = Path(__file__).parents[2]


def test_they_pass_the_strict_type_checker(packages: Path) -> None:
    """Mypy --strict has nothing to say about any module."""
    config = packages / "mypy.ini"
    config.write_text(
        f"[mypy]\nstrict = true\nmypy_path = {packages}:{ROOT}\ncache_dir = {packages}/.cache\n"
        "[mypy-sdk.*]\nfollow_imports = silent\n",
        encoding="utf-8",
    )
    names = [each.name for each in sorted(packages.iterdir()) if (each / "__init__.py").exists()]
    arguments = [each for name in names for each in ("-p", name)]
    run_tool("mypy", "--config-file", str(config), *arguments)


def test_they_pass_pyright_in_strict_mode(packages: Path) -> None:
    """Pyright has nothing to say about any module: no type is unknown."""
    config = packages / "pyrightconfig.json"
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(packages), str(ROOT)]}
    config.write_text(json.dumps(settings), encoding="utf-8")
    run_tool("basedpyright", "--project", str(config), "--pythonpath", sys.executable)


def test_they_pass_the_linter(packages: Path) -> None:
    """Ruff's default rules find nothing."""
    run_tool("ruff", "check", "--isolated", "--no-cache", str(packages))


def test_they_are_formatted(packages: Path) -> None:
    """Ruff's formatter would change nothing, but for one field of 141 types."""
    arguments = ["--isolated", "--no-cache", "--line-length", "100", "--check"]
    giant = next(packages.glob("*large_schema*")).name
    run_tool("ruff", "format", *arguments, "--exclude", giant, str(packages))


def test_they_import(packages: Path) -> None:
    """Every module can be imported, without a warning."""
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


def test_random_events_survive_the_codec(packages: Path) -> None:
    """Events of every class with random values come back from their bytes as they were."""
    seen = 0
    for cls in event_classes(packages):
        for event in drawn(cls, 3):
            assert avro.decode(cls, avro.encode(event)) == event
            seen += 1
    assert seen > 300


def test_annotations_can_be_evaluated(packages: Path) -> None:
    """Tools that read types at run time, such as cattrs, find every name."""
    for cls in event_classes(packages):
        hints = get_type_hints(cls)
        assert {each.name for each in cls.__attrs_attrs__} < set(hints)


def test_events_behave_as_values(packages: Path) -> None:
    """Events are frozen, compare by value, copy, and evolve."""
    for cls in event_classes(packages):
        (event,) = drawn(cls, 1) or [None]
        if event is None or not cls.__attrs_attrs__:
            continue
        first = cls.__attrs_attrs__[0]
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(event, first.name, None)
        assert copy.deepcopy(event) == event
        assert attrs.evolve(event) == event
        assert not hasattr(event, "__dict__")


@pytest.mark.parametrize(
    "source", [each for each in sources() if not each.is_valid], ids=lambda source: source.name
)
def test_invalid_schemas_are_refused(source: Source, tmp_path: Path) -> None:
    """Apache's invalid schemas are refused with file, line and reason."""
    tree = Tree(tmp_path)
    source.place(tree.schemas)
    done = tree.run()
    assert done.status == 1
    assert any(f"{tree.schemas}/{path}:" in done.err for _, path in source.files)
    assert not tree.output.exists()


def event_classes(packages: Path) -> Iterator[type[Any]]:
    """Yield every record class that has a contract."""
    sys.path.insert(0, str(packages))
    try:
        for path in sorted(packages.rglob("v*.py")):
            parts = path.relative_to(packages).with_suffix("").parts
            module = importlib.import_module(".".join(parts))
            for name in module.__all__:
                cls = getattr(module, name)
                if hasattr(cls, "__attrs_attrs__") and hasattr(cls, "__event__"):
                    yield cls
    finally:
        sys.path.remove(str(packages))


def drawn(cls: type[Any], count: int) -> list[Any]:
    """Return some random events of a class; none if none can be finite."""
    found: list[Any] = []
    try:
        strategy = events(cls)
    except ConfigurationError:
        return found

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(event: Any) -> None:
        found.append(event)

    collect()
    return found


def run_tool(*command: str) -> None:
    """Run a development tool and expect that it finds nothing."""
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
