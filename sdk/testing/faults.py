"""Faults that a test can cause."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, get_args

from sdk.errors import BrokerUnavailableError, ConfigurationError, SdkError
from sdk.records import ConsumerRecord, ProducerRecord

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker

Operation = Literal[
    "deliver",
    "poll",
    "commit",
    "describe",
    "create",
    "init_transactions",
    "send_offsets",
    "commit_transaction",
    "abort_transaction",
]
"""Operations that can be made to fail."""

_OPERATIONS: Final = get_args(Operation)
_POISON: Final = b"\x00\xff\xff\xff\xffpoison"


class Faults:
    """The faults of one in-memory broker: ``broker.faults.broker_down()`` and the like.

    Args:
        broker: The broker.

    Attributes:
        down: Whether the broker is unavailable.
    """

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker
        self._planned: dict[str, deque[SdkError]] = {}
        self._lock = threading.Lock()
        self.down = False

    def plan(self, operation: Operation, *errors: SdkError) -> None:
        """Make the next calls of an operation raise these errors, one each.

        Raises:
            ConfigurationError: There is no such operation.
        """
        if operation not in _OPERATIONS:
            raise ConfigurationError(
                f"{operation!r} cannot be made to fail", remedy=f"use {', '.join(_OPERATIONS)}"
            )
        with self._lock:
            self._planned.setdefault(operation, deque()).extend(errors)

    def take(self, operation: Operation) -> SdkError | None:
        """Return the error of the next call of an operation, or None."""
        with self._lock:
            planned = self._planned.get(operation)
            if planned:
                return planned.popleft()
        return outage() if self.down and operation != "poll" else None

    def raise_planned(self, operation: Operation) -> None:
        """Raise the error of the next call of an operation, if any."""
        error = self.take(operation)
        if error is not None:
            raise error

    def broker_down(self) -> None:
        """Make the broker unavailable: records wait, nothing is delivered, commits fail."""
        self._broker.hold()
        self.down = True

    def broker_up(self) -> None:
        """Make the broker available again: waiting records are acknowledged."""
        self.down = False
        self._broker.release()

    def registry_down(self) -> None:
        """Make the schema registry unavailable: it answers every request with HTTP 503."""
        self._broker.registry.available = False

    def registry_up(self) -> None:
        """Make the schema registry available again, with its schemas."""
        self._broker.registry.available = True

    def rebalance(self, group_id: str) -> None:
        """Revoke the partitions of every member of a group and assign them again."""
        with self._broker.changed:
            self._broker.group(group_id).revoke_all()

    def lose_partitions(self, group_id: str) -> None:
        """Make all members of a group lose their partitions, as when their sessions time out."""
        with self._broker.changed:
            self._broker.group(group_id).lose_all()

    def expire_transactions(self) -> None:
        """Abort every open transaction, as the broker does after ``transaction_timeout_ms``.

        As on Kafka, their producers are fenced with it.
        """
        with self._broker.changed:
            for producer in self._broker.transactional_producers():
                if producer.is_open:
                    producer.fence()

    def duplicate(self, topic: str, index: int = -1) -> ConsumerRecord:
        """Store a record of a topic again, as after a retry of a producer without idempotence.

        Args:
            topic: Topic name.
            index: Index of the record, in the order of acknowledgement.

        Raises:
            ConfigurationError: There is no such record.
        """
        try:
            record = self._broker.records(topic)[index]
        except IndexError:
            raise ConfigurationError(f"topic {topic!r} has no record {index}") from None
        return self._broker.store(
            ProducerRecord(
                topic, record.value, record.key, record.headers, record.partition, record.timestamp
            )
        )

    def poison(
        self, topic: str, value: bytes = _POISON, *, key: bytes | None = None
    ) -> ConsumerRecord:
        """Store bytes that no consumer can read.

        Args:
            topic: Topic name.
            value: The bytes; by default those of a schema id that cannot exist.
            key: Record key, which decides the partition.
        """
        return self._broker.store(ProducerRecord(topic, value, key))


def outage() -> SdkError:
    """Return the error of operations while the broker is down."""
    return BrokerUnavailableError("the broker is down")
