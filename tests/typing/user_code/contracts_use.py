"""How a service builds events; a comment ``refused`` marks the lines that checkers must refuse."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import assert_type
from uuid import uuid4

from contracts import CATALOG, orders
from contracts.common import Currency
from contracts.orders import OrderCreated
from contracts.orders.order_created import OrderLine, v1

line = OrderLine(sku="tea", quantity=1, unit_price=Decimal("1.00"))
now = dt.datetime.now(dt.UTC)
order = OrderCreated(order_id=uuid4(), created_at=now, total_amount=Decimal(1), lines=[line])
old = v1.OrderCreated(order_id=order.order_id, created_at=now, total_amount=Decimal(1))
assert_type(order.lines, tuple[OrderLine, ...])
assert_type(order.currency, Currency)
CATALOG.find("OrderCreated", old.__event__.version)

OrderCreated(order_id="x", created_at=now, total_amount=Decimal(1))  # refused
OrderCreated(order_id=uuid4(), created_at=now, total_amount=1.5)  # refused
OrderCreated(order_id=uuid4(), created_at=now, total_amount=Decimal(1), lines=[1])  # refused
OrderCreated(order_id=uuid4(), created_at=now, total_amount=Decimal(1), currency="EUR")  # refused
OrderCreated(order_id=uuid4(), created_at=now)  # refused
OrderCreated(uuid4(), now, Decimal(1))  # refused
order.note = "frozen"  # refused
print(orders.OrderShipped)  # refused
