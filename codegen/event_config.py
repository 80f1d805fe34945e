"""Reads ``event.toml``: what the platform knows about an event besides its schema."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import define, field

from codegen.findings import Finding
from codegen.sources import EventConfig, SchemaFile
from sdk.avro.resolution.evolution import LEVELS
from sdk.errors import suggest

_PLACE: Final = re.compile(r"at line (\d+), column (\d+)")


def read_event_config(text: str, path: str, shown: str) -> tuple[EventConfig, list[Finding]]:
    """Read the text of an ``event.toml``."""
    file = SchemaFile(path, shown, _locator(text))
    reader = _Reader(file)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line, column = (int(place[1]), int(place[2])) if place else (text.count("\n") + 1, 1)
        reason = f"not TOML: {error}"
        return EventConfig(file), [Finding(shown, line, column, "", reason, "correct the syntax")]
    return reader.read(table), reader.findings


def _locator(text: str) -> Callable[[str], tuple[int, int]]:
    """Return a function from a pointer to the line of its last key, or of the nearest parent's."""
    lines = text.split("\n")

    def locate(pointer: str) -> tuple[int, int]:
        for step in reversed(pointer.split("/")[1:]):
            key = step.replace("~1", "/").replace("~0", "~")
            for number, line in enumerate(lines, start=1):
                found = re.search(rf'(?<![\w-])"?{re.escape(key)}"?(?![\w-])', line)
                if found and not line.lstrip().startswith("#"):
                    return number, found.start() + 1
        return 1, 1

    return locate


@define
class _Reader:
    file: SchemaFile
    findings: list[Finding] = field(factory=list)

    def read(self, table: Mapping[str, Any]) -> EventConfig:
        self._known(table, ("key", "owner", "compatibility", "versions"), "")
        compatibility = self._text(table, "compatibility") or "BACKWARD_TRANSITIVE"
        if compatibility not in LEVELS:
            self._refuse(
                "/compatibility",
                f"{compatibility!r} is not a compatibility level",
                suggest(compatibility.upper(), LEVELS, f"use one of {', '.join(LEVELS)}"),
            )
            compatibility = "BACKWARD_TRANSITIVE"
        references: dict[int, Mapping[str, int]] = {}
        examples: dict[int, tuple[Mapping[str, Any], ...]] = {}
        for name, version in self._table(table, "versions", "").items():
            if not re.fullmatch("[1-9][0-9]{0,8}", name) or not isinstance(version, dict):
                self._refuse(
                    f"/versions/{name}",
                    f"{name!r} is not a version table",
                    "name it as the schema file: [versions.2] for v2",
                )
                continue
            self._known(version, ("references", "examples"), f"/versions/{name}")
            references[int(name)] = self._pins(version, f"/versions/{name}")
            examples[int(name)] = self._examples(version, f"/versions/{name}")
        return EventConfig(
            self.file,
            key=self._text(table, "key"),
            owner=self._text(table, "owner"),
            compatibility=compatibility,
            references=references,
            examples=examples,
        )

    def _pins(self, table: Mapping[str, Any], path: str) -> Mapping[str, int]:
        pins = self._table(table, "references", path)
        for name, pin in pins.items():
            if type(pin) is not int or pin < 1:
                self._refuse(
                    f"{path}/references/{name}",
                    f"{name} is pinned to {pin!r}, which is not a version",
                    'write the number of its file: "common.Address" = 1 for v1',
                )
        return {name: pin for name, pin in pins.items() if type(pin) is int}

    def _examples(self, table: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any], ...]:
        examples = table.get("examples", [])
        if not isinstance(examples, list) or not all(isinstance(each, dict) for each in examples):
            self._refuse(
                f"{path}/examples",
                "examples are not an array of tables",
                "write [[versions.1.examples]]",
            )
            return ()
        return tuple(examples)

    def _table(self, table: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
        value = table.get(key, {})
        if isinstance(value, dict):
            return value
        self._refuse(f"{path}/{key}", f"{key} is not a table", f"write [{key}] and its keys below")
        return {}

    def _text(self, table: Mapping[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is None or isinstance(value, str):
            return value
        self._refuse(f"/{key}", f"{key} is {value!r}, which is not text", "put it in quotes")
        return None

    def _known(self, table: Mapping[str, Any], keys: tuple[str, ...], path: str) -> None:
        for key in table:
            if key not in keys:
                remedy = suggest(key, keys, f"known keys: {', '.join(keys)}")
                self._refuse(f"{path}/{key}", f"unknown key {key!r}", remedy)

    def _refuse(self, pointer: str, reason: str, remedy: str) -> None:
        self.findings.append(self.file.finding(pointer, reason, remedy))
