"""The embedded broker: librdkafka's mock cluster, hosted by this process.

The cluster is real to clients: any process of the machine may connect. It forgets everything with
this process; what else it lacks is listed in `sdk.embedded`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import confluent_kafka
from confluent_kafka import admin

from sdk.closing import Closing
from sdk.embedded.librdkafka import load_library, new_handle
from sdk.errors import BrokerUnavailableError, ClosedError, ConfigurationError
from sdk.kafka.config import make_client
from sdk.kafka.health import ClientHealth
from sdk.settings.checking import TOPIC_NAME_RULE, is_topic_name
from sdk.topics import TopicDefinition

DEFAULT_PARTITIONS: Final = 4
"""Partition count of topics that are created by being used."""

API_KEYS: Final = {
    "produce": 0,
    "fetch": 1,
    "list_offsets": 2,
    "metadata": 3,
    "offset_commit": 8,
    "offset_fetch": 9,
    "find_coordinator": 10,
    "init_producer_id": 22,
    "consumer_group_heartbeat": 68,
}
"""Requests that can be made to fail, with Kafka's API keys."""

_HEARTBEAT_MS: Final = 200
_SESSION_MS: Final = 6_000
_TOPIC_EXISTS: Final = 36
_METADATA_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.001
"""Pause before each request to the cluster's thread: while that thread finishes the previous
request, it misses the signal of the next, and notices it only a second later."""
_PARTITIONS: Final = range(1, 10_001)
_BROKERS: Final = range(1, 65)

logger = logging.getLogger("sdk.embedded")
_admin: Any = admin


class EmbeddedBroker(Closing):
    """Kafka brokers inside this process, which clients of any process may reach.

    Args:
        brokers: How many, 1 to 64.
        topics: Topics to create at once; one without a partition count gets the default.

    Raises:
        ConfigurationError: The number is out of range, a topic is refused, or the installed
            confluent_kafka does not export librdkafka's functions.
    """

    def __init__(self, brokers: int = 1, topics: Iterable[TopicDefinition] = ()) -> None:
        if brokers not in _BROKERS:
            raise ConfigurationError(
                f"an embedded broker cannot be a cluster of {brokers} brokers",
                remedy="use 1 to 64",
            )
        self._library = load_library()
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._brokers = brokers
        self._handle = new_handle(self._library)
        self._cluster: int | None = self._library.rd_kafka_mock_cluster_new(self._handle, brokers)
        if not self._cluster:
            self._library.rd_kafka_destroy(self._handle)
            raise ConfigurationError(f"a mock cluster of {brokers} brokers cannot be created")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(
            self._cluster, _HEARTBEAT_MS
        )
        self._library.rd_kafka_mock_set_group_consumer_session_timeout_ms(
            self._cluster, _SESSION_MS
        )
        self._bootstrap_servers: str = self._library.rd_kafka_mock_cluster_bootstraps(
            self._cluster
        ).decode()
        self.create_topics(topics)

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of every broker, separated by commas."""
        self._alive()
        return self._bootstrap_servers

    def create_topics(self, topics: Iterable[TopicDefinition]) -> list[str]:
        """Create topics; existing ones are not changed.

        Replication and configuration are ignored.

        Returns:
            The names of those that were created.

        Raises:
            ConfigurationError: A name or a partition count is refused.
        """
        return [topic.name for topic in topics if self._create_topic(topic)]

    def topics(self) -> dict[str, TopicDefinition]:
        """Return all topics by name, also those that were created by being used.

        Raises:
            BrokerUnavailableError: Every broker was set down.
        """
        client = make_client(
            _admin.AdminClient,
            {"bootstrap.servers": self.bootstrap_servers},
            {},
            ClientHealth("reach the embedded broker"),
        )
        try:
            found = client.list_topics(timeout=_METADATA_SECONDS).topics
        except confluent_kafka.KafkaException as error:
            raise BrokerUnavailableError("the embedded broker does not answer") from error
        return {
            name: TopicDefinition(
                name=name,
                partitions=len(topic.partitions),
                replication=max(
                    (len(each.replicas) for each in topic.partitions.values()), default=1
                ),
            )
            for name, topic in found.items()
        }

    # Faults, for tests

    def fail_requests(self, api: str, errors: Sequence[int]) -> None:
        """Make the next requests of one kind fail, one for each error.

        Args:
            api: One of `API_KEYS`.
            errors: Kafka's error codes, such as ``KafkaError.TOPIC_AUTHORIZATION_FAILED``; 0 lets
                a request through.
        """
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._alive(), API_KEYS[api], len(errors), codes
        )

    def clear_failures(self, api: str) -> None:
        """Forget the failures that `fail_requests` left."""
        self._library.rd_kafka_mock_clear_request_errors(self._alive(), API_KEYS[api])

    def set_broker(self, *, up: bool, broker: int = 1) -> None:
        """Take a broker off the network, or bring it back."""
        name = "rd_kafka_mock_broker_set_up" if up else "rd_kafka_mock_broker_set_down"
        self._request(name, broker)

    def set_round_trip(self, milliseconds: int, broker: int = 1) -> None:
        """Delay a broker's answers."""
        self._request("rd_kafka_mock_broker_set_rtt", broker, milliseconds)

    def close(self) -> None:
        """Stop the brokers and lose their records. In a forked child, only forget the handle."""
        with self._lock:
            cluster, self._cluster = self._cluster, None
            if cluster is None or os.getpid() != self._process:
                return
            time.sleep(_PAUSE_SECONDS)
            self._library.rd_kafka_mock_cluster_destroy(cluster)
            self._library.rd_kafka_destroy(self._handle)

    def _create_topic(self, topic: TopicDefinition) -> bool:
        count = DEFAULT_PARTITIONS if topic.partitions is None else topic.partitions
        if not is_topic_name(topic.name):
            raise ConfigurationError(f"{topic.name!r} is not a topic name", remedy=TOPIC_NAME_RULE)
        if count not in _PARTITIONS:  # librdkafka would end the process
            raise ConfigurationError(
                f"topic {topic.name!r} cannot have {count} partitions",
                topic=topic.name,
                remedy=f"use 1 to {_PARTITIONS[-1]}",
            )
        with self._lock:
            code = self._request(
                "rd_kafka_mock_topic_create", topic.name.encode(), count, min(3, self._brokers)
            )
        if code not in (0, _TOPIC_EXISTS):
            raise ConfigurationError(
                f"the embedded broker refuses topic {topic.name!r} "
                f"({confluent_kafka.KafkaError(code).name()})",
                topic=topic.name,
            )
        if code == 0:
            logger.debug("created topic %s", topic.name)
        return bool(code == 0)

    def _request(self, function: str, *arguments: Any) -> Any:
        cluster = self._alive()
        time.sleep(_PAUSE_SECONDS)
        return getattr(self._library, function)(cluster, *arguments)

    def _alive(self) -> int:
        if os.getpid() != self._process:
            raise ClosedError(
                "the embedded broker belongs to the parent process",
                remedy="connect after forking, or export SDK_KAFKA__BOOTSTRAP_SERVERS",
            )
        if self._cluster is None:
            raise ClosedError("the embedded broker was closed")
        return self._cluster


class EmbeddedAdmin:
    """A `BrokerAdmin` of a broker in this process."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    def describe(self, topics: Sequence[str]) -> dict[str, TopicDefinition]:
        """Return those of ``topics`` that exist."""
        found = self._broker.topics()
        return {name: found[name] for name in topics if name in found}

    def create(self, topics: Sequence[TopicDefinition]) -> None:
        """Create topics; existing ones are not changed."""
        self._broker.create_topics(topics)

    def close(self) -> None:
        """Do nothing: the broker keeps running."""
