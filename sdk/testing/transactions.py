"""The transactional producing client of the in-memory broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdk.abstractions import OnDelivery
from sdk.errors import (
    BrokerError,
    BrokerUnavailableError,
    FencedError,
    TransactionAbortedError,
    TransactionUnknownError,
)
from sdk.records import ProducerRecord, TopicPartition
from sdk.testing.consumer import Membership
from sdk.testing.faults import Operation
from sdk.testing.log import OpenTransaction
from sdk.testing.producer import InMemoryProducer
from sdk.transactions.failures import fenced, must_be_aborted

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker


class InMemoryTransactionalProducer(InMemoryProducer):
    """A `TransactionalProducer` of an `InMemoryBroker`.

    Closing it leaves an open transaction open, as the end of a process does: the next client with
    the same id aborts it, or ``broker.faults.expire_transactions()``.
    """

    def __init__(self, broker: InMemoryBroker, transactional_id: str) -> None:
        super().__init__(broker)
        self.transactional_id = transactional_id
        self._transaction: OpenTransaction | None = None
        self._ready = False
        self._fenced: FencedError | None = None

    def produce(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Queue a record of the open transaction and return at once."""
        self._broker.accept(record, on_delivery, self._open("produce"))

    def init_transactions(self, timeout: float) -> None:
        """Take over the transactional id, once, before the first `begin`."""
        with self._faults("init_transactions"):
            self._broker.take_over(self)
            self._ready = True

    def begin(self) -> None:
        """Open a transaction."""
        with self._broker.changed:
            self._raise_fenced()
            if not self._ready or self._transaction is not None:
                what = "another is open" if self._ready else "init_transactions was not called"
                raise BrokerError(f"cannot begin a transaction: {what}")
            self._transaction = OpenTransaction()

    def send_offsets(
        self, offsets: Sequence[TopicPartition], group: object, timeout: float
    ) -> None:
        """Commit the next offsets to read with the transaction."""
        assert isinstance(group, Membership)
        with self._faults("send_offsets"):
            transaction = self._open("send offsets")
            for each in offsets:
                place = (each.topic, each.partition)
                if not group.holds(place):
                    transaction.failure = BrokerError(
                        "the consumer is no longer a member of its group, or lost the partition",
                        topic=each.topic,
                        partition=each.partition,
                    )
                    raise must_be_aborted(transaction.failure)
                transaction.offsets[group.group, place] = each.offset or 0
                group.group.pending[place] = transaction

    def commit(self, timeout: float) -> None:
        """Wait for every record, then make the transaction's records and offsets visible."""
        transaction = self._open("commit")
        try:
            if self.flush(timeout):
                raise BrokerUnavailableError("records of the transaction are not acknowledged")
            with self._faults("commit_transaction"):
                if transaction.failure is not None:
                    raise must_be_aborted(transaction.failure)
                self._end(commit=True)
        except TransactionUnknownError:
            raise
        except BrokerUnavailableError as error:
            raise TransactionUnknownError(
                f"the commit was not answered: {error.message}", remedy="commit again"
            ) from error

    def abort(self, timeout: float) -> None:
        """Abort the transaction; records that are still queued fail."""
        self._broker.abandon(self._open("abort"))
        with self._faults("abort_transaction"):
            self._end(commit=False)

    @property
    def is_open(self) -> bool:
        """Whether a transaction is open."""
        return self._transaction is not None

    def fence(self) -> None:
        """Abort the open transaction and refuse all further calls; callers hold the lock."""
        self._fenced = fenced(self.transactional_id)
        self._end(commit=False)

    def _end(self, *, commit: bool) -> None:
        if self._transaction is not None:
            self._transaction.end(commit=commit)
            self._transaction = None
        self._broker.changed.notify_all()

    def _open(self, doing: str) -> OpenTransaction:
        self._raise_fenced()
        if self._closed or self._transaction is None:
            raise BrokerError(f"cannot {doing}: no transaction is open")
        return self._transaction

    def _raise_fenced(self) -> None:
        if self._fenced is not None:
            raise fenced(self.transactional_id)

    @contextmanager
    def _faults(self, operation: Operation) -> Iterator[None]:
        """Run an operation, or raise its planned error and apply the consequences."""
        planned = self._broker.faults.take(operation)
        with self._broker.changed:
            self._raise_fenced()
            if isinstance(planned, FencedError):
                self.fence()
            elif isinstance(planned, TransactionAbortedError) and self._transaction is not None:
                self._transaction.failure = planned
            if planned is not None:
                raise planned
            yield
