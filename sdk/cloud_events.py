"""The standard headers: CloudEvents 1.0 in the Kafka binding's binary mode.

Every attribute is a header of its own, ``ce_`` before its name and UTF-8 text as its value; the
body stays what the serializer made. ``content-type`` has no prefix. Version numbers travel in the
extension ``eventversion``, since CloudEvents has no attribute for them.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from attrs import field, frozen

from sdk.events import EventInfo

PREFIX = "ce_"
SPEC_VERSION = "ce_specversion"
ID = "ce_id"
TYPE = "ce_type"
SOURCE = "ce_source"
TIME = "ce_time"
DATA_SCHEMA = "ce_dataschema"
SUBJECT = "ce_subject"
EVENT_VERSION = "ce_eventversion"
CORRELATION_ID = "ce_correlationid"
CAUSATION_ID = "ce_causationid"
CONTENT_TYPE = "content-type"

_Header = tuple[str, bytes | None]

UNNAMED_SOURCE = "/unnamed-service"
"""Source of a service that has not set one; the attribute may not be absent."""

# Identifiers must be unique, not secret; a generator of our own, so that a host's `random.seed`
# does not make two runs alike, seeded anew in forked children.
_random = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def schema_uri(info: EventInfo) -> str:
    """Return the ``dataschema`` of an event: its full name, version and schema fingerprint.

    Registry ids differ from cluster to cluster and stand before the body anyway, so they are no
    part of it.
    """
    return f"urn:avro:{info.full_name}:{info.version}:{info.fingerprint}"


class CloudEventHeaders:
    """Makes the standard headers of each record.

    What only the class decides is computed once for each, and the text of a second or millisecond
    is kept for the next event within it.

    Args:
        source: URI reference of this service, such as ``/orders``; None is `UNNAMED_SOURCE`.
        content_type: Media type of the bodies, such as ``application/avro``.
        clock: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        source: str | None,
        content_type: str,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._source = (source or UNNAMED_SOURCE).encode()
        self._content_type = content_type.encode()
        self._clock = clock
        self._constant: dict[type[Any], list[_Header]] = {}
        self._millisecond: tuple[int, bytes] = (-1, b"")
        self._second: tuple[int, bytes] = (-1, b"")

    def __call__(self, event_class: type[Any], key: object = None) -> list[_Header]:
        """Return a fresh list of headers.

        Args:
            event_class: Class of the event, or of what a tombstone removes.
            key: Message key, which becomes the subject if it is text, an integer or a UUID.
        """
        constant = self._constant.get(event_class)
        if constant is None:
            constant = self._constant[event_class] = self._prepare(event_class)
        now = self._clock()
        identifier, moment = self._id(now // 1_000_000), self._timestamp(now)
        subject = None if key is None else _subject(key)
        if subject:
            return [*constant, (ID, identifier), (TIME, moment), (SUBJECT, subject)]
        return [*constant, (ID, identifier), (TIME, moment)]

    def _prepare(self, event_class: type[Any]) -> list[_Header]:
        info: EventInfo = event_class.__event__
        return [
            (SPEC_VERSION, b"1.0"),
            (TYPE, info.full_name.encode()),
            (SOURCE, self._source),
            (DATA_SCHEMA, schema_uri(info).encode()),
            (EVENT_VERSION, str(info.version).encode()),
            (CONTENT_TYPE, self._content_type),
        ]

    def _id(self, millisecond: int) -> bytes:
        """A UUID of version 7 (RFC 9562): the time in its first 48 bits, then random ones."""
        known, text = self._millisecond
        if known != millisecond:
            text = b"%08x-%04x" % (millisecond >> 16, millisecond & 0xFFFF)
            self._millisecond = (millisecond, text)
        bits = _random.getrandbits
        return b"%b-7%03x-%04x-%012x" % (text, bits(12), 0x8000 | bits(14), bits(48))

    def _timestamp(self, nanoseconds: int) -> bytes:
        """RFC 3339 in UTC with microseconds."""
        second, rest = divmod(nanoseconds, 1_000_000_000)
        known, text = self._second
        if known != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
            self._second = (second, text)
        return b"%b.%06dZ" % (text, rest // 1000)


_TEXTUAL = (int, UUID)


def _subject(key: object) -> bytes | None:
    if isinstance(key, str):
        try:
            return key.encode()
        except UnicodeEncodeError:
            return None  # the key serializer refuses it, with a better message
    return str(key).encode() if isinstance(key, _TEXTUAL) else None


@frozen(kw_only=True)
class CloudEvent:
    """The CloudEvents attributes of a record.

    Attributes:
        id: Unique within ``source``.
        type: Full name of the event.
        source: URI reference of the service that published it.
        spec_version: Version of the CloudEvents specification, ``1.0``.
        time: When it was published, aware; None where absent or no RFC 3339 time.
        data_schema: URI of the schema.
        subject: What it is about, such as the order's id.
        content_type: Media type of the body.
        extensions: All other attributes, without the prefix.
    """

    id: str
    type: str
    source: str
    spec_version: str
    time: datetime | None = None
    data_schema: str | None = None
    subject: str | None = None
    content_type: str | None = None
    extensions: Mapping[str, str] = field(factory=dict)

    @property
    def event_version(self) -> int | None:
        """Our version number of the event, where the publisher tells it."""
        text = self.extensions.get("eventversion", "")
        return int(text) if text.isascii() and text.isdigit() else None


def read_cloud_event(headers: Iterable[_Header]) -> CloudEvent | None:
    """Return the attributes that headers carry; of repeated headers the last counts.

    Args:
        headers: Of a record as it came from Kafka.

    Returns:
        The attributes, or None where a required one is absent: no CloudEvent.
    """
    found = {
        name: value.decode("utf-8", "replace")
        for name, value in headers
        if value is not None and (name.startswith(PREFIX) or name == CONTENT_TYPE)
    }
    if any(not found.get(name) for name in (SPEC_VERSION, ID, TYPE, SOURCE)):
        return None
    return CloudEvent(
        id=found.pop(ID),
        type=found.pop(TYPE),
        source=found.pop(SOURCE),
        spec_version=found.pop(SPEC_VERSION),
        time=_parse_time(found.pop(TIME, "")),
        data_schema=found.pop(DATA_SCHEMA, None),
        subject=found.pop(SUBJECT, None),
        content_type=found.pop(CONTENT_TYPE, None),
        extensions={name.removeprefix(PREFIX): value for name, value in found.items()},
    )


def _parse_time(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
        return None if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
