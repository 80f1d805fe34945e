"""The public corpus as trees of schemas: what is valid, and what is not."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

CORPUS = Path(__file__).parents[1] / "data" / "corpus"

NEEDS_MORE = ("import",)
"""IDL that imports files which are not in the corpus."""


@frozen
class Source:
    """Files that belong together.

    Attributes:
        name: A name that is also an identifier.
        files: File of the corpus → path in the tree.
        is_valid: Whether the generator must take it.
    """

    name: str
    files: tuple[tuple[Path, str], ...]
    is_valid: bool

    def place(self, schemas: Path) -> None:
        """Copy the files into a folder."""
        for source, path in self.files:
            target = schemas / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def sources() -> Iterator[Source]:
    """Yield every schema of the corpus: alone, or with the files that its set needs."""
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if _is_schema(row)]
    sets: dict[str, list[Path]] = {}
    for number, row in enumerate(rows):
        path = CORPUS / row["file"]
        kind, _, label = row["set"].partition(" ")
        if row["set"] and kind not in ("C-pass", "C-fail", "IDL-GOLDEN", "VERSIONS"):
            sets.setdefault(row["set"], []).append(path)
        elif label not in NEEDS_MORE or kind != "IDL-GOLDEN" or path.suffix != ".avdl":
            name = f"schema_{number}_{path.name.lower().replace('.', '_').replace('-', '_')}"
            files = [(path, _schema_name(path))]
            if label == "baseball":
                files += [(path.with_name(each), each) for each in _BASEBALL]
            if label == "schema_syntax_schema":
                files.append((path.with_name("status_schema.avdl"), "status_schema.avdl"))
            existing = tuple(pair for pair in files if pair[0].exists())
            yield Source(name, existing, row["status"] != "NEGATIVE")
    for name, paths in sets.items():
        root = os.path.commonpath([str(path.parent) for path in paths])
        placed = tuple((path, os.path.relpath(path, root)) for path in paths)
        identifier = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
        yield Source(f"set_{identifier}", placed, "NEGATIVE" not in name)


_BASEBALL = ("position.avsc", "player.avsc")


def _is_schema(row: dict[str, str]) -> bool:
    path = Path(row["file"])
    if row["kind"] in ("avsc", "avpr", "avdl", "schema-json"):
        return (CORPUS / path).exists()
    return row["kind"] == "json" and path.name == "schema.json"


def _schema_name(path: Path) -> str:
    return path.name if path.suffix in (".avsc", ".avpr", ".avdl") else f"{path.name}.avsc"
