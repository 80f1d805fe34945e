"""Checks of option values: attrs validators for each, and strict structuring of whole tables.

A validator raises `ConfigurationError` whose ``path`` is the option's name. A value is repeated in
a message only if it is a number or one of a few words; anything else may be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from string import Formatter
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import attrs

from sdk.errors import ConfigurationError, suggest

T = TypeVar("T")

Validator = Callable[[Any, Any, Any], None]
"""(instance, attribute, value), as attrs calls it."""

Scalar = str | int | float | bool
"""The types of librdkafka's values."""

WrittenOut = Annotated[str, "a number or boolean is taken as its text"]
"""Declared type of text that may be written as a number or boolean in a settings file."""

NOT_A_KEY: Mapping[str, Any] = {"key": False}
"""Metadata of an option that no settings file or variable can set."""

SettingPath = tuple[str, ...]
"""Path of a value in the settings, such as ``("kafka", "tls", "ca_location")``."""

_HOST_PORT = re.compile(
    r"(?:(?:SASL_)?(?:PLAINTEXT|SSL)://)?(?:\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(?::(\d{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SECRET_KEY = re.compile(r"passw|secret|token|credential|key", re.IGNORECASE)
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
"""The placeholders of a topic template."""


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
    """Accept only these words, and None."""

    def check(_: Any, attribute: Any, value: Any) -> None:
        if value is not None and value not in words:
            raise ConfigurationError(
                f"must be one of {', '.join(words)}{_instead(value)}",
                path=attribute.name,
                remedy=suggest(str(value), words, f"write one of {', '.join(words)}"),
            )

    return check


def _instead(value: str) -> str:
    """Repeat the given value only if it is similar to an allowed word."""
    return f", not {value!r}" if len(value) <= 20 and _WORD.fullmatch(value) else ""


def filled(_: Any, attribute: Any, value: Any) -> None:
    """Accept text that is not blank, and None."""
    if value is not None and not value.strip():
        raise ConfigurationError("must not be empty", path=attribute.name)


def credential(_: Any, attribute: Any, value: Any) -> None:
    """Accept text without control characters, which headers and SASL messages cannot contain."""
    if value is not None and _CONTROL.search(value):
        raise ConfigurationError(
            "must not contain control characters such as a line break",
            path=attribute.name,
            remedy="write secrets without a line break at their end: printf instead of echo",
        )


def user_name(_: Any, attribute: Any, value: Any) -> None:
    """Accept a user of basic authentication (RFC 7617), which has no colon."""
    filled(_, attribute, value)
    credential(_, attribute, value)
    if value is not None and ":" in value:
        raise ConfigurationError("must not contain a colon", path=attribute.name)


def bearer_token(_: Any, attribute: Any, value: Any) -> None:
    """Accept a bearer token (RFC 6750): ASCII without spaces."""
    filled(_, attribute, value)
    credential(_, attribute, value)
    if value is not None and not is_token(value):
        raise ConfigurationError(
            "must consist of ASCII characters without spaces",
            path=attribute.name,
            remedy="write the token alone, without the word Bearer or quotes",
        )


def is_token(text: str) -> bool:
    """Whether a text can be sent as a bearer token."""
    return text.isascii() and text.isprintable() and " " not in text


def credentials(_: Any, attribute: Any, value: Mapping[str, Any]) -> None:
    """Accept mappings whose passwords and secrets are one line each, or several of a PEM."""
    for key, each in value.items():
        one_line = isinstance(each, str) and "\n" not in each.rstrip("\r\n")
        if _SECRET_KEY.search(key) and one_line and _CONTROL.search(each):
            raise ConfigurationError(
                f"{key} must not contain control characters such as a line break",
                path=attribute.name,
                remedy="write secrets without a line break at their end: printf instead of echo",
            )


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
    """Whether Kafka accepts this topic name."""
    return text not in {".", ".."} and _TOPIC.fullmatch(text) is not None


def topic_name(_: Any, attribute: Any, value: str) -> None:
    """Accept topic names that Kafka accepts."""
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


@attrs.frozen
class InvalidSetting:
    """A defect of the settings.

    Attributes:
        path: Where in the settings.
        problem: The defect, to follow the setting's name in a sentence.
        remedy: What to do, or None.
        expected: Name of the declared type, if the value is of another.
        place: File or variable, if it is known already.
    """

    path: SettingPath
    problem: str
    remedy: str | None = None
    expected: str | None = None
    place: str | None = None


def parse_json(text: str) -> Any:
    """Return the value of a JSON object or array, or the text itself if it is neither."""
    try:
        return json.loads(text) if text.lstrip()[:1] in {"[", "{"} else text
    except (ValueError, RecursionError):
        return text
