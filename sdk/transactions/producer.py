"""The long-lived transactional producer of a connection."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from functools import partial

from sdk.abstractions import TransactionalProducer
from sdk.errors import ClosedError, FencedError, SdkError
from sdk.observers import Observers
from sdk.publishing.delivery import DeliveryTracker
from sdk.publishing.encoder import Encoder
from sdk.transactions.fair_lock import FairLock
from sdk.transactions.transaction import CURRENT, Transaction


class Transactions:
    """Runs transactions one after another with one long-lived transactional client.

    The client is created for the first one. If its state is unknown, as after a commit without an
    answer, it is replaced before the next one, and the broker then finishes the old transaction.

    Args:
        connect: Creates a client.
        transactional_id: Its id.
        encoder: Creates records of events.
        observers: Called with happenings.
        timeout: Seconds after which the broker aborts a transaction; also the limit of each
            request that begins or ends one, and of waiting for the previous one.
        queue_full_timeout: How long a record waits for room in a full queue, seconds.
        close_timeout: How long closing waits for the open transaction, seconds.
    """

    def __init__(
        self,
        connect: Callable[[str], TransactionalProducer],
        transactional_id: str,
        encoder: Encoder,
        *,
        observers: Observers | None = None,
        timeout: float = 60.0,
        queue_full_timeout: float = 10.0,
        close_timeout: float = 30.0,
    ) -> None:
        self.transactional_id = transactional_id
        self.encoder = encoder
        self.observers = observers or None
        self.timeout = timeout
        self.queue_full_timeout = queue_full_timeout
        self.turn = FairLock()
        self.tracker = DeliveryTracker(self._connection_error, observers)
        self._connect = connect
        self._close_timeout = close_timeout
        self._client: TransactionalProducer | None = None
        self._fenced: FencedError | None = None
        self._unusable: str | None = None
        self._current: Transaction | None = None
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_forked, weakref.ref(self)))

    def transaction(self) -> Transaction:
        """Return a new transaction, which its block begins and ends.

        Raises:
            ClosedError: `close` was called, or this belongs to the parent process.
        """
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open another connection")
        return Transaction(self)

    def close(self, timeout: float | None = None) -> None:
        """Wait for the open transaction, then release the client; a second call does nothing.

        Args:
            timeout: Seconds, after which the transaction is aborted; by default ``close_timeout``.
        """
        if self._unusable is not None:
            return
        self._unusable = "the producer of transactions is closed"
        atexit.unregister(self.close)
        current = CURRENT.get()
        inside = current is not None and current is self._current
        try:
            self.turn.acquire(0 if inside else self._close_timeout if timeout is None else timeout)
        except TimeoutError:
            current = self._current  # it may end at this moment
            if current is not None:
                current.abort(ClosedError("the connection was closed"))
            self.drop()
        else:
            self.drop()
            self.turn.release()

    def begin(self, transaction: Transaction) -> TransactionalProducer:
        """Return the client with an open transaction; the caller has acquired `turn`.

        Raises:
            SdkError: As `Transaction.begin`.
        """
        client = self.prepare()
        try:
            client.begin()
        except BaseException as error:
            self.drop(error)
            raise
        self._current = transaction
        return client

    def prepare(self) -> TransactionalProducer:
        """Return a client that can begin a transaction; an older one with the same id is fenced.

        Raises:
            SdkError: As `Transaction.begin`.
        """
        if self._fenced is not None:
            raise self._fenced.with_traceback(None)
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open another connection")
        if self._client is not None:
            return self._client
        try:
            self._client = self._connect(self.transactional_id)
            self._client.after_deliveries(self.tracker.wake)
            self._client.init_transactions(self.timeout)
        except BaseException as error:
            self.drop(error)
            raise
        return self._client

    def end(self) -> None:
        """Let the next transaction begin."""
        self._current = None
        self.turn.release()

    def drop(self, error: BaseException | None = None) -> None:
        """Release the client because of an error; the next transaction creates another one."""
        client, self._client = self._client, None
        if isinstance(error, FencedError):
            self._fenced = error
        if client is not None:
            client.close(0)

    def _connection_error(self) -> SdkError | None:
        return None if self._client is None else self._client.connection_error()

    def abandon(self) -> None:
        """Forget everything in a forked child: the client's threads exist only in the parent."""
        self._unusable = "the producer of transactions belongs to the parent process"
        if self._current is not None:
            self._current.abandon(self._unusable)
        atexit.unregister(self.close)


def _forked(producer: weakref.ref[Transactions]) -> None:
    abandoned = producer()
    if abandoned is not None:
        abandoned.abandon()
