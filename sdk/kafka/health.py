"""Why a client cannot reach its brokers; librdkafka reports that apart from failed records."""

from __future__ import annotations

import logging
import time
from typing import Any

from confluent_kafka import KafkaError

from sdk.errors import SdkError
from sdk.kafka.failures import broker_failure, is_refusal

logger = logging.getLogger(__name__)
client_logger = logging.getLogger("sdk.librdkafka")

_REFUSAL_SECONDS = 5.0
"""Seconds for which another broker of the cluster may still accept a client that one refused."""


class ClientHealth:
    """Remembers the last error of the client as a whole, until a broker answers again.

    After a wrong password the client's error callback is called, and the records time out much
    later. This connects the two. It is also the client's logger, because only the log explains some
    failures.

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
        self._disconnected: KafkaError | None = None
        self._unexplained = False
        self._logged: set[type[SdkError]] = set()

    def log(self, level: int, message: str, *arguments: Any) -> None:
        """Handle a line of the client's log, as a logger does.

        The client logs every failed connection attempt. These lines are omitted; the first of an
        outage becomes part of the error.
        """
        if arguments[:1] != ("FAIL",):
            client_logger.log(level, message, *arguments)
            return
        self._disconnected = KafkaError(KafkaError._TRANSPORT, str(arguments[-1]))
        if self._unexplained:
            self._unexplained = False
            self._keep(self._disconnected)

    def record(self, error: KafkaError) -> None:
        """Remember an error from the client's error callback; log the first of each class."""
        self.failing = True
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._keep(error)
        elif self._error is None and self._disconnected is not None:
            self._keep(self._disconnected)
        elif self._error is None:
            self._error = broker_failure(error, self._doing)
            self._unexplained = True

    def _keep(self, error: KafkaError) -> None:
        failure = broker_failure(error, self._doing)
        if error.fatal():
            self._fatal = failure
        if is_refusal(error):
            self._refused_since = self._refused_since or time.monotonic()
            self._error = failure
        elif self._refused_since is None:
            self._error = failure
        if type(failure) not in self._logged:
            self._logged.add(type(failure))
            logger.warning("%s", failure)

    def clear(self) -> None:
        """Forget the error: a broker has answered."""
        self.failing = False
        self._error = None
        self._refused_since = None
        self._disconnected = None
        self._unexplained = False
        self._logged.clear()

    @property
    def error(self) -> SdkError | None:
        """Why the client cannot reach its brokers now, or None."""
        return self._fatal or self._error

    @property
    def refusal(self) -> SdkError | None:
        """The brokers' rejection of this client, once no other broker can help."""
        if self._refused_since is None or time.monotonic() - self._refused_since < _REFUSAL_SECONDS:
            return None
        return self._error

    @property
    def fatal(self) -> SdkError | None:
        """An error after which the client can do nothing more."""
        return self._fatal
