"""Defects of a schema, collected while it is parsed."""

from __future__ import annotations

import reprlib
from typing import Any

from attrs import define, field, frozen


@frozen
class Defect:
    """A defect of a schema.

    Attributes:
        path: JSON pointer (RFC 6901) of the defect; empty for the document itself.
        message: What is wrong, in one line.
        remedy: What to do about it.
        warning: The schema is valid Avro, but probably not what its author intended.
    """

    path: str
    message: str
    remedy: str
    warning: bool = False


@define
class Defects:
    """Collects defects in the order in which they are found."""

    found: list[Defect] = field(factory=list)
    errors: int = 0

    def error(self, path: str, message: str, remedy: str) -> None:
        """Record that the schema is invalid."""
        self.found.append(Defect(path, message, remedy))
        self.errors += 1

    def warn(self, path: str, message: str, remedy: str) -> None:
        """Record that the schema is valid but suspicious."""
        self.found.append(Defect(path, message, remedy, warning=True))


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 3, 50, 50, 50


def shown(value: Any) -> str:
    """Return a JSON value as a message may quote it: on one line and not too long."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
