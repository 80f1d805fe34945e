"""Atomic publishing: all of a transaction's records become visible, or none."""

from __future__ import annotations

from typing import Any

from sdk.errors import FencedError, SdkError, TransactionAbortedError


def fenced(transactional_id: str, **where: Any) -> FencedError:
    """Return the error of a client whose transactional id was taken over."""
    return FencedError(
        f"another producer has taken over the transactional id {transactional_id!r}; what was not"
        " committed is aborted",
        remedy="give each running instance an id of its own, such as"
        " producer.transactional_id = 'orders-{instance}'; this one must stop",
        **where,
    )


def must_be_aborted(doing: str, failure: SdkError) -> TransactionAbortedError:
    """Return the error of a transaction that can only be aborted, for the given reason."""
    error = TransactionAbortedError(
        f"the transaction cannot {doing}: {failure.message}",
        topic=failure.topic,
        partition=failure.partition,
        remedy="nothing of it counts: do the whole transaction again",
    )
    error.__cause__ = failure
    return error
