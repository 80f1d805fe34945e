"""Settings: frozen options, loaded and validated once.

`load_settings` reads files and variables through dynaconf, structures them with cattrs, and
answers with `Settings`, or with one `ConfigurationError` that lists every finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk.settings.options import (
    ConsumerOptions,
    KafkaOptions,
    LoggingOptions,
    ProducerOptions,
    RegistryOptions,
    RetryOptions,
    RoutingOptions,
    SaslOptions,
    Scalar,
    Settings,
    TlsOptions,
    TopicOptions,
)

if TYPE_CHECKING:
    from sdk.settings.loader import load_settings

__all__ = [
    "ConsumerOptions",
    "KafkaOptions",
    "LoggingOptions",
    "ProducerOptions",
    "RegistryOptions",
    "RetryOptions",
    "RoutingOptions",
    "SaslOptions",
    "Scalar",
    "Settings",
    "TlsOptions",
    "TopicOptions",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    # Loading takes dynaconf and cattrs, which those who only need the options do without.
    if name == "load_settings":
        from sdk.settings.loader import load_settings

        return load_settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
