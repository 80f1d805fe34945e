"""Reads one schema file: JSON, protocol or IDL, and the roots that it defines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from attrs import define, field, frozen

from codegen.findings import Finding
from codegen.idl import read_idl
from codegen.idl_tokens import IdlSyntaxError, syntax_finding
from codegen.names import definitions, in_namespace, inlined
from codegen.naming import module_name, type_module_name
from codegen.sources import EventConfig, Root, SchemaFile
from sdk.avro.schema import NAMED_KINDS, short_name
from sdk.avro.schema.json_text import JsonDocument, is_deeper, locate, read_json, without_comments
from sdk.avro.schema.json_text import pointer as pointer_of
from sdk.avro.schema.names import declared_name
from sdk.avro.schema.names import full_name as qualified
from sdk.errors import InvalidSchemaError

_MAX_DEPTH: Final = 500


@frozen
class Place:
    """The location of a schema file."""

    path: str
    shown: str
    version: int | None
    config: EventConfig | None

    @property
    def folder(self) -> tuple[str, ...]:
        """The folders between the schemas root and the file."""
        return tuple(self.path.split("/")[:-1])

    def file(self, text: str) -> SchemaFile:
        """Return the file with places in JSON text."""
        return SchemaFile(self.path, self.shown, partial(locate, text))


def read_document(text: str, place: Place) -> tuple[list[Root], list[Finding]]:
    """Return the roots that a schema file defines, and what keeps it from being read."""
    reader = _Reader(place)
    try:
        if place.path.endswith(".avdl"):
            reader.idl(text)
        elif place.path.endswith(".avpr"):
            reader.protocol(text)
        else:
            reader.schema(text)
    except InvalidSchemaError as error:
        reader.findings.append(_not_json(place.file(text), error))
    except IdlSyntaxError as error:
        reader.findings.append(syntax_finding(place.shown, text, error))
    return reader.roots, reader.findings


@define
class _Reader:
    place: Place
    roots: list[Root] = field(factory=list)
    findings: list[Finding] = field(factory=list)

    def schema(self, text: str) -> None:
        document = _read(text)
        file = self.place.file(text)
        self.findings.extend(_duplicates(document, file))
        plain = text.removeprefix("\ufeff")
        if without_comments(plain) != plain:
            plain = _dumped(document.value)
        value = document.value
        is_named = isinstance(value, dict) and value.get("type") in NAMED_KINDS
        full_name = declared_name(value, "") if is_named else ""
        self._add(full_name or _name_from(self.place), value, file, text=plain)

    def idl(self, text: str) -> None:
        idl = read_idl(text)
        file = SchemaFile(self.place.path, self.place.shown, idl.locate)
        self._types(idl.namespace, idl.types, idl.main, file)

    def protocol(self, text: str) -> None:
        document = _read(text)
        file = self.place.file(text)
        self.findings.extend(_duplicates(document, file))
        problem = _protocol_problem(document.value)
        if problem is not None:
            self.findings.append(file.finding(*problem))
            return
        namespace = document.value.get("namespace")
        if not isinstance(namespace, str):
            namespace = document.value["protocol"].rpartition(".")[0]
        self._types(namespace, document.value.get("types", []), None, file)

    def _types(self, namespace: str, types: list[Any], named: Any, file: SchemaFile) -> None:
        """Add the named types of a protocol or IDL file, and the schema that ``schema`` names.

        If the file is a version of an event, the event is the type with the folder's name (or the
        one that ``schema`` names, or the last one), and the types that it needs are written into
        its schema. The others are separate roots of the same version.
        """
        by_name = {
            declared_name(each, namespace): (f"/types/{index}", in_namespace(each, namespace))
            for index, each in enumerate(types)
        }
        main = qualified(named, namespace) if isinstance(named, str) else None
        main = main if main in by_name else None
        if self.place.version is None:
            for full_name, (pointer, value) in by_name.items():
                self._add(full_name, value, file, pointer)
            if named is not None and main is None:
                value = in_namespace(named, namespace)
                self._add(_name_from(self.place), value, file, "/main")
            return
        if main is None and named is None and by_name:
            called = [each for each in by_name if short_name(each) in self.place.folder[-1:]]
            main = called[0] if called else list(by_name)[-1]
        if main is None and named is None:
            self.findings.append(file.finding("", "not a named type", "define the event's record"))
            return
        pointer, value = by_name[main] if main is not None else ("/main", named)
        members = {name: each for name, (_, each) in by_name.items()}
        value = inlined(in_namespace(value, namespace), members)
        self._add(main or _name_from(self.place), value, file, pointer)
        needed = {name for name, _ in definitions(value)}
        for full_name, (pointer, other) in by_name.items():
            if full_name not in needed:
                complete = inlined(other, members)
                self._add(full_name, complete, file, pointer, is_event=False)

    def _add(
        self,
        full_name: str,
        value: Any,
        file: SchemaFile,
        pointer: str = "",
        *,
        text: str = "",
        is_event: bool = True,
    ) -> None:
        version, folder = self.place.version, self.place.folder
        is_event = is_event and version is not None
        home = folder if is_event and folder else tuple(full_name.split("."))
        self.roots.append(
            Root(
                full_name=full_name,
                version=version or 1,
                value=value,
                text=text or _dumped(value),
                file=file,
                pointer=pointer,
                domain=home[0] if len(home) > 1 else "",
                package=(*map(module_name, home[:-1]), type_module_name(home[-1])),
                config=self.place.config if is_event else None,
                is_versioned=is_event,
            )
        )


def _read(text: str) -> JsonDocument:
    """Read JSON that is not nested so deeply that walking it would exhaust Python's stack."""
    document = read_json(text)
    if is_deeper(document.value, _MAX_DEPTH):
        raise InvalidSchemaError(
            "nested too deeply", remedy="name inner types and refer to them", path=""
        )
    return document


def _dumped(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can only escape
        return json.dumps(value, indent=2) + "\n"
    return text


def _protocol_problem(value: Any) -> tuple[str, str, str] | None:
    """Return pointer, reason and remedy if a JSON value is not a protocol."""
    if not isinstance(value, dict) or not isinstance(value.get("protocol"), str):
        return "", "not a protocol", 'a protocol is an object with a "protocol" name'
    types = value.get("types", [])
    if not isinstance(types, list):
        return "/types", "types are not an array", "use a JSON array"
    for index, each in enumerate(types):
        if not isinstance(each, dict) or each.get("type") not in NAMED_KINDS:
            return f"/types/{index}", "not a named type", "define a record, error, enum or fixed"
    return None


def _name_from(place: Place) -> str:
    """Return a full name for a schema without one, from the path of its file."""
    *folders, file = place.path.split("/")
    is_event = place.version is not None and bool(folders)
    parts = folders if is_event else [*folders, file.rpartition(".")[0]]
    words = re.split(r"\W+|_", parts[-1])
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return ".".join([*map(module_name, parts[:-1]), name or "Root"])


def _duplicates(document: JsonDocument, file: SchemaFile) -> Iterator[Finding]:
    for holder, key in document.duplicates:
        place = _pointer_to(document.value, holder) + pointer_of(key)
        yield file.finding(place, f"key {key!r} is given twice", "keep one of them")


def _pointer_to(value: Any, wanted: Any, path: str = "") -> str:
    if value is wanted:
        return path
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    inside = (
        _pointer_to(inner, wanted, path + pointer_of(key))
        for key, inner in pairs
        if isinstance(inner, dict | list)
    )
    return next(filter(None, inside), "")


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
