"""The parts of definitions that hold no other types: symbols, sizes, fields' own attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sdk.avro.schema.defaults import java_double
from sdk.avro.schema.defects import Defects, shown
from sdk.avro.schema.logical_names import logical_problem, logical_type
from sdk.avro.schema.model import (
    NO_DEFAULT,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    LogicalType,
    NamedSchema,
    RecordSchema,
    Schema,
)
from sdk.avro.schema.names import NAME_REMEDY, is_name, read_aliases

MAX_FIXED_SIZE: Final = 2**31 - 1 - 8

_SCHEMA_KEYS = frozenset(
    ("doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases")
)
_ENUM_KEYS = _SCHEMA_KEYS | {"default"}
_FIELD_KEYS = frozenset(("default", "doc", "name", "order", "type", "aliases"))
_ORDERS = ("ascending", "descending", "ignore")


def empty_node(kind: str, name: str) -> NamedSchema:
    """Return an empty node of a named type, to be filled later."""
    if kind == "enum":
        return EnumSchema(name, ())
    if kind == "fixed":
        return FixedSchema(name, 0)
    return RecordSchema(name, is_error=kind == "error")


def properties(source: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the attributes of a schema that Avro does not reserve."""
    reserved = _ENUM_KEYS if kind == "enum" else _SCHEMA_KEYS
    return {key: value for key, value in source.items() if key not in reserved}


def text_or_none(value: Any) -> str | None:
    """Return a doc if it is text; Java ignores any other."""
    return value if isinstance(value, str) else None


def read_symbols(
    node: EnumSchema, source: Mapping[str, Any], path: str, defects: Defects, *, strict: bool
) -> None:
    """Fill in the symbols and the default of an enum."""
    symbols = source.get("symbols")
    if not isinstance(symbols, list):
        where = f"{path}/symbols" if "symbols" in source else path
        defects.error(where, "enum without symbols", 'add "symbols": an array of names')
        return
    if strict and not symbols:
        defects.error(f"{path}/symbols", "enum without symbols", "name at least one symbol")
    seen: set[str] = set()
    for index, symbol in enumerate(symbols):
        below = f"{path}/symbols/{index}"
        if not is_name(symbol):
            defects.error(below, f"{shown(symbol)} is not a name", NAME_REMEDY)
        elif symbol in seen:
            defects.error(below, f"symbol {symbol} occurs twice", "remove one")
        else:
            seen.add(symbol)
    node.symbols = tuple(str(symbol) for symbol in symbols)
    default = source.get("default")
    if isinstance(default, str) and default in node.symbols:
        node.default = default
    elif isinstance(default, str) or (strict and default is not None):
        message = f"the enum's default {shown(default)} is not one of its symbols"
        defects.error(f"{path}/default", message, "name one of the symbols")


def read_size(node: FixedSchema, source: Mapping[str, Any], path: str, defects: Defects) -> None:
    """Fill in the size of a fixed."""
    size = source.get("size")
    if isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= MAX_FIXED_SIZE:
        node.size = size
        return
    where = f"{path}/size" if "size" in source else path
    defects.error(where, "fixed without a size", 'give "size" as a number of bytes')


def read_logical(
    kind: str,
    size: int | None,
    props: Mapping[str, Any],
    path: str,
    defects: Defects,
) -> LogicalType | None:
    """Return the logical type that a schema's properties declare, or None for an invalid one.

    An invalid one is ignored with a warning, as Avro says: the value is of the plain type.
    """
    if "logicalType" not in props:
        return None
    problem = logical_problem(kind, size, props)
    if problem is None:
        return logical_type(props)
    defects.warn(
        f"{path}/logicalType",
        f"{problem}; every reader ignores it",
        "correct the annotation or remove it",
    )
    return None


def read_field(
    source: Mapping[str, Any], schema: Schema, path: str, defects: Defects, *, strict: bool
) -> FieldSchema:
    """Make a field with a valid name and a parsed type."""
    made = FieldSchema(source["name"], schema)
    if len(source) == 2:  # most fields have only a name and a type
        return made
    made.default = source.get("default", NO_DEFAULT)
    made.aliases = read_aliases(source, path, defects, checked=strict)
    made.doc = text_or_none(source.get("doc"))
    made.order = _read_order(source, path, defects)
    made.props = {key: value for key, value in source.items() if key not in _FIELD_KEYS}
    if schema.type in ("float", "double") and isinstance(made.default, str):
        number = java_double(made.default)
        if number is None:
            message = f"default {shown(made.default)} is not a {schema.type}"
            defects.error(f"{path}/default", message, "give a number")
        else:
            made.default = number
    if "logicalType" in made.props:
        defects.warn(
            f"{path}/logicalType",
            "a logicalType beside the type of a field is ignored by every reader",
            'move it into the type: {"type": …, "logicalType": …}',
        )
    return made


def check_alias_conflicts(node: RecordSchema, path: str, defects: Defects) -> None:
    """Refuse an alias that two fields share, and warn of one that is another field's own name.

    The latter stands in schemas of Apache's own. Resolution follows the alias, as Java does, unless
    writer and reader are the same schema.
    """
    names = {each.name for each in node.fields}
    owners: dict[str, str] = {}
    for index, each in enumerate(node.fields):
        for place, alias in enumerate(each.aliases):
            is_name = alias in names and alias != each.name
            owner = alias if is_name else owners.setdefault(alias, each.name)
            if owner != each.name:
                tell = defects.warn if is_name else defects.error
                tell(
                    f"{path}/fields/{index}/aliases/{place}",
                    f"alias {alias} of field {each.name} also stands for field {owner}",
                    "give each old name to one field",
                )


def _read_order(source: Mapping[str, Any], path: str, defects: Defects) -> str:
    order = source.get("order", "ascending")
    if isinstance(order, str) and order.lower() in _ORDERS:
        return order.lower()
    defects.error(f"{path}/order", f"{shown(order)} is not an order", f"use {', '.join(_ORDERS)}")
    return "ascending"
