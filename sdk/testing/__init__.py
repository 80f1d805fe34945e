"""What a service's own tests use: the whole SDK on a broker in memory.

from sdk.testing import InMemoryBroker, connect, run_until_idle

broker = InMemoryBroker()
with connect("contracts", broker=broker) as messaging:
    place_order(messaging.producer)                      # the service's own code
    assert broker.records("orders.created")[0].key == b"..."
    run_until_idle(billing_consumer(messaging), broker, "billing")
"""

from sdk.testing.broker import InMemoryBroker
from sdk.testing.connection import connect, run_until_idle

__all__ = ["InMemoryBroker", "connect", "run_until_idle"]
