"""What keeps a client from its brokers: librdkafka reports it apart from the records it fails."""

from __future__ import annotations

import logging
import time

from confluent_kafka import KafkaError

from sdk.errors import SdkError
from sdk.kafka.failures import broker_failure, is_refusal

logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds for which another broker of the cluster may still accept a client that one refused."""


class ClientHealth:
    """Remembers the last error of the client as a whole, until a broker answers again.

    A wrong password fails no record: the client's error callback is called, and the records time
    out much later. This joins the two.

    Args:
        doing: What the client does, such as ``reach Kafka``.

    Attributes:
        failing: Whether there is anything to `clear`.
    """

    def __init__(self, doing: str) -> None:
        self.failing = False
        self._doing = doing
        self._error: SdkError | None = None
        self._fatal: SdkError | None = None
        self._refused_since: float | None = None
        self._logged: set[int] = set()

    def record(self, error: KafkaError) -> None:
        """Remember an error from the client's error callback; log each kind once."""
        failure = broker_failure(error, self._doing)
        self.failing = True
        if error.fatal():
            self._fatal = failure
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            # Reported beside the reason why the last broker is down, which says more.
            self._error = self._error or failure
            return
        if is_refusal(error):
            self._refused_since = self._refused_since or time.monotonic()
            self._error = failure
        elif self._refused_since is None:
            self._error = failure
        if error.code() not in self._logged:
            self._logged.add(error.code())
            logger.warning("%s", failure)

    def clear(self) -> None:
        """Forget the error: a broker has answered."""
        self.failing = False
        self._error = None
        self._refused_since = None
        self._logged.clear()

    @property
    def error(self) -> SdkError | None:
        """What keeps the client from its brokers at present, or None."""
        return self._fatal or self._error

    @property
    def refusal(self) -> SdkError | None:
        """The brokers' refusal of this client, once no other broker can be hoped for."""
        if self._refused_since is None or time.monotonic() - self._refused_since < _PATIENCE:
            return None
        return self._error

    @property
    def fatal(self) -> SdkError | None:
        """An error after which the client can do nothing more."""
        return self._fatal
