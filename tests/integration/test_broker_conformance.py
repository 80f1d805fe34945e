"""The conformance suite on Apache Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.broker_suite import BrokerSuite
from tests.conformance.brokers import Bench, Librdkafka
from tests.servers.target import Target


class TestKafka(BrokerSuite):
    """Apache Kafka, ours or the one that the environment names."""

    @pytest.fixture
    def bench(self, kafka: Target) -> Iterator[Bench]:
        """Give the shared cluster; every test uses topics and groups of its own."""
        bench = Bench(Librdkafka.real(kafka.address))
        yield bench
        bench.close()
