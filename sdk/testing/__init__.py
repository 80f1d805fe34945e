"""For a service's own tests: the whole SDK on an in-memory broker.

    from sdk.testing import connect, given

    with connect() as messaging:                        # contracts and topics from settings.toml
        place_order(messaging.producer)                 # the service's own code
        assert len(messaging.broker.events(OrderCreated)) == 1

    (
        given(messaging, OrderCreated(...))
        .when_handled_by(billing_consumer(messaging))
        .then_published(InvoiceIssued(...))
    )

Delays pass at once, because time is virtual (`VirtualClock`), and ``messaging.broker.faults``
causes faults. pytest finds the fixtures ``messaging``, ``broker`` and ``clock`` automatically
(`sdk.testing.plugin`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker as InMemoryBroker
    from sdk.testing.clock import VirtualClock as VirtualClock
    from sdk.testing.connection import InMemoryMessaging as InMemoryMessaging
    from sdk.testing.connection import connect as connect
    from sdk.testing.running import run_until_idle as run_until_idle
    from sdk.testing.scenarios import given as given
    from sdk.testing.strategies import events as events

_HOMES = {
    "InMemoryBroker": ".broker",
    "InMemoryMessaging": ".connection",
    "VirtualClock": ".clock",
    "connect": ".connection",
    "events": ".strategies",
    "given": ".scenarios",
    "run_until_idle": ".running",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
