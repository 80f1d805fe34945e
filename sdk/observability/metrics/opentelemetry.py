"""Metrics with the OpenTelemetry API; the application provides readers and exporters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from sdk.observability.metrics.definitions import METRICS, Metric
from sdk.observability.metrics.recorder import Recorder

_UNITS = {"seconds": "s", "bytes": "By", "": "1"}


class OpenTelemetryMetrics(Recorder):
    """A `Meter` that writes to OpenTelemetry.

    Args:
        meter: Makes the instruments; by default the global provider's.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        instruments = _Instruments()
        super().__init__(instruments)
        made = meter or get_meter("avro-messaging-sdk")
        for metric in METRICS:
            instruments.made[metric] = self._make(made, metric)

    def _make(self, meter: Meter, metric: Metric) -> Any:
        options = {"unit": _UNITS[metric.unit], "description": metric.help}
        if metric.kind == "counter":
            return meter.create_counter(metric.name, **options)
        if metric.kind == "histogram":
            return meter.create_histogram(
                metric.name, **options, explicit_bucket_boundaries_advisory=list(metric.buckets)
            )

        def read(_: CallbackOptions) -> Iterable[Observation]:
            found = self.gauges().get(metric, {})
            return [
                Observation(value, _attributes(metric, labels)) for labels, value in found.items()
            ]

        return meter.create_observable_gauge(metric.name, [read], **options)


class _Instruments:
    def __init__(self) -> None:
        self.made: dict[Metric, Any] = {}

    def add(self, metric: Metric, labels: tuple[str, ...], amount: float = 1) -> None:
        self.made[metric].add(amount, _attributes(metric, labels))

    def observe(self, metric: Metric, labels: tuple[str, ...], values: Sequence[float]) -> None:
        attributes, record = _attributes(metric, labels), self.made[metric].record
        for value in values:  # the API takes one at a time
            record(value, attributes)


def _attributes(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
