"""Debezium's outbox event router as its documentation describes it, for records of one table.

Options have the documented names and defaults:
https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html.
Records are converted by documented connector settings: keys by ``StringConverter``, values
by ``ByteArrayConverter`` (both unchanged), headers by ``SimpleHeaderConverter`` (as text).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sdk.records import Header, ProducerRecord

DEFAULTS = {
    "table.field.event.id": "id",
    "table.field.event.key": "aggregateid",
    "table.field.payload": "payload",
    "table.fields.additional.placement": "",
    "route.by.field": "aggregatetype",
    "route.topic.regex": "(?<routedByValue>.*)",
    "route.topic.replacement": "outbox.event.${routedByValue}",
    "route.tombstone.on.empty.payload": "false",
}


class EventRouter:
    """Turns the insert of a row into a record.

    Args:
        options: Those that differ from the defaults.

    Raises:
        ValueError: An option is unknown, or places a column elsewhere than in a header.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        unknown = set(options) - set(DEFAULTS)
        if unknown:
            raise ValueError(f"no such options: {unknown}")
        self._options = {**DEFAULTS, **options}
        self._headers: list[tuple[str, str]] = []
        for each in filter(None, self._options["table.fields.additional.placement"].split(",")):
            column, placement, *alias = each.split(":")
            if placement != "header":
                raise ValueError(f"{each} makes the value an envelope around the payload")
            self._headers.append((column, *alias) if alias else (column, column))

    def route(self, row: Mapping[str, Any]) -> ProducerRecord:
        """Return the record of a row that was inserted."""
        options = self._options
        regex = re.sub(r"\(\?<(?=\w)", "(?P<", options["route.topic.regex"])
        replacement = re.sub(r"\$\{(\w+)\}", r"\\g<\1>", options["route.topic.replacement"])
        by = row[options["route.by.field"]]
        matched = re.fullmatch(regex, by)
        topic = by if matched is None else matched.expand(replacement)
        payload = row[options["table.field.payload"]]
        if payload is None and options["route.tombstone.on.empty.payload"] != "true":
            payload = b""
        headers: list[Header] = [("id", _converted(row[options["table.field.event.id"]]))]
        headers += [(alias, _converted(row[column])) for column, alias in self._headers]
        return ProducerRecord(
            topic, payload, _converted(row[options["table.field.event.key"]]), tuple(headers)
        )


def _converted(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str | int | UUID):
        return str(value).encode()
    raise ValueError(f"no converter for {type(value).__qualname__}")
