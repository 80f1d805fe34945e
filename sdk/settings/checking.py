"""Checks of single option values, as attrs validators.

Each raises `ConfigurationError` whose ``path`` is the option's name. A value is repeated in the
message only where it is a number or one of a few words; anything else may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from string import Formatter
from typing import Any
from urllib.parse import urlsplit

from sdk.errors import ConfigurationError

Validator = Callable[[Any, Any, Any], None]
"""(instance, attribute, value), as attrs calls it."""

_HOST_PORT = re.compile(r"(?:\w+://)?(?:\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(?::(\d{1,5}))?", re.ASCII)
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_WORD = re.compile(r"[\w.-]*")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")

TOPIC_NAME_RULE = "use 1 to 249 letters, digits, dots, underscores and hyphens"
EMBEDDED = "embedded"
PLACEHOLDERS = ("domain", "event", "event_kebab", "event_snake", "event_dotted", "version")
"""What a topic template may hold."""


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a did-you-mean for a mistyped name, or ``otherwise`` when nothing is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
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
            raise ConfigurationError(
                "holds an entry that is no host:port",
                path=attribute.name,
                remedy="write host:port each; credentials belong in [kafka.sasl]",
            )


def filled_list(_: Any, attribute: Any, value: tuple[str, ...]) -> None:
    """Accept a list with at least one entry and no empty one."""
    if not value or not all(entry.strip() for entry in value):
        raise ConfigurationError("must not be empty or hold an empty entry", path=attribute.name)


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
                "holds an entry that is no http:// or https:// URL",
                path=attribute.name,
                remedy="write, for example, https://registry.example.com:8081",
            )


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or " " in text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port_ok and plain


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
            "must not hold a user or password; it is sent with every event", path=attribute.name
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


def topic_template(_: Any, attribute: Any, value: str) -> None:
    """Accept a format string over `PLACEHOLDERS`, without conversions and format specifications."""
    filled(_, attribute, value)
    try:
        parts = list(Formatter().parse(value))
    except ValueError as error:
        raise ConfigurationError(f"is malformed: {error}", path=attribute.name) from error
    for _text, name, specification, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or specification or conversion):
            raise ConfigurationError(
                f"has the unknown placeholder {{{name}}}",
                path=attribute.name,
                remedy=f"use {', '.join(f'{{{known}}}' for known in PLACEHOLDERS)}",
            )


def log_levels(_: Any, attribute: Any, value: Any) -> None:
    """Accept the standard level names, alone or as the values of a mapping."""
    for level in value.values() if hasattr(value, "values") else (value,):
        one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")(_, attribute, level)
