"""Draws a Grafana dashboard as one SVG, from what a Prometheus has recorded.

python docker/picture.py [--prometheus http://localhost:9090] [--minutes 15] FILE.svg

Titles, units, places, queries and legends are the dashboard's own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from attrs import frozen

DASHBOARD = Path(__file__).parent / "grafana" / "dashboards" / "messaging.json"

UNIT_X, UNIT_Y, MARGIN = 50, 34, 8  # pixels of a grid unit; between panels
LEFT, TOP, LEGEND, LEGEND_LINES = 46, 30, 14, 4  # inside a panel
COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0")
STYLE = """
text { font: 11px "DejaVu Sans", Verdana, sans-serif; fill: #9fa1ac }
.head { font-size: 15px; fill: #ccccdc } .title { font-size: 13px; fill: #ccccdc }
.end { text-anchor: end } .panel { fill: #181b1f; stroke: #2c3235 } .grid { stroke: #2c3235 }
path { fill: none; stroke-width: 1.5; stroke-linecap: round; stroke-linejoin: round }
"""


@frozen
class Span:
    """A span of time, in seconds since 1970, and the step between two samples."""

    begin: float
    end: float
    step: float


Ask = Callable[[str, Span], list[dict[str, Any]]]


def prometheus(url: str) -> Ask:
    """Return a function that answers range queries by Prometheus's HTTP API."""

    def ask(expression: str, span: Span) -> list[dict[str, Any]]:
        values = {"query": expression, "start": span.begin, "end": span.end, "step": span.step}
        address = f"{url}/api/v1/query_range?{urllib.parse.urlencode(values)}"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - as it was given
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    return ask


def draw(dashboard: dict[str, Any], ask: Ask, span: Span) -> str:
    """Return the dashboard as an SVG."""
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    width, height = 24 * UNIT_X + MARGIN, (rows + 1) * UNIT_Y + MARGIN
    times = " to ".join(_clock(when, "%H:%M:%S") for when in (span.begin, span.end))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="#111217"/>',
        f'<text class="head" x="12" y="24">{escape(dashboard["title"])}</text>',
        f'<text class="end" x="{width - MARGIN}" y="24">{times} UTC</text>',
    ]
    for panel in panels:
        place = panel["gridPos"]
        x, y = place["x"] * UNIT_X + MARGIN, (place["y"] + 1) * UNIT_Y + MARGIN
        parts.append(f'<g transform="translate({x},{y})">')
        if panel["type"] == "row":
            parts.append(f'<text class="head" x="4" y="20">{escape(panel["title"])}</text>')
        else:
            size = (place["w"] * UNIT_X - MARGIN, place["h"] * UNIT_Y - MARGIN)
            parts += _panel(panel, size, _lines(panel, ask, span), span)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


@frozen
class Line:
    """One series: its legend, and its values by time."""

    legend: str
    samples: list[tuple[float, float]]

    @property
    def highest(self) -> float:
        """The largest value."""
        return max(value for _, value in self.samples)


def _lines(panel: dict[str, Any], ask: Ask, span: Span) -> list[Line]:
    lines = [
        Line(_legend(target["legendFormat"], series["metric"]), samples)
        for target in panel["targets"]
        for series in ask(target["expr"], span)
        if (samples := _samples(series["values"]))
    ]
    return sorted(lines, key=lambda line: -line.highest)


def _panel(
    panel: dict[str, Any], size: tuple[int, int], lines: list[Line], span: Span
) -> Iterator[str]:
    width, height = size
    yield f'<rect class="panel" width="{width}" height="{height}" rx="2"/>'
    yield f'<text class="title" x="8" y="19">{escape(panel["title"])}</text>'
    if not lines:
        yield f'<text x="{width / 2 - 24}" y="{height / 2}">No data</text>'
        return
    shown = lines[:LEGEND_LINES]
    bottom = height - 22 - len(shown) * LEGEND
    ceiling, labels = _scale(lines[0].highest, panel["fieldConfig"]["defaults"]["unit"])
    for part, label in enumerate(labels):
        y = bottom - (bottom - TOP) * part / (len(labels) - 1)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{width - 10}"/>'
        yield f'<text class="end" x="{LEFT - 5}" y="{y + 4:.1f}">{label}</text>'
    right, up = (width - LEFT - 10) / (span.end - span.begin), (bottom - TOP) / ceiling
    for quarter in range(1, 4):
        when = span.begin + (span.end - span.begin) * quarter / 4
        x = LEFT + (when - span.begin) * right - 14
        yield f'<text x="{x:.1f}" y="{bottom + 14}">{_clock(when, "%H:%M")}</text>'
    for colour, line in zip(itertools.cycle(COLOURS), lines, strict=False):
        points = [
            (when, f"{LEFT + (when - span.begin) * right:.1f} {bottom - value * up:.1f}")
            for when, value in line.samples
        ]
        yield f'<path stroke="{colour}" d="{_path(points, span.step)}"/>'
    for index, (colour, line) in enumerate(zip(COLOURS, shown, strict=False)):
        text = line.legend if len(line.legend) <= 40 else f"{line.legend[:39]}…"
        if len(lines) > len(shown) == index + 1:
            text += f" … and {len(lines) - len(shown)} more"
        y = bottom + 30 + index * LEGEND
        yield f'<rect x="10" y="{y - 5}" width="10" height="3" fill="{colour}"/>'
        yield f'<text x="25" y="{y}">{escape(text)}</text>'


def _path(points: list[tuple[float, str]], step: float) -> str:
    """Return the points joined, except where samples are missing between them."""
    parts, before = [], -math.inf
    for when, point in points:
        parts.append(f"L{point}" if when - before <= 1.5 * step else f"M{point}h0")
        before = when
    return "".join(parts)


def _clock(when: float, form: str) -> str:
    return time.strftime(form, time.gmtime(when))


def _legend(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template).strip()


def _samples(values: list[tuple[float, str]]) -> list[tuple[float, float]]:
    return [(when, float(text)) for when, text in values if math.isfinite(float(text))]


def _scale(highest: float, unit: str) -> tuple[float, list[str]]:
    """Return the end of the scale, and the labels of its lines from 0."""
    sizes = (
        ((60.0, " min"), (1.0, " s"), (0.001, " ms"), (0.000001, " µs"))
        if unit == "s"
        else ((1e6, " M"), (1e3, " k"), (1.0, ""))
    )
    size, name = next((each for each in sizes if highest >= 2 * each[0]), sizes[-1])
    if highest <= 0:
        highest, (size, name) = 3.0, (1.0, " s" if unit == "s" else "")
    power = 10.0 ** math.floor(math.log10(highest / size / 3))
    step = power * next(each for each in (1, 2, 5, 10) if highest / size <= 3.0001 * each * power)
    end = name + (("B/s" if name else " B/s") if unit == "Bps" else "")
    return 3 * step * size, ["0", *(f"{round(step * part, 9):g}{end}" for part in (1, 2, 3))]


def main() -> None:
    """Draw the dashboard of this folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--prometheus", default="http://localhost:9090", help="its address")
    parser.add_argument("--minutes", type=float, default=15, help="how much of the past")
    options = parser.parse_args()
    end = time.time()
    span = Span(end - options.minutes * 60, end, max(1.0, options.minutes * 60 / 120))
    dashboard = json.loads(DASHBOARD.read_text())
    options.file.write_text(draw(dashboard, prometheus(options.prometheus), span))


if __name__ == "__main__":
    main()
