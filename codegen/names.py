"""Names inside schema JSON: those a schema defines, those it uses, and inlining of types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sdk.avro.schema import NAMED_KINDS, PRIMITIVES
from sdk.avro.schema.names import declared_name
from sdk.avro.schema.names import full_name as qualified

Use = tuple[str, str, str]
"""A name that a schema uses: in full, as written, and its JSON pointer."""


def scan(value: Any) -> tuple[list[str], list[Use]]:
    """Find the names that a schema defines and those that it only uses, by Avro's scoping rules."""
    defined: dict[str, None] = {}
    used: list[Use] = []
    for name, written, pointer, definition in _walk(value, "", ""):
        if definition is not None:
            defined.setdefault(name)
        else:
            used.append((name, written, pointer))
    return [*defined], [use for use in used if defined.keys().isdisjoint(use[:2])]


def _walk(value: Any, namespace: str, path: str) -> Iterator[tuple[str, str, str, Any]]:
    """Yield each name: in full, as written, its JSON pointer, and what it defines if it does."""
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, str):
        if value not in PRIMITIVES:
            yield qualified(value, namespace), value, path, None
    elif kind in NAMED_KINDS:
        name = declared_name(value, namespace)
        yield name, name, path, value
    elif isinstance(kind, str) and kind not in (*PRIMITIVES, "array", "map"):
        yield qualified(kind, namespace), kind, f"{path}/type", None
    for step, inner, space in _inner(value, namespace):
        yield from _walk(inner, space, path + step)


def _inner(value: Any, namespace: str) -> Iterator[tuple[str, Any, str]]:
    """Yield the types right inside a schema: JSON pointer, type, and the namespace around it."""
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, list):
        for index, branch in enumerate(value):
            yield f"/{index}", branch, namespace
    elif kind == "array":
        yield "/items", value.get("items"), namespace
    elif kind == "map":
        yield "/values", value.get("values"), namespace
    elif kind in NAMED_KINDS:
        space = declared_name(value, namespace).rpartition(".")[0]
        fields = value.get("fields")
        for index, each in enumerate(fields if isinstance(fields, list) else ()):
            if isinstance(each, dict):
                yield f"/fields/{index}/type", each.get("type"), space


def _rebuilt(value: Any, namespace: str, change: Callable[[Any, str], Any]) -> Any:
    """Return a schema with each type right inside it changed, given the namespace around it."""
    if isinstance(value, list):
        return [change(branch, namespace) for branch in value]
    made = dict(value)
    for step, inner, space in _inner(value, namespace):
        changed = change(inner, space)
        if step.startswith("/fields/"):
            index = int(step.split("/")[2])
            made["fields"] = [*made["fields"]]
            made["fields"][index] = {**made["fields"][index], "type": changed}
        else:
            made[step[1:]] = changed
    return made


def definition_pointer(value: Any, full_name: str) -> str | None:
    """Return the JSON pointer of the definition of a named type, if a schema has one."""
    found = (path for name, _, path, made in _walk(value, "", "") if made and name == full_name)
    return next(found, None)


def definitions(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield full name and definition of each named type that a schema defines."""
    return ((name, made) for name, _, _, made in _walk(value, "", "") if made)


def inlined(value: Any, members: Mapping[str, Any]) -> Any:
    """Return a schema with other types written into it, each where it is used first."""
    defined: set[str] = set()

    def walk(source: Any, namespace: str) -> Any:
        if isinstance(source, str):
            return define(source, namespace)
        if not isinstance(source, dict):
            return _rebuilt(source, namespace, walk) if isinstance(source, list) else source
        kind = source.get("type")
        if kind in NAMED_KINDS:
            name = declared_name(source, namespace)
            return name if name in defined else open_up(source, name)
        if isinstance(kind, str) and kind not in (*PRIMITIVES, "array", "map"):
            made = define(kind, namespace)
            return {**source, "type": made} if isinstance(made, str) else made
        return _rebuilt(source, namespace, walk)

    def define(name: str, namespace: str) -> Any:
        for full_name in (qualified(name, namespace), name):
            if full_name in members and full_name not in defined:
                return open_up(members[full_name], full_name)
        return name

    def open_up(source: Any, full_name: str) -> Any:
        defined.add(full_name)
        space, _, short = full_name.rpartition(".")
        return _rebuilt({**source, "name": short, "namespace": space}, "", walk)

    return walk(value, "")


def in_namespace(value: Any, namespace: str) -> Any:
    """Return a schema whose names mean the same outside a namespace as they do inside it."""
    if isinstance(value, str):
        return value if value in PRIMITIVES else qualified(value, namespace)
    if isinstance(value, dict) and value.get("type") in NAMED_KINDS:
        has_own = isinstance(value.get("namespace"), str) or not namespace
        return value if has_own else {**value, "namespace": namespace}
    return _rebuilt(value, namespace, in_namespace) if isinstance(value, dict | list) else value
