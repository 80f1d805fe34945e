"""Metrics for Prometheus, by prometheus_client."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from sdk.errors import ConfigurationError
from sdk.happenings import Happening
from sdk.observability.metrics.definitions import METRICS, Metric
from sdk.observability.metrics.recorder import Recorder

_CLASSES = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class PrometheusMetrics:
    """An observer that keeps metrics for Prometheus to scrape.

    Args:
        registry: Where the metrics are registered, such as ``prometheus_client.REGISTRY``; by
            default one of their own.

    Raises:
        ConfigurationError: The registry has metrics of these names already.

    Attributes:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        try:
            made = {metric.name: _make(metric, self.registry) for metric in METRICS}
        except ValueError as error:
            raise ConfigurationError(
                "the registry of Prometheus has the SDK's metrics already",
                remedy="share one PrometheusMetrics, or give each a registry of its own",
            ) from error
        self._record = Recorder(_Instruments(made))

    def __call__(self, happening: Happening) -> None:
        """Measure a happening."""
        self._record(happening)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics as a scrape gets them, and their media type.

        Args:
            accept: The ``Accept`` header of the request, which chooses the format.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


def _make(metric: Metric, registry: CollectorRegistry) -> Any:
    more: dict[str, Any] = {"buckets": metric.buckets} if metric.kind == "histogram" else {}
    return _CLASSES[metric.kind](metric.name, metric.help, metric.labels, registry=registry, **more)


class _Instruments:
    def __init__(self, made: dict[str, Any]) -> None:
        self._made = made
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}

    def add(self, metric: Metric, labels: tuple[str, ...], amount: float = 1) -> None:
        self._child(metric, labels).inc(amount)

    def set(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        self._child(metric, labels).set(value)

    def observe(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        self._child(metric, labels).observe(value)

    def forget(self, metric: Metric, labels: tuple[str, ...]) -> None:
        if self._children.pop((metric.name, labels), None) is not None:
            self._made[metric.name].remove(*labels)

    def _child(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        # Faster than the library's own look-up, which takes a lock.
        key = (metric.name, labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._made[metric.name].labels(*labels)
        return child
