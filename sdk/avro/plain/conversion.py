"""Events as plain values and as JSON text: the public functions."""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

from sdk.avro.codec.codecs import Cache, binding
from sdk.avro.codec.interpreter.path import place
from sdk.avro.codec.interpreter.writer import REFUSALS
from sdk.avro.plain.forms import Forms, MisfitError
from sdk.avro.plain.scalars import Convert, Form
from sdk.errors import DeserializationError, SdkError, SerializationError

_T = TypeVar("_T")

_DEEP: Final = "arrays, maps and records are nested too deeply"
_forms: Final = Cache(1000)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


_parse = json.JSONDecoder(parse_constant=_refuse_constant).decode
_print = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_plain(event: Any) -> Any:
    """Return an event as values that `json.dumps` takes: dicts, lists, text, numbers, None.

    `sdk.avro.plain` documents the form of each type. `from_plain` is the inverse.

    Args:
        event: An instance of a generated class.

    Raises:
        SerializationError: The event does not fit its schema; ``path`` names the field.
        SchemaError: The object is not an event.
    """
    return _converted(SerializationError, type(event), _form(type(event), False).write, event)


def from_plain(cls: type[_T], value: Any, *, ignore_unknown: bool = False) -> _T:
    """Return the event for plain values.

    Fields that are missing take their defaults, and a field is found by its aliases too. Nothing
    is coerced: a number given as text, or text instead of a number, is refused.

    Args:
        cls: The requested generated class.
        value: A dict as `to_plain` or a JSON parser returns it.
        ignore_unknown: Ignore keys that are not fields, such as those of a newer version.

    Raises:
        DeserializationError: The value does not fit; ``path`` names the field.
        SchemaError: The class is not an event class.
    """
    read = _form(cls, ignore_unknown).read
    event: _T = _converted(DeserializationError, cls, read, value)
    return event


def to_json(event: Any) -> str:
    """Return an event as JSON text, exact and without white space.

    Raises:
        SerializationError: The event does not fit its schema; ``path`` names the field.
        SchemaError: The object is not an event.
    """
    write = _form(type(event), False).write
    return str(_converted(SerializationError, type(event), lambda it: _print(write(it)), event))


def from_json(cls: type[_T], text: str | bytes, *, ignore_unknown: bool = False) -> _T:
    """Return the event for a JSON text; otherwise like `from_plain`.

    Raises:
        DeserializationError: The text is not JSON, or does not fit; ``path`` names the field.
        SchemaError: The class is not an event class.
    """
    name = binding(cls).schema.name
    try:
        value = _parse(text if isinstance(text, str) else text.decode())
    except RecursionError as error:
        raise DeserializationError(_DEEP, event=name) from error
    except ValueError as error:
        raise DeserializationError(f"not JSON: {error}", event=name) from error
    return from_plain(cls, value, ignore_unknown=ignore_unknown)


def _form(cls: type[Any], ignore_unknown: bool) -> Form:
    def make() -> Form:
        bound = binding(cls)
        return Forms(bound, ignore_unknown=ignore_unknown).form(bound.schema)

    return _forms.get_or_make((cls, ignore_unknown), make)


def _converted(error: type[SdkError], cls: type[Any], convert: Convert, value: Any) -> Any:
    """Convert a whole event; errors name the event and the path."""
    try:
        return convert(value)
    except RecursionError as cause:
        raise error(_DEEP, event=binding(cls).schema.name) from cause
    except (*REFUSALS, SdkError) as cause:
        found = cause if isinstance(cause, MisfitError) else MisfitError(cause)
        raise error(
            str(found), event=binding(cls).schema.name, path=place(found.path), remedy=found.remedy
        ) from cause
