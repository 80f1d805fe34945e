"""Adapter of librdkafka's admin client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, admin

from sdk.abstractions import TokenSource
from sdk.errors import AuthenticationError
from sdk.kafka.config import common_config, make_client
from sdk.kafka.failures import broker_failure, is_missing
from sdk.kafka.health import ClientHealth
from sdk.settings import KafkaOptions
from sdk.topics import TopicDefinition

# The package re-exports some of its names in a way that type checkers do not follow.
_api: Any = admin

_SECONDS = 15.0


class ConfluentAdmin:
    """A `BrokerAdmin` on librdkafka.

    Args:
        kafka: Servers and credentials; never the word ``embedded``.
        token: Source of OAUTHBEARER tokens.
        timeout: Limit of one request, seconds.

    Raises:
        ConfigurationError: librdkafka refuses a setting; the message names ours.
    """

    def __init__(
        self, kafka: KafkaOptions, token: TokenSource | None = None, timeout: float = _SECONDS
    ) -> None:
        self._health = ClientHealth("reach Kafka")
        self._timeout = timeout
        # Kept by this object: a client that is garbage-collected fails its requests.
        self._client: Any = make_client(
            _api.AdminClient,
            common_config(kafka, token),
            {"kafka": kafka.librdkafka},
            self._health,
        )

    def describe(self, topics: Sequence[str]) -> dict[str, TopicDefinition]:
        """Return those of ``topics`` that exist, with the broker's configuration."""
        with self._classed("describe topics"):
            known = self._client.list_topics(timeout=self._timeout).topics
        found = [topic for topic in topics if topic in known and known[topic].error is None]
        configs = self._configs(found)
        return {
            topic: TopicDefinition(
                name=topic,
                partitions=len(known[topic].partitions),
                replication=min(
                    (len(place.replicas) for place in known[topic].partitions.values()), default=0
                ),
                config=configs[topic],
            )
            for topic in found
            if topic in configs
        }

    def create(self, topics: Sequence[TopicDefinition]) -> None:
        """Create topics; existing ones are not changed."""
        wanted = [
            _api.NewTopic(
                topic.name,
                num_partitions=topic.partitions or -1,
                replication_factor=topic.replication or -1,
                config=dict(topic.config),
            )
            for topic in topics
        ]
        if not wanted:
            return
        answers = self._client.create_topics(wanted, request_timeout=self._timeout)
        for topic, answer in answers.items():
            with self._classed("create the topic", topic=topic):
                try:
                    answer.result()
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise

    def close(self) -> None:
        """Release the client."""
        self._client = None

    def _configs(self, topics: Sequence[str]) -> dict[str, Mapping[str, str]]:
        if not topics:
            return {}
        resources = [_api.ConfigResource(_api.ResourceType.TOPIC, topic) for topic in topics]
        answers = self._client.describe_configs(resources, request_timeout=self._timeout)
        configs: dict[str, Mapping[str, str]] = {}
        for resource, answer in answers.items():
            with self._classed("describe the topic's configuration", topic=resource.name):
                try:
                    entries = answer.result()
                except KafkaException as error:
                    if is_missing(error.args[0]):
                        continue  # just created, and not yet known to this broker
                    raise
            configs[resource.name] = {name: entry.value for name, entry in entries.items()}
        return configs

    @contextmanager
    def _classed(self, doing: str, **where: Any) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            self._client.poll(0)  # runs the error callback
            if isinstance(self._health.error, AuthenticationError):
                raise self._health.error from error
            raise broker_failure(error.args[0], doing, **where) from error
