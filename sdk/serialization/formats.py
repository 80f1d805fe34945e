"""The choice of a serializer by configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from sdk.errors import ConfigurationError

T = TypeVar("T")


def choose(setting: str, name: str, factories: Mapping[str, Callable[[], T]]) -> T:
    """Return what the factory that a setting names makes; the others are not called.

    A further format is one more entry: producer and consumer see only the abstraction.

    Args:
        setting: Name of the setting, such as ``producer.format``.
        name: Its value, such as ``avro``.
        factories: Format → factory.

    Raises:
        ConfigurationError: No factory has this name.
    """
    factory = factories.get(name)
    if factory is None:
        near = get_close_matches(name, factories, n=1)
        known = ", ".join(sorted(factories))
        raise ConfigurationError(
            f"{setting} names the unknown format {name!r}",
            remedy=f"did you mean {near[0]!r}?" if near else f"known formats: {known}",
        )
    return factory()
