"""Compares what was rendered with the files of the output, and writes the difference."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from codegen.findings import Finding
from codegen.render import HASH, MARK


@frozen
class Change:
    """One file that differs."""

    path: str
    before: str | None
    after: str | None


def changes(output: Path, files: Mapping[str, str], parts: Sequence[str]) -> list[Change]:
    """Return the differences between the output and the rendered files, in the order of paths."""
    found = [
        Change(path, before, files[path])
        for path in files
        if (before := read(output / path)) != files[path]
    ]
    for path in _generated(output, parts):
        if path not in files:
            found.append(Change(path, read(output / path), None))
    return sorted(found, key=lambda change: change.path)


def foreign(output: Path, found: Sequence[Change]) -> Iterator[Finding]:
    """Yield a finding for each file to be overwritten that was not generated."""
    for change in found:
        if change.before and not change.before.startswith(MARK):
            yield Finding(
                str(output / change.path),
                1,
                1,
                "",
                "this file was not generated, and would be overwritten",
                "move it away, or generate into another folder",
            )


def recorded_hash(text: str | None) -> str | None:
    """Return the schema hash that a generated module records."""
    for line in (text or "").split("\n", 3)[:3]:
        if line.startswith(HASH):
            return line.removeprefix(HASH)
    return None


def write(output: Path, found: Sequence[Change]) -> None:
    """Bring the output up to date: write new texts, each in one step, and remove orphans."""
    for change in found:
        target = output / change.path
        if change.after is None:
            target.unlink()
            _prune(target.parent, output)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.{os.getpid()}")
            beside.write_bytes(change.after.encode("utf-8"))
            beside.replace(target)


def unified_diff(change: Change) -> str:
    """Return a change as a unified diff."""
    lines = difflib.unified_diff(
        (change.before or "").splitlines(keepends=True),
        (change.after or "").splitlines(keepends=True),
        change.path if change.before is not None else "/dev/null",
        change.path if change.after is not None else "/dev/null",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def read(path: Path) -> str | None:
    """Return a file's text, or None if there is none.

    Line endings do not count: version control may have changed them on the way.
    """
    try:
        return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def _generated(output: Path, parts: Sequence[str]) -> Iterator[str]:
    starts = [output / part for part in parts] or [output]
    for start in starts:
        for parent, folders, names in os.walk(start):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                path = Path(parent) / name
                if name.endswith(".py") and _begins_with_mark(path):
                    yield path.relative_to(output).as_posix()


def _begins_with_mark(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def _prune(folder: Path, output: Path) -> None:
    """Remove folders that hold nothing but compiled remains, up to the output."""
    while folder != output:
        names = [entry.name for entry in folder.iterdir()]
        if any(name != "__pycache__" for name in names):
            return
        for cached in (folder / "__pycache__").glob("*.pyc"):
            cached.unlink()
        if names:
            (folder / "__pycache__").rmdir()
        folder.rmdir()
        folder = folder.parent
