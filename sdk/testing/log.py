"""Partition logs of the in-memory broker, with transactions."""

from __future__ import annotations

from attrs import define, field

from sdk.consuming.offsets import Place
from sdk.errors import SdkError
from sdk.records import ConsumerRecord
from sdk.testing.groups import Group


@define(eq=False)
class OpenTransaction:
    """One transaction of a producer; callers hold the broker's lock.

    Attributes:
        logs: The partitions with its records.
        offsets: The offsets committed with it: (group, place) → next offset to be read.
        committed: The outcome; None while it is open.
        failure: Why it can only be aborted, or None.
    """

    logs: set[Log] = field(factory=set)
    offsets: dict[tuple[Group, Place], int] = field(factory=dict)
    committed: bool | None = None
    failure: SdkError | None = None

    def end(self, *, commit: bool) -> None:
        """Commit or abort; a second call does nothing."""
        if self.committed is not None:
            return
        self.committed = commit
        for (group, place), offset in self.offsets.items():
            group.pending.pop(place, None)
            if commit:
                group.committed[place] = offset
        for log in self.logs:
            log.end(self)


class Log:
    """One partition; callers hold the broker's lock.

    As in Kafka, the end of a transaction is marked in each of its partitions, and the marker has an
    offset.
    """

    def __init__(self) -> None:
        self._entries: list[ConsumerRecord | None] = []
        self._transactions: dict[int, OpenTransaction] = {}
        self._open: dict[OpenTransaction, int] = {}

    @property
    def end_offset(self) -> int:
        """The offset that the next record will have."""
        return len(self._entries)

    def stable_end(self) -> int:
        """Return the last stable offset: where the oldest open transaction begins, or the end."""
        return min(self._open.values(), default=len(self._entries))

    def append(self, record: ConsumerRecord, transaction: OpenTransaction | None) -> None:
        """Store a record whose offset is `end_offset`."""
        if transaction is not None:
            self._transactions[record.offset] = transaction
            self._open.setdefault(transaction, record.offset)
            transaction.logs.add(self)
        self._entries.append(record)

    def end(self, transaction: OpenTransaction) -> None:
        """Mark the end of a transaction."""
        del self._open[transaction]
        self._entries.append(None)

    def is_committed(self, offset: int) -> bool:
        """Whether a record belongs to no transaction, or to one that was committed."""
        transaction = self._transactions.get(offset)
        return transaction is None or transaction.committed is True

    def records(self, start: int = 0) -> list[ConsumerRecord]:
        """Return the committed records from an offset."""
        return [
            record
            for record in self._entries[start:]
            if record is not None and self.is_committed(record.offset)
        ]

    def read(
        self, position: int, limit: int, *, committed: bool
    ) -> tuple[list[ConsumerRecord], int]:
        """Return up to ``limit`` records as a consumer sees them, and the next position.

        Args:
            position: First offset.
            limit: Most records.
            committed: Read up to the last stable offset, without aborted records.
        """
        found: list[ConsumerRecord] = []
        end = self.stable_end() if committed else len(self._entries)
        while position < end and len(found) < limit:
            record = self._entries[position]
            if record is not None and (not committed or self.is_committed(position)):
                found.append(record)
            position += 1
        return found, position
