"""Observers at work: whoever wants to know is called, and cannot stop a message."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sdk.abstractions import Meter, Observer
from sdk.happenings import Happening, OutboxMeasured

logger = logging.getLogger(__name__)


class Observers:
    """Calls each observer in turn; what one raises is logged and goes no further.

    False when there are none, so that hot paths need not build a happening at all.

    Args:
        observers: In the order in which they are called.
        rare: Called too, but of no account for the truth value: what happens to each record is
            told to them only where there are others.

    Attributes:
        meters: Those that are told of records by the batch.
        each: Whether any is to be told of each record.
        outboxes: What was measured last of each outbox that a relay of this process empties.
    """

    def __init__(self, observers: Iterable[Observer] = (), rare: Iterable[Observer] = ()) -> None:
        wanted = tuple(observers)
        self._wanted = bool(wanted)
        self._observers = (*wanted, *rare)
        self.meters = [each for each in wanted if isinstance(each, Meter)]
        self.each = len(self.meters) < len(wanted)
        self.outboxes: dict[str, OutboxMeasured] = {}

    def __bool__(self) -> bool:
        return self._wanted

    def notify(self, happening: Happening) -> None:
        """Call every observer with a happening."""
        for observer in self._observers:
            try:
                observer(happening)
            except Exception:
                logger.exception(
                    "observer %s raised on %s",
                    getattr(observer, "__qualname__", type(observer).__qualname__),
                    type(happening).__name__,
                )
