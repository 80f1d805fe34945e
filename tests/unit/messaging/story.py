"""Events of the sample contracts, told apart by a number that their key holds too."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from contracts.common.currency.v1 import Currency
from contracts.orders.order_created import v1, v2
from contracts.payments import PaymentDeclined
from contracts.payments.payment_declined.v1 import DeclineReason


def old_order(number: int) -> v1.OrderCreated:
    """Return an order as version 1 writes it."""
    return v1.OrderCreated(
        order_id=UUID(int=number),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        total_amount=Decimal("9.90"),
    )


def new_order(number: int) -> v2.OrderCreated:
    """Return an order as version 2 writes it."""
    return v2.OrderCreated(
        order_id=UUID(int=number),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        total_amount=Decimal("9.90"),
        customer_id="c-1",
        currency=Currency.USD,
    )


def declined(number: int) -> PaymentDeclined:
    """Return an event of another topic."""
    return PaymentDeclined(
        payment_id=UUID(int=number),
        order_id=UUID(int=number),
        declined_at=datetime(2026, 1, 1, tzinfo=UTC),
        amount=Decimal("9.90"),
        currency=Currency.USD,
        reason=next(iter(DeclineReason)),
    )
