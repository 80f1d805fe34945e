"""Metrics of messages, partitions, registries and outboxes: one definition, two outputs.

The settings ``metrics.enabled`` and ``metrics.port`` are all that a service needs; or, by hand:

    with sdk.connect(observers=[PrometheusMetrics()]) as messaging:
        messaging.serve(port=9100)

`PrometheusMetrics` needs the extra ``metrics``, `OpenTelemetryMetrics` the extra ``otel``. Labels
are topics, events, groups and reasons, of which a service has few; never keys, ids or offsets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.abstractions import Meter
from sdk.errors import ConfigurationError
from sdk.lazy import lazy_names
from sdk.observability.metrics.definitions import METRICS, Metric

if TYPE_CHECKING:
    from sdk.observability.metrics.opentelemetry import OpenTelemetryMetrics as OpenTelemetryMetrics
    from sdk.observability.metrics.prometheus import PrometheusMetrics as PrometheusMetrics


def meter(output: str) -> Meter:
    """Return a new meter: ``prometheus`` or ``opentelemetry``.

    Raises:
        ConfigurationError: Its library is not installed.
    """
    extra = "metrics" if output == "prometheus" else "otel"
    try:
        if output == "prometheus":
            from sdk.observability.metrics.prometheus import PrometheusMetrics

            return PrometheusMetrics()
        from sdk.observability.metrics.opentelemetry import OpenTelemetryMetrics

        return OpenTelemetryMetrics()
    except ImportError as error:
        raise ConfigurationError(
            f"metrics.output is {output!r}, and its library is not installed",
            remedy=f"pip install 'avro-messaging-sdk[{extra}]'",
        ) from error


__all__ = ["meter", "METRICS", "Metric", "OpenTelemetryMetrics", "PrometheusMetrics"]

if not TYPE_CHECKING:
    # Each loads its library, and a service uses one of them.
    __getattr__ = lazy_names(
        __name__,
        {"OpenTelemetryMetrics": ".opentelemetry", "PrometheusMetrics": ".prometheus"},
    )
