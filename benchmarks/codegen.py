"""Measures the generator: whole runs and no-op checks over growing trees, and validation.

Run ``python benchmarks/codegen.py [--sizes 250 500 1000]``. The trees are made from the public
corpus in tests/data: its schemas, each in a separate namespace, until there are enough.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "data" / "corpus"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 500, 1000])
    options = parser.parse_args()
    templates = _templates()
    print("wall and CPU seconds of a first run, and of a check that finds nothing to do")
    print(f"{'schemas':>8} {'generate':>9} {'CPU':>6} {'check':>9} {'CPU':>6} {'lines':>9}")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            for number in range(size):
                _place(base / "schemas", templates[number % len(templates)], number)
            first, first_cpu = _timed(base)
            check, check_cpu = _timed(base, "--check")
            lines = sum(path.read_text(encoding="utf-8").count("\n") for path in base.rglob("*.py"))
        print(
            f"{size:8} {first:9.2f} {first_cpu:6.2f} {check:9.2f} {check_cpu:6.2f} {lines:9}",
            flush=True,
        )
    _construction()


def _construction() -> None:
    """Measure what validation and conversion cost when an event is constructed."""
    sys.path[:0] = [str(ROOT), str(ROOT / "samples")]
    from contracts.orders.order_created.v2 import OrderCreated, OrderLine

    now, order_id = datetime.now(UTC), uuid4()
    line = OrderLine(sku="tea", quantity=2, unit_price=Decimal("12.40"))
    lines = (line, line)

    def order() -> None:
        OrderCreated(order_id=order_id, created_at=now, total_amount=Decimal("24.80"), lines=lines)

    checked = _best(order)
    with attrs.validators.disabled():
        unchecked = _best(order)
    print(f"\nOrderCreated constructed: {checked:.2f} µs, without validation {unchecked:.2f} µs")


def _best(function: Callable[[], None]) -> float:
    return min(timeit.repeat(function, number=20_000, repeat=7)) / 20_000 * 1e6


def _templates() -> list[dict[str, Any]]:
    found: list[Any] = []
    for path in sorted(CORPUS.rglob("*.avsc")):
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(value, dict) and value.get("type") == "record":
            found.append(value)
    return [value for value in found if _stands_alone(value)]


def _stands_alone(value: dict[str, Any]) -> bool:
    sys.path.insert(0, str(ROOT))
    from sdk.avro.schema import check_schema

    return not any(not defect.warning for defect in check_schema(value))


def _place(schemas: Path, template: dict[str, Any], number: int) -> None:
    short = str(template["name"]).rpartition(".")[2]
    folder = schemas / f"domain{number % 20}" / f"{short}{number}"
    folder.mkdir(parents=True)
    renamed = {**template, "name": f"{short}{number}"}
    text = json.dumps(renamed, indent=2).replace(f'"{short}"', f'"{short}{number}"')
    (folder / "v1.avsc").write_text(text, encoding="utf-8")


def _timed(base: Path, *arguments: str) -> tuple[float, float]:
    """Run the command; return its wall and CPU seconds."""
    command = [sys.executable, "codegen/generate.py", *arguments]
    places = ["--schemas", str(base / "schemas"), "--output", str(base / "contracts")]
    before, start = os.times(), time.perf_counter()
    subprocess.run([*command, *places], cwd=ROOT, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user - before.children_user
    return wall, cpu + after.children_system - before.children_system


if __name__ == "__main__":
    main()
