"""What a service's own tests use: the whole SDK on a broker in memory.

from sdk.testing import InMemoryBroker, connect, run_until_idle

broker = InMemoryBroker()
with connect(broker=broker) as messaging:            # contracts and routes from settings.toml
place_order(messaging.producer)                  # the service's own code
(order,) = broker.events(OrderCreated)
assert order.order_id == ...
run_until_idle(billing_consumer(messaging), broker, "billing")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker as InMemoryBroker
    from sdk.testing.clock import VirtualClock as VirtualClock
    from sdk.testing.connection import connect as connect
    from sdk.testing.connection import run_until_idle as run_until_idle
    from sdk.testing.strategies import events as events

_HOMES = {
    "InMemoryBroker": ".broker",
    "VirtualClock": ".clock",
    "connect": ".connection",
    "events": ".strategies",
    "run_until_idle": ".connection",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
