"""The conformance suite on the brokers that need nothing installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdk.embedded import EmbeddedAdmin, EmbeddedBroker
from sdk.embedded.quirks import APPEND_TIME, adapt_consumer
from sdk.settings import ConsumerOptions, KafkaOptions
from sdk.testing import InMemoryBroker
from tests.conformance.broker_suite import BrokerSuite
from tests.conformance.brokers import Bench, InMemory, Librdkafka
from tests.conformance.transaction_suite import TransactionSuite


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedBroker]:
    """Start one broker for all tests; they use separate topics and groups."""
    with EmbeddedBroker() as broker:
        yield broker


class TestInMemoryBroker(BrokerSuite):
    """The broker of `sdk.testing`."""

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """Give a fresh broker to each test."""
        bench = Bench(InMemory(InMemoryBroker()))
        yield bench
        bench.close()


class TestTransactionsInMemory(TransactionSuite):
    """The transactions of `sdk.testing`'s broker."""

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """Give a fresh broker to each test."""
        bench = Bench(InMemory(InMemoryBroker()))
        yield bench
        bench.close()


class TestEmbeddedBroker(BrokerSuite):
    """librdkafka's mock cluster inside this process."""

    @pytest.fixture
    def bench(self, embedded: EmbeddedBroker) -> Iterator[Bench]:
        """Give the broker with the options that its consumers need."""
        servers = tuple(embedded.bootstrap_servers.split(","))
        options, _ = adapt_consumer(ConsumerOptions())
        broker = Librdkafka(
            name="embedded",
            kafka=KafkaOptions(bootstrap_servers=servers),
            make_admin=lambda: EmbeddedAdmin(embedded),
            consumers=options,
            ignored_append_time=APPEND_TIME,
        )
        bench = Bench(broker)
        yield bench
        bench.close()
