"""The admin client of the in-memory broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdk.topics import TopicDefinition

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker


class InMemoryAdmin:
    """A `BrokerAdmin` of an `InMemoryBroker`."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker

    def describe(self, topics: Sequence[str]) -> dict[str, TopicDefinition]:
        """Return those of ``topics`` that exist, with the broker's values."""
        self._broker.faults.raise_planned("describe")
        found = {topic: self._broker.definition(topic) for topic in topics}
        return {topic: known for topic, known in found.items() if known is not None}

    def create(self, topics: Sequence[TopicDefinition]) -> None:
        """Create topics; existing ones are not changed."""
        self._broker.faults.raise_planned("create")
        for definition in topics:
            self._broker.define(definition)

    def close(self) -> None:
        """Release the client."""
