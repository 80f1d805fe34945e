"""A tree of schemas on disk, what the generator makes of it, and how tests look at that."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen

from codegen.generate import main


@frozen
class Run:
    """One run of the command."""

    status: int
    out: str
    err: str


@frozen
class Tree:
    """A folder with schemas, and the package that is generated beside it."""

    base: Path

    @property
    def schemas(self) -> Path:
        """Folder of the schemas."""
        return self.base / "schemas"

    @property
    def output(self) -> Path:
        """Folder of the generated package."""
        return self.base / "contracts"

    def write(self, files: Mapping[str, Any]) -> None:
        """Write schema files: text verbatim, anything else as JSON."""
        for path, content in files.items():
            target = self.schemas / path
            target.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content, indent=2)
            target.write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> Run:
        """Run the command on this tree."""
        return run("--schemas", str(self.schemas), "--output", str(self.output), *arguments)

    def generated(self) -> dict[str, str]:
        """Return every generated file: path below the output → text."""
        return texts(self.output)

    @contextlib.contextmanager
    def imported(self, module: str = "") -> Iterator[ModuleType]:
        """Import a module of the generated package, and forget the package afterwards."""
        sys.path.insert(0, str(self.base))
        importlib.invalidate_caches()
        before = set(sys.modules)
        outside = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
        try:
            yield importlib.import_module(f"contracts.{module}".rstrip("."))
        finally:
            sys.path.remove(str(self.base))
            for name in set(sys.modules) - before | {n for n in sys.modules if _is_ours(n)}:
                if _is_ours(name):
                    del sys.modules[name]
            sys.modules.update(outside)


def run(*arguments: str) -> Run:
    """Run the command and catch what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as stopped:
            status = int(stopped.code or 0)
    return Run(status, out.getvalue(), err.getvalue())


def executed(source: str) -> ModuleType:
    """Run the source of a generated module that imports no other, and return the module."""
    module = ModuleType("generated")
    sys.modules["generated"] = module
    exec(compile(source, "generated", "exec", dont_inherit=True), vars(module))
    return module


def texts(folder: Path) -> dict[str, str]:
    """Return the text files below a folder: path → text."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def record(name: str, *fields: tuple[Any, ...], namespace: str = "shop") -> dict[str, Any]:
    """Return a record: its fields are name and type, and a default where there is one."""
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "fields": [
            {"name": each[0], "type": each[1]} | ({"default": each[2]} if len(each) > 2 else {})
            for each in fields
        ],
    }


def _is_ours(name: str) -> bool:
    return name == "contracts" or name.startswith("contracts.")
