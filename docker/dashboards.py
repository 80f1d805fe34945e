"""Writes the Grafana dashboard and the Prometheus alert rules from the metric definitions.

python docker/dashboards.py [--check]

With ``--check``, nothing is written and a stale file is an error. The table of alerts in
docs/observability.md is written from here too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alerts import rules, table
from panels import ROWS, Panel

from sdk.observability.metrics.definitions import METRICS

ROOT = Path(__file__).parents[1]
RULES = ROOT / "docker" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "messaging.json"
TABLE = ROOT / "docs" / "observability.md"
BEGIN, END = "<!-- alerts -->\n", "<!-- /alerts -->\n"


def queries() -> Iterator[str]:
    """Yield every query of the dashboard."""
    for panels in ROWS.values():
        for panel in panels:
            yield from panel.queries


def dashboard() -> str:
    """Return the dashboard as Grafana provisions it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        panels.append({"type": "row", "title": title, "gridPos": place, "collapsed": False})
        y += 1
        for index, panel in enumerate(row):
            place = {"x": index % 4 * 6, "y": y + index // 4 * 7, "w": 6, "h": 7}
            panels.append(_graph(panel, place))
        y += -(-len(row) // 4) * 7
    document = {
        "uid": "avro-messaging-sdk",
        "title": "Messaging",
        "tags": ["kafka"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {"name": "filter", "type": "adhoc", "datasource": _SOURCE},
            ]
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }
    return json.dumps(document, indent=2) + "\n"


_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _graph(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries.items())
        ],
    }


def files() -> dict[Path, str]:
    """Return each file with the text that it should have."""
    page = TABLE.read_text()
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        RULES: rules(),
        DASHBOARD: dashboard(),
        TABLE: f"{before}{BEGIN}{table()}{END}{after}",
    }


def main() -> int:
    """Write the files, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if files differ")
    check = parser.parse_args().check
    unused = [each.name for each in METRICS if each.name not in dashboard()]
    if unused:
        print(f"on no panel of the dashboard: {', '.join(unused)}", file=sys.stderr)
        return 1
    stale = [
        path for path, text in files().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        if check:
            print(
                f"stale: {path.relative_to(ROOT)}; run python docker/dashboards.py", file=sys.stderr
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path])
            print(f"written: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
