"""Metrics for Prometheus with prometheus_client, assembled when they are scraped."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from sdk.errors import ConfigurationError
from sdk.observability.metrics.definitions import METRICS, Metric
from sdk.observability.metrics.recorder import Recorder


class PrometheusMetrics(Recorder, Collector):
    """A `Meter` that keeps metrics for Prometheus to scrape.

    Args:
        registry: Registers the metrics, such as ``prometheus_client.REGISTRY``; by default a new
            one.

    Raises:
        ConfigurationError: The registry has metrics of these names already.

    Attributes:
        registry: The registry with the metrics.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._counts = _Counts()
        super().__init__(self._counts)
        self.registry = CollectorRegistry() if registry is None else registry
        try:
            self.registry.register(self)
        except ValueError as error:
            raise ConfigurationError(
                "the registry of Prometheus has the SDK's metrics already",
                remedy="share one PrometheusMetrics, or give each a registry of its own",
            ) from error

    def describe(self) -> Iterable[Any]:
        """Return the metrics without values, for registration."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Any]:
        """Return the metrics with their values."""
        gauges = self.gauges()
        for metric in METRICS:
            family = _family(metric)
            if metric.kind == "gauge":
                for labels, value in gauges.get(metric, {}).items():
                    family.add_metric(labels, value)
            else:
                self._counts.fill(family, metric)
            yield family

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics for a scrape, and their media type.

        Args:
            accept: The ``Accept`` header of the request, which chooses the format.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


_FAMILIES: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _family(metric: Metric) -> Any:
    return _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)


class _Counts:
    """Counters and histograms as plain numbers, with one lock per batch of records."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = time.time()
        self._sums: dict[tuple[Metric, tuple[str, ...]], float] = {}
        self._buckets: dict[tuple[Metric, tuple[str, ...]], list[int]] = {}

    def add(self, metric: Metric, labels: tuple[str, ...], amount: float = 1) -> None:
        key = (metric, labels)
        with self._lock:
            self._sums[key] = self._sums.get(key, 0.0) + amount

    def observe(self, metric: Metric, labels: tuple[str, ...], values: Sequence[float]) -> None:
        key, bounds, ordered = (metric, labels), metric.buckets, sorted(values)
        with self._lock:
            buckets = self._buckets.get(key)
            if buckets is None:
                buckets = self._buckets[key] = [0] * (len(bounds) + 1)
            self._sums[key] = self._sums.get(key, 0.0) + sum(ordered)
            counted = 0
            while counted < len(ordered):  # once for each bucket that they fall into
                index = bisect_left(bounds, ordered[counted])
                before = counted
                counted = (
                    bisect_right(ordered, bounds[index], counted)
                    if index < len(bounds)
                    else len(ordered)
                )
                buckets[index] += counted - before

    def fill(self, family: Any, metric: Metric) -> None:
        """Add the values of a metric to its family."""
        with self._lock:
            sums = {key[1]: value for key, value in self._sums.items() if key[0] is metric}
            counts = {labels: list(self._buckets.get((metric, labels), ())) for labels in sums}
        for labels, value in sums.items():
            if metric.kind == "counter":
                family.add_metric(labels, value, created=self._since)
            else:
                bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
                family.add_metric(
                    labels, list(zip(bounds, _running(counts[labels]), strict=True)), value
                )


def _running(counts: Iterable[int]) -> Iterator[int]:
    total = 0
    for count in counts:
        total += count
        yield total
