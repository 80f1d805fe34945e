"""The standard headers: CloudEvents 1.0 in the Kafka binding's binary mode.

Every attribute is a header with the prefix ``ce_`` and a UTF-8 value, except ``content-type``; the
body is not changed. The version number is in the extension attribute ``eventversion``, since
CloudEvents has no attribute for it.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import repeat
from typing import Any
from uuid import UUID

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
"""Source of a service that has not set one; the attribute is required."""

_COUNTS = tuple(b"%03x" % count for count in range(0x1000))
_MICROSECONDS = tuple(b"%03dZ" % microsecond for microsecond in range(1_000))

_Moment = tuple[int, int, Iterator[_Header], bytes]
"""(first nanosecond of a millisecond, the first one after it, its ids, the start of its times)"""

_NEVER: _Moment = (0, 0, iter(()), b"")


def schema_uri(info: EventInfo) -> str:
    """Return the ``dataschema`` of an event: its full name, version and schema fingerprint.

    Registry ids are not part of it: they differ from cluster to cluster, and precede the body
    anyway.
    """
    return f"urn:avro:{info.full_name}:{info.version}:{info.fingerprint}"


class CloudEventHeaders:
    """Makes the standard headers of each record.

    Values that depend only on the class are computed once for each class, and those that depend
    only on the millisecond once for each millisecond. An id is a UUID of version 7 (RFC 9562): the
    millisecond, 62 bits that are random for each millisecond, and a counter within it.

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
        self._moment = _NEVER
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_forget_moment, weakref.ref(self)))

    def __call__(self, event_class: type[Any], key: object = None) -> list[_Header]:
        """Return a fresh list of headers.

        Args:
            event_class: Class of the event, or of the event that a tombstone deletes.
            key: Message key, which becomes the subject if it is text, an integer or a UUID.
        """
        constant = self._constant.get(event_class)
        if constant is None:
            constant = self._constant[event_class] = self._prepare(event_class)
        now = self._clock()
        # Read once: another thread may replace it by the next moment. Its ids are safe to share,
        # as `next` is one step.
        begin, end, ids, second = self._moment
        identifier = next(ids, None) if begin <= now < end else None
        if identifier is None:
            self._moment = begin, end, ids, second = _new_moment(now)
            identifier = next(ids)
        instant = (TIME, second + _MICROSECONDS[(now - begin) // 1_000])
        # Most keys are text; a branch here costs less than the call.
        subject = key.encode() if type(key) is str and key.isascii() else _subject(key)
        if subject:
            return [*constant, identifier, instant, (SUBJECT, subject)]
        return [*constant, identifier, instant]

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


def _new_moment(nanosecond: int) -> _Moment:
    """Return the common part of the ids and times of a millisecond, with new random bits."""
    # Ids must be unique, not secret; `os.urandom` follows no host's `random.seed`.
    random = int.from_bytes(os.urandom(8))
    millisecond = nanosecond // 1_000_000
    second, rest = divmod(millisecond, 1_000)
    begin = millisecond * 1_000_000
    start = b"%08x-%04x-7%03x-%04x-%09x" % (
        millisecond >> 16,
        millisecond & 0xFFFF,
        random & 0xFFF,
        0x8000 | random >> 50,
        random >> 12 & 0xF_FFFF_FFFF,
    )
    # The headers are made in C, and only as many as there are events.
    ids = zip(repeat(ID), map(start.__add__, _COUNTS))
    return begin, begin + 1_000_000, ids, b"%b.%03d" % (_text(second), rest)


@lru_cache(maxsize=1)
def _text(second: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()


def _forget_moment(headers: weakref.ref[CloudEventHeaders]) -> None:
    """Make a forked child draw its own random bits."""
    found = headers()
    if found is not None:
        found._moment = _NEVER


_TEXTUAL = (int, UUID)


def _subject(key: object) -> bytes | None:
    if key is None:
        return None
    if isinstance(key, str):
        try:
            return key.encode()
        except UnicodeEncodeError:
            return None  # the key serializer refuses it, with a better message
    return str(key).encode() if isinstance(key, _TEXTUAL) else None
