"""Records and doubles that the tests of failed records share."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from sdk.errors import HandlerError
from sdk.records import ConsumerRecord, Header, ProducerRecord


def record(**changes: Any) -> ConsumerRecord:
    """Return a record of the topic ``orders``."""
    return ConsumerRecord(
        topic="orders",
        partition=2,
        offset=7,
        value=b"\x00\x00\x00\x00\x01body",
        key=b"order-1",
        headers=(("ce_id", b"1"), ("twice", b"a"), ("twice", None)),
        timestamp=1_700_000_000_000,
    )._replace(**changes)


def consumed(sent: ProducerRecord, offset: int = 0) -> ConsumerRecord:
    """Return what a consumer reads of a record that was sent."""
    assert sent.partition is not None
    return ConsumerRecord(
        sent.topic,
        sent.partition,
        offset,
        sent.value,
        sent.key,
        sent.headers,
        1_800_000_000_000 if sent.timestamp is None else sent.timestamp,
    )


def handler_error(cause: BaseException) -> HandlerError:
    """Return what the consumer makes of an exception of a handler, with a traceback."""
    try:
        try:
            raise cause
        except BaseException as error:
            raise HandlerError(f"the handler raised {error!r}") from error
    except HandlerError as error:
        return error


@define
class Outbox:
    """A sender that keeps what it is given.

    Attributes:
        sent: The records, in order.
        errors: Raised by the next calls, one each.
    """

    sent: list[ProducerRecord] = field(factory=list)
    errors: list[Exception] = field(factory=list)

    def send(self, record: ProducerRecord) -> Any:
        """Keep a record."""
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(record)


def values(headers: tuple[Header, ...], name: str) -> list[bytes | None]:
    """Return every value of a header."""
    return [value for known, value in headers if known == name]
