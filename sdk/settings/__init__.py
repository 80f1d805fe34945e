"""Settings: frozen options, loaded and validated once.

`load_settings` reads files and variables through dynaconf, structures them with cattrs, and
answers with `Settings`, or with one `ConfigurationError` that lists every finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names
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
    from sdk.settings.loading import load_settings

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

if not TYPE_CHECKING:
    # Loading takes dynaconf and cattrs, which those who only need the options do without.
    __getattr__ = lazy_names(__name__, {"load_settings": ".loading"})
