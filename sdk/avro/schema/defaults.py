"""Checks default values: whether they match their type, and which union branch they match."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from sdk.avro.schema.defects import shown
from sdk.avro.schema.json_text import pointer
from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)

_RANGES: Final = {"int": range(-(2**31), 2**31), "long": range(-(2**63), 2**63)}
_CLASSES: Final[Mapping[str, Any]] = {
    "null": type(None),
    "boolean": bool,
    "int": int,
    "long": int,
    "float": int | float,
    "double": int | float,
}
_TEXTS: Final = ("string", "bytes", "enum", "fixed")
"""Types whose defaults are JSON text."""

_MAX_DEPTH: Final = 200
_BLANKS: Final = "".join(map(chr, range(0x21)))
_JAVA_DECIMAL: Final = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fFdD]?|([+-]?(?:NaN|Infinity))"
)
_JAVA_HEX: Final = re.compile(
    r"([+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+)[fFdD]?"
)

Problem = tuple[str, str, bool]
"""JSON pointer below the default, message, and whether it is a warning only."""


def default_defects(schema: Schema, value: Any) -> list[Problem]:
    """Return the defects of a field's JSON default.

    A union's default may match any branch, as the specification says since 1.12; a record's may
    omit fields that have their own defaults.
    """
    return _Checker().problems(schema, value, "", 0)


def branch_of_default(schema: UnionSchema, value: Any) -> int:
    """Return the first branch that a default fits, which must be one that fits."""
    return _Checker().branch(schema, value) or 0


def java_accepts_default(schema: Schema, value: Any) -> bool:
    """Return whether Java's parser accepts a default when it validates defaults.

    It is less strict than `default_defects`: it accepts any text for an enum, bytes with any
    characters, and a fixed of any size.
    """
    found = _Checker(lenient=True).problems(schema, value, "", 0)
    return all(is_warning for _, _, is_warning in found)


def java_double(text: str) -> float | None:
    """Return the number that Java's ``Double.valueOf`` reads in a text; None where it raises.

    Java's parser takes the default of a float or double as text too, which allows ``"NaN"``.
    """
    text = text.strip(_BLANKS)
    if found := _JAVA_HEX.fullmatch(text):
        return _floating_hex(found[1])
    found = _JAVA_DECIMAL.fullmatch(text)
    return None if found is None else float(found[1] or found[2])


def _floating_hex(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return -math.inf if text[0] == "-" else math.inf


class _Checker:
    """Checks one default. Results for union branches are cached, or nesting would multiply."""

    def __init__(self, *, lenient: bool = False) -> None:
        self.lenient = lenient
        self.fits: dict[tuple[int, int], bool] = {}
        self.open: set[tuple[int, int]] = set()

    def problems(self, schema: Schema, value: Any, path: str, depth: int) -> list[Problem]:
        if depth > _MAX_DEPTH:
            return [(path, "the default is nested too deeply", False)]
        match schema:
            case UnionSchema():
                if self.branch(schema, value, depth) is None:
                    return [(path, f"default {shown(value)} matches no branch of the union", False)]
                return []
            case RecordSchema() if isinstance(value, Mapping):
                return self.record(schema, value, path, depth)
            case ArraySchema() if isinstance(value, list):
                items = ((schema.items, item, pointer(index)) for index, item in enumerate(value))
            case MapSchema() if isinstance(value, Mapping):
                items = ((schema.values, item, pointer(key)) for key, item in value.items())
            case _:
                is_text = isinstance(value, str) and schema.type in _TEXTS
                problem = _scalar_problem(schema, value) if not (self.lenient and is_text) else None
                return [] if problem is None else [(path, problem, False)]
        found: list[Problem] = []
        for inner, item, step in items:
            found += self.problems(inner, item, path + step, depth + 1)
        return found

    def record(
        self, schema: RecordSchema, value: Mapping[str, Any], path: str, depth: int
    ) -> list[Problem]:
        key = (id(schema), id(value))
        if key in self.open:
            return [(path, "the default never ends, because it contains itself", False)]
        self.open.add(key)
        found: list[Problem] = []
        for each in schema.fields:
            given = value.get(each.name, each.default)
            if given is NO_DEFAULT:
                message = f"the default leaves out {each.name}, which has no default"
                found.append((path, message, False))
            else:
                below = path + pointer(each.name) if each.name in value else path
                found += self.problems(each.schema, given, below, depth + 1)
        names = {each.name for each in schema.fields}
        found += (
            (path + pointer(name), f"record {schema.name} has no field {name}", True)
            for name in value
            if name not in names
        )
        self.open.remove(key)
        return found

    def branch(self, schema: UnionSchema, value: Any, depth: int = 0) -> int | None:
        """Return the first branch that a value fits."""
        for index, branch in enumerate(schema.branches):
            key = (id(branch), id(value))
            if key not in self.fits:
                found = self.problems(branch, value, "", depth + 1)
                self.fits[key] = all(is_warning for _, _, is_warning in found)
            if self.fits[key]:
                return index
        return None


def _scalar_problem(schema: Schema, value: Any) -> str | None:
    kind = schema.type
    if kind in _TEXTS and isinstance(value, str):
        return _text_problem(schema, value)
    fits = isinstance(value, _CLASSES.get(kind, ()))
    if not fits or (isinstance(value, bool) and kind != "boolean"):
        return f"default {shown(value)} is not of type {kind}"
    if kind in _RANGES and value not in _RANGES[kind]:
        return f"default {shown(value)} is out of range for {kind}"
    return None


def _text_problem(schema: Schema, value: str) -> str | None:
    """Check the default of a string, bytes, an enum or a fixed."""
    if isinstance(schema, EnumSchema):
        if value in schema.symbols:
            return None
        return f"default {shown(value)} is not a symbol of enum {schema.name}"
    if schema.type in ("bytes", "fixed") and any(letter > "\xff" for letter in value):
        return f"default {shown(value)} has characters beyond U+00FF, which are not bytes"
    if isinstance(schema, FixedSchema) and len(value) != schema.size:
        return f"default has {len(value)} bytes, fixed {schema.name} has {schema.size}"
    return None
