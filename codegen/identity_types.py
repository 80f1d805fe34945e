"""Types as the identity proof compares them: read from schema JSON, and from Python source."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import Any, Final

from attrs import frozen

_PRIMITIVES: Final = {
    "null": "None",
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "bytes": "bytes",
    "string": "str",
}
_LOGICAL: Final = {
    ("bytes", "big-decimal"): "Decimal",
    ("string", "uuid"): "UUID",
    ("int", "date"): "dt.date",
    ("int", "time-millis"): "dt.time",
    ("long", "time-micros"): "dt.time",
    ("long", "timestamp-millis"): "dt.datetime",
    ("long", "timestamp-micros"): "dt.datetime",
    ("long", "local-timestamp-millis"): "dt.datetime",
    ("long", "local-timestamp-micros"): "dt.datetime",
}

Form = str | tuple[Any, ...] | frozenset[Any]
"""A type: a name, ``("array", items)``, ``("map", values)``, or the set of a union's branches."""


@frozen
class View:
    """What a module sees of the generated package.

    Attributes:
        scope: Class as the module calls it → Avro full name.
        definitions: Avro full name → its definition in schema JSON, with its namespace.
        classes: Avro full name → its class; a plain fixed may have none.
        inherited: Full names of the definitions that come from other modules.
    """

    scope: Mapping[str, str]
    definitions: Mapping[str, Mapping[str, Any]]
    classes: Mapping[str, ast.ClassDef]
    inherited: Collection[str]

    def resolve(self, value: Any, namespace: str) -> Any:
        """Return the definition that a name stands for; any other schema JSON as it is."""
        if not isinstance(value, str) or value in _PRIMITIVES:
            return value
        for full_name in (same_name(value, namespace), value):
            if full_name in self.definitions:
                return self.definitions[full_name]
        return value


def same_name(name: str, namespace: str) -> str:
    """Return the full name of a name inside a namespace."""
    if "." in name:
        return name.lstrip(".")
    return f"{namespace}.{name}" if namespace else name


def defined_name(value: Mapping[str, Any], namespace: str) -> str:
    """Return the full name that a definition declares."""
    own = value.get("namespace")
    return same_name(value["name"], own if isinstance(own, str) else namespace)


def expected_type(value: Any, namespace: str, view: View, *, told: bool = False) -> Form:
    """Return the form of the Python type that schema JSON calls for.

    Args:
        value: The schema.
        namespace: Where it stands.
        view: What its module sees.
        told: It is a branch beside other branches of bytes.
    """
    if isinstance(value, list):
        several = sum(_is_bytes(view.resolve(each, namespace)) for each in value) > 1
        return _union([expected_type(each, namespace, view, told=several) for each in value])
    value = view.resolve(value, namespace)
    if isinstance(value, str):
        return _PRIMITIVES.get(value, f"? {value}")
    kind = value["type"]
    if kind == "array":
        return ("array", expected_type(value["items"], namespace, view))
    if kind == "map":
        return ("map", expected_type(value["values"], namespace, view))
    if kind in ("record", "error", "enum"):
        return defined_name(value, namespace)
    if kind == "fixed":
        plain = _logical_fixed(value)
        if plain == "bytes" and told:
            return defined_name(value, namespace)
        return plain
    if kind not in _PRIMITIVES:
        return expected_type(kind, namespace, view, told=told)
    if kind == "bytes" and is_decimal(value, None):
        return "Decimal"
    return _LOGICAL.get((kind, str(value.get("logicalType"))), _PRIMITIVES[kind])


def actual_type(node: ast.expr, scope: Mapping[str, str]) -> Form:
    """Return the form of a Python type expression.

    Args:
        node: The expression.
        scope: Class as the module calls it → Avro full name.
    """
    match node:
        case ast.Constant(value=None):
            return "None"
        case ast.Name(id=name):
            return scope.get(name, name)
        case ast.Attribute(value=ast.Name(id="dt"), attr=name):
            return f"dt.{name}"
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([actual_type(left, scope), actual_type(right, scope)])
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[items, *_])):
            return ("array", actual_type(items, scope))
        case ast.Subscript(value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[_, values])):
            return ("map", actual_type(values, scope))
    return f"? {ast.unparse(node)}"


def is_decimal(value: Mapping[str, Any], size: int | None) -> bool:
    """Tell whether bytes or a fixed of some size carry a valid decimal annotation."""
    precision, scale = value.get("precision"), value.get("scale", 0)
    if value.get("logicalType") != "decimal" or type(precision) is not int or precision < 1:
        return False
    if type(scale) is not int or not 0 <= scale <= precision:
        return False
    return size is None or (size > 0 and 10**precision <= 2 ** (8 * size - 1))


def _logical_fixed(value: Mapping[str, Any]) -> str:
    size, logical = value["size"], value.get("logicalType")
    if logical == "duration" and size == 12:
        return "Duration"
    if logical == "uuid" and size == 16:
        return "UUID"
    return "Decimal" if is_decimal(value, size) else "bytes"


def _is_bytes(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return bool(value == "bytes")
    if value.get("type") == "fixed":
        return _logical_fixed(value) == "bytes"
    return value.get("type") == "bytes" and not (
        is_decimal(value, None) or value.get("logicalType") == "big-decimal"
    )


def _union(forms: list[Form]) -> Form:
    flat: set[Form] = set()
    for form in forms:
        flat |= form if isinstance(form, frozenset) else {form}
    return next(iter(flat)) if len(flat) == 1 else frozenset(flat)
