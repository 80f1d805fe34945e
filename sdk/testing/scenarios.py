"""Given events, when handled, then …: assertions about a consumer.

(
given(messaging, OrderCreated(...), OrderCreated(...))
.when_handled_by(billing_consumer(messaging))
.then_published(InvoiceIssued(...))
.then_retried(after=[1, 10])
.then_dead_lettered(because="no such customer")
)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from sdk.consuming.consumer import Consumer
from sdk.consuming.headers import FAILURE_HEADERS
from sdk.errors import SdkError, class_and_message
from sdk.events import Event
from sdk.happenings import (
    Happening,
    RecordDeadLettered,
    RecordFailed,
    RecordHandled,
    RecordRetried,
    RecordSkipped,
)
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.testing.connection import InMemoryMessaging
from sdk.testing.running import run_until_idle

_PUBLISH_SECONDS = 10.0


def given(messaging: InMemoryMessaging, *events: Event | ProducerRecord) -> Given:
    """Publish events, and raw records, in this order.

    Args:
        messaging: The connection of `sdk.testing.connect`.
        *events: Each is published to its topic and acknowledged.

    Raises:
        SdkError: As `Producer.produce`.
    """
    producer = messaging.producer
    for event in events:
        if isinstance(event, ProducerRecord):
            delivery = producer.send(event)
        else:
            delivery = producer.produce(event)
        delivery.result(_PUBLISH_SECONDS)
    return Given(messaging)


class Given:
    """The published events; the next step handles them.

    Args:
        messaging: The connection.
    """

    def __init__(self, messaging: InMemoryMessaging) -> None:
        self._messaging = messaging

    def when(self, happens: Callable[[], object]) -> Self:
        """Call a function first, such as ``broker.faults.registry_down``."""
        happens()
        return self

    def when_handled_by(
        self,
        consumer: Consumer,
        *,
        stopped_by: type[SdkError] | None = None,
        timeout: float = 10.0,
    ) -> Then:
        """Run a consumer until its group is done; delays pass at once on a virtual clock.

        Args:
            consumer: The consumer, with its handlers.
            stopped_by: The error that is expected to stop it.
            timeout: Seconds of real time.

        Raises:
            AssertionError: The consumer was not stopped by the expected error.
            SdkError: As `Consumer.run`, for any other error.
            TimeoutError: The group was not done in time.
        """
        __tracebackhide__ = True
        seen, written = len(self._messaging.happenings), len(self._messaging.broker.everything())
        try:
            run_until_idle(consumer, self._messaging.broker, timeout=timeout)
        except SdkError as error:
            if stopped_by is None or not isinstance(error, stopped_by):
                raise
        else:
            assert stopped_by is None, f"expected {stopped_by.__name__} to stop the consumer"
        return Then(
            self._messaging,
            self._messaging.happenings[seen:],
            self._messaging.broker.everything()[written:],
        )


class Then:
    """The result of running the consumer; each method asserts something and returns this.

    Args:
        messaging: The connection.
        happenings: The happenings during the run.
        written: The records that were published or forwarded.
    """

    def __init__(
        self,
        messaging: InMemoryMessaging,
        happenings: Sequence[Happening],
        written: Sequence[ConsumerRecord],
    ) -> None:
        self._messaging = messaging
        self._happenings = happenings
        self._published = [record for record in written if not _is_forwarded(record)]

    def then_handled(self, count: int) -> Self:
        """Assert how many times a handler returned."""
        __tracebackhide__ = True
        handled = [each for each in self._happenings if isinstance(each, RecordHandled)]
        return self._expect(len(handled) == count, f"{count} handled", _shown(handled))

    def then_published(self, *events: Event) -> Self:
        """Assert that exactly these events were published, in this order; none without arguments.

        An event of another version than the expected one is read as the expected class.
        """
        __tracebackhide__ = True
        classes = {event.__event__.full_name: type(event) for event in events}
        found = [self._messaging.read(record, classes) for record in self._published]
        return self._expect(
            found == list(events), _shown(events) or "nothing published", _shown(found)
        )

    def then_retried(self, *, after: Iterable[float] = (), topic: str | None = None) -> Self:
        """Assert the delays of all retries, in order; no retry without arguments.

        Args:
            after: Seconds, one for each retry.
            topic: Retry topic to which each was forwarded; None accepts retries in place, too.
        """
        __tracebackhide__ = True
        wanted = list(after)
        retries = [each for each in self._happenings if isinstance(each, RecordRetried)]
        fits = [each.delay for each in retries] == wanted and (
            topic is None or {each.topic for each in retries} <= {topic}
        )
        where = "" if topic is None else f" in {topic}"
        return self._expect(fits, f"retries after {wanted} s{where}", _shown(retries))

    def then_dead_lettered(self, *, because: str = "", count: int = 1) -> Self:
        """Assert how many records were dead-lettered, and why.

        Args:
            because: Regular expression that is searched in the class of each failure, and in the
                error behind it.
            count: How many records.
        """
        __tracebackhide__ = True
        letters = [each for each in self._happenings if isinstance(each, RecordDeadLettered)]
        reasons = [self._reason(each) for each in letters]
        fits = len(letters) == count and all(re.search(because, reason) for reason in reasons)
        wanted = f"{count} dead-lettered" + (f" because of {because!r}" if because else "")
        return self._expect(fits, wanted, "\n".join(f"  {reason}" for reason in reasons))

    def then_nothing_dead_lettered(self) -> Self:
        """Assert that no record was dead-lettered."""
        __tracebackhide__ = True
        return self.then_dead_lettered(count=0)

    def then_skipped(self, count: int = 1, *, because: str = "") -> Self:
        """Assert how many records were skipped; ``because`` is searched in each reason."""
        __tracebackhide__ = True
        skips = [each for each in self._happenings if isinstance(each, RecordSkipped)]
        fits = len(skips) == count and all(re.search(because, each.reason) for each in skips)
        return self._expect(fits, f"{count} skipped {because}".rstrip(), _shown(skips))

    def _reason(self, letter: RecordDeadLettered) -> str:
        errors = [
            each.error
            for each in self._happenings
            if isinstance(each, RecordFailed) and each.record == letter.record
        ]
        error = errors[-1] if errors else None
        while error is not None and error.__cause__ is not None:
            error = error.__cause__
        cause = "" if error is None else f": {class_and_message(error)}"
        return f"{letter.reason}{cause}"

    def _expect(self, fits: bool, wanted: str, found: str) -> Self:
        __tracebackhide__ = True
        assert fits, f"expected\n  {wanted.lstrip()}\nbut there was\n{found or '  nothing'}"
        return self


def _is_forwarded(record: ConsumerRecord) -> bool:
    return any(name in FAILURE_HEADERS for name, _ in record.headers)


def _shown(things: Iterable[object]) -> str:
    return "\n".join(f"  {each!r}" for each in things)
