"""Reads a tree of schemas: every schema file, and the ``event.toml`` beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from codegen.documents import Place, read_document
from codegen.event_config import read_event_config
from codegen.findings import Finding, naming
from codegen.sources import EventConfig, Root, SchemaFile

SUFFIXES: Final = (".avsc", ".avpr", ".avdl")
CONFIG: Final = "event.toml"
_MOST_REPORTED: Final = 5
"""The most missing versions that are reported."""

_VERSIONED: Final = re.compile(r"v([0-9]+)")


@frozen
class Loaded:
    """A tree of schemas as it was read."""

    roots: tuple[Root, ...]
    findings: tuple[Finding, ...]
    count: int


def load(schemas: Path, shown: str) -> Loaded:
    """Read every schema file below a folder."""
    return _Loader(schemas, shown).load()


@define
class _Loader:
    schemas: Path
    shown: str
    roots: list[Root] = field(factory=list)
    findings: list[Finding] = field(factory=list)
    count: int = 0

    def load(self) -> Loaded:
        for folder, files in _folders(self.schemas):
            self.count += len(files)
            before = len(self.roots)
            config = self._config(folder, files)
            versions: dict[int, str] = {}
            for name in files:
                if name == CONFIG:
                    continue
                version = self._version(folder, name, versions)
                self._file("/".join((*folder, name)), version, config)
            if config is not None and not versions:
                self._refuse(
                    config.file, "", "no schema beside it", "add v1.avsc, or remove this file"
                )
            self._complete(folder, versions)
            if config is not None and versions:
                self._configured(config, versions)
            self._one_name(self.roots[before:])
        return Loaded(tuple(self.roots), tuple(self.findings), self.count)

    def _version(self, folder: tuple[str, ...], name: str, versions: dict[int, str]) -> int | None:
        """Return the version in a file's name, or None if there is none."""
        found = _VERSIONED.fullmatch(name.rpartition(".")[0])
        if found is None:
            return None
        version = int(found[1])
        file = self._whole("/".join((*folder, name)))
        if version < 1 or found[1] != str(version):
            self._refuse(file, "", f"{name} is not a version", "count from 1, without zeros before")
        elif version in versions:
            self._refuse(
                file, "", f"{versions[version]} is version {version} too", "keep one of them"
            )
        versions.setdefault(version, name)
        return version

    def _complete(self, folder: tuple[str, ...], versions: Mapping[int, str]) -> None:
        first = min(max(versions, default=0), len(versions) + _MOST_REPORTED)
        missing = [number for number in range(1, first) if number not in versions]
        if missing:
            newest = versions[max(versions)]
            names = ", ".join(f"v{number}" for number in missing)
            self._refuse(
                self._whole("/".join((*folder, newest))),
                "",
                f"{names} missing, though {newest} is here",
                "bring the older versions back, or number the files from 1 without a gap",
            )

    def _configured(self, config: EventConfig, versions: Mapping[int, str]) -> None:
        """Reject entries of ``event.toml`` about versions that do not exist."""
        for version in sorted(set(config.references) - set(versions)):
            self._refuse(
                config.file,
                f"/versions/{version}",
                f"there is no version {version}",
                f"name one of {', '.join(map(str, sorted(versions)))}",
            )

    def _one_name(self, roots: list[Root]) -> None:
        """Refuse versions in one folder that do not share their full name."""
        versions = [root for root in roots if root.is_versioned]
        for root in versions[1:]:
            if root.full_name != versions[0].full_name:
                self._refuse(
                    root,
                    "/name",
                    f"v{root.version} is called {root.full_name}, "
                    f"v{versions[0].version} {versions[0].full_name}",
                    "keep the name in all versions, or give the new event its own directory",
                )

    def _config(self, folder: tuple[str, ...], files: list[str]) -> EventConfig | None:
        if CONFIG not in files:
            return None
        path = "/".join((*folder, CONFIG))
        text = self._text(path)
        if text is None:
            return None
        config, findings = read_event_config(text, path, f"{self.shown}/{path}")
        self.findings.extend(findings)
        return config

    def _file(self, path: str, version: int | None, config: EventConfig | None) -> None:
        text = self._text(path)
        if text is not None:
            place = Place(path, f"{self.shown}/{path}", version, config)
            with naming(place.shown):
                roots, findings = read_document(text, place)
            self.roots.extend(roots)
            self.findings.extend(findings)

    def _text(self, path: str) -> str | None:
        try:
            text = (self.schemas / path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
            if "\0" not in text:
                return text
            reason, remedy = "holds NUL characters, as UTF-16 does", "save the file as UTF-8"
        except UnicodeDecodeError as error:
            reason = f"not UTF-8 text: {error.reason} at byte {error.start}"
            remedy = "save the file as UTF-8"
        except OSError as error:
            reason, remedy = f"not readable: {error.strerror}", "check the file and its permissions"
        self.findings.append(self._whole(path).finding("", reason, remedy))
        return None

    def _refuse(self, at: Root | SchemaFile, pointer: str, reason: str, remedy: str) -> None:
        self.findings.append(at.finding(pointer, reason, remedy))

    def _whole(self, path: str) -> SchemaFile:
        """Return a file for findings about the whole of it."""
        return SchemaFile(path, f"{self.shown}/{path}", lambda pointer: (1, 1))


def _is_wanted(name: str) -> bool:
    return (name == CONFIG or name.endswith(SUFFIXES)) and not name.startswith(".")


def _is_new(folder: Path, seen: set[Path]) -> bool:
    """Return whether to walk a folder: not a hidden one, and no link back to a walked one."""
    if folder.name.startswith("."):
        return False
    if not folder.is_symlink():
        return True
    target, home = folder.resolve(), folder.parent.resolve()
    is_new = target not in seen and target not in (home, *home.parents)
    seen.add(target)
    return is_new


def _folders(schemas: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each folder with schema files, as its path below the root, and their names."""
    seen = {schemas.resolve()}
    for parent, folders, names in os.walk(schemas, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(parent, name), seen)]
        files = sorted(name for name in names if _is_wanted(name))
        if files:
            below = Path(parent).relative_to(schemas)
            yield below.parts, files
