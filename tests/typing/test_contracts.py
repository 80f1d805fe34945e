"""What type checkers know about generated classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICE = """\
import datetime as dt
from decimal import Decimal
from uuid import uuid4

from contracts import CATALOG
from contracts.common import Currency
from contracts.orders import OrderCreated
from contracts.orders.order_created import OrderLine, v1

line = OrderLine(sku="tea", quantity=1, unit_price=Decimal("1.00"))
now = dt.datetime.now(dt.UTC)
order = OrderCreated(order_id=uuid4(), created_at=now, total_amount=Decimal(1), lines=[line])
reveal_type(order.lines)
reveal_type(order.currency)
old = v1.OrderCreated(order_id=order.order_id, created_at=now, total_amount=Decimal(1))
CATALOG.find("OrderCreated", old.__event__.version)
# from here on, each line is a mistake
OrderCreated(order_id="x", created_at=now, total_amount=Decimal(1))
OrderCreated(order_id=uuid4(), created_at=now, total_amount=1.5)
OrderCreated(order_id=uuid4(), created_at=now, total_amount=Decimal(1), lines=[1])
OrderCreated(order_id=uuid4(), created_at=now, total_amount=Decimal(1), currency="EUR")
OrderCreated(order_id=uuid4(), created_at=now)
OrderCreated(uuid4(), now, Decimal(1))
order.note = "frozen"
from contracts.orders import OrderShipped
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy --strict says about a service that uses contracts."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "service.py").write_text(SERVICE, encoding="utf-8")
    (folder / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nmypy_path = {ROOT / 'samples'}:{ROOT}\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "service.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if line.startswith("service.py:")]


def test_constructors_take_lists_and_attributes_are_tuples(told: list[str]) -> None:
    """A list is accepted where an array is meant; what is read is a tuple."""
    notes = [line for line in told if ": note: Revealed" in line]
    assert "tuple[contracts.orders.order_created.v2.OrderLine, ...]" in notes[0]
    assert "contracts.common.currency.v1.Currency" in notes[1]


def test_each_mistake_is_told(told: list[str]) -> None:
    """Wrong types, missing fields, assignment and unknown events are errors, and nothing else."""
    first = SERVICE[: SERVICE.index("# from here on")].count("\n") + 2
    lines = {int(line.split(":")[1]) for line in told if ": error:" in line}
    assert lines == set(range(first, SERVICE.count("\n") + 1))
