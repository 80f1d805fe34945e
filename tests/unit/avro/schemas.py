"""Hypothesis strategies: Avro schemas as JSON values, and pairs of which one evolved."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from sdk.avro.schema import check_schema

Json = Any
Draw = Callable[[st.SearchStrategy[Any]], Any]

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
SYMBOLS = ("P", "Q", "R", "S")
LOGICAL = (
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
)


class _Builder:
    """Builds one schema of few names, so that two of them have much in common."""

    def __init__(self, draw: Draw, *, logical: bool, defaults: bool) -> None:
        self.draw = draw
        self.logical = logical
        self.defaults = defaults
        self.defined: dict[str, str] = {}
        self.open: list[str] = []

    def schema(self, depth: int, *, in_union: bool = False) -> Json:
        kinds = ["primitive", "primitive", "enum", "fixed", "reference"]
        kinds += ["logical"] if self.logical else []
        if depth > 0:
            kinds += ["record", "record", "array", "map"]
            kinds += [] if in_union else ["union", "union"]
        kind = self.draw(st.sampled_from(kinds))
        if kind == "primitive":
            return self.draw(st.sampled_from(PRIMITIVES))
        if kind == "logical":
            return dict(self.draw(st.sampled_from(LOGICAL)))
        if kind == "array":
            return {"type": "array", "items": self.schema(depth - 1)}
        if kind == "map":
            return {"type": "map", "values": self.schema(depth - 1)}
        if kind == "union":
            return self.union(depth)
        if kind == "reference":
            names = sorted(self.defined)
            return self.draw(st.sampled_from(names)) if names else "string"
        return self.named(kind, depth)

    def union(self, depth: int) -> Json:
        branches: dict[str, Json] = {}
        for _ in range(self.draw(st.integers(1, 4))):
            branch = self.schema(depth - 1, in_union=True)
            branches.setdefault(_branch_name(branch), branch)
        return list(branches.values())

    def named(self, kind: str, depth: int) -> Json:
        free = [f"{space}.{name}" for space in ("a", "b") for name in "ABCDE"]
        free = [name for name in free if name not in self.defined]
        if not free:
            return "string"
        name = self.draw(st.sampled_from(free))
        self.defined[name] = kind
        node: dict[str, Json] = {"type": kind, "name": name}
        if kind == "enum":
            symbols = self.draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True))
            node["symbols"] = symbols
            if self.draw(st.booleans()):
                node["default"] = self.draw(st.sampled_from(symbols))
        elif kind == "fixed":
            node["size"] = self.draw(st.sampled_from((2, 4)))
        else:
            node["fields"] = self.fields(depth)
        return node

    def fields(self, depth: int) -> Json:
        names = self.draw(st.lists(st.sampled_from("wxyz"), max_size=3, unique=True))
        fields = []
        for name in names:
            field: dict[str, Json] = {"name": name, "type": self.schema(depth - 1)}
            if self.defaults and self.draw(st.booleans()):
                default = default_of(field["type"])
                if default is not NOTHING:
                    field["default"] = default
            fields.append(field)
        return fields


NOTHING = object()


def default_of(schema: Json) -> Json:
    """Return a default that fits a simple schema, else `NOTHING`."""
    kind = schema if isinstance(schema, str) else None
    if isinstance(schema, dict):
        kind = schema["type"]
    match kind:
        case "enum":
            return schema["symbols"][0]
        case "fixed":
            return "\x00" * schema["size"]
        case _ if isinstance(schema, dict) and schema.get("logicalType") == "uuid":
            return "12345678-1234-5678-1234-567812345678"
    simple = {
        "null": None,
        "boolean": True,
        "int": 7,
        "long": 8,
        "float": 1.5,
        "double": 2.5,
        "bytes": "\x01\xff",
        "string": "s",
        "array": [],
        "map": {},
    }
    if isinstance(schema, list):
        return default_of(schema[0])
    return simple.get(kind, NOTHING)


def _branch_name(schema: Json) -> str:
    if isinstance(schema, str):
        return schema
    return str(schema.get("name", schema["type"]))


@st.composite
def schemas(draw: Draw, *, depth: int = 3, logical: bool = False, defaults: bool = True) -> Json:
    """Any small Avro schema, as JSON.

    Args:
        draw: Given by Hypothesis.
        depth: How deep types nest.
        logical: Also use logical types.
        defaults: Also give defaults.
    """
    schema = _Builder(draw, logical=logical, defaults=defaults).schema(depth)
    assume(_is_valid(schema))  # a union may have dropped the definition of a type
    return schema


@st.composite
def pairs(draw: Draw, *, logical: bool = False) -> tuple[Json, Json]:
    """A writer's schema and a reader's that evolved from it, well or badly."""
    writer = draw(schemas(logical=logical))
    if draw(st.integers(0, 9)) == 0:
        return writer, draw(schemas(logical=logical))
    reader = _evolved(draw, copy.deepcopy(writer), logical=logical)
    if draw(st.integers(0, 2)) == 0:
        reader = _renamed(draw, reader)
    # a dropped field may have taken the definition of a type with it
    return (writer, reader) if _is_valid(reader) else (writer, writer)


def _is_valid(schema: Json) -> bool:
    return not any(not defect.warning for defect in check_schema(json.dumps(schema)))


_POINT = {
    "type": "record",
    "name": "d.Point",
    "fields": [
        {"name": "x", "type": "double", "default": 1},
        {"name": "tag", "type": ["null", "bytes"], "default": "\xff"},
        {"name": "y", "type": ["string", "int"]},
    ],
}
WITH_DEFAULT = (
    (_POINT, {"y": 5}),
    ({"type": "array", "items": _POINT}, [{"y": "s"}, {"y": 1, "x": 0.25, "tag": None}]),
    ({"type": "map", "values": ["null", "float"]}, {"a": None, "b": 0.1}),
    ({"type": "fixed", "name": "d.Two", "size": 2}, "\x00\x7f"),
    ({"type": "enum", "name": "d.Mood", "symbols": ["UP", "DOWN"]}, "DOWN"),
    (["null", {"type": "enum", "name": "d.Mood", "symbols": ["UP"]}, "string"], "UP"),
    (["string", "long", "int"], 2**40),
)
_WIDER = {
    "int": ("long", "float", "double", "string"),
    "long": ("float", "double", "int"),
    "float": ("double", "long"),
    "string": ("bytes", "int"),
    "bytes": ("string", "null"),
}


def _evolved(draw: Draw, schema: Json, *, logical: bool) -> Json:
    change = draw(st.integers(0, 11))
    if isinstance(schema, str):
        if change == 0 and schema in _WIDER:
            return draw(st.sampled_from(_WIDER[schema]))
        return ["null", schema] if change == 1 and schema != "null" else schema
    if isinstance(schema, list):
        branches = [_evolved_branch(draw, each, logical=logical) for each in schema]
        if change == 0:
            branches.reverse()
        elif change == 1 and len(branches) > 1:
            branches.pop()
        elif change == 2 and len(branches) == 1:
            return branches[0]
        unique = {_branch_name(each): each for each in branches}
        return list(unique.values())
    kind = schema["type"]
    if kind == "record":
        _evolve_record(draw, schema, change, logical=logical)
    elif kind == "array":
        schema["items"] = _evolved(draw, schema["items"], logical=logical)
    elif kind == "map":
        schema["values"] = _evolved(draw, schema["values"], logical=logical)
    elif kind == "enum":
        _evolve_enum(draw, schema, change)
    elif kind == "fixed" and change == 0:
        schema["size"] = 3
    elif logical and "logicalType" in schema and change == 0:
        return schema["type"]
    return schema


def _evolved_branch(draw: Draw, schema: Json, *, logical: bool) -> Json:
    changed = _evolved(draw, schema, logical=logical)
    return schema if isinstance(changed, list) else changed


def _evolve_record(draw: Draw, schema: Json, change: int, *, logical: bool) -> None:
    for field in schema["fields"]:
        before = copy.deepcopy(field["type"])
        field["type"] = _evolved(draw, field["type"], logical=logical)
        if field["type"] != before and "default" in field:
            default = default_of(field["type"])
            field.pop("default") if default is NOTHING else field.update(default=default)
    fields = schema["fields"]
    if change == 0 and fields:
        fields.pop()
    elif change == 1:
        fields.insert(0, {"name": "new", "type": "int"})
    elif change == 2:
        fields.append({"name": "new", "type": ["null", "int"], "default": None})
    elif change == 3 and fields:
        fields[0]["aliases"] = [fields[0]["name"]]
        fields[0]["name"] = "renamed"
    elif change == 4:
        fields.reverse()
    elif change == 5 and fields:
        fields[-1]["name"] = "renamed"
    elif change == 6:
        kind, default = copy.deepcopy(draw(st.sampled_from(WITH_DEFAULT)))
        taken = {*_definitions(schema), "a.A", "a.B", "a.C", "a.D", "a.E"}
        if not _definitions(kind) & taken:
            fields.append({"name": "extra", "type": kind, "default": default})


def _evolve_enum(draw: Draw, schema: Json, change: int) -> None:
    if change == 0 and len(schema["symbols"]) > 1:
        gone = schema["symbols"].pop()
        if schema.get("default") == gone:
            schema.pop("default")
    elif change == 1:
        schema["symbols"].insert(0, "T")
    elif change == 2:
        schema.pop("default", None)
    elif change == 3:
        schema["default"] = schema["symbols"][0]


def _renamed(draw: Draw, schema: Json) -> Json:
    """Give one type another name, namespace or both, with or without an alias."""
    names = sorted(_definitions(schema))
    if not names:
        return schema
    old = draw(st.sampled_from(names))
    new = draw(st.sampled_from((f"c.{old[2:]}", f"{old[:2]}Z", "c.Z")))
    alias = draw(st.sampled_from((None, old, old[2:])))
    return _with_name(schema, old, new, alias)


def _definitions(schema: Json) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_definitions, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    inner = [schema[key] for key in ("items", "values") if key in schema]
    inner += [field["type"] for field in schema.get("fields", ())]
    return _definitions(inner) | ({schema["name"]} if "name" in schema else set())


def _with_name(schema: Json, old: str, new: str, alias: str | None) -> Json:
    if isinstance(schema, str):
        return new if schema == old else schema
    if isinstance(schema, list):
        return [_with_name(each, old, new, alias) for each in schema]
    changed = dict(schema)
    for key in ("items", "values"):
        if key in changed:
            changed[key] = _with_name(changed[key], old, new, alias)
    if "fields" in changed:
        changed["fields"] = [
            {**field, "type": _with_name(field["type"], old, new, alias)}
            for field in changed["fields"]
        ]
    if changed.get("name") == old:
        changed["name"] = new
        if alias is not None:
            changed["aliases"] = [alias]
    return changed
