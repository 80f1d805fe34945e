"""Dead letters as values, and the selection of some."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from sdk.consuming.dead_letters import Reason
from sdk.records import ConsumerRecord


@frozen(kw_only=True)
class Letter:
    """A dead letter.

    Attributes:
        record: The record in the dead-letter topic.
        reason: Its origin and failure, as in its headers.
        event: Full name of the event; None if the record does not name it.
        state: ``replayed`` or ``parked``; None for one that is open.
    """

    record: ConsumerRecord
    reason: Reason
    event: str | None
    state: str | None = None

    @property
    def identity(self) -> str:
        """``partition:offset`` within the dead-letter topic."""
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def error(self) -> str:
        """Qualified name of the exception's class; empty where the headers name none."""
        return self.reason.exception or ""

    @property
    def key(self) -> str | None:
        """The key as text."""
        return None if self.record.key is None else self.record.key.decode(errors="replace")


def _frozen(identities: Iterable[str]) -> frozenset[str]:
    return frozenset(identities)


@frozen(kw_only=True)
class Selection:
    """A selection of dead letters; each attribute that is set must match.

    Attributes:
        identities: ``partition:offset`` within the dead-letter topic.
        group: Consumer group whose handler failed.
        error: Class of the exception or of its cause, with or without its module.
        event: Short or full name of the event.
        key: The key as text.
        since: Not older than this, milliseconds since the epoch, by the original timestamp.
        until: Older than this, milliseconds since the epoch.
        settled: Also those that were replayed or parked.
    """

    identities: frozenset[str] = field(default=frozenset(), converter=_frozen)
    group: str | None = None
    error: str | None = None
    event: str | None = None
    key: str | None = None
    since: int | None = None
    until: int | None = None
    settled: bool = False

    def matches(self, letter: Letter) -> bool:
        """Return whether a dead letter is selected."""
        reason = letter.reason
        return (
            (self.settled or letter.state is None)
            and (not self.identities or letter.identity in self.identities)
            and (self.group is None or reason.group == self.group)
            and (
                self.error is None
                or _named(self.error, reason.exception)
                or _named(self.error, reason.cause)
            )
            and (self.event is None or _named(self.event, letter.event))
            and (self.key is None or letter.key == self.key)
            and self._in_time(reason.timestamp or letter.record.timestamp or 0)
        )

    def _in_time(self, timestamp: int) -> bool:
        return (self.since is None or timestamp >= self.since) and (
            self.until is None or timestamp < self.until
        )


def _named(wanted: str, name: str | None) -> bool:
    """Return whether a dotted name is equal to ``wanted`` or ends with its parts."""
    return name is not None and (name == wanted or name.endswith((f".{wanted}", f"${wanted}")))
