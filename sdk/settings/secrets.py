"""The secrets in the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from sdk.settings.options import Settings

_SECRET_KEY = re.compile(r"password|secret|token|credential|key|user\.?info", re.IGNORECASE)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the passwords, tokens and keys of the settings, the longest first.

    They are the values of those options that are left out of every repr; of the tables that pass
    keys through, those whose key names a secret.
    """
    return tuple(sorted(set(_secrets(settings)), key=len, reverse=True))


def _secrets(options: Any) -> Iterator[str]:
    for each in attrs.fields(type(options)):
        value = getattr(options, each.name)
        if attrs.has(type(value)):
            yield from _secrets(value)
        elif each.repr is not False or not value:
            continue
        elif isinstance(value, Mapping):
            yield from (
                str(text) for key, text in value.items() if text and _SECRET_KEY.search(key)
            )
        elif isinstance(value, str) and each.name != "topics_origin":
            yield value
