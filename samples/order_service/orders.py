"""Shared by producer and consumer of the order service."""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from contracts.common.currency.v1 import Currency
from contracts.orders.order_created import v1, v2

from sdk import Messaging, connect

SETTINGS = Path(__file__).resolve().parents[1] / "settings.toml"

_ARTICLES = {"TEA-GREEN-100": "4.90", "MUG-BLUE": "12.50", "KETTLE-1L": "39.00"}


def open_messaging(environment: str | None) -> Messaging:
    """Connect with the sample settings.

    Args:
        environment: Its name; by default what ``SDK_ENV`` says, and else ``embedded``.
    """
    return connect(environment or os.environ.get("SDK_ENV") or "embedded", settings=SETTINGS)


def stop_printing() -> None:
    """Discard further output: its reader, such as ``head``, has exited."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def first_order() -> v1.OrderCreated:
    """Create a random order of version 1."""
    return v1.OrderCreated(
        order_id=_new_id(), created_at=datetime.now(UTC), total_amount=_total(_basket())
    )


def new_order(order_id: UUID, total_amount: Decimal) -> v2.OrderCreated:
    """Return an order of the newest version with only the required fields."""
    return v2.OrderCreated(
        order_id=order_id, created_at=datetime.now(UTC), total_amount=total_amount
    )


def grown_order() -> v2.OrderCreated:
    """Create a random order with all fields of version 2."""
    basket = _basket()
    return v2.OrderCreated(
        order_id=_new_id(),
        created_at=datetime.now(UTC),
        total_amount=_total(basket),
        customer_id=f"customer-{random.randint(1, 999)}",
        currency=random.choice([Currency.EUR, Currency.USD]),
        lines=basket,
        note=random.choice([None, "please ring twice"]),
    )


def _new_id() -> UUID:
    return UUID(int=random.getrandbits(128), version=4)


def _basket() -> tuple[v2.OrderLine, ...]:
    chosen = random.sample(sorted(_ARTICLES), random.randint(1, len(_ARTICLES)))
    return tuple(
        v2.OrderLine(sku=sku, quantity=random.randint(1, 3), unit_price=Decimal(_ARTICLES[sku]))
        for sku in chosen
    )


def _total(basket: tuple[v2.OrderLine, ...]) -> Decimal:
    return sum((line.quantity * line.unit_price for line in basket), Decimal("0.00"))
