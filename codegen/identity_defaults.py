"""Defaults as the identity proof compares them: schema JSON against Python source."""

from __future__ import annotations

import ast
import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from codegen.identity_types import View, defined_name, is_decimal

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NUMBERS: Final = ("int", "long", "float", "double")


def same_default(value: Any, default: Any, node: ast.expr, namespace: str, view: View) -> bool:
    """Tell whether a Python expression stands for a JSON default.

    Args:
        value: The field's type as schema JSON.
        default: The JSON default.
        node: The expression.
        namespace: Where the type stands.
        view: What the module sees.
    """
    if isinstance(value, list):
        return any(same_default(branch, default, node, namespace, view) for branch in value)
    value = view.resolve(value, namespace)
    if isinstance(value, str):
        value = {"type": value}
    kind = value["type"]
    if kind in ("record", "error", "enum", "fixed"):
        value = view.definitions[defined_name(value, namespace)]
    match kind:
        case "array":
            return (
                isinstance(node, ast.Tuple)
                and isinstance(default, list)
                and len(node.elts) == len(default)
                and all(
                    same_default(value["items"], item, each, namespace, view)
                    for item, each in zip(default, node.elts, strict=True)
                )
            )
        case "map":
            return _same_map(value, default, node, namespace, view)
        case "record" | "error":
            return _same_record(value, default, node, view)
        case "enum":
            return _same_symbol(value, default, node, view)
        case "fixed" | "bytes":
            return _same_bytes(value, default, node)
    return _same_scalar(kind, str(value.get("logicalType")), default, node)


def _same_map(
    value: Mapping[str, Any], default: Any, node: ast.expr, namespace: str, view: View
) -> bool:
    if not isinstance(node, ast.Dict) or not isinstance(default, dict):
        return False
    given = {_constant(key): each for key, each in zip(node.keys, node.values, strict=True)}
    return given.keys() == default.keys() and all(
        same_default(value["values"], item, given[key], namespace, view)
        for key, item in default.items()
    )


def _same_record(value: Mapping[str, Any], default: Any, node: ast.expr, view: View) -> bool:
    full_name = _full_name(value)
    if not isinstance(node, ast.Call) or not isinstance(default, dict):
        return False
    if not isinstance(node.func, ast.Name) or view.scope.get(node.func.id) != full_name:
        return False
    attributes = [
        each.target.id
        for each in view.classes[full_name].body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and each.target.id != "__event__"
    ]
    given = {each.arg: each.value for each in node.keywords}
    wanted: dict[str | None, tuple[Any, Any]] = {
        attribute: (each["type"], default[each["name"]])
        for attribute, each in zip(attributes, value["fields"], strict=True)
        if each["name"] in default
    }
    inner = full_name.rpartition(".")[0]
    return given.keys() == wanted.keys() and all(
        same_default(kind, item, given[name], inner, view) for name, (kind, item) in wanted.items()
    )


def _same_symbol(value: Mapping[str, Any], default: Any, node: ast.expr, view: View) -> bool:
    full_name = _full_name(value)
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    if view.scope.get(node.value.id) != full_name:
        return False
    for each in view.classes[full_name].body:
        match each:
            case ast.Assign(targets=[ast.Name(id=name)], value=symbol) if name == node.attr:
                return bool(_constant(symbol) == default)
    return False


def _same_bytes(value: Mapping[str, Any], default: Any, node: ast.expr) -> bool:
    if not isinstance(default, str):
        return False
    data = default.encode("latin-1", "replace")
    logical = value.get("logicalType")
    if is_decimal(value, value.get("size")):
        number = Decimal(int.from_bytes(data, "big", signed=True))
        return _decimal(node) == (number, int(value.get("scale", 0)))
    if logical == "uuid" and value.get("size") == 16:
        return _arguments(node, "UUID") == [str(UUID(bytes=data))]
    if logical == "duration" and value.get("size") == 12:
        parts = [int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8)]
        return _arguments(node, "Duration") == parts
    if logical == "big-decimal" and value["type"] == "bytes":
        return _big_decimal(node) == data
    if isinstance(node, ast.Call) and len(node.args) == 1:  # a fixed with a class of its own
        node = node.args[0]
    return bool(_constant(node) == data)


def _decimal(node: ast.expr) -> tuple[Decimal, int] | None:
    """Return the unscaled number and the scale of a ``Decimal("…")`` or ``Decimal(…)``."""
    arguments = _arguments(node, "Decimal")
    if not arguments or type(arguments[0]) not in (str, int):
        return None
    sign, digits, exponent = Decimal(arguments[0]).as_tuple()
    return Decimal((sign, digits, 0)), -int(exponent)


def _big_decimal(node: ast.expr) -> bytes | None:
    """Return the bytes of a ``Decimal("…")`` as a big-decimal."""
    read = _decimal(node)
    if read is None:
        return None
    number, scale = int(read[0]), read[1]
    length = (number + (number < 0)).bit_length() // 8 + 1
    return _varint(length) + number.to_bytes(length, "big", signed=True) + _varint(scale)


def _varint(number: int) -> bytes:
    rest, out = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def _same_scalar(kind: str, logical: str, default: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return _same_moment(kind, logical, default, node)
    given = _constant(node)
    if kind in ("float", "double"):
        return type(given) is float and type(default) in (int, float) and given == float(default)
    wanted = {"null": type(None), "boolean": bool, "int": int, "long": int, "string": str}[kind]
    return type(given) is wanted and type(default) is wanted and given == default


def _same_moment(kind: str, logical: str, default: Any, node: ast.Call) -> bool:
    if kind in ("float", "double"):
        arguments = _arguments(node, "float")
        number = float(default) if type(default) in (int, float, str) else 0.0
        given = float(arguments[0]) if arguments else 0.0
        return given == number or (math.isnan(given) and math.isnan(number))
    if logical == "uuid" and isinstance(default, str):
        return _arguments(node, "UUID") == [str(UUID(default))]
    if type(default) is not int:
        return False
    unit = (
        dt.timedelta(milliseconds=1) if logical.endswith("millis") else dt.timedelta(microseconds=1)
    )
    if logical == "date":
        made = _made(node, "date", dt.date)
        return made is not None and (made - _EPOCH.date()).days == default
    if logical.startswith("time-"):
        made = _made(node, "time", dt.time)
        return made is not None and (
            dt.datetime.combine(_EPOCH, made, tzinfo=dt.UTC) - _EPOCH == default * unit
        )
    made = _made(node, "datetime", dt.datetime)
    if made is None:
        return False
    aware = any(each.arg == "tzinfo" for each in node.keywords)
    return aware == logical.startswith("timestamp") and (
        made.replace(tzinfo=dt.UTC) - _EPOCH == default * unit
    )


def _made(node: ast.Call, name: str, build: Callable[..., Any]) -> Any:
    """Return what ``dt.<name>(1, 2, …)`` makes, without its time zone, or None."""
    match node.func:
        case ast.Attribute(value=ast.Name(id="dt"), attr=found) if found == name:
            return build(*map(_constant, node.args))
    return None


def _arguments(node: ast.expr, name: str) -> list[Any]:
    """Return the constants that a class is called with, if it is the wanted one."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
        return [_constant(each) for each in (*node.args, *(each.value for each in node.keywords))]
    return []


def _constant(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return ...


def _full_name(value: Mapping[str, Any]) -> str:
    return f"{value['namespace']}.{value['name']}" if value.get("namespace") else str(value["name"])
