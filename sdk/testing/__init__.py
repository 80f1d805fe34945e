"""What a service's own tests use: the whole SDK on a broker in memory."""

from sdk.testing.broker import InMemoryBroker as InMemoryBroker
