"""Metrics of messages, partitions, registries and outboxes: one definition, two outputs.

    metrics = PrometheusMetrics()
    with sdk.connect(observers=[metrics]) as messaging, serve(metrics, port=9100):
        ...

`PrometheusMetrics` needs the extra ``metrics``, `OpenTelemetryMetrics` the extra ``otel``. Both are
observers. Labels are topics, events, groups and reasons, of which a service has few; never keys,
ids or offsets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names
from sdk.observability.metrics.definitions import METRICS, Metric

if TYPE_CHECKING:
    from sdk.observability.metrics.opentelemetry import OpenTelemetryMetrics as OpenTelemetryMetrics
    from sdk.observability.metrics.prometheus import PrometheusMetrics as PrometheusMetrics

__all__ = ["METRICS", "Metric", "OpenTelemetryMetrics", "PrometheusMetrics"]

if not TYPE_CHECKING:
    # Each loads its library, and a service uses one of them.
    __getattr__ = lazy_names(
        __name__,
        {"OpenTelemetryMetrics": ".opentelemetry", "PrometheusMetrics": ".prometheus"},
    )
