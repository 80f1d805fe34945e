"""The embedded broker: a mock cluster that knows its topics."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from sdk.closing import Closing
from sdk.embedded.mock_cluster import DEFAULT_PARTITIONS, MockCluster
from sdk.topics import TopicDefinition

logger = logging.getLogger("sdk.embedded")


class EmbeddedBroker(Closing):
    """Kafka brokers inside this process, which clients of any process may reach.

    Args:
        brokers: How many.
        topics: Topics to create at once; one without a partition count gets the default.
    """

    def __init__(self, brokers: int = 1, topics: Iterable[TopicDefinition] = ()) -> None:
        self._cluster = MockCluster(brokers)
        self.create_topics(topics)

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of every broker, separated by commas."""
        return self._cluster.bootstrap_servers

    @property
    def cluster(self) -> MockCluster:
        """The cluster itself, whose faults tests may play with."""
        return self._cluster

    def create_topics(self, topics: Iterable[TopicDefinition]) -> list[str]:
        """Create topics; one that exists already is left as it is.

        Replication and configuration are not looked at.

        Returns:
            The names of those that were created.

        Raises:
            ConfigurationError: A name or a partition count is refused.
        """
        created = []
        for topic in topics:
            count = DEFAULT_PARTITIONS if topic.partitions is None else topic.partitions
            if self._cluster.create_topic(topic.name, count):
                created.append(topic.name)
                logger.debug("created topic %s", topic.name)
        return created

    def topics(self) -> dict[str, TopicDefinition]:
        """Return all topics by name, as they are: none has a configuration.

        Raises:
            BrokerUnavailableError: Every broker was set down.
        """
        return self._cluster.topics()

    def close(self) -> None:
        """Stop the brokers; all that they kept is gone."""
        self._cluster.close()


class EmbeddedAdmin:
    """A `BrokerAdmin` of a broker in this process.

    Args:
        broker: Whose topics are created and described; it is not closed with this.
    """

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    def describe(self, topics: Sequence[str]) -> dict[str, TopicDefinition]:
        """Return those of ``topics`` that exist."""
        found = self._broker.topics()
        return {name: found[name] for name in topics if name in found}

    def create(self, topics: Sequence[TopicDefinition]) -> None:
        """Create topics; one that exists already is left as it is."""
        self._broker.create_topics(topics)

    def close(self) -> None:
        """Release nothing: the broker goes on."""
