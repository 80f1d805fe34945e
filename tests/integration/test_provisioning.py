"""Declared topics on real Kafka: created or verified at start, never changed or deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import pytest
from attrs import evolve
from confluent_kafka.admin import AdminClient, NewTopic

from sdk.errors import ConfigurationError, SdkError
from sdk.settings import Settings, TopicOptions
from tests.integration.wiring import connected, order, settings_for, wait_until
from tests.servers.target import Target


@pytest.fixture
def admin(kafka: Target) -> AdminClient:
    """A client that knows nothing of ours."""
    return AdminClient({"bootstrap.servers": kafka.address, "log_level": 0})


def test_missing_topics_are_created_as_declared(
    kafka: Target, registry: Target, admin: AdminClient, unique: Callable[[str], str]
) -> None:
    """Partitions, replication and configuration are what the settings say; `verify` agrees."""
    topic = unique("declared")
    config = {"retention.ms": "123456789", "cleanup.policy": "compact,delete"}
    with connected(_settings(kafka, registry, topic, partitions=5, config=config)) as messaging:
        report = messaging.producer.produce(order(1)).result(30)
    assert report.offset == 0
    assert len(admin.list_topics(topic, 30).topics[topic].partitions) == 5
    verified = _settings(kafka, registry, topic, "verify", partitions=5, config=config)
    with connected(verified):
        pass


def test_drift_is_told_with_both_values(
    kafka: Target, registry: Target, admin: AdminClient, unique: Callable[[str], str]
) -> None:
    """`verify` refuses to start and names declared and actual values."""
    topic = unique("drifted")
    _make(admin, NewTopic(topic, 2, config={"retention.ms": "1000000"}))
    settings = _settings(
        kafka, registry, topic, "verify", partitions=4, config={"retention.ms": "2000000"}
    )
    with pytest.raises(ConfigurationError) as raised, connected(settings):
        pass
    told = str(raised.value)
    assert "partitions declared 4, actual 2" in told
    assert "cannot be changed" in told
    assert "retention.ms declared 2000000, actual 1000000" in told


def test_a_missing_topic_is_told_and_not_made(
    kafka: Target, registry: Target, admin: AdminClient, unique: Callable[[str], str]
) -> None:
    """`verify` creates nothing, and says which setting would."""
    topic = unique("absent")
    settings = _settings(kafka, registry, topic, "verify")
    with pytest.raises(ConfigurationError, match=f"{topic} does not exist") as raised:
        connected(settings)
    assert "create" in str(raised.value)
    assert topic not in admin.list_topics(timeout=30).topics


def test_creating_leaves_what_is_there_alone(
    kafka: Target,
    registry: Target,
    admin: AdminClient,
    unique: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`create` warns of drift, changes nothing, and keeps the data."""
    topic = unique("kept")
    _make(admin, NewTopic(topic, 2))
    with connected(_settings(kafka, registry, topic, partitions=2)) as messaging:
        messaging.producer.produce(order(1)).result(30)
    with (
        caplog.at_level(logging.WARNING, logger="sdk"),
        connected(_settings(kafka, registry, topic, partitions=6)) as messaging,
    ):
        again = messaging.producer.produce(order(1)).result(30)
    assert "partitions declared 6, actual 2" in caplog.text
    assert len(admin.list_topics(topic, 30).topics[topic].partitions) == 2
    assert again.offset == 1


def test_a_topic_that_kafka_refuses_is_one_clear_error(
    kafka: Target, registry: Target, unique: Callable[[str], str]
) -> None:
    """An unknown configuration and too many replicas are errors with the topic's name."""
    for options in ({"config": {"retention.seconds": "1"}}, {"replication": 90}):
        topic = unique("refused")
        with pytest.raises(SdkError) as raised:
            connected(_settings(kafka, registry, topic, **options))
        assert topic in str(raised.value)
        assert "\n" not in str(raised.value)


def _settings(
    kafka: Target,
    registry: Target,
    topic: str,
    provision: str = "create",
    *,
    partitions: int | None = None,
    replication: int | None = None,
    config: Mapping[str, str] | None = None,
) -> Settings:
    declared = TopicOptions(
        event="orders.OrderCreated",
        name=topic,
        partitions=partitions,
        replication=replication,
        config=config or {},
    )
    settings = settings_for(kafka.address, registry.address, topic, provision=provision)
    return evolve(settings, topics=(declared,))


def _make(admin: AdminClient, topic: NewTopic) -> None:
    for answer in admin.create_topics([topic]).values():
        answer.result(30)
    # The broker learns of it a moment later.
    wait_until(lambda: topic.topic in admin.list_topics(timeout=30).topics)
