"""Points in time on the command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Moment(click.ParamType):  # type: ignore[type-arg]
    """An ISO 8601 date or time, UTC by default, or a time ago: ``90m``, ``7d``."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return milliseconds since the epoch."""
        ago = re.fullmatch(r"(\d+)([smhd])", value)
        if ago:
            return int((time.time() - int(ago[1]) * _UNITS[ago[2]]) * 1000)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-01-31T12:00 or 90m", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)


def written(milliseconds: int | None) -> str:
    """Return a time in UTC, to the second; ``-`` for none."""
    if milliseconds is None:
        return "-"
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
