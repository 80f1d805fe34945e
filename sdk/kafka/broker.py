"""Creates librdkafka's clients; the library is imported with the first one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sdk.abstractions import (
    BrokerAdmin,
    BrokerConsumer,
    BrokerProducer,
    TokenSource,
    TransactionalProducer,
)
from sdk.errors import ConfigurationError
from sdk.observers import Observers
from sdk.settings import Settings


class Adapted(Protocol):
    """The adaptations to the brokers."""

    @property
    def settings(self) -> Settings:
        """The settings, with the group protocol that these brokers support."""

    @property
    def admin(self) -> BrokerAdmin | None:
        """The admin client of the embedded broker; None for real brokers."""


class KafkaBroker:
    """A `Broker` of librdkafka's clients.

    Args:
        settings: The options; never the word ``embedded``.
        adapt: Returns the adaptations to the brokers.
        token: Source of OAUTHBEARER tokens.
        observers: Notified of the clients' statistics, if enabled.
        ignored_append_time: As for `ConfluentProducer`.
    """

    def __init__(
        self,
        settings: Settings,
        adapt: Callable[[], Adapted],
        token: TokenSource | None = None,
        *,
        observers: Observers | None = None,
        ignored_append_time: int | None = None,
    ) -> None:
        self._observers = observers or Observers()
        self._ignored_append_time = ignored_append_time
        self._settings = settings
        self._adapt = adapt
        self._token = token

    def producer(self) -> BrokerProducer:
        """Return a new producing client."""
        from sdk.kafka.producer import ConfluentProducer

        return ConfluentProducer(
            self._settings.kafka,
            self._settings.producer,
            self._token,
            more=self._statistics("producer"),
            ignored_append_time=self._ignored_append_time,
        )

    def check_transactions(self) -> None:
        """Do nothing if the broker isolates transactions."""
        if self._adapt().admin is not None:
            raise ConfigurationError(
                "the embedded broker does not isolate transactions: aborted ones are visible",
                remedy="use Kafka, for example that of docker/; in tests, sdk.testing.connect()",
            )

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a new producing client with this transactional id."""
        from sdk.kafka.transactions import ConfluentTransactionalProducer

        self.check_transactions()
        return ConfluentTransactionalProducer(
            self._settings.kafka, self._settings.producer, self._token, transactional_id
        )

    def consumer(self, group_id: str, *, read_committed: bool | None = None) -> BrokerConsumer:
        """Return a new consuming client, a member of ``group_id`` once it subscribes."""
        from sdk.kafka.consumer import ConfluentConsumer

        options = self._adapt().settings.consumer
        return ConfluentConsumer(
            self._settings.kafka,
            options,
            group_id,
            self._token,
            read_committed=read_committed,
            more=self._statistics(group_id),
        )

    def _statistics(self, client: str) -> dict[str, Any]:
        from sdk.kafka.config import statistics_config

        interval = self._settings.metrics.statistics_interval_ms
        return statistics_config(interval, client, self._observers.notify)

    def admin(self) -> BrokerAdmin:
        """Return a new client that creates and describes topics."""
        from sdk.kafka.admin import ConfluentAdmin

        return self._adapt().admin or ConfluentAdmin(self._settings.kafka, self._token)
