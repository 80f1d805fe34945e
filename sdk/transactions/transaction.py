"""One transaction: publishes like a producer; the end of its block commits or aborts."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from asyncio import _get_running_loop
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, Self

from sdk.abstractions import OnDelivery, TransactionalProducer
from sdk.errors import (
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    DeliveryTimeoutError,
    FencedError,
    SdkError,
    TransactionAbortedError,
    TransactionUnknownError,
)
from sdk.happenings import TransactionAborted, TransactionCommitted
from sdk.publishing.delivery import Delivery, DeliveryTracker
from sdk.publishing.publisher import JOINED, Publisher
from sdk.records import ProducerRecord, TopicPartition
from sdk.threads import in_thread
from sdk.transactions.failures import (
    aborted,
    interrupted,
    must_be_aborted,
    overdue,
    still_open,
    unknown,
)

if TYPE_CHECKING:
    from sdk.transactions.producer import Transactions

logger = logging.getLogger(__name__)

CURRENT: Final[ContextVar[Transaction | None]] = ContextVar("sdk.transactions", default=None)
"""The transaction whose block this context is in."""


class Transaction(Publisher):
    """Publishes several events atomically; ``with`` or, in an event loop, ``async with``.

        with messaging.transaction() as tx:
            tx.produce(OrderPaid(...))
            tx.produce(InvoiceIssued(...))

    Leaving the block waits for every record and commits; an exception aborts. Nothing is visible
    to consumers that read committed records before the commit, and nothing at all after an abort.
    A block waits for the previous one: one transaction of a transactional id is open at a time.

    A `Delivery` is done when the broker has acknowledged the record, before the commit. If the
    transaction is aborted, it raises `TransactionAbortedError` from then on.
    """

    _remedy: ClassVar[str] = "call messaging.transaction() for another, and use it inside its block"

    def __init__(self, producer: Transactions) -> None:
        self._outcome = _Outcome(producer.tracker)
        super().__init__(
            producer.encoder,
            self._enqueue_open,
            self._outcome,
            producer.observers,
            producer.queue_full_timeout,
        )
        self._unusable = "the transaction has not begun"
        self._producer = producer
        self._client: TransactionalProducer | None = None
        # Reentrant: sending a record may take acknowledgements, and their observers may produce.
        self._sending = threading.RLock()
        self._records = 0
        self._began = 0.0
        self._outer: Transaction | None = None

    def __enter__(self) -> Self:
        if _get_running_loop() is not None:
            raise ConfigurationError(
                "a transaction would block the event loop that runs in this thread",
                remedy="write: async with messaging.transaction() as tx",
            )
        self.begin()
        return self._enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        CURRENT.set(self._outer)
        self._exit(error)

    async def __aenter__(self) -> Self:
        self._check_new()
        try:
            await self._producer.turn.acquire_async(self._producer.timeout)
        except TimeoutError as error:
            raise still_open(self._producer.transactional_id, self._producer.timeout) from error
        try:
            opening = in_thread(self._open)
        except RuntimeError:  # no thread can be started
            self._producer.end()
            raise
        try:
            await asyncio.wrap_future(opening)
        except asyncio.CancelledError as cancelled:
            abort = partial(self.abort, cancelled)
            opening.add_done_callback(lambda _: in_thread(abort))
            raise
        return self._enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        CURRENT.set(self._outer)
        try:
            ending = in_thread(partial(self._exit, error))
        except RuntimeError as refused:  # no thread can be started
            self.abort(refused)
            raise
        await asyncio.wrap_future(ending)

    def begin(self) -> None:
        """Wait for the previous transaction, then open this one; what ``with`` does.

        Raises:
            FencedError: Another instance has taken over the transactional id.
            TransactionAbortedError: The previous transaction did not end in time.
            BrokerError: Kafka gave no usable answer.
            ConfigurationError: The block is inside another one, or the broker has no transactions.
            ClosedError: The connection is closed, or the transaction has already begun.
        """
        self._check_new()
        try:
            self._producer.turn.acquire(self._producer.timeout)
        except TimeoutError as error:
            raise still_open(self._producer.transactional_id, self._producer.timeout) from error
        self._open()

    def send_offsets(self, offsets: Sequence[TopicPartition], group: object) -> None:
        """Commit a consumer's offsets with the transaction.

        Args:
            offsets: The next offset to be read of each partition.
            group: The current `BrokerConsumer.group_metadata`.

        Raises:
            SdkError: As `TransactionalProducer.send_offsets`; the transaction must be aborted.
        """
        client = self._client
        if client is None:
            raise self._refused()
        client.send_offsets(offsets, group, self._producer.timeout)

    def commit(self) -> None:
        """Wait for every record, then commit; what the end of the block does.

        Raises:
            TransactionAbortedError: A record failed, or the broker refused it: it was aborted.
            TransactionUnknownError: No answer in time: it may be committed, or will be aborted.
            FencedError: Another instance has taken over the transactional id: it was aborted.
            ClosedError: It is not open.
        """
        client = self._end("the transaction was committed")
        limit = self._producer.timeout
        committing = False
        try:
            if self._overflow.wait_until_empty(time.monotonic() + limit):
                raise DeliveryTimeoutError(
                    f"records were still waiting for room in the queue after {limit:g} s"
                )
            self._seal()
            if self._outcome.failure is not None:
                raise self._outcome.failure
            committing = True
            client.commit(limit)
        except SdkError as error:
            if committing and isinstance(error, AuthenticationError):
                failure: SdkError = unknown(error)  # it may have been sent before the refusal
            else:
                failure = self._failure(error)
            self._roll_back(client, failure)
            if failure is error:
                raise
            raise failure from error
        except BaseException as error:
            self._roll_back(client, interrupted() if committing else aborted(error))
            raise
        self._producer.end()
        logger.debug("committed %d records", self._records, extra=self._where)
        if self._observers is not None:
            name, seconds = self._producer.transactional_id, time.monotonic() - self._began
            self._observers.notify(TransactionCommitted(name, self._records, seconds))

    def abort(self, reason: BaseException | None = None) -> None:
        """Abort, as an exception in the block does. Does nothing if the transaction is not open.

        Args:
            reason: Why, for the deliveries and the log.
        """
        try:
            client = self._end("the transaction was aborted")
        except ClosedError:
            return
        failure = self._outcome.failure
        if isinstance(failure, FencedError):
            self._roll_back(client, self._failure(failure))
        else:
            self._roll_back(client, aborted(reason))

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Add what the block publishes with the connection's producer to this transaction."""
        token = JOINED.set(self)
        try:
            yield
        finally:
            JOINED.reset(token)

    def abandon(self, why: str) -> None:
        """Refuse all further calls, in a forked child."""
        self._unusable, self._client = why, None

    def _check_new(self) -> None:
        if self._unusable != "the transaction has not begun":
            raise ClosedError(
                "the transaction has already begun",
                remedy="call messaging.transaction() for another",
            )
        outer, joined = CURRENT.get(), JOINED.get()
        if outer is not None and outer._producer is self._producer and outer._client is not None:
            raise ConfigurationError(
                "a transaction cannot begin inside another one, for which it would have to wait",
                remedy="publish with the outer transaction, or begin this one after it",
            )
        if joined is not None and joined._encoder is self._encoder:
            raise ConfigurationError(
                "a transaction cannot begin inside that of an exactly-once consumer",
                remedy="publish with messaging.producer, which joins the consumer's transaction",
            )

    def _open(self) -> None:
        try:
            self._client = self._producer.begin(self)
        except BaseException:
            self._producer.end()
            raise
        self._began = time.monotonic()
        self._unusable = None

    def _enter(self) -> Self:
        self._outer = CURRENT.get()
        CURRENT.set(self)
        return self

    def _exit(self, error: BaseException | None) -> None:
        if error is None:
            self.commit()
        else:
            self.abort(error)

    def _end(self, state: str) -> TransactionalProducer:
        """Make further attempts to publish in it or to end it fail."""
        with self._sending:
            if self._unusable is not None or self._client is None:
                raise self._refused()
            self._unusable = state
            return self._client

    def _enqueue_open(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        # Under the lock, so that no record of another thread strays into the next transaction.
        with self._sending:
            if self._client is None:
                raise self._refused()
            if self._outcome.failure is not None:
                raise self._failure(self._outcome.failure)
            self._client.produce(record, on_delivery)
            self._records += 1

    def _seal(self) -> None:
        with self._sending:
            self._client = None

    def _roll_back(self, client: TransactionalProducer, error: SdkError) -> None:
        """Fail all deliveries with an error, abort, and let the next transaction begin."""
        self._outcome.overruled = error
        self._seal()
        self._overflow.give_up(error)
        try:
            if isinstance(error, FencedError | TransactionUnknownError):
                self._producer.drop(error)
            else:
                client.abort(self._producer.timeout)
        except BaseException as failure:
            self._producer.drop(None if self._is_overdue() else failure)
            if not isinstance(failure, SdkError):
                raise
        finally:
            self._producer.end()
            logger.warning("%s", error, extra=self._where)
            if self._observers is not None:
                name, seconds = self._producer.transactional_id, time.monotonic() - self._began
                self._observers.notify(TransactionAborted(name, self._records, seconds, error))

    def _failure(self, reason: SdkError) -> SdkError:
        """Return the error of a transaction that cannot be committed for a reason."""
        if isinstance(reason, TransactionAbortedError) and self._outcome.failure is not None:
            reason = self._outcome.failure  # more precise than that some record failed
        if isinstance(reason, FencedError) and self._is_overdue():
            return overdue(self._producer.timeout)
        if isinstance(reason, FencedError | TransactionUnknownError | TransactionAbortedError):
            return reason
        return must_be_aborted(reason)

    def _is_overdue(self) -> bool:
        return time.monotonic() - self._began >= self._producer.timeout

    @property
    def _where(self) -> dict[str, object]:
        return {"transactional_id": self._producer.transactional_id, "records": self._records}


class _Outcome(DeliveryTracker):
    """The delivery tracker of one transaction.

    Attributes:
        failure: The first failed delivery's error.
    """

    def __init__(self, shared: DeliveryTracker) -> None:
        super().__init__(shared.connection_error, shared.observers)
        self.lock, self.wakers, self.settled = shared.lock, shared.wakers, shared.settled
        self.failure: SdkError | None = None

    def failed(self, delivery: Delivery, *, watched: bool) -> None:
        """Record a failed delivery."""
        if self.overruled is None and self.failure is None:
            self.failure = delivery.error
