"""JSON ↔ attrs classes, as lenient as the registry's JSON mapper."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from types import NoneType
from typing import Any, Final, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from attrs import Attribute, AttrsInstance, fields, has

from sdk.embedded.registry import answers

A = TypeVar("A", bound=AttrsInstance)
T = TypeVar("T")
_INTEGER: Final = re.compile(r"[+-]?\d+")
_INT_RANGE: Final = range(-(2**31), 2**31)


def read_body(content: bytes, cls: type[A]) -> A:
    """Read the JSON object of a body; fields that are absent or null have their defaults.

    Numbers and booleans are accepted as strings and strings as numbers, as in Jackson; any other
    wrong type is a `RestError` 400. A class may have a method ``validate`` with further checks.
    """
    value = _load(content)
    if value is None:
        raise answers.missing_body()
    if not isinstance(value, dict):
        raise answers.bad_request(f"Cannot deserialize the request from {_kind(value)} value")
    return _object(value, cls)


def as_json(value: Any) -> Any:
    """Return a value as in responses: null and empty fields are omitted, false is not."""
    if has(type(value)):
        found = {key_of(each): as_json(getattr(value, each.name)) for each in fields(type(value))}
        return {key: each for key, each in found.items() if each not in (None, "", [], {})}
    return [as_json(each) for each in value] if isinstance(value, tuple) else value


def key_of(attribute: Attribute[Any]) -> str:
    """Return the JSON key of a field: its ``key`` in the metadata, else its name in camel case."""
    first, *others = attribute.name.split("_")
    key: str = attribute.metadata.get("key", first + "".join(map(str.title, others)))
    return key


def _load(content: bytes) -> Any:
    if not content.strip():
        return None
    try:
        return json.loads(content.decode(), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise answers.bad_request("Invalid UTF-8") from None
    except json.JSONDecodeError as error:
        raise answers.bad_request(
            f"Unexpected input: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise answers.bad_request(f"Unexpected input: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"non-standard token '{constant}'")


def _kind(value: Any) -> str:
    names = {list: "Array", dict: "Object", str: "String", bool: "Boolean", int: "Integer"}
    return names.get(type(value), "Floating-point")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise TypeError(f"not a String but {_kind(value)} value")


def _integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value.strip()[:20])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"not an Integer but {_kind(value)} value")
    number = int(value)
    if number not in _INT_RANGE:
        raise TypeError(f"{number} is out of range of int")
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if value in ("true", "True", "TRUE"):
        return True
    if value in ("false", "False", "FALSE"):
        return False
    raise TypeError(f"not a Boolean but {_kind(value)} value")


def _checked(value: Any, kind: type[T], name: str) -> T:
    if isinstance(value, kind):
        return value
    raise TypeError(f"not an {name} but {_kind(value)} value")


_SCALARS: Final = {str: _text, int: _integer, bool: _boolean}


def _converted(value: Any, kind: Any) -> Any:
    """Return a JSON value as a declared type."""
    if kind in _SCALARS:
        return _SCALARS[kind](value)
    if has(kind):
        return _object(_checked(value, dict, "Object"), kind)
    inner = [part for part in get_args(kind) if part not in (NoneType, ...)]
    if get_origin(kind) is tuple:
        return tuple(_converted(item, inner[0]) for item in _checked(value, list, "Array"))
    if get_origin(kind) is Mapping:
        items = _checked(value, dict, "Object").items()
        return {name: _converted(item, inner[1]) for name, item in items}
    return _converted(value, inner[0])


def _object(values: dict[str, Any], cls: type[A]) -> A:
    given = {}
    for each in fields(cls):
        key = key_of(each)
        value = values.get(key) if key else values
        try:
            if value is not None:
                given[each.name] = _converted(value, _hints(cls)[each.name])
        except TypeError as error:
            raise answers.bad_request(f'Cannot deserialize "{key}": {error}') from None
    made = cls(**given)
    getattr(made, "validate", lambda: None)()
    return made


_hints = cache(get_type_hints)
