"""Structures nested tables into options with cattrs, and reports all errors at once."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from functools import cache, partial
from math import isfinite
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import attrs
import cattrs
from cattrs.errors import (
    AttributeValidationNote,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from sdk.errors import ConfigurationError, suggest
from sdk.settings.checking import (
    InvalidSetting,
    Scalar,
    SettingPath,
    WrittenOut,
    parse_json,
    texts,
)

T = TypeVar("T")

MISSING = "is missing"


def structure(values: Mapping[str, Any], cls: type[T]) -> tuple[T | None, list[InvalidSetting]]:
    """Structure nested tables into an options class, strict about keys and types."""
    try:
        return _converter().structure(values, cls), []
    except (cattrs.BaseValidationError, ConfigurationError, _MismatchError) as error:
        return None, list(_findings(error, (), cls))


def keys_of(cls: type[Any]) -> list[str]:
    """Return the keys allowed in the table of an options class."""
    return [each.name for each in attrs.fields(cls) if each.metadata.get("key", True)]


def key_paths(cls: type[Any], path: SettingPath = ()) -> Iterator[SettingPath]:
    """Yield the path of every key of an options class, those of tables inside it included."""
    hints = get_type_hints(cls)
    for key in keys_of(cls):
        yield (*path, key)
        table = table_of(hints[key])
        if table is not None and get_origin(hints[key]) is not tuple:
            yield from key_paths(table, (*path, key))


class _MismatchError(TypeError):
    """A value has another type than declared; the value is never shown."""

    def __init__(self, expected: str, value: object) -> None:
        super().__init__(f"must be {expected}, but is {_kind(value)}")
        self.expected = expected
        token = value.partition(" ")[0] if isinstance(value, str) else ""
        remedy = f"tokens such as {token} are not evaluated; write the value itself"
        self.remedy = remedy if token.startswith("@") else None


def _kind(value: object) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a decimal number"),
        (str, "text"),
        (list | tuple, "a list"),
        (Mapping, "a table"),
        (date | time, "a date or time"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)


def _findings(error: BaseException, path: SettingPath, cls: type[Any]) -> Iterator[InvalidSetting]:
    """Yield the errors in the exception groups of cattrs."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            path = (*path, note.name)
        elif isinstance(note, IterableValidationNote):
            path = (*path, str(note.index))
    match error:
        case ForbiddenExtraKeysError():
            for key in sorted(error.extra_fields):
                yield _unknown(path, key, keys_of(error.cl))
        case cattrs.BaseValidationError():
            for inner in error.exceptions:
                yield from _findings(inner, path, cls)
        case ConfigurationError():
            where = (*path, error.path) if error.path else path
            yield InvalidSetting(where, error.message, error.remedy)
        case KeyError():
            yield InvalidSetting(path, MISSING)
        case _MismatchError():
            yield InvalidSetting(path, str(error), error.remedy, error.expected)
        case _:
            raise error


def _unknown(path: SettingPath, key: str, known: list[str]) -> InvalidSetting:
    otherwise = f"known keys: {', '.join(known)}"
    if "librdkafka" in known:
        otherwise += "; a librdkafka key is written as it is, with its dots and in quotes"
    return InvalidSetting((*path, key), "is an unknown key", suggest(key, known, otherwise))


@cache
def _converter() -> cattrs.Converter:
    """Return the converter of settings; hooks registered last are tried first."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)

    def table_hook(cls: type[Any]) -> Callable[[Any, Any], Any]:
        fill = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True)

        def hook(value: Any, declared: Any) -> Any:
            if not isinstance(value, Mapping):
                raise _MismatchError("a table", value)
            return fill(value, declared)

        return hook

    def optional(value: Any, declared: Any) -> Any:
        """A table, true for one with its defaults, false for none, or a scalar or nothing."""
        if value is None:
            return None
        table = table_of(declared)
        if table is None:
            (scalar,) = (each for each in get_args(declared) if each is not type(None))
            return converter.structure(value, scalar)
        if isinstance(value, bool):
            return converter.structure({}, table) if value else None
        return converter.structure(value, table)

    def entries(value: Any, declared: Any) -> Any:
        """A list, or a string with commas or JSON."""
        entry = get_args(declared)[0]
        if isinstance(value, str):
            value = texts(value) if entry is str else parse_json(value)
        if not isinstance(value, list | tuple):
            tables = "a list of tables" if attrs.has(entry) else "a list"
            raise _MismatchError("text or a list of texts" if entry is str else tables, value)
        kind: Any = types.GenericAlias(list, (entry,))
        return tuple(converter.structure(list(value), kind))

    def mapping(value: Any, declared: Any) -> Any:
        """A table with any keys, or a JSON string."""
        value = parse_json(value) if isinstance(value, str) else value
        if not isinstance(value, Mapping):
            raise _MismatchError("a table", value)
        kind: Any = types.GenericAlias(dict, get_args(declared))
        return converter.structure(dict(value), kind)

    converter.register_structure_hook_factory(attrs.has, table_hook)
    converter.register_structure_hook_func(partial(_is_generic, tuple), entries)
    converter.register_structure_hook_func(partial(_is_generic, Mapping), mapping)
    converter.register_structure_hook_func(_is_optional, optional)
    converter.register_structure_hook_func(lambda each: each in (Scalar, WrittenOut), _scalar)
    for kind in (str, int, bool, float):
        converter.register_structure_hook(kind, _scalar)
    return converter


def _is_generic(origin: Any, declared: Any) -> bool:
    return get_origin(declared) is origin


def _is_optional(declared: Any) -> bool:
    return get_origin(declared) is types.UnionType and type(None) in get_args(declared)


def table_of(declared: Any) -> type[Any] | None:
    """Return the options class of a declared type, optional or not."""
    return next((each for each in (declared, *get_args(declared)) if attrs.has(each)), None)


_NAMES: Mapping[Any, tuple[str, Any]] = {
    str: ("text", str),
    int: ("a whole number", int),
    bool: ("true or false", bool),
    float: ("a finite number", int | float),
    Scalar: ("text, a number, or true or false", Scalar),
    WrittenOut: ("text", Scalar),
}
"""Declared type → its name, and what may be given for it."""


def _scalar(value: Any, declared: Any) -> Any:
    name, kind = _NAMES[declared]
    fits = isinstance(value, kind) and not (isinstance(value, bool) and declared in (int, float))
    if not fits or (declared is float and not isfinite(value)):
        raise _MismatchError(name, value)
    return str(value).lower() if declared == WrittenOut and not isinstance(value, str) else value
