"""The conformance suites over the real servers: ours, or those that the environment names."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from attrs import evolve

import sdk
from sdk.settings import ConsumerOptions, KafkaOptions
from tests.conformance.broker_suite import BrokerSuite
from tests.conformance.brokers import Bench, Librdkafka
from tests.conformance.registry_suite import RegistrySuite, RegistryUnderTest
from tests.conformance.service_suite import OpenConnection, ServiceSuite
from tests.conformance.transaction_suite import TransactionSuite
from tests.servers.target import Target


class TestKafka(BrokerSuite):
    """Apache Kafka, with the classic group protocol."""

    @pytest.fixture
    def bench(self, kafka: Target) -> Iterator[Bench]:
        """Real Kafka as `sdk.kafka` reaches it."""
        bench = Bench(Librdkafka.real(kafka.address))
        yield bench
        bench.close()


class TestKafkaWithTheConsumerProtocol(BrokerSuite):
    """Apache Kafka, with the group protocol of KIP-848."""

    @pytest.fixture
    def bench(self, kafka: Target) -> Iterator[Bench]:
        """Real Kafka as `sdk.kafka` reaches it."""
        broker = Librdkafka.real(kafka.address)
        bench = Bench(evolve(broker, consumers=ConsumerOptions(group_protocol="consumer")))
        yield bench
        bench.close()


class TestTransactionsOnKafka(TransactionSuite):
    """The transactions of Apache Kafka, with the classic group protocol."""

    @pytest.fixture
    def bench(self, kafka: Target) -> Iterator[Bench]:
        """Real Kafka as `sdk.kafka` reaches it."""
        bench = Bench(Librdkafka.real(kafka.address))
        yield bench
        bench.close()


class TestServiceOnKafka(ServiceSuite):
    """A whole connection on Apache Kafka; its registry needs nothing installed."""

    @pytest.fixture
    def open_connection(self, kafka: Target) -> OpenConnection:
        """Connect to real Kafka."""
        servers = KafkaOptions(bootstrap_servers=tuple(kafka.address.split(",")))
        return lambda settings, observe: sdk.connect(
            settings=evolve(settings, kafka=servers), observers=[observe]
        )


class TestRegistry(RegistrySuite):
    """The registry: Apicurio, or the one that the environment names."""

    @pytest.fixture
    def registry(self, registry: Target) -> RegistryUnderTest:
        """Name the registry as the table of differences does."""
        return RegistryUnderTest(_kind(registry.address), registry.address)


def _kind(url: str) -> str:
    """Identify Apicurio by the path of its Confluent-compatible API."""
    root, found, _ = url.partition("/apis/ccompat")
    if not found:
        return "confluent"
    with urllib.request.urlopen(f"{root}/apis/registry/v3/system/info", timeout=20) as answer:
        version = json.load(answer)["version"]
    return "apicurio 3.0" if version.startswith("3.0.") else "apicurio"
