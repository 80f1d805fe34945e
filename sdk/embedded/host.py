"""Broker and registry together, with an API through which other processes create topics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import asdict, frozen

from sdk.closing import Closing
from sdk.embedded.broker import EmbeddedBroker
from sdk.embedded.registry import answers
from sdk.embedded.registry.routing import Request, Route
from sdk.embedded.registry.server import RegistryServer
from sdk.embedded.registry.service import RegistryService
from sdk.errors import BrokerError, BrokerUnavailableError, ConfigurationError
from sdk.topics import TopicDefinition

TOPICS_PATH: Final = "/_embedded/topics"
"""Path at which a host lists and creates topics, on the port of its registry."""

_SECONDS: Final = 10.0


class EmbeddedRegistry(RegistryServer):
    """A schema registry inside this process, which clients of any process may reach.

    Args:
        port: TCP port on the loopback interface; 0 takes a free one.
        broker: The broker on which other processes may create topics.
        service: The registry itself, with its schemas; by default a new and empty one.

    Raises:
        ConfigurationError: The port is taken.
    """

    def __init__(
        self,
        port: int = 0,
        broker: EmbeddedBroker | None = None,
        service: RegistryService | None = None,
    ) -> None:
        routes = [] if broker is None else _topic_routes(broker)
        super().__init__(service or RegistryService(routes), port)


class Embedded(Closing):
    """Broker and registry in this process.

    Args:
        registry_port: TCP port of the registry; 0 takes a free one. Brokers always take free
            ones.
        brokers: How many brokers.
        topics: Topics to create at once.

    Raises:
        ConfigurationError: The port is taken, a topic is refused, or librdkafka lacks the broker.
    """

    def __init__(
        self, registry_port: int = 0, brokers: int = 1, topics: Iterable[TopicDefinition] = ()
    ) -> None:
        self.broker = EmbeddedBroker(brokers, topics)
        try:
            self.registry = EmbeddedRegistry(registry_port, self.broker)
        except ConfigurationError:
            self.broker.close()
            raise

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of every broker, separated by commas."""
        return self.broker.bootstrap_servers

    @property
    def url(self) -> str:
        """Base URL of the registry."""
        return self.registry.url

    def close(self) -> None:
        """Stop both; all their data is lost."""
        self.registry.close()
        self.broker.close()


class HostAdmin:
    """A `BrokerAdmin` that asks the process which hosts an embedded broker.

    Args:
        registry_url: URL of the registry that the same process hosts.
        timeout: Limit of one request, seconds.
    """

    def __init__(self, registry_url: str, timeout: float = _SECONDS) -> None:
        self._url = registry_url.rstrip("/") + TOPICS_PATH
        self._timeout = timeout
        # The address is on this machine: a proxy of the environment must not come in between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def describe(self, topics: Sequence[str]) -> dict[str, TopicDefinition]:
        """Return those of ``topics`` that exist."""
        found = [TopicDefinition(**each) for each in self._ask(None)["topics"]]
        return {topic.name: topic for topic in found if topic.name in topics}

    def create(self, topics: Sequence[TopicDefinition]) -> None:
        """Create topics; existing ones are not changed."""
        self._ask(asdict(_Topics(tuple(topics))))

    def close(self) -> None:
        """Do nothing: every request opens its own connection."""

    def _ask(self, question: Mapping[str, Any] | None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the URL is the registry's own
            self._url,
            data=None if question is None else json.dumps(question, default=dict).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error, self._url) from error
        except OSError as error:
            raise BrokerUnavailableError(
                f"the process that hosts the embedded broker does not answer at {self._url}",
                remedy="start it: python -m sdk.embedded",
            ) from error


def _refusal(error: urllib.error.HTTPError, url: str) -> BrokerError:
    if error.code == 404:
        return BrokerError(
            f"{url} is not served: the registry is not the one of an embedded host",
            remedy="set registry.url to what python -m sdk.embedded prints",
        )
    try:
        message = json.load(error)["message"]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {error.code}"
    return BrokerError(f"the embedded broker refuses: {message}")


@frozen
class _Topics:
    topics: tuple[TopicDefinition, ...] = ()


def _topic_routes(broker: EmbeddedBroker) -> list[Route]:
    def list_topics(_: Request) -> Any:
        return asdict(_Topics(tuple(topic for _, topic in sorted(broker.topics().items()))))

    def create_topics(request: Request) -> Any:
        try:
            return {"created": broker.create_topics(request.body(_Topics).topics)}
        except ConfigurationError as error:
            raise answers.RestError(422, str(error)) from None

    return [Route("GET", TOPICS_PATH, list_topics), Route("POST", TOPICS_PATH, create_topics)]
