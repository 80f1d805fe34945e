"""The ledger of a dead-letter topic: which of its records were replayed or parked.

Kafka keeps dead letters, so the outcome of each is stored in a compacted topic:
``orders-dlt-settled``, with ``partition:offset`` as the key and the outcome as the value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sdk.abstractions import BrokerAdmin
from sdk.consuming.forwarding import Send
from sdk.records import ProducerRecord
from sdk.replay.reading import TopicReader
from sdk.topics import SETTLED_SUFFIX, TopicDefinition

REPLAYED: Final = "replayed"
PARKED: Final = "parked"


class Ledger:
    """The states of the dead letters of one topic.

    Args:
        dead_letter_topic: The topic.
        reader: Reads the ledger.
        send: Sends a record to it.
        admin: Creates it at first use.
    """

    def __init__(
        self, dead_letter_topic: str, reader: TopicReader, send: Send, admin: BrokerAdmin
    ) -> None:
        self.topic = f"{dead_letter_topic}{SETTLED_SUFFIX}"
        self._reader = reader
        self._send = send
        self._admin = admin

    def read(self) -> dict[str, str]:
        """Return the states of replayed and parked dead letters, by ``partition:offset``.

        Raises:
            BrokerError: Kafka gave no usable answer.
        """
        if not self._admin.describe([self.topic]):
            return {}
        states: dict[str, str] = {}
        for record in self._reader.read(self.topic):
            if record.key is not None:
                identity = record.key.decode(errors="replace")
                states[identity] = (record.value or b"").decode(errors="replace")
        return {identity: state for identity, state in states.items() if state}

    def open(self) -> None:
        """Create the topic if it is missing.

        Raises:
            BrokerError: Kafka refuses it.
        """
        if not self._admin.describe([self.topic]):
            self._admin.create(
                [
                    TopicDefinition(
                        name=self.topic, partitions=1, config={"cleanup.policy": "compact"}
                    )
                ]
            )

    def settle(self, identities: Iterable[str], state: str) -> None:
        """Store the state of dead letters, and wait for the acknowledgements.

        Raises:
            SdkError: As `Delivery.result`.
        """
        sent = [
            self._send(ProducerRecord(self.topic, state.encode(), identity.encode()))
            for identity in identities
        ]
        for delivery in sent:
            delivery.result()
