"""Calls observers and isolates messages from their failures."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sdk.abstractions import Meter, Observer
from sdk.happenings import Happening, OutboxMeasured

logger = logging.getLogger(__name__)


class Observers:
    """Calls each observer in turn; an exception is logged and ignored.

    False if there are none, so that hot paths need not create happenings.

    Args:
        observers: In the order in which they are called.
        rare: Called too, but without effect on the truth value: they are notified of single
            records only if there are other observers.

    Attributes:
        meters: Those that are notified of records in batches.
        each: Whether any is notified of each record.
        outboxes: The last measurement of each outbox with a relay in this process.
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
