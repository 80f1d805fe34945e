"""Names a place inside an event, for errors."""

from __future__ import annotations


def place(path: list[str]) -> str | None:
    """Return the steps to a place as one text, such as ``lines[0].sku``; None for the whole."""
    return "".join(path).removeprefix(".") or None
