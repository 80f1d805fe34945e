"""Request bodies, read as leniently as the registry's JSON mapper reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from sdk.embedded.registry import answers

T = TypeVar("T")
_INTEGER = re.compile(r"[+-]?\d+")
_INT_RANGE = range(-(2**31), 2**31)


class Body:
    """A JSON object; every getter returns None for what is absent or null.

    Numbers and booleans are accepted as strings and strings as numbers, as in Jackson; any other
    wrong type is a `RestError` 400.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def read(cls, content: bytes) -> Body:
        """Read the object in ``content``."""
        value = _load(content)
        if value is None:
            raise answers.missing_body()
        if not isinstance(value, dict):
            raise answers.bad_request(f"Cannot deserialize the request from {_kind(value)} value")
        return cls(value)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str | None:
        """Return a string."""
        return self._convert(key, _text)

    def integer(self, key: str) -> int | None:
        """Return an int of 32 bits."""
        return self._convert(key, _integer)

    def boolean(self, key: str) -> bool | None:
        """Return a bool."""
        return self._convert(key, _boolean)

    def object(self, key: str) -> Body | None:
        """Return the object at ``key``."""
        return self._convert(key, _object)

    def objects(self, key: str) -> list[Body] | None:
        """Return the array of objects at ``key``."""
        return self._convert(key, lambda value: [_object(item) for item in _list(value)])

    def texts(self, key: str) -> list[str] | None:
        """Return the array of strings at ``key``."""
        return self._convert(key, lambda value: [_text(item) for item in _list(value)])

    def mapping(self, key: str) -> dict[str, str] | None:
        """Return the object of strings at ``key``."""
        return self._convert(
            key, lambda value: {name: _text(item) for name, item in _object(value)._values.items()}
        )

    def listing(self, key: str) -> dict[str, list[str]] | None:
        """Return the object of string arrays at ``key``."""
        return self._convert(
            key,
            lambda value: {
                name: [_text(item) for item in _list(items)]
                for name, items in _object(value)._values.items()
            },
        )

    def _convert(self, key: str, convert: Callable[[Any], T]) -> T | None:
        value = self._values.get(key)
        if value is None:
            return None
        try:
            return convert(value)
        except TypeError as error:
            raise answers.bad_request(f'Cannot deserialize "{key}": {error}') from None


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


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise TypeError(f"not an Array but {_kind(value)} value")


def _object(value: Any) -> Body:
    if isinstance(value, dict):
        return Body(value)
    raise TypeError(f"not an Object but {_kind(value)} value")
