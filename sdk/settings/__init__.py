"""Settings: frozen options, loaded and validated once.

`load_settings` reads files and variables through dynaconf, structures them with cattrs, and
answers with `Settings`, or with one `ConfigurationError` that lists every finding.
"""

from __future__ import annotations

from sdk.settings.loader import load_settings
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
