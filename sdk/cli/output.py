"""Dead letters as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sdk.avro.plain.conversion import to_plain
from sdk.cli.times import written
from sdk.errors import SdkError
from sdk.replay import DeadLetters, Letter, Report

_BAR = 30


def line(letter: Letter) -> str:
    """Return one line with a dead letter's identity and reason."""
    reason = letter.reason
    parts = [
        letter.identity,
        written(reason.timestamp or letter.record.timestamp),
        letter.event or "unknown event",
        f"key={letter.key}",
        f"group={reason.group or '-'}",
        f"{_short(letter.error)}: {_first_line(reason.message)}",
    ]
    if reason.replays:
        parts.append(f"replays={reason.replays}")
    if letter.state:
        parts.append(f"({letter.state})")
    return "  ".join(_printable(part) for part in parts)


def document(letters: DeadLetters, letter: Letter, *, full: bool = False) -> dict[str, Any]:
    """Return a dead letter for JSON; in full with its event, headers and stack trace."""
    record, reason = letter.record, letter.reason
    found: dict[str, Any] = {
        "id": letter.identity,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": written(reason.timestamp or record.timestamp),
        "event": letter.event,
        "key": letter.key,
        "group": reason.group,
        "source": {
            "topic": reason.topic,
            "partition": reason.partition,
            "offset": reason.offset,
        },
        "error": reason.exception,
        "cause": reason.cause,
        "message": reason.message,
        "replays": reason.replays,
        "state": letter.state or "open",
    }
    if full:
        found["headers"] = [
            [name, None if value is None else value.decode("utf-8", "backslashreplace")]
            for name, value in record.headers
        ]
        found |= _value(letters, letter)
        found["stack_trace"] = reason.stack_trace
    return found


def _value(letters: DeadLetters, letter: Letter) -> dict[str, Any]:
    """Return the decoded event, or the bytes and why they cannot be read."""
    try:
        return {"value": to_plain(letters.event(letter))}
    except SdkError as error:
        raw = letter.record.value
        return {"unreadable": str(error), "bytes": None if raw is None else raw.hex()}


def page(letters: DeadLetters, letter: Letter) -> str:
    """Return everything about a dead letter, for people."""
    found = document(letters, letter, full=True)
    trace = found.pop("stack_trace")
    headers = found.pop("headers")
    source = found.pop("source")
    found["source"] = f"{source['topic']} [{source['partition']}] offset {source['offset']}"
    rows = []
    for name, value in found.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        rows.append(f"{name:10} " + _printable(text, keep="\n"))
    rows += [
        f"header     {_printable(name)}: {_printable(str(value))}"
        for name, value in headers
        if "exception" not in name
    ]
    if trace:
        rows += ["", _printable(trace, keep="\n").rstrip()]
    return "\n".join(rows)


def histogram(report: Report) -> Iterator[str]:
    """Yield a line for each event and exception class, the most frequent first."""
    counts: Counter[tuple[str, str]] = report.histogram
    most = max(counts.values(), default=0)
    for (event, error), count in counts.most_common():
        bar = "#" * max(1, round(_BAR * count / most))
        yield f"{count:8}  {_printable(event)}  {_printable(error)}  {bar}"


def summary(report: Report, doing: str) -> dict[str, Any]:
    """Return the result of a replay or parking for JSON."""
    return {
        doing: report.sent,
        "exhausted": report.exhausted,
        "without_source": report.without_source,
        "unrepaired": report.unrepaired,
        "histogram": [
            {"event": event, "error": error, "count": count}
            for (event, error), count in report.histogram.most_common()
        ],
    }


def _short(name: str) -> str:
    return name.rpartition(".")[2] or "unknown"


def _first_line(text: str | None) -> str:
    first = (text or "").partition("\n")[0]
    return first if len(first) <= 100 else f"{first[:97]}..."


def _printable(text: str, keep: str = "") -> str:
    """Return a text without control characters, which could rewrite a terminal."""
    return "".join(
        character if character.isprintable() or character in keep else repr(character)[1:-1]
        for character in text
    )
