"""Prints schemas as JSON text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sdk.avro.schema.model import (
    NO_DEFAULT,
    PRIMITIVES,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    short_name,
)

Piece = str | tuple[Schema, str]
"""Finished text, or a schema inside a namespace that is not rendered yet."""

_TYPE_NAMES = PRIMITIVES | {"record", "enum", "array", "map", "union", "fixed"}
_CONTROL = re.compile(r"[\x00-\x1f]")


def to_json(schema: Schema, *, known: Iterable[str] = ()) -> str:
    """Print a schema exactly as Java Avro's ``Schema.toString()`` does.

    This is the form in which registries keep schemas: no white space, names of the surrounding
    namespace shortened, each named type defined where it is first used, and docs, aliases, defaults
    and properties kept.

    Args:
        schema: What to print.
        known: Full names of types that are defined elsewhere, such as in schema references; they
            are only named.
    """
    written = set(known)
    return render(schema, lambda each, namespace: _pieces(each, namespace, written))


def render(schema: Schema, pieces: Callable[[Schema, str], list[Piece]]) -> str:
    """Join the pieces of a schema and of all schemas inside it, without recursion."""
    text: list[str] = []
    pending: list[Piece] = [(schema, "")]
    while pending:
        piece = pending.pop()
        if isinstance(piece, str):
            text.append(piece)
        else:
            pending.extend(reversed(pieces(*piece)))
    return "".join(text)


def joined(parts: Iterable[list[Piece]]) -> list[Piece]:
    """Return the pieces of several parts with commas between these."""
    pieces: list[Piece] = []
    for part in parts:
        pieces += [",", *part] if pieces else part
    return pieces


def _pieces(schema: Schema, namespace: str, written: set[str]) -> list[Piece]:
    match schema:
        case PrimitiveSchema():
            return [_primitive(schema)]
        case UnionSchema():
            return ["[", *joined([(branch, namespace)] for branch in schema.branches), "]"]
        case ArraySchema():
            return ['{"type":"array","items":', (schema.items, namespace), _tail(schema.props)]
        case MapSchema():
            return ['{"type":"map","values":', (schema.values, namespace), _tail(schema.props)]
    if schema.name in written:
        return [json_text(_reference(schema.name, namespace))]
    written.add(schema.name)
    return _named(schema, namespace)


def _named(schema: NamedSchema, namespace: str) -> list[Piece]:
    own = schema.name.rpartition(".")[0]
    kind = "error" if isinstance(schema, RecordSchema) and schema.is_error else schema.type
    head = f'{{"type":"{kind}","name":{json_text(short_name(schema.name))}'
    if own != namespace:
        head += f',"namespace":{json_text(own)}'
    if schema.doc is not None:
        head += f',"doc":{json_text(schema.doc)}'
    pieces: list[Piece] = [head]
    match schema:
        case EnumSchema():
            pieces.append(f',"symbols":{json_text(list(schema.symbols))}')
            if schema.default is not None:
                pieces.append(f',"default":{json_text(schema.default)}')
        case FixedSchema():
            pieces.append(f',"size":{schema.size}')
        case RecordSchema():
            pieces += [',"fields":[', *joined(_field(each, own) for each in schema.fields), "]"]
    aliases = [_reference(alias, own) for alias in schema.aliases]
    return [*pieces, _tail(schema.props, aliases)]


def _field(schema: FieldSchema, namespace: str) -> list[Piece]:
    tail = ""
    if schema.doc is not None:
        tail += f',"doc":{json_text(schema.doc)}'
    if schema.default is not NO_DEFAULT:
        tail += f',"default":{json_text(schema.default)}'
    if schema.order != "ascending":
        tail += f',"order":"{schema.order}"'
    if schema.aliases:
        tail += f',"aliases":{json_text(list(schema.aliases))}'
    return [
        f'{{"name":{json_text(schema.name)},"type":',
        (schema.schema, namespace),
        tail + _tail(schema.props),
    ]


def _primitive(schema: PrimitiveSchema) -> str:
    if not schema.props:
        return f'"{schema.type}"'
    return f'{{"type":"{schema.type}"{_tail(schema.props)}'


def _tail(props: Mapping[str, Any], aliases: list[str] | None = None) -> str:
    """Close an object with its properties and aliases."""
    text = "".join(f",{json_text(key)}:{json_text(value)}" for key, value in props.items())
    return f'{text},"aliases":{json_text(aliases)}}}' if aliases else text + "}"


def _reference(name: str, namespace: str) -> str:
    """Shorten a full name inside its own namespace, unless it would then read as a type."""
    space, _, short = name.rpartition(".")
    return short if space and space == namespace and short not in _TYPE_NAMES else name


def json_text(value: Any) -> str:
    """Print a JSON value as Java's Jackson does: no white space, numbers in Java's notation."""
    match value:
        case str():
            return _string(value)
        case float():
            return _number(value)
        case Mapping():
            return f"{{{','.join(f'{_string(k)}:{json_text(v)}' for k, v in value.items())}}}"
        case list() | tuple():
            return f"[{','.join(map(json_text, value))}]"
        case _:
            return json.dumps(value)


def _string(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    if not _CONTROL.search(text):
        return quoted
    return re.sub(
        r"\\(?:u00[01][0-9a-f]|.)",
        lambda found: "\\u" + found[0][2:].upper() if found[0][1] == "u" else found[0],
        quoted,
    )


def _number(value: float) -> str:
    """Print a double as ``Double.toString`` does, which quotes what is not a number."""
    if not math.isfinite(value):
        return f'"{"NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}"'
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = repr(value)
        return text if "e" not in text else f"{value:.20f}".rstrip("0")
    mantissa, _, exponent = f"{value!r}e".partition("e")
    digits = mantissa.lstrip("-").replace(".", "").strip("0")
    if exponent:
        power = int(exponent.rstrip("e"))
    else:
        whole, _, fraction = mantissa.lstrip("-").partition(".")
        power = len(whole) - 1 if whole != "0" else len(fraction.lstrip("0")) - len(fraction) - 1
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}"
