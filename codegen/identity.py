"""Proves that generated classes equal their schemas, by a walk that shares nothing with rendering.

It reads the generated source as a syntax tree, runs none of it, and compares it with the schema's
JSON: full names, fields and their order, types, defaults, symbols.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

from attrs import define, field

from codegen.identity_defaults import same_default
from codegen.identity_types import View, actual_type, defined_name, expected_type
from codegen.progress import Progress

_INFO: Final = "EventInfo"
_NAMED: Final = ("record", "error", "enum", "fixed")


@define
class _Module:
    """A parsed module: its classes, what it imports, and the infos that it assigns."""

    path: str
    classes: dict[str, ast.ClassDef] = field(factory=dict)
    aliases: dict[str, ast.expr] = field(factory=dict)
    imports: dict[str, tuple[str, str]] = field(factory=dict)
    infos: list[dict[str, ast.expr]] = field(factory=list)

    def types(self) -> dict[str, str]:
        """Return full name → class, of the types that the module defines."""
        return {name: cls for info in self.infos for name, cls in _types(info).items()}


def prove_identity(files: Mapping[str, str], progress: Progress) -> Iterator[tuple[str, str]]:
    """Yield path and reason for each difference between a generated module and its schema.

    Args:
        files: Path below the output → source, of the whole generated package.
        progress: Shows how far the proof is.
    """
    paths = [path for path, source in files.items() if f" = {_INFO}(" in source]
    modules = {path: _parsed(path, files[path]) for path in progress.track("proving", paths)}
    views: dict[str, View] = {}
    for path in modules:
        view = _view(path, modules, views)
        for info in modules[path].infos:
            for reason in _differences(modules[path], info, view):
                yield path, reason


def _view(path: str, modules: Mapping[str, _Module], views: dict[str, View]) -> View:
    """Return what a module sees: its own types, and those of the modules that it imports."""
    if path in views:
        return views[path]
    module = modules[path]
    scope: dict[str, str] = {}
    found: dict[str, Mapping[str, Any]] = {}
    classes: dict[str, ast.ClassDef] = {}
    for name, (home, imported) in module.imports.items():
        if home not in modules:
            continue
        view = _view(home, modules, views)
        found.update(view.definitions)
        classes.update(view.classes)
        scope[name] = view.scope.get(imported, "")
    inherited = frozenset(found)
    for info in module.infos:
        for full_name, definition in definitions(json.loads(_text(info, "schema")), ""):
            space, _, short = full_name.rpartition(".")
            found[full_name] = {**definition, "name": short, "namespace": space}
    for full_name, name in module.types().items():
        scope[name] = full_name
        if name in module.classes:
            classes[full_name] = module.classes[name]
    views[path] = View(scope, found, classes, inherited)
    return views[path]


def _parsed(path: str, source: str) -> _Module:
    module = _Module(path)
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            module.classes[node.name] = node
        elif isinstance(node, ast.ImportFrom) and node.level:
            home = _home(path, node)
            for each in node.names:
                module.imports[each.asname or each.name] = (home, each.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            value = node.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
                if value.func.id == _INFO:
                    given = {each.arg: each.value for each in value.keywords if each.arg}
                    module.infos.append(given)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                module.aliases[node.target.id] = value
    return module


def _home(path: str, node: ast.ImportFrom) -> str:
    parts = path.split("/")[: -node.level]
    return "/".join([*parts, *(node.module or "").split(".")]) + ".py"


def _types(info: Mapping[str, ast.expr]) -> dict[str, str]:
    table = info.get("types")
    if not isinstance(table, ast.Dict):
        return {}
    return {
        str(key.value): value.id
        for key, value in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Name)
    }


def _text(info: Mapping[str, ast.expr], key: str) -> str:
    return str(ast.literal_eval(info[key]))


def _differences(module: _Module, info: Mapping[str, ast.expr], view: View) -> Iterator[str]:
    schema = json.loads(_text(info, "schema"))
    types = _types(info)
    defined = dict(definitions(schema, ""))
    for full_name, definition in defined.items():
        cls = module.classes.get(types.get(full_name, ""))
        if cls is not None:
            for reason in _class_differences(cls, full_name, definition, view):
                yield f"{full_name}: {reason}"
        elif definition["type"] != "fixed" and full_name not in view.inherited:
            yield f"{full_name} has no class"
    for full_name in types:
        if full_name not in defined:
            yield f"class {types[full_name]} stands for {full_name}, which the schema lacks"
    is_named = isinstance(schema, dict) and schema.get("type") in _NAMED
    if is_named and _text(info, "full_name") != next(iter(defined), ""):
        yield "the full name is not the schema's"
    if not is_named or (schema["type"] == "fixed" and not types):
        alias = next(iter(module.aliases.values()), None)
        if alias is None or actual_type(alias, view.scope) != expected_type(schema, "", view):
            yield "the alias is not the schema's type"


def definitions(value: Any, namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield full name and definition of each named type that schema JSON defines."""
    if isinstance(value, list):
        for branch in value:
            yield from definitions(branch, namespace)
    elif isinstance(value, dict):
        kind = value.get("type")
        if kind == "array":
            yield from definitions(value["items"], namespace)
        elif kind == "map":
            yield from definitions(value["values"], namespace)
        elif kind in ("record", "error", "enum", "fixed"):
            full_name = defined_name(value, namespace)
            yield full_name, value
            for each in value["fields"] if kind in ("record", "error") else ():
                yield from definitions(each["type"], full_name.rpartition(".")[0])


def _class_differences(
    cls: ast.ClassDef, full_name: str, definition: Mapping[str, Any], view: View
) -> Iterator[str]:
    if definition["type"] == "enum":
        symbols = [
            node.value.value
            for node in cls.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        ]
        if symbols != definition["symbols"]:
            yield "its symbols differ from the schema's"
        return
    if definition["type"] == "fixed":
        return
    attributes = [node for node in cls.body if _is_field(node)]
    fields = definition["fields"]
    if len(attributes) != len(fields):
        yield f"{len(attributes)} attributes for {len(fields)} fields"
        return
    namespace = full_name.rpartition(".")[0]
    for attribute, each in zip(attributes, fields, strict=True):
        name = attribute.target.id if isinstance(attribute.target, ast.Name) else ""
        if not _spells(name, each["name"]):
            yield f"attribute {name} stands where field {each['name']} is expected"
        if actual_type(attribute.annotation, view.scope) != expected_type(
            each["type"], namespace, view
        ):
            yield f"attribute {name} has another type than its field"
        given = _given_default(attribute.value)
        if ("default" in each) != (given is not None):
            yield f"attribute {name} and its field disagree on having a default"
        elif given is not None and not same_default(
            each["type"], each["default"], given, namespace, view
        ):
            yield f"attribute {name} has another default than its field"


def _is_field(node: ast.stmt) -> TypeGuard[ast.AnnAssign]:
    return (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id != "__event__"
    )


def _given_default(value: ast.expr | None) -> ast.expr | None:
    """Return the default that an attribute has, as an expression."""
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name)):
        return value
    if value.func.id != "field":
        return value
    for option in value.keywords:
        if option.arg == "default":
            return option.value
        if option.arg == "factory":
            if isinstance(option.value, ast.Lambda):
                return option.value.body
            return ast.Dict(keys=[], values=[])
    return None


def _spells(attribute: str, name: str) -> bool:
    letters = "".join(letter if letter.isalnum() else "_" for letter in name)
    return attribute.strip("_").casefold() == letters.strip("_").casefold() or not letters.isascii()
