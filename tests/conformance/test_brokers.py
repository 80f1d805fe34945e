"""The conformance suite on the brokers that need nothing installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdk.testing import InMemoryBroker
from tests.conformance.broker_suite import BrokerSuite
from tests.conformance.brokers import Bench, InMemory


class TestInMemoryBroker(BrokerSuite):
    """The broker of `sdk.testing`."""

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """Give a fresh broker to each test."""
        bench = Bench(InMemory(InMemoryBroker()))
        yield bench
        bench.close()
