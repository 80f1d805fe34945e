"""PromQL built from metric definitions, so that no query names a missing metric or label."""

from __future__ import annotations

from sdk.observability.metrics.definitions import Metric


def select(metric: Metric, suffix: str = "", window: str = "", /, **where: str) -> str:
    """Return a selector; a value that begins with ``!`` is excluded, one with ``~`` is a pattern.

    Raises:
        ValueError: The metric has no such label.
    """
    if unknown := where.keys() - set(metric.labels):
        raise ValueError(f"{metric.name} has no label {', '.join(unknown)}")
    suffix = suffix or ("_total" if metric.kind == "counter" else "")
    signs = {"!": "!=", "~": "=~"}
    matchers = [
        f'{label}{signs[value[0]]}"{value[1:]}"' if value[:1] in signs else f'{label}="{value}"'
        for label, value in where.items()
    ]
    chosen = "{" + ",".join(matchers) + "}" if matchers else ""
    return f"{metric.name}{suffix}{chosen}{window}"


def by(metric: Metric, *labels: str) -> str:
    """Return the labels of a grouping.

    Raises:
        ValueError: The metric has no such label.
    """
    if unknown := set(labels) - set(metric.labels):
        raise ValueError(f"{metric.name} has no label {', '.join(unknown)}")
    return f"by ({', '.join(labels)})"


def rate(metric: Metric, *labels: str, suffix: str = "", **where: str) -> str:
    """Return how often something happens a second."""
    return f"sum {by(metric, *labels)} (rate({select(metric, suffix, '[1m]', **where)}))"


def mean(metric: Metric, *labels: str) -> str:
    """Return the mean of a histogram."""
    sums, counts = (rate(metric, *labels, suffix=suffix) for suffix in ("_sum", "_count"))
    return f"{sums} / {counts}"


def quantile(share: float, metric: Metric, *labels: str) -> str:
    """Return a percentile of a histogram."""
    by(metric, *labels)
    buckets = select(metric, "_bucket", "[1m]")
    return f"histogram_quantile({share}, sum by ({', '.join((*labels, 'le'))}) (rate({buckets})))"


def top(metric: Metric, *labels: str, how: str = "sum", **where: str) -> str:
    """Return a gauge aggregated over all instances."""
    return f"{how} {by(metric, *labels)} ({select(metric, **where)})"


def lately(metric: Metric, *labels: str, suffix: str = "", **where: str) -> str:
    """Return how often something has happened within a minute.

    The first time counts as well, which `increase` misses.
    """
    now = select(metric, suffix, **where)
    window = select(metric, suffix, "[1m]", **where)
    first = f"({now} unless {now} offset 1m)"
    return f"sum {by(metric, *labels)} ((increase({window}) > 0) or {first} or increase({window}))"


def grew(metric: Metric, *labels: str, suffix: str = "", **where: str) -> str:
    """Return the increase within a minute."""
    return f"{lately(metric, *labels, suffix=suffix, **where)} > 0"
