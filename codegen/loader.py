"""Reads a tree of schemas: every schema file, and the ``event.toml`` beside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

from codegen.event_config import read_event_config
from codegen.findings import Finding
from codegen.idl import read_idl
from codegen.idl_tokens import IdlSyntaxError, syntax_finding
from codegen.names import defined_name, in_namespace, inlined, qualified
from codegen.naming import module_name, type_module_name
from codegen.sources import EventConfig, Root, SchemaFile
from sdk.avro.json_text import JsonDocument, locate, read_json, without_comments
from sdk.avro.schema import short_name
from sdk.errors import InvalidSchemaError

SUFFIXES: Final = (".avsc", ".avpr", ".avdl")
CONFIG: Final = "event.toml"
_VERSIONED: Final = re.compile(r"v([0-9]+)")
_MAX_DEPTH: Final = 500
_NAMED: Final = ("record", "error", "enum", "fixed")


@frozen
class Loaded:
    """A tree of schemas as it was read.

    Attributes:
        roots: One for each type that a file defines for others, in the order of paths.
        findings: What keeps files from being read.
    """

    roots: tuple[Root, ...]
    findings: tuple[Finding, ...]


def load(schemas: Path, shown: str) -> Loaded:
    """Read every schema file below a folder.

    Args:
        schemas: The folder.
        shown: The folder as messages tell it.
    """
    return _Loader(schemas, shown).load()


@define
class _Loader:
    schemas: Path
    shown: str
    roots: list[Root] = field(factory=list)
    findings: list[Finding] = field(factory=list)

    def load(self) -> Loaded:
        for folder, files in _folders(self.schemas):
            config = self._config(folder, files)
            versions: dict[int, str] = {}
            for name in files:
                if name == CONFIG:
                    continue
                version = self._version(folder, name, versions)
                self._file("/".join((*folder, name)), folder, version, config)
            if config is not None and not versions:
                self.findings.append(
                    config.file.finding(
                        "", "no schema beside it", "add v1.avsc, or remove this file"
                    )
                )
            self._complete(folder, versions)
            self._one_name("/".join(folder))
        return Loaded(tuple(self.roots), tuple(self.findings))

    def _version(self, folder: tuple[str, ...], name: str, versions: dict[int, str]) -> int | None:
        """Return the version that a file's name tells, or None for a file that tells none."""
        found = _VERSIONED.fullmatch(name.rpartition(".")[0])
        if found is None:
            return None
        version = int(found[1])
        file = self._schema_file("/".join((*folder, name)), "")
        if version < 1 or found[1] != str(version):
            self.findings.append(
                file.finding("", f"{name} is no version", "count from 1, without zeros before")
            )
        elif version in versions:
            self.findings.append(
                file.finding(
                    "", f"{versions[version]} is version {version} too", "keep one of them"
                )
            )
        versions.setdefault(version, name)
        return version

    def _complete(self, folder: tuple[str, ...], versions: Mapping[int, str]) -> None:
        missing = [
            number for number in range(1, max(versions, default=0)) if number not in versions
        ]
        if missing:
            newest = versions[max(versions)]
            names = ", ".join(f"v{number}" for number in missing)
            self.findings.append(
                self._schema_file("/".join((*folder, newest)), "").finding(
                    "",
                    f"{names} missing, though {newest} is here",
                    "bring the older versions back, or number the files from 1 without a gap",
                )
            )

    def _one_name(self, folder: str) -> None:
        """Refuse versions in one folder that do not share their full name."""
        versions = [
            root
            for root in self.roots
            if root.is_versioned and root.file.path.rpartition("/")[0] == folder
        ]
        for root in versions[1:]:
            if root.full_name != versions[0].full_name:
                self.findings.append(
                    root.finding(
                        "/name",
                        f"v{root.version} is called {root.full_name}, "
                        f"v{versions[0].version} {versions[0].full_name}",
                        "keep the name in all versions, or give the new event its own folder",
                    )
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

    def _file(
        self, path: str, folder: tuple[str, ...], version: int | None, config: EventConfig | None
    ) -> None:
        text = self._text(path)
        if text is None:
            return
        try:
            if path.endswith(".avdl"):
                self._add_idl(path, text, folder, version, config)
            elif path.endswith(".avpr"):
                self._add_protocol(path, text, folder, version, config)
            else:
                self._add_schema(path, text, folder, version, config)
        except InvalidSchemaError as error:
            self.findings.append(_not_json(self._schema_file(path, text), error))
        except IdlSyntaxError as error:
            self.findings.append(syntax_finding(f"{self.shown}/{path}", text, error))

    def _add_schema(
        self,
        path: str,
        text: str,
        folder: tuple[str, ...],
        version: int | None,
        config: EventConfig | None,
    ) -> None:
        document = _read(text)
        file = self._schema_file(path, text)
        self.findings.extend(_duplicates(document, file))
        plain = text.removeprefix("\ufeff")
        if without_comments(plain) != plain:
            plain = _dumped(document.value)
        full_name = _full_name(document.value) or _name_from(path, version)
        self._add(document.value, plain, full_name, file, "", folder, version, config)

    def _add_idl(
        self,
        path: str,
        text: str,
        folder: tuple[str, ...],
        version: int | None,
        config: EventConfig | None,
    ) -> None:
        idl = read_idl(text)
        file = SchemaFile(path, f"{self.shown}/{path}", idl.locate)
        types = {f"/types/{index}": each for index, each in enumerate(idl.types)}
        self._add_types(types, idl.main, idl.namespace, file, folder, version, config)

    def _add_protocol(
        self,
        path: str,
        text: str,
        folder: tuple[str, ...],
        version: int | None,
        config: EventConfig | None,
    ) -> None:
        document = _read(text)
        file = self._schema_file(path, text)
        self.findings.extend(_duplicates(document, file))
        problem = _protocol_problem(document.value)
        if problem is not None:
            self.findings.append(file.finding(*problem))
            return
        namespace = document.value.get("namespace")
        if not isinstance(namespace, str):
            namespace = document.value["protocol"].rpartition(".")[0]
        types = {
            f"/types/{index}": in_namespace(each, namespace)
            for index, each in enumerate(document.value.get("types", []))
        }
        self._add_types(types, None, namespace, file, folder, version, config)

    def _add_types(
        self,
        types: Mapping[str, dict[str, Any]],
        main: Any,
        namespace: str,
        file: SchemaFile,
        folder: tuple[str, ...],
        version: int | None,
        config: EventConfig | None,
    ) -> None:
        """Add the named types of a protocol or IDL file.

        Where the file is a version of an event, the event is the type that is called as the folder
        (or that ``schema`` names, or the last one), and the others are written into its schema.
        """
        by_name = {defined_name(each, namespace): (at, each) for at, each in types.items()}
        if isinstance(main, str) and qualified(main, namespace) in by_name:
            main = qualified(main, namespace)
        if version is None:
            for full_name, (at, value) in by_name.items():
                self._add(value, _dumped(value), full_name, file, at, folder, None, None)
            if main is not None and not isinstance(main, str):
                name = _name_from(file.path, None)
                value = in_namespace(main, namespace)
                self._add(value, _dumped(value), name, file, "/main", folder, None, None)
            return
        if isinstance(main, str):
            full_name = main
        elif main is None and by_name:
            called = [name for name in by_name if short_name(name) == folder[-1]]
            full_name = called[0] if called else list(by_name)[-1]
        elif main is None:
            self.findings.append(file.finding("", "no named type", "define the event's record"))
            return
        else:
            full_name = _name_from(file.path, version)
        at, value = by_name.get(full_name, ("/main", main))
        members = {name: each for name, (_, each) in by_name.items()}
        value = inlined(in_namespace(value, namespace), members)
        self._add(value, _dumped(value), full_name, file, at, folder, version, config)

    def _add(
        self,
        value: Any,
        text: str,
        full_name: str,
        file: SchemaFile,
        pointer: str,
        folder: tuple[str, ...],
        version: int | None,
        config: EventConfig | None,
    ) -> None:
        home = folder if version is not None else tuple(full_name.split("."))
        package = (*map(module_name, home[:-1]), type_module_name(home[-1])) if home else ()
        if version is not None:
            domain = folder[0] if len(folder) > 1 else ""
        else:
            domain = home[0] if len(home) > 1 else ""
        self.roots.append(
            Root(
                full_name=full_name,
                version=version or 1,
                value=value,
                text=text,
                file=file,
                pointer=pointer,
                domain=domain,
                package=package,
                config=config if version is not None else None,
                is_versioned=version is not None,
            )
        )

    def _text(self, path: str) -> str | None:
        try:
            return (self.schemas / path).read_bytes().decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            reason = f"not UTF-8 text: {error.reason} at byte {error.start}"
            remedy = "save the file as UTF-8"
        except OSError as error:
            reason, remedy = f"not readable: {error.strerror}", "check the file and its permissions"
        self.findings.append(self._schema_file(path, "").finding("", reason, remedy))
        return None

    def _schema_file(self, path: str, text: str) -> SchemaFile:
        return SchemaFile(path, f"{self.shown}/{path}", partial(locate, text))


def _read(text: str) -> JsonDocument:
    """Read JSON that is not nested so deeply that walking it would exhaust Python's stack."""
    document = read_json(text)
    pending, depth = [document.value], 0
    while pending and depth <= _MAX_DEPTH:
        pending = [inner for value in pending for inner in _inside(value)]
        depth += 1
    if pending:
        raise InvalidSchemaError(
            "nested too deeply", remedy="name inner types and refer to them", path=""
        )
    return document


def _inside(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _dumped(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _protocol_problem(value: Any) -> tuple[str, str, str] | None:
    """Return pointer, reason and remedy if a JSON value is no protocol."""
    if not isinstance(value, dict) or not isinstance(value.get("protocol"), str):
        return "", "no protocol", 'a protocol is an object with a "protocol" name'
    types = value.get("types", [])
    if not isinstance(types, list):
        return "/types", "types are no array", "use a JSON array"
    for index, each in enumerate(types):
        if not isinstance(each, dict) or each.get("type") not in _NAMED:
            return f"/types/{index}", "no named type", "define a record, error, enum or fixed"
    return None


def _folders(schemas: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each folder with schema files, as its path below the root, and their names."""
    for parent, folders, names in os.walk(schemas):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = sorted(name for name in names if name == CONFIG or name.endswith(SUFFIXES))
        if files:
            below = Path(parent).relative_to(schemas)
            yield below.parts, files


def _full_name(value: Any) -> str:
    """Return the full name that a schema declares for itself, or ``""``."""
    if not isinstance(value, dict) or value.get("type") not in _NAMED:
        return ""
    name, namespace = value.get("name"), value.get("namespace")
    if not isinstance(name, str):
        return ""
    if "." in name or not isinstance(namespace, str) or not namespace:
        return name.removeprefix(".")
    return f"{namespace}.{name}"


def _name_from(path: str, version: int | None) -> str:
    """Return a full name for a schema without one, from where its file stands."""
    *folders, file = path.split("/")
    parts = folders if version is not None and folders else [*folders, file.rpartition(".")[0]]
    words = re.split(r"\W+|_", parts[-1])
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return ".".join([*map(module_name, parts[:-1]), name or "Root"])


def _duplicates(document: JsonDocument, file: SchemaFile) -> Iterator[Finding]:
    for holder, key in document.duplicates:
        pointer = (
            _pointer_to(document.value, holder) + "/" + key.replace("~", "~0").replace("/", "~1")
        )
        yield file.finding(pointer, f"key {key!r} is given twice", "keep one of them")


def _pointer_to(value: Any, wanted: Any, path: str = "") -> str:
    if value is wanted:
        return path
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if isinstance(inner, dict | list):
            step = str(key).replace("~", "~0").replace("/", "~1")
            found = _pointer_to(inner, wanted, f"{path}/{step}")
            if found:
                return found
    return ""


def _not_json(file: SchemaFile, error: InvalidSchemaError) -> Finding:
    place = re.search(r"line (\d+), column (\d+)", error.message)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    return Finding(
        file.shown,
        line,
        column,
        error.path or "",
        error.message,
        error.remedy or "correct the file",
    )
