"""Events of mixed types and versions, each made from its number, which is in the key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from contracts.common.address.v1 import Address
from contracts.common.currency.v1 import Currency
from contracts.delivery.shipment_dispatched.v1 import ShipmentDispatched
from contracts.orders.order_created import v1, v2
from contracts.payments.payment_authorized.v1 import PaymentAuthorized, PaymentMethod

READ_AS: tuple[type[Any], ...] = (v2.OrderCreated, PaymentAuthorized, ShipmentDispatched)
"""The classes that consumers ask for; version 1 of an order is read as version 2."""

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_WAREHOUSE = Address(street="Hafenstraße 1", city="Hamburg", postal_code="20457", country_code="DE")


def event(number: int) -> Any:
    """Return the event with this number: 3 of 10 are old orders, 4 new ones, 3 others."""
    return _MAKERS[number % 10](number)


def number_of(event: Any) -> int:
    """Return the number that `event` made an event from."""
    order_id: UUID = event.order_id
    return order_id.int


def to_dict(event: Any) -> dict[str, Any]:
    """Return an event as fastavro takes it, by hand, as users of Confluent's serializer write it.

    Nothing is generic here: each type has its own lines, which is the fastest such code can be.
    """
    return _DICTS[type(event)](event)


def from_dict(name: str, data: dict[str, Any]) -> Any:
    """Return the event of a dict of `to_dict`, as the class in `READ_AS`."""
    return _CLASSES[name](data)


def _old_order(number: int) -> Any:
    return v1.OrderCreated(
        order_id=UUID(int=number),
        created_at=_EPOCH + timedelta(seconds=number),
        total_amount=Decimal(number % 100_000_000) / 100,
    )


def _new_order(number: int) -> Any:
    return v2.OrderCreated(
        order_id=UUID(int=number),
        created_at=_EPOCH + timedelta(seconds=number),
        total_amount=Decimal(number % 100_000_000) / 100,
        customer_id=f"customer-{number % 5000}",
        currency=Currency.EUR,
        lines=(
            v2.OrderLine(sku="tea-earl-grey-250", quantity=2, unit_price=Decimal("12.40")),
            v2.OrderLine(sku="teapot-cast-iron", quantity=1, unit_price=Decimal("35.00")),
        ),
        note=None,
    )


def _payment(number: int) -> Any:
    return PaymentAuthorized(
        payment_id=UUID(int=number + 1),
        order_id=UUID(int=number),
        authorized_at=_EPOCH + timedelta(seconds=number),
        amount=Decimal(number % 100_000_000) / 100,
        currency=Currency.EUR,
        method=PaymentMethod.CARD,
        valid_until=date(2026, 2, 1),
    )


def _shipment(number: int) -> Any:
    return ShipmentDispatched(
        shipment_id=UUID(int=number + 2),
        order_id=UUID(int=number),
        dispatched_at=_EPOCH + timedelta(seconds=number),
        carrier="Nordpost",
        tracking_number=f"NP{number:012d}",
        origin=_WAREHOUSE,
        destination=_WAREHOUSE,
        contents={"tea-earl-grey-250": 2, "teapot-cast-iron": 1},
        expected_on=date(2026, 1, 20),
    )


_MAKERS: list[Callable[[int], Any]] = (
    [_old_order] * 3 + [_new_order] * 4 + [_payment] * 2 + [_shipment]
)


def _line_dict(line: Any) -> dict[str, Any]:
    return {"sku": line.sku, "quantity": line.quantity, "unit_price": line.unit_price}


def _address_dict(address: Any) -> dict[str, Any]:
    return {
        "recipient": address.recipient,
        "street": address.street,
        "city": address.city,
        "postal_code": address.postal_code,
        "country_code": address.country_code,
    }


_DICTS: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    v1.OrderCreated: lambda event: {
        "order_id": event.order_id,
        "created_at": event.created_at,
        "total_amount": event.total_amount,
    },
    v2.OrderCreated: lambda event: {
        "order_id": event.order_id,
        "created_at": event.created_at,
        "total_amount": event.total_amount,
        "customer_id": event.customer_id,
        "currency": event.currency.value,
        "lines": [_line_dict(line) for line in event.lines],
        "note": event.note,
    },
    PaymentAuthorized: lambda event: {
        "payment_id": event.payment_id,
        "order_id": event.order_id,
        "authorized_at": event.authorized_at,
        "amount": event.amount,
        "currency": event.currency.value,
        "method": event.method.value,
        "valid_until": event.valid_until,
    },
    ShipmentDispatched: lambda event: {
        "shipment_id": event.shipment_id,
        "order_id": event.order_id,
        "dispatched_at": event.dispatched_at,
        "carrier": event.carrier,
        "tracking_number": event.tracking_number,
        "origin": _address_dict(event.origin),
        "destination": _address_dict(event.destination),
        "contents": event.contents,
        "expected_on": event.expected_on,
    },
}


_CLASSES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "orders.OrderCreated": lambda data: v2.OrderCreated(
        order_id=data["order_id"],
        created_at=data["created_at"],
        total_amount=data["total_amount"],
        customer_id=data["customer_id"],
        currency=Currency(data["currency"]),
        lines=tuple(v2.OrderLine(**line) for line in data["lines"]),
        note=data["note"],
    ),
    "payments.PaymentAuthorized": lambda data: PaymentAuthorized(
        **{
            **data,
            "currency": Currency(data["currency"]),
            "method": PaymentMethod(data["method"]),
        }
    ),
    "delivery.ShipmentDispatched": lambda data: ShipmentDispatched(
        **{
            **data,
            "origin": Address(**data["origin"]),
            "destination": Address(**data["destination"]),
        }
    ),
}
