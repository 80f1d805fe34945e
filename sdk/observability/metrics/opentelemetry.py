"""Metrics by OpenTelemetry's metrics API; readers and exporters are the application's."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from sdk.happenings import Happening
from sdk.observability.metrics.definitions import METRICS, Metric
from sdk.observability.metrics.recorder import Recorder

_UNITS = {"seconds": "s", "bytes": "By", "": "1"}


class OpenTelemetryMetrics:
    """An observer that measures by OpenTelemetry.

    Args:
        meter: Makes the instruments; by default the global provider's.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._record = Recorder(_Instruments(meter or get_meter("avro-messaging-sdk")))

    def __call__(self, happening: Happening) -> None:
        """Measure a happening."""
        self._record(happening)


class _Instruments:
    def __init__(self, meter: Meter) -> None:
        self._lock = threading.Lock()
        self._gauges: dict[str, dict[tuple[str, ...], float]] = {}
        self._made: dict[str, Any] = {metric.name: self._make(meter, metric) for metric in METRICS}

    def add(self, metric: Metric, labels: tuple[str, ...], amount: float = 1) -> None:
        if metric.kind == "gauge":
            with self._lock:
                values = self._gauges[metric.name]
                values[labels] = values.get(labels, 0.0) + amount
        else:
            self._made[metric.name].add(amount, _attributes(metric, labels))

    def set(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        with self._lock:
            self._gauges[metric.name][labels] = value

    def observe(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        self._made[metric.name].record(value, _attributes(metric, labels))

    def forget(self, metric: Metric, labels: tuple[str, ...]) -> None:
        with self._lock:
            self._gauges[metric.name].pop(labels, None)

    def _make(self, meter: Meter, metric: Metric) -> Any:
        options = {"unit": _UNITS[metric.unit], "description": metric.help}
        if metric.kind == "counter":
            return meter.create_counter(metric.name, **options)
        if metric.kind == "histogram":
            return meter.create_histogram(
                metric.name, **options, explicit_bucket_boundaries_advisory=list(metric.buckets)
            )
        # Read when it is collected, because what it says holds until it is set again.
        values = self._gauges[metric.name] = {}

        def read(_: CallbackOptions) -> Iterable[Observation]:
            with self._lock:
                found = list(values.items())
            return [Observation(value, _attributes(metric, labels)) for labels, value in found]

        return meter.create_observable_gauge(metric.name, [read], **options)


def _attributes(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
