"""The state of consumers, as probes see it."""

from __future__ import annotations

from sdk.observability.health import status_of
from sdk.testing import InMemoryBroker, connect
from tests.unit.messaging.shop import CATALOG, OrderCreated


def test_status_follows_the_consumer() -> None:
    """A consumer is ready while it runs in its group; one that an error stopped is not live."""
    broker = InMemoryBroker()

    def fail(event: OrderCreated) -> None:
        raise ValueError("no such customer")

    with connect(CATALOG, broker=broker) as messaging:
        consumer = messaging.consumer("billing").handle(OrderCreated, fail)
        status = status_of(billing=consumer)
        assert (status()["live"], status()["ready"]) == (True, False)
        messaging.producer.produce(OrderCreated(order_id="o1")).result(5)
        consumer.start()
        for _ in range(1000):
            if not status()["live"]:
                break
            broker.changed.acquire()
            broker.changed.wait(0.01)
            broker.changed.release()
        found = status()
        assert not found["live"]
        assert "no such customer" in found["consumers"]["billing"]["error"]
