"""Checks of option values: attrs validators for each, and strict structuring of whole tables.

A validator raises `ConfigurationError` whose ``path`` is the option's name. A value is repeated in
a message only if it is a number or one of a few words; anything else may be a secret.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from difflib import get_close_matches
from math import isfinite
from string import Formatter
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import attrs

from sdk.errors import ConfigurationError

T = TypeVar("T")

Validator = Callable[[Any, Any, Any], None]
"""(instance, attribute, value), as attrs calls it."""

Scalar = str | int | float | bool
"""What librdkafka takes as the value of a key."""

WrittenOut = Annotated[str, "a number or boolean is taken as its text"]
"""Declared type of text that may be written as a number or boolean in a settings file."""

NOT_A_KEY: Mapping[str, Any] = {"key": False}
"""Metadata of an option that no settings file or variable can set."""

SettingPath = tuple[str, ...]
"""Where a value stands in the settings, such as ``("kafka", "tls", "ca_location")``."""

_HOST_PORT = re.compile(
    r"(?:(?:SASL_)?(?:PLAINTEXT|SSL)://)?(?:\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(?::(\d{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_WORD = re.compile(r"[\w.-]*")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")

TOPIC_NAME_RULE = "use 1 to 249 letters, digits, dots, underscores and hyphens"
EMBEDDED = "embedded"
PLACEHOLDERS = (
    "domain",
    "namespace",
    "event",
    "event_kebab",
    "event_snake",
    "event_dotted",
    "version",
)
"""What a topic template may contain."""


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a did-you-mean for a mistyped name, or ``otherwise`` when nothing is near."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def between(low: float, high: float) -> Validator:
    """Accept numbers from ``low`` to ``high``, both included, and None."""

    def check(_: Any, attribute: Any, value: Any) -> None:
        if value is not None and not low <= value <= high:
            raise ConfigurationError(
                f"must be between {low} and {high}, not {value}", path=attribute.name
            )

    return check


def at_least(low: float) -> Validator:
    """Accept numbers from ``low`` to the largest that librdkafka takes, and None."""
    return between(low, 2**31 - 1)


def one_of(*words: str) -> Validator:
    """Accept these words only, and None."""

    def check(_: Any, attribute: Any, value: Any) -> None:
        if value is not None and value not in words:
            raise ConfigurationError(
                f"must be one of {', '.join(words)}{_instead(value)}",
                path=attribute.name,
                remedy=suggest(str(value), words, f"write one of {', '.join(words)}"),
            )

    return check


def _instead(value: str) -> str:
    """Repeat what was given only if it looks like a word that was meant."""
    return f", not {value!r}" if len(value) <= 20 and _WORD.fullmatch(value) else ""


def filled(_: Any, attribute: Any, value: Any) -> None:
    """Accept any text but an empty or blank one, and None."""
    if value is not None and not value.strip():
        raise ConfigurationError("must not be empty", path=attribute.name)


def texts(value: str | Iterable[str]) -> tuple[str, ...]:
    """Convert one text or several into a tuple; a text may hold several, with commas or as JSON."""
    if isinstance(value, str):
        parsed = parse_json(value)
        value = parsed if isinstance(parsed, list) else [part.strip() for part in value.split(",")]
    return tuple(value)


def servers(_: Any, attribute: Any, value: tuple[str, ...]) -> None:
    """Accept ``host`` or ``host:port`` each, or the single word ``embedded``."""
    filled_list(_, attribute, value)
    if value == (EMBEDDED,):
        return
    for entry in value:
        found = _HOST_PORT.fullmatch(entry)
        if entry == EMBEDDED:
            raise ConfigurationError("mixes 'embedded' with addresses", path=attribute.name)
        if found is None or (found[1] is not None and not 0 < int(found[1]) < 65536):
            scheme = _SCHEME.match(entry)
            raise ConfigurationError(
                "has an entry that is not host:port",
                path=attribute.name,
                remedy=f"write host:port without {scheme[0]}; encryption is set in [kafka.tls]"
                if scheme
                else "write host:port for each; credentials belong in [kafka.sasl]",
            )


def filled_list(_: Any, attribute: Any, value: tuple[str, ...]) -> None:
    """Accept a list of texts with at least one entry and no empty one."""
    if not value or not all(isinstance(entry, str) and entry.strip() for entry in value):
        raise ConfigurationError("must not be empty or have an empty entry", path=attribute.name)


def registry_urls(_: Any, attribute: Any, value: tuple[str, ...]) -> None:
    """Accept http and https URLs without userinfo, or the single word ``embedded``."""
    filled_list(_, attribute, value)
    if value == (EMBEDDED,):
        return
    for entry in value:
        if entry == EMBEDDED:
            raise ConfigurationError("mixes 'embedded' with URLs", path=attribute.name)
        if not _is_http_url(entry):
            raise ConfigurationError(
                "has an entry that is not an http:// or https:// URL",
                path=attribute.name,
                remedy="write, for example, https://registry.example.com:8081",
            )


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        plain = parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and plain and " " not in text


def source_uri(_: Any, attribute: Any, value: str | None) -> None:
    """Accept a URI reference (RFC 3986) without userinfo, and None."""
    filled(_, attribute, value)
    if value is None:
        return
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ConfigurationError("must be a URI reference, without blanks", path=attribute.name)
    try:
        userinfo = "@" in urlsplit(value).netloc
    except ValueError as error:
        raise ConfigurationError("must be a URI reference", path=attribute.name) from error
    if userinfo:
        raise ConfigurationError(
            "must not contain a user or password; it is sent with every event", path=attribute.name
        )


def module_name(_: Any, attribute: Any, value: str | None) -> None:
    """Accept a dotted Python module name, and None."""
    if value is not None and not _MODULE.fullmatch(value):
        raise ConfigurationError(
            f"must be a module name such as 'contracts'{_instead(value)}", path=attribute.name
        )


def is_topic_name(text: str) -> bool:
    """Whether Kafka takes this name for a topic."""
    return text not in {".", ".."} and _TOPIC.fullmatch(text) is not None


def topic_name(_: Any, attribute: Any, value: str) -> None:
    """Accept names that Kafka takes for a topic."""
    if not is_topic_name(value):
        raise ConfigurationError(
            f"must be a topic name, not {value!r}", path=attribute.name, remedy=TOPIC_NAME_RULE
        )


def template(*placeholders: str) -> Validator:
    """Accept format strings over ``placeholders``, without conversions and specifications."""

    def check(instance: Any, attribute: Any, value: str) -> None:
        filled(instance, attribute, value)
        try:
            parts = list(Formatter().parse(value))
        except ValueError as error:
            raise ConfigurationError(f"is malformed: {error}", path=attribute.name) from error
        for _text, name, specification, conversion in parts:
            if name is not None and (name not in placeholders or specification or conversion):
                raise ConfigurationError(
                    f"has the unknown placeholder {{{name}}}",
                    path=attribute.name,
                    remedy=f"use {', '.join(f'{{{known}}}' for known in placeholders)}",
                )

    return check


topic_template = template(*PLACEHOLDERS)
subject_template = template("full_name", "namespace", "name")


def log_levels(_: Any, attribute: Any, value: Any) -> None:
    """Accept the standard level names, alone or as the values of a mapping."""
    for level in value.values() if hasattr(value, "values") else (value,):
        one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")(_, attribute, level)


MISSING = "is missing"


@attrs.frozen
class Finding:
    """One thing that is wrong.

    Attributes:
        path: Where in the settings.
        problem: What is wrong, to stand after the setting's name.
        remedy: What to do, or None.
        expected: Name of the declared type, if the value is of another.
        place: File or variable, if that is known already.
    """

    path: SettingPath
    problem: str
    remedy: str | None = None
    expected: str | None = None
    place: str | None = None


def structure(values: Mapping[str, Any], cls: type[T]) -> tuple[T | None, list[Finding]]:
    """Build an options class out of nested tables, strict about keys and types.

    Args:
        values: Merged settings.
        cls: An attrs class; its fields may be such classes, tuples and mappings of them, or None.

    Returns:
        The options, or None and everything that is wrong with the values.
    """
    findings: list[Finding] = []
    made = _table(values, cls, (), findings)
    return (None if findings else made), findings


def keys_of(cls: type[Any]) -> list[str]:
    """Return the keys that may stand in the table of an options class."""
    return [each.name for each in attrs.fields(cls) if each.metadata.get("key", True)]


def key_paths(cls: type[Any], path: SettingPath = ()) -> Iterator[SettingPath]:
    """Yield the path of every key of an options class, those of tables inside it included."""
    hints = get_type_hints(cls)
    for key in keys_of(cls):
        yield (*path, key)
        table = table_of(hints[key])
        if table is not None and get_origin(hints[key]) is not tuple:
            yield from key_paths(table, (*path, key))


def parse_json(text: str) -> Any:
    """Return the value of a JSON object or array, or the text itself if it is neither."""
    try:
        return json.loads(text) if text.lstrip()[:1] in {"[", "{"} else text
    except (ValueError, RecursionError):
        return text


class _MismatchError(TypeError):
    """A value is of another type than declared; never shows the value."""

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


def _table(value: object, cls: type[T], path: SettingPath, findings: list[Finding]) -> T | None:
    """Make an options class of a table; add what is wrong with it to ``findings``."""
    if not isinstance(value, Mapping):
        raise _MismatchError("a table", value)
    already = len(findings)
    options: tuple[Any, ...] = attrs.fields(cast(Any, cls))
    known = {each.name for each in options}
    findings += [_unknown(path, key, keys_of(cls)) for key in value if key not in known]
    hints = get_type_hints(cls, include_extras=True)
    made = {}
    for each in options:
        here = (*path, each.name)
        if each.name in value:
            made[each.name] = _value(value[each.name], hints[each.name], here, findings)
        elif each.default is attrs.NOTHING:
            findings.append(Finding(here, MISSING))
    if len(findings) > already:
        return None
    try:
        return cls(**made)
    except ConfigurationError as error:
        where = (*path, error.path) if error.path else path
        findings.append(Finding(where, error.message, error.remedy))
        return None


def _unknown(path: SettingPath, key: str, known: list[str]) -> Finding:
    otherwise = f"known keys: {', '.join(known)}"
    if "librdkafka" in known:
        otherwise += "; a librdkafka key is written as it is, with its dots and in quotes"
    return Finding((*path, key), "is an unknown key", suggest(key, known, otherwise))


def _value(value: object, declared: Any, path: SettingPath, findings: list[Finding]) -> Any:
    """Return a value as the type that was declared for it."""
    try:
        if get_origin(declared) is tuple:
            return _entries(value, get_args(declared)[0], path, findings)
        if get_origin(declared) is Mapping:
            return _mapping(value, get_args(declared)[1], path, findings)
        if (table := table_of(declared)) is not None:
            if declared is not table and (value is None or isinstance(value, bool)):
                return _table({}, table, path, findings) if value else None
            return _table(value, table, path, findings)
        return _scalar(value, declared)
    except _MismatchError as error:
        findings.append(Finding(path, str(error), error.remedy, error.expected))
        return None


def _entries(value: object, entry: Any, path: SettingPath, findings: list[Finding]) -> Any:
    """A list, or text that has one: with commas, or as JSON."""
    if isinstance(value, str):
        value = texts(value) if entry is str else parse_json(value)
    if not isinstance(value, list | tuple):
        tables = "a list of tables" if attrs.has(entry) else "a list"
        raise _MismatchError("text or a list of texts" if entry is str else tables, value)
    found = enumerate(value)
    return tuple(_value(each, entry, (*path, str(index)), findings) for index, each in found)


def _mapping(value: object, entry: Any, path: SettingPath, findings: list[Finding]) -> Any:
    """A table of any keys, or JSON text that has one."""
    value = parse_json(value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        raise _MismatchError("a table", value)
    return {key: _value(each, entry, (*path, key), findings) for key, each in value.items()}


def table_of(declared: Any) -> type[Any] | None:
    """Return the options class that a declared type stands for, be it optional or not."""
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
    if get_origin(declared) is types.UnionType and type(None) in get_args(declared):
        if value is None:
            return None
        (declared,) = (each for each in get_args(declared) if each is not type(None))
    name, kind = _NAMES[declared]
    fits = isinstance(value, kind) and not (isinstance(value, bool) and declared in (int, float))
    if not fits or (declared is float and not isfinite(value)):
        raise _MismatchError(name, value)
    return str(value).lower() if declared == WrittenOut and not isinstance(value, str) else value
