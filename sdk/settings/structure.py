"""From nested dicts to frozen options: cattrs, strict about types, complete about findings."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from datetime import date, time
from functools import partial
from math import isfinite
from operator import eq
from typing import Any, TypeVar, get_args

import attrs
import cattrs
from attrs import frozen
from cattrs.errors import (
    AttributeValidationNote,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from sdk.errors import ConfigurationError
from sdk.settings.checking import suggest
from sdk.settings.options import (
    ProducerOptions,
    SaslOptions,
    Scalar,
    Settings,
    TlsOptions,
    TopicOptions,
)
from sdk.settings.sources import SettingPath, parse_json

T = TypeVar("T")

_NO_KEYS = {"environment", "topics_origin"}
NAMES = frozenset(field.name for field in attrs.fields(Settings)) - _NO_KEYS
TABLES = NAMES - {"contracts", "source"}


MISSING = "is missing"


@frozen
class Finding:
    """One thing that is wrong.

    Attributes:
        path: Where in the settings.
        problem: What is wrong, to stand after the setting's name.
        remedy: What to do, or None.
        expected: Name of the type that was declared, where another was found.
    """

    path: SettingPath
    problem: str
    remedy: str | None = None
    expected: str | None = None


class _MismatchError(TypeError):
    """A value is of another type than declared; never shows the value."""

    def __init__(self, expected: str, value: object, key: str | None = None) -> None:
        super().__init__(f"must be {expected}, but is {_kind(value)}")
        self.expected = expected
        self.inside = () if key is None else (key,)
        self.token = isinstance(value, str) and value.startswith("@") and value.partition(" ")[0]


def _kind(value: object) -> str:
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a decimal number"),
        (str, "text"),
        ((list, tuple), "a list"),
        (Mapping, "a table"),
        ((date, time), "a date or time"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)


def structure(values: Mapping[str, Any]) -> tuple[Settings | None, list[Finding]]:
    """Return the settings, or None and everything that is wrong with them."""
    try:
        return _CONVERTER.structure(values, Settings), []
    except (cattrs.BaseValidationError, ConfigurationError, _MismatchError) as error:
        return None, _findings(error, ())


def _findings(error: BaseException, path: SettingPath) -> list[Finding]:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            path = (*path, note.name)
        elif isinstance(note, IterableValidationNote):
            path = (*path, str(note.index))
    if isinstance(error, ForbiddenExtraKeysError):
        return [_unknown(path, key, error.cl) for key in sorted(error.extra_fields)]
    if isinstance(error, cattrs.BaseValidationError):
        return [found for inner in error.exceptions for found in _findings(inner, path)]
    if isinstance(error, ConfigurationError):
        return [Finding((*path, error.path) if error.path else path, error.message, error.remedy)]
    if isinstance(error, KeyError):
        return [Finding(path, MISSING)]
    if isinstance(error, _MismatchError):
        remedy = f"tokens such as {error.token} are not evaluated; write the value itself"
        told = remedy if error.token else None
        return [Finding((*path, *error.inside), str(error), told, error.expected)]
    raise error


def _unknown(path: SettingPath, key: str, cls: type[Any]) -> Finding:
    known = [field.name for field in attrs.fields(cls) if field.name not in _NO_KEYS]
    otherwise = f"known keys: {', '.join(known)}"
    if "librdkafka" in known:
        otherwise += "; a librdkafka key is written as it is, with its dots and in quotes"
    return Finding((*path, key), "is an unknown key", suggest(key, known, otherwise))


def _strict(kind: type | tuple[type, ...], name: str) -> Callable[[Any, Any], Any]:
    def convert(value: Any, _: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _MismatchError(name, value)
        return value

    return convert


def _float(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _MismatchError("a finite number", value)
    return value


def _texts(value: Any, _: Any) -> tuple[str, ...]:
    """One or many: a list, or text with commas."""
    if isinstance(value, str):
        parsed = parse_json(value)
        value = parsed if isinstance(parsed, list) else [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        raise _MismatchError("text or a list of texts", value)
    if not all(isinstance(entry, str) for entry in value):
        raise _MismatchError("text", next(entry for entry in value if not isinstance(entry, str)))
    return tuple(value)


def _topics(value: Any, _: Any) -> tuple[TopicOptions, ...]:
    value = parse_json(value) if isinstance(value, str) else value
    if not isinstance(value, list | tuple):
        raise _MismatchError("a list of tables ([[topics]])", value)
    return tuple(_CONVERTER.structure(list(value), list[TopicOptions]))


def _table_of(kind: type | types.UnionType, name: str) -> Callable[[Any, Any], Mapping[str, Any]]:
    """Return a hook for tables of any keys whose values are of one kind."""

    def convert(value: Any, _: Any) -> Mapping[str, Any]:
        value = parse_json(value) if isinstance(value, str) else value
        if not isinstance(value, Mapping):
            raise _MismatchError("a table", value)
        for key, entry in value.items():
            if not isinstance(entry, kind):
                raise _MismatchError(name, entry, key)
        return dict(value)

    return convert


_scalars = _table_of(Scalar, "text, a number, or true or false")


def _topic_config(value: Any, declared: Any) -> Mapping[str, str]:
    """Topic configuration may be written as numbers and booleans; Kafka takes text."""
    return {
        key: str(entry).lower() if isinstance(entry, bool) else str(entry)
        for key, entry in _scalars(value, declared).items()
    }


def _acks(value: Any, _: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "all" if value == -1 else str(value)
    if not isinstance(value, str):
        raise _MismatchError("all, 1 or 0", value)
    return "all" if value == "-1" else value


def _optional_table(value: Any, declared: Any) -> Any:
    """A table, true for one with defaults, or false or None for none at all."""
    cls = next(kind for kind in get_args(declared) if kind is not types.NoneType)
    if value is None or value is False:
        return None
    return _CONVERTER.structure({} if value is True else value, cls)


_FIELD_HOOKS: Mapping[type[Any], Mapping[str, Any]] = {
    ProducerOptions: {"acks": override(struct_hook=_acks)},
    TopicOptions: {"config": override(struct_hook=_topic_config)},
}


def _table_hook(cls: type[T]) -> Callable[[Any, Any], T]:
    overrides: Any = _FIELD_HOOKS.get(cls, {})
    inner = make_dict_structure_fn(cls, _CONVERTER, _cattrs_forbid_extra_keys=True, **overrides)

    def convert(value: Any, declared: Any) -> T:
        if not isinstance(value, Mapping):
            raise _MismatchError("a table", value)
        return inner(value, declared)

    return convert


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(str, _strict(str, "text"))
    converter.register_structure_hook(int, _strict(int, "a whole number"))
    converter.register_structure_hook(bool, _strict(bool, "true or false"))
    converter.register_structure_hook(float, _float)
    hooks: tuple[tuple[Any, Callable[[Any, Any], Any]], ...] = (
        (tuple[str, ...], _texts),
        (tuple[TopicOptions, ...], _topics),
        (Mapping[str, str], _table_of(str, "text")),
        (Mapping[str, Scalar], _scalars),
        (TlsOptions | None, _optional_table),
        (SaslOptions | None, _optional_table),
    )
    for declared, hook in hooks:
        converter.register_structure_hook_func(partial(eq, declared), hook)
    converter.register_structure_hook_factory(attrs.has, _table_hook)
    return converter


_CONVERTER = _converter()
