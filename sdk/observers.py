"""Observers at work: a base to start from, and the guard that keeps their errors to themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from sdk.abstractions import Observer
from sdk.errors import SdkError
from sdk.records import ConsumerRecord, DeliveryReport, ProducerRecord

logger = logging.getLogger(__name__)


class NullObserver:
    """Sees everything and does nothing; override what is of interest."""

    def on_produce(self, event_class: type[Any], record: ProducerRecord) -> ProducerRecord:
        """Before a record is queued; may return one with more headers."""
        return record

    def on_delivery(self, record: ProducerRecord, report: DeliveryReport) -> None:
        """After a record was acknowledged."""

    def on_delivery_error(self, record: ProducerRecord, error: SdkError) -> None:
        """After a record failed for good."""

    def on_consume(self, record: ConsumerRecord) -> None:
        """Before a record is handled."""

    def on_handled(self, record: ConsumerRecord, seconds: float) -> None:
        """After a handler returned."""

    def on_handler_error(self, record: ConsumerRecord, error: BaseException) -> None:
        """After a record could not be read or a handler raised."""


class Observers:
    """Calls each observer in turn; what one raises is logged and goes no further.

    False when there are none, so that callers can leave out the call altogether.

    Args:
        observers: In the order in which they are called.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def __bool__(self) -> bool:
        return bool(self._observers)

    def on_produce(self, event_class: type[Any], record: ProducerRecord) -> ProducerRecord:
        """Pass the record through every observer."""
        for observer in self._observers:
            try:
                record = observer.on_produce(event_class, record)
            except Exception:  # noqa: BLE001 - an observer must never stop a message
                _log_failure(observer, "on_produce")
        return record

    def notify(self, method: str, *arguments: Any) -> None:
        """Call ``method`` of every observer."""
        for observer in self._observers:
            try:
                getattr(observer, method)(*arguments)
            except Exception:  # noqa: BLE001 - an observer must never stop a message
                _log_failure(observer, method)


def _log_failure(observer: Observer, method: str) -> None:
    logger.exception("observer %s raised in %s", type(observer).__qualname__, method)
