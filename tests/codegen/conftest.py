"""Packages of all golden cases and of the whole corpus, generated once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.codegen.corpus import sources
from tests.codegen.regenerate import CASES
from tests.codegen.tree import run


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packages beside each other, so that one run of a tool sees them all."""
    folder = tmp_path_factory.mktemp("packages")
    for case in CASES.iterdir():
        if case.is_dir():
            shutil.copytree(case / "expected", folder / f"case_{case.name}")
    for source in sources():
        if source.is_valid:
            schemas = tmp_path_factory.mktemp("schemas")
            source.place(schemas)
            done = run("--schemas", str(schemas), "--output", str(folder / source.name))
            assert done.status == 0, f"{source.name}: {done.err}"
    return folder
