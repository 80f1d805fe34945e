"""What keeps a client from its brokers: librdkafka tells it apart from the messages it fails."""

from __future__ import annotations

import logging
import time

from confluent_kafka import KafkaError

from sdk.errors import SdkError
from sdk.kafka.failures import broker_failure, is_refusal

logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds for which another broker of the cluster may still take a client that one refused."""


class Trouble:
    """Remembers the last error of the client as a whole, until a broker answers again.

    A wrong password fails no message: the client's error callback hears of it, and the messages
    time out much later. Joining the two is what this is for.

    Args:
        doing: What the client does, such as ``reach Kafka``.

    Attributes:
        stands: Whether there is anything to `clear`.
    """

    def __init__(self, doing: str) -> None:
        self.stands = False
        self._doing = doing
        self._error: SdkError | None = None
        self._fatal: SdkError | None = None
        self._refused_since: float | None = None
        self._told: set[int] = set()

    def hear(self, error: KafkaError) -> None:
        """Take an error from the client's error callback."""
        failure = broker_failure(error, self._doing)
        self.stands = True
        if error.fatal():
            self._fatal = failure
        if is_refusal(error):
            self._refused_since = self._refused_since or time.monotonic()
            self._error = failure
        elif self._refused_since is None:
            self._error = failure
        if error.code() not in self._told:
            self._told.add(error.code())
            logger.warning("%s", failure)

    def clear(self) -> None:
        """Forget it: a broker has answered."""
        self.stands = False
        self._error = None
        self._refused_since = None
        self._told.clear()

    @property
    def error(self) -> SdkError | None:
        """The trouble that stands, or None."""
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
