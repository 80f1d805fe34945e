"""The errors of transactions, for every client."""

from __future__ import annotations

from typing import Any, Final

from sdk.errors import FencedError, SdkError, TransactionAbortedError, TransactionUnknownError

AGAIN: Final = "nothing was committed: repeat the whole transaction"


def fenced(transactional_id: str, **where: Any) -> FencedError:
    """Return the error of a client whose transactional id was taken over."""
    return FencedError(
        f"another producer has taken over the transactional id {transactional_id!r}; uncommitted"
        " records are aborted",
        remedy="give each running instance its own id, such as"
        " producer.transactional_id = 'orders-{instance}'; this one must stop",
        **where,
    )


def must_be_aborted(failure: SdkError) -> TransactionAbortedError:
    """Return the error of a transaction that can only be aborted, for the given reason."""
    error = TransactionAbortedError(
        f"the transaction cannot be committed: {failure.message}",
        topic=failure.topic,
        partition=failure.partition,
        remedy=failure.remedy or AGAIN,
    )
    error.__cause__ = failure
    return error


def aborted(reason: BaseException | None) -> TransactionAbortedError:
    """Return the error of a transaction that was aborted on request."""
    why = "" if reason is None else f": {type(reason).__qualname__} was raised in it"
    error = TransactionAbortedError(f"the transaction was aborted{why}", remedy=AGAIN)
    error.__cause__ = reason
    return error


def unknown(failure: SdkError) -> TransactionUnknownError:
    """Return the error of a commit without an answer, for the given reason."""
    return TransactionUnknownError(
        f"{failure.message}; it is unknown whether the transaction is committed",
        remedy="check whether its records exist before you repeat it",
    )


def interrupted() -> TransactionUnknownError:
    """Return the error of a commit that was interrupted by a signal."""
    return TransactionUnknownError(
        "the commit was interrupted: it is unknown whether the transaction is committed",
        remedy="check whether its records exist before you repeat it",
    )


def still_open(transactional_id: str, timeout: float) -> TransactionAbortedError:
    """Return the error of a transaction that could not begin within ``timeout`` seconds."""
    return TransactionAbortedError(
        f"another transaction of {transactional_id!r} was still open after {timeout:g} s",
        remedy="make transactions shorter: only one is open at a time",
    )


def overdue(timeout: float) -> TransactionAbortedError:
    """Return the error of a transaction that was open for longer than ``timeout`` seconds.

    The broker answers its producer like one whose transactional id was taken over.
    """
    return TransactionAbortedError(
        f"the transaction was open for more than {timeout:g} s, and the broker has aborted it",
        remedy=f"raise producer.transaction_timeout_ms, or do less in it; {AGAIN}",
    )
