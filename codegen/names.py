"""Names inside schema JSON: what a schema defines, what it uses, and writing types into it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from codegen.sources import NAMED_KINDS
from sdk.avro.schema import PRIMITIVES
from sdk.avro.schema.names import declared_name
from sdk.avro.schema.names import full_name as qualified


@frozen
class Names:
    """The names in one schema.

    Attributes:
        defined: Full names of the types that it defines.
        used: Of each name that it uses and does not define: the full name that it stands for, the
            name as written, and the JSON pointer of the use.
    """

    defined: tuple[str, ...]
    used: tuple[tuple[str, str, str], ...]


def scan(value: Any) -> Names:
    """Find the names that a schema defines and uses, by the scoping rules of Avro."""
    defined: dict[str, None] = {}
    used: list[tuple[str, str, str]] = []
    for name, written, pointer, is_definition in _walk(value, "", ""):
        if is_definition:
            defined.setdefault(name)
        else:
            used.append((name, written, pointer))
    return Names(
        tuple(defined),
        tuple(use for use in used if use[0] not in defined and use[1] not in defined),
    )


def _walk(value: Any, namespace: str, path: str) -> Iterator[tuple[str, str, str, bool]]:
    if isinstance(value, str):
        if value not in PRIMITIVES:
            yield qualified(value, namespace), value, path, False
    elif isinstance(value, list):
        for index, branch in enumerate(value):
            yield from _walk(branch, namespace, f"{path}/{index}")
    elif isinstance(value, dict):
        kind = value.get("type")
        if kind in ("array", "map"):
            key = "items" if kind == "array" else "values"
            yield from _walk(value.get(key), namespace, f"{path}/{key}")
        elif isinstance(kind, str) and kind in NAMED_KINDS:
            yield from _walk_named(value, namespace, path)
        elif isinstance(kind, str) and kind not in PRIMITIVES:
            yield qualified(kind, namespace), kind, f"{path}/type", False


def _walk_named(
    value: Mapping[str, Any], namespace: str, path: str
) -> Iterator[tuple[str, str, str, bool]]:
    name = declared_name(value, namespace)
    yield name, name, path, True
    fields = value.get("fields")
    if value["type"] in ("record", "error") and isinstance(fields, list):
        for index, each in enumerate(fields):
            if isinstance(each, dict):
                inner = name.rpartition(".")[0]
                yield from _walk(each.get("type"), inner, f"{path}/fields/{index}/type")


def definition_pointer(value: Any, full_name: str) -> str | None:
    """Return the JSON pointer of the definition of a named type, if a schema has one."""
    for name, _, pointer, is_definition in _walk(value, "", ""):
        if is_definition and name == full_name:
            return pointer
    return None


def definitions(value: Any, namespace: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield full name and definition of each named type that a schema defines."""
    if isinstance(value, list):
        for branch in value:
            yield from definitions(branch, namespace)
    elif isinstance(value, dict):
        kind = value.get("type")
        if kind in ("array", "map"):
            yield from definitions(value.get("items" if kind == "array" else "values"), namespace)
        elif kind in NAMED_KINDS:
            name = declared_name(value, namespace)
            yield name, value
            fields = value.get("fields")
            for each in fields if isinstance(fields, list) else ():
                if isinstance(each, dict):
                    yield from definitions(each.get("type"), name.rpartition(".")[0])


def inlined(value: Any, members: Mapping[str, Any]) -> Any:
    """Return a schema with other types written into it, each where it is used first.

    Args:
        value: The schema.
        members: Full name → definition, of the types that may be written into it.
    """
    defined: set[str] = set()

    def walk(source: Any, namespace: str) -> Any:
        if isinstance(source, str):
            return define(source, namespace)
        if isinstance(source, list):
            return [walk(branch, namespace) for branch in source]
        if not isinstance(source, dict):
            return source
        kind = source.get("type")
        if kind in ("array", "map"):
            key = "items" if kind == "array" else "values"
            return {**source, key: walk(source.get(key), namespace)}
        if kind in NAMED_KINDS:
            name = declared_name(source, namespace)
            return name if name in defined else open_up(source, name)
        if isinstance(kind, str) and kind not in PRIMITIVES:
            made = define(kind, namespace)
            return {**source, "type": made} if isinstance(made, str) else made
        return source

    def define(name: str, namespace: str) -> Any:
        for full_name in (qualified(name, namespace), name):
            if full_name in members and full_name not in defined:
                return open_up(members[full_name], full_name)
        return name

    def open_up(source: Any, full_name: str) -> Any:
        defined.add(full_name)
        space, _, short = full_name.rpartition(".")
        made = {**source, "name": short, "namespace": space}
        if isinstance(source.get("fields"), list):
            made["fields"] = [
                {**each, "type": walk(each.get("type"), space)} if isinstance(each, dict) else each
                for each in source["fields"]
            ]
        return made

    return walk(copy.deepcopy(value), "")


def in_namespace(value: Any, namespace: str) -> Any:
    """Return a schema whose names mean the same outside a namespace as they do inside it."""
    if isinstance(value, str):
        return value if value in PRIMITIVES else qualified(value, namespace)
    if isinstance(value, list):
        return [in_namespace(branch, namespace) for branch in value]
    if isinstance(value, dict):
        kind = value.get("type")
        if kind in ("array", "map"):
            key = "items" if kind == "array" else "values"
            return {**value, key: in_namespace(value.get(key), namespace)}
        if kind in NAMED_KINDS and not isinstance(value.get("namespace"), str) and namespace:
            return {**value, "namespace": namespace}
    return value
