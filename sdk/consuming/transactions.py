"""The transactions of an exactly-once consumer."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final, Protocol

from attrs import frozen

from sdk.consuming.partition import Partition
from sdk.errors import FencedError, SdkError, TransactionAbortedError, TransactionUnknownError
from sdk.records import ConsumerRecord, TopicPartition


class Sent(Protocol):
    """A record that a handler has published: a `sdk.Delivery`."""

    @property
    def error(self) -> SdkError | None:
        """Why it failed for good, or None."""


SENT: Final[ContextVar[list[Sent] | None]] = ContextVar("sdk.consuming.sent", default=None)
"""What the handler that runs in this context has published in a transaction."""


class HandlerTransactions(Protocol):
    """Transactions, one after another, in which handlers publish.

    Attributes:
        timeout: Seconds after which the broker aborts one.
    """

    timeout: float

    def prepare(self) -> None:
        """Prepare a client that can begin a transaction; an older instance is fenced.

        Raises:
            SdkError: As `TransactionalProducer.init_transactions`.
        """

    def begin(self) -> None:
        """Begin a transaction."""

    def enter(self) -> None:
        """Add what this thread or task publishes to the open transaction, until `leave`."""

    def leave(self) -> None:
        """Make this thread or task publish outside transactions again."""

    def begin_call(self) -> Sequence[Sent]:
        """Return a list that receives what this thread or task publishes until the next call."""

    def commit(self, offsets: Sequence[TopicPartition], group: object) -> None:
        """Commit, with the next offsets to be read; whatever is raised, the transaction has ended.

        Raises:
            SdkError: As `Transaction.commit`.
        """

    def abort(self, reason: BaseException) -> None:
        """Abort."""

    def close(self) -> None:
        """Release the client."""


@frozen
class HandlerCall:
    """A call of a handler that returned and has published.

    Attributes:
        partition: Partition of its records.
        records: The records of its events.
        sent: The deliveries of the records that it published.
    """

    partition: Partition
    records: Sequence[ConsumerRecord]
    sent: Sequence[Sent]

    @property
    def failure(self) -> SdkError | None:
        """Why one of these records failed, other than by the abort of its transaction."""
        aborted = (TransactionAbortedError, TransactionUnknownError, FencedError)
        errors = (each.error for each in self.sent)
        return next((each for each in errors if each and not isinstance(each, aborted)), None)
