"""Transactions of an exactly-once consumer, which include everything its handlers publish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sdk.consuming.transactions import SENT, Sent
from sdk.errors import SdkError
from sdk.publishing.delivery import Delivery
from sdk.publishing.publisher import JOINED
from sdk.records import ProducerRecord, TopicPartition
from sdk.transactions.producer import Transactions
from sdk.transactions.transaction import Transaction


class JoinedTransactions:
    """Transactions, one after another; handlers publish with the ordinary producer.

    Args:
        transactions: Runs them; closed with this object.

    Attributes:
        timeout: Seconds after which the broker aborts one.
    """

    def __init__(self, transactions: Transactions) -> None:
        self.timeout = transactions.timeout
        self._transactions = transactions
        self._open: _Joined | None = None

    def prepare(self) -> None:
        """Prepare a client that can begin a transaction; an older instance is fenced."""
        self._transactions.prepare()

    def begin(self) -> None:
        """Begin a transaction."""
        transaction = _Joined(self._transactions)
        transaction.begin()
        self._open = transaction

    def enter(self) -> None:
        """Add what this thread or task publishes to the open transaction."""
        JOINED.set(self._open)

    def leave(self) -> None:
        """Make this thread or task publish outside transactions again."""
        JOINED.set(None)
        SENT.set(None)

    def begin_call(self) -> Sequence[Sent]:
        """Return a list that receives what this thread or task publishes until the next call."""
        sent: list[Sent] = []
        SENT.set(sent)
        return sent

    def commit(self, offsets: Sequence[TopicPartition], group: object) -> None:
        """Commit, with the next offsets to be read."""
        assert self._open is not None
        transaction, self._open = self._open, None
        if offsets:
            transaction.add_offsets(offsets, group)
        transaction.commit()

    def abort(self, reason: BaseException) -> None:
        """Abort."""
        transaction, self._open = self._open, None
        if transaction is not None:
            transaction.abort(reason)

    def close(self) -> None:
        """Release the client."""
        self._transactions.close()


class _Joined(Transaction):
    """A transaction that records what each handler publishes in it."""

    def add_offsets(self, offsets: Sequence[TopicPartition], group: object) -> None:
        """Add offsets to the transaction, or abort."""
        try:
            self.send_offsets(offsets, group)
        except SdkError as error:
            failure = self._failure(error)
            self.abort(error)
            raise failure from error
        except BaseException as error:
            self.abort(error)
            raise

    def _send(self, event: Any, record: ProducerRecord, *, raw: bool = False) -> Delivery:
        return self._recorded(super()._send(event, record, raw=raw))

    def _encode_later(
        self, event: Any, topic: str, encode: Callable[[], ProducerRecord]
    ) -> Delivery:
        return self._recorded(super()._encode_later(event, topic, encode))

    def _recorded(self, delivery: Delivery) -> Delivery:
        sent = SENT.get()
        if sent is not None:
            sent.append(delivery)
        return delivery
