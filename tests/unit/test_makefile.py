"""`make` prepares .venv with a Python that will do, and says so in one line if there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"

# It answers as Python does to what the Makefile asks, and notes how it was called.
PYTHON = """#!/bin/sh
echo "{name} $*" >> "{log}"
case "$1" in
-c) exit {too_old} ;;
-V) echo "Python {version}" ;;
-m) test "$2" != venv || {{ mkdir -p .venv/bin && cp "{path}" .venv/bin/python; }} ;;
esac
"""


def write_python(path: Path, log: Path, version: str) -> None:
    """Write a stand-in for a Python of this version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    too_old = int(version.startswith("3.10"))
    text = PYTHON.format(name=path.name, log=log, version=version, path=path, too_old=too_old)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project folder with Pythons of several versions, python3 being a recent one."""
    (tmp_path / "Makefile").write_text(MAKEFILE.read_text())
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    for name, version in (
        ("python3.10", "3.10.9"),
        ("python3", "3.12.1"),
        ("python3.13", "3.13.0"),
    ):
        write_python(tmp_path / "bin" / name, tmp_path / "calls", version)
    return tmp_path


def make(tree: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make` with these Pythons first on the path."""
    return subprocess.run(
        ["make", *arguments],
        cwd=tree,
        env={"PATH": f"{tree / 'bin'}:/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(tree: Path) -> list[str]:
    """Return how often a virtual environment was made, and forget the calls."""
    log = tree / "calls"
    found = [line for line in log.read_text().splitlines() if " -m venv " in line]
    log.write_text("")
    return found


@pytest.mark.parametrize("name", ["python3.10", "python9"])
def test_python_that_will_not_do(tree: Path, name: str) -> None:
    """An old or missing Python is named in one line, and no .venv is left behind."""
    done = make(tree, "test", PYTHON=name)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(told) == 1
    assert told[0].startswith(f"Python 3.11 or newer is needed, but {name} is ")
    assert not (tree / ".venv").exists()


def test_first_run_and_later_ones(tree: Path) -> None:
    """The first run makes .venv, a second one uses it."""
    assert make(tree, "test").returncode == 0
    assert len(calls(tree)) == 1
    assert make(tree, "test").returncode == 0
    assert calls(tree) == []


def test_named_python_replaces_another(tree: Path) -> None:
    """A .venv of another Python than the one named is recreated; runs without a name keep it."""
    assert make(tree, "test").returncode == 0
    calls(tree)
    assert make(tree, "test", "PYTHON=python3.13").returncode == 0
    assert calls(tree) == ["python3.13 -m venv --clear .venv"]
    assert make(tree, "test").returncode == 0
    assert calls(tree) == []


def test_venv_of_an_old_python(tree: Path) -> None:
    """A .venv that an old Python has made does not get in the way of the correct run."""
    write_python(tree / ".venv" / "bin" / "python", tree / "calls", "3.10.9")
    (tree / ".venv" / ".ready").touch()
    assert make(tree, "test").returncode == 0
    assert calls(tree) == ["python3 -m venv --clear .venv"]


def test_old_python_beside_a_good_venv(tree: Path) -> None:
    """A good .venv survives a run that names an old Python."""
    assert make(tree, "test").returncode == 0
    assert make(tree, "test", PYTHON="python3.10").returncode != 0
    calls(tree)
    assert make(tree, "test").returncode == 0
    assert calls(tree) == []
