"""The service suite on the brokers that need nothing installed."""

from __future__ import annotations

import pytest

import sdk
from sdk.testing import InMemoryBroker
from sdk.testing import connect as connect_in_memory
from tests.conformance.service_suite import OpenConnection, ServiceSuite


class TestInMemoryService(ServiceSuite):
    """A connection on the broker of `sdk.testing`."""

    @pytest.fixture
    def open_connection(self) -> OpenConnection:
        """Connect to a new broker on the machine's clock."""
        return lambda settings, observe: connect_in_memory(
            settings=settings, broker=InMemoryBroker(), observers=[observe]
        )


class TestEmbeddedService(ServiceSuite):
    """A connection on librdkafka's mock cluster."""

    @pytest.fixture
    def open_connection(self) -> OpenConnection:
        """Connect to the embedded broker."""
        return lambda settings, observe: sdk.connect(settings=settings, observers=[observe])
