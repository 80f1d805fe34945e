"""Functions over events; a comment ``refused`` marks the lines that checkers must refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from contracts.orders import OrderCancelled, OrderCreated
from contracts.orders.order_created import OrderLine, v1
from contracts.payments import PaymentAuthorized

from sdk.events import E, Event


def publish(event: Event) -> str:
    """Take any event."""
    return event.__event__.full_name


def subscribe(event_class: type[E], function: Callable[[E], object]) -> E:
    """Take an event class, and a function of its events."""
    raise NotImplementedError


def on_created(event: OrderCreated) -> None:
    """Handle one event."""


def on_any(event: Event) -> None:
    """Handle every event."""


def use(created: OrderCreated, first: v1.OrderCreated, line: OrderLine) -> None:
    """Call both, rightly and wrongly."""
    publish(created)
    publish(first)
    assert_type(subscribe(OrderCreated, on_created), OrderCreated)
    subscribe(PaymentAuthorized, on_any)
    subscribe(OrderCreated, lambda event: event.total_amount)

    publish(42)  # refused
    publish(None)  # refused
    publish(line)  # refused
    publish(OrderCreated)  # refused
    subscribe(int, print)  # refused
    subscribe(OrderLine, print)  # refused
    subscribe(created, on_created)  # refused
    subscribe(OrderCancelled, on_created)  # refused
    subscribe(OrderCreated, lambda event: event.amount)  # refused
    subscribe(OrderCreated, lambda: None)  # refused
