"""Fixtures for pytest, found through the entry point ``pytest11``: `messaging`, `broker`, `clock`.

    def test_order_is_billed(messaging, broker):
        place_order(messaging.producer)
        assert len(broker.events(OrderCreated)) == 1

The settings of the service are loaded as `sdk.connect` loads them. Override `messaging_options` to
pass other arguments to `sdk.testing.connect`:

    @pytest.fixture
    def messaging_options():
        return {"contracts": "contracts", "settings": "config/settings.toml"}

The SDK is not imported before a test uses a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sdk.testing import InMemoryBroker, InMemoryMessaging, VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    """The clock of `messaging` and `broker`: it stands still until it is advanced."""
    from sdk.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def broker(clock: VirtualClock) -> InMemoryBroker:
    """An empty broker in memory."""
    from sdk.testing import InMemoryBroker

    return InMemoryBroker(clock=clock)


@pytest.fixture
def messaging_options() -> dict[str, Any]:
    """Further arguments of `sdk.testing.connect`, to be overridden; none by default."""
    return {}


@pytest.fixture
def messaging(
    broker: InMemoryBroker, messaging_options: dict[str, Any]
) -> Iterator[InMemoryMessaging]:
    """A connection whose Kafka is `broker`; closed after the test."""
    from sdk.testing import connect

    with connect(broker=broker, **messaging_options) as messaging:
        yield messaging
