"""Sends rows to Kafka: some are acknowledged, some rejected, the others are retried."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen

from sdk.errors import (
    ClosedError,
    FencedError,
    MessageTooLargeError,
    QueueFullError,
    SdkError,
    SerializationError,
)
from sdk.outbox.rows import record_of
from sdk.publishing.delivery import Delivery
from sdk.publishing.producer import Producer
from sdk.retry import doubled

logger = logging.getLogger(__name__)

FINAL = (ClosedError, FencedError)
"""Errors after which this producer never sends again."""

_TURN_SECONDS = 1.0
_GRACE_SECONDS = 3.0
"""How long a stopped relay waits for acknowledgements."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_FIRST_REPORT_SECONDS = 5.0
_LONGEST_SILENCE = 300.0

_Lane = tuple[str, bytes | None]
"""(topic, key): rows of one lane are sent in order."""


@frozen
class Outcomes:
    """The outcomes of rows; rows in neither are retried.

    Attributes:
        acknowledged: Positions of the acknowledged rows.
        refused: Position of each row that can never be sent → the reason.
    """

    acknowledged: list[int] = field(factory=list)
    refused: dict[int, str] = field(factory=dict)


class Sender:
    """Sends rows, never one before an earlier row with its topic and key.

    A topic of which every row fails, because it does not exist or access is denied, is paused,
    longer each time; other topics are not affected.

    Args:
        producer: Publishes the records.
        stopped: Set when the relay is stopped.
    """

    def __init__(self, producer: Producer, stopped: threading.Event) -> None:
        self._producer = producer
        self._stopped = stopped
        self._pauses: dict[str, tuple[float, int]] = {}

    @property
    def paused(self) -> list[str]:
        """Topics that are paused now."""
        now = time.monotonic()
        return [topic for topic, (until, _) in self._pauses.items() if until > now]

    def send(self, rows: Sequence[Any], meanwhile: Callable[[], None]) -> Outcomes:
        """Send rows, and wait until each was acknowledged or has failed.

        Args:
            rows: As `next_rows` returns them.
            meanwhile: Called every second while Kafka does not answer.

        Raises:
            ClosedError: The producer is closed.
            FencedError: The producer was fenced.
        """
        outcomes, unsent = Outcomes(), dict[_Lane, SdkError]()
        pending = self._queue(rows, outcomes, unsent)
        self._wait(pending, meanwhile)
        working, failed = set[str](), dict[_Lane, SdkError]()
        for position, lane, delivery in pending:
            try:
                delivery.result(0)
            except MessageTooLargeError as error:
                outcomes.refused[position] = str(error)
            except FINAL:
                raise
            except SdkError as error:
                failed.setdefault(lane, error)
            else:
                if lane not in failed:
                    outcomes.acknowledged.append(position)
                    working.add(lane[0])
        failed.update(unsent)
        if (failed or self._pauses) and not self._stopped.is_set():
            self._pause_topics(working, failed)
        return outcomes

    def _queue(
        self, rows: Sequence[Any], outcomes: Outcomes, unsent: dict[_Lane, SdkError]
    ) -> list[tuple[int, _Lane, Delivery]]:
        pending: list[tuple[int, _Lane, Delivery]] = []
        send = self._producer.send
        for row in rows:
            lane = (row[1], row[3])
            if lane in unsent:
                continue
            try:
                pending.append((row[0], lane, send(record_of(row[1:]))))
            except (MessageTooLargeError, SerializationError) as error:
                outcomes.refused[row[0]] = str(error)
            except FINAL:
                raise
            except QueueFullError as error:
                unsent[lane] = error
                break
            except SdkError as error:
                unsent[lane] = error
        return pending

    def _wait(
        self, pending: list[tuple[int, _Lane, Delivery]], meanwhile: Callable[[], None]
    ) -> None:
        """Wait for all acknowledgements; missing ones are logged at growing intervals."""
        started, grace, report = time.monotonic(), _GRACE_SECONDS, _FIRST_REPORT_SECONDS
        for count, (_, _, delivery) in enumerate(pending):
            while not delivery.done():
                try:
                    delivery.result(_TURN_SECONDS)
                except SdkError as error:
                    if delivery.done():
                        break
                    waited, left = time.monotonic() - started, len(pending) - count
                    if self._stopped.is_set():
                        grace -= _TURN_SECONDS
                        if grace <= 0:
                            logger.warning("stopped while %d rows wait for Kafka: %s", left, error)
                            return
                    elif waited >= report:
                        logger.warning(
                            "%d rows have been waiting for Kafka for %.0f s: %s",
                            left,
                            waited,
                            error,
                        )
                        report = min(report * 2, report + _LONGEST_SILENCE)
                    meanwhile()

    def _pause_topics(self, working: set[str], failed: dict[_Lane, SdkError]) -> None:
        """Pause the topics of which every row failed, and resume the others."""
        now, errors = time.monotonic(), {topic: error for (topic, _), error in failed.items()}
        for topic in working:
            self._pauses.pop(topic, None)
        for topic, error in errors.items():
            seconds = 0.0
            if topic not in working:
                failures = self._pauses.get(topic, (0.0, 0))[1] + 1
                seconds = doubled(_FIRST_PAUSE, failures, _LONGEST_PAUSE)
                self._pauses[topic] = (now + seconds, failures)
            logger.warning(
                "rows for %s are retried in %.1f s: %s",
                topic,
                seconds,
                error,
                extra={"topic": topic},
            )
