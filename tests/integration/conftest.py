"""Fixtures of the tests that need real servers.

`kafka` and `registry` are the shared servers: ours, or those that the environment names. A test
that kills, freezes or reconfigures servers uses a fixture that makes separate servers, and
is skipped by name when the environment names servers that are not ours.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers.java import MissingTool
from tests.servers.kafka import NEVER_KILLED, KafkaCluster
from tests.servers.peer import JavaPeer, avro_peer, confluent_peer, spring_peer
from tests.servers.process import ServerProcess
from tests.servers.registry import ApicurioRegistry
from tests.servers.target import BOOTSTRAP_SERVERS, REGISTRY_URL, Target, named


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The Kafka cluster that most tests share."""
    if target := named(BOOTSTRAP_SERVERS):
        yield target
        return
    with _or_fail(
        KafkaCluster, tmp_path_factory.mktemp("kafka"), properties=NEVER_KILLED
    ) as cluster:
        yield Target(address=cluster.bootstrap_servers, owned=True)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The registry that most tests share."""
    if target := named(REGISTRY_URL):
        yield target
        return
    with _or_fail(ApicurioRegistry, tmp_path_factory.mktemp("registry")) as apicurio:
        yield Target(address=apicurio.url, owned=True)


@pytest.fixture(scope="session")
def own_kafka() -> Callable[..., KafkaCluster]:
    """Makes a cluster, with `KafkaCluster`'s arguments, that a test may do anything to."""
    if named(BOOTSTRAP_SERVERS):
        pytest.skip(f"does harm to Kafka, and {BOOTSTRAP_SERVERS} names one that is not ours")
    return lambda folder, **options: _or_fail(KafkaCluster, folder, **options)


@pytest.fixture(scope="session")
def own_registry() -> Callable[..., ApicurioRegistry]:
    """Makes a registry, with `ApicurioRegistry`'s arguments, that a test may do anything to."""
    if named(REGISTRY_URL):
        pytest.skip(f"does harm to a registry, and {REGISTRY_URL} names one that is not ours")
    return lambda folder, **options: _or_fail(ApicurioRegistry, folder, **options)


@pytest.fixture(scope="session")
def java_avro() -> Iterator[JavaPeer]:
    """Apache Avro's Java library."""
    with _or_fail(avro_peer) as peer:
        yield peer


@pytest.fixture(scope="session")
def java_confluent() -> Iterator[JavaPeer]:
    """Confluent's Java serializer and deserializer with Apache's Kafka clients."""
    with _or_fail(confluent_peer) as peer:
        yield peer


@pytest.fixture(scope="session")
def java_spring() -> Iterator[JavaPeer]:
    """Spring for Apache Kafka's retry topics and dead letters."""
    with _or_fail(spring_peer) as peer:
        yield peer


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes a name that no other test and no earlier run has used."""
    return lambda stem: f"{stem}-{uuid.uuid4().hex[:10]}"


def _or_fail(server: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return server(*arguments, **options)
    except MissingTool as error:
        pytest.fail(f"cannot run the real servers: {error}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    """Show the servers' logs beside a failure."""
    report = yield
    if report.failed:
        for server in ServerProcess.started:
            report.sections.append((f"log of {server.name}", server.log_tail()))
    return report
