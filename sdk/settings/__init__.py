"""Settings: frozen options, loaded and validated once.

`load_settings` reads files and variables through dynaconf and returns `Settings`, or raises one
`ConfigurationError` that lists everything that is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names
from sdk.settings.checking import Scalar
from sdk.settings.failures import DeadLetterOptions, FailuresOptions, RetryTopicsOptions
from sdk.settings.observability import LoggingOptions, MetricsOptions, TracingOptions
from sdk.settings.options import (
    ConsumerOptions,
    InPlaceRetryOptions,
    KafkaOptions,
    ProducerOptions,
    RegistryOptions,
    RetryOptions,
    RoutingOptions,
    Settings,
    TopicOptions,
)
from sdk.settings.security import SaslOptions, TlsOptions

if TYPE_CHECKING:
    from sdk.settings.loading import load_settings

__all__ = [
    "ConsumerOptions",
    "DeadLetterOptions",
    "FailuresOptions",
    "InPlaceRetryOptions",
    "KafkaOptions",
    "LoggingOptions",
    "MetricsOptions",
    "ProducerOptions",
    "RegistryOptions",
    "RetryOptions",
    "RetryTopicsOptions",
    "RoutingOptions",
    "SaslOptions",
    "Scalar",
    "Settings",
    "TlsOptions",
    "TopicOptions",
    "TracingOptions",
    "load_settings",
]

if not TYPE_CHECKING:
    # Loading needs dynaconf, which is not needed for options that are made by hand.
    __getattr__ = lazy_names(__name__, {"load_settings": ".loading"})
