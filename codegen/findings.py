"""Defects of the input, each with its place, its reason and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen


@frozen(order=True)
class Finding:
    """A defect because of which a tree of schemas cannot be generated.

    Attributes:
        file: Path of the file, as its reader would type it.
        line: Line, from 1.
        column: Column, from 1.
        pointer: JSON pointer (RFC 6901) of the defect; empty where the whole file is meant.
        reason: What is wrong, in one line.
        remedy: What to do about it.
    """

    file: str
    line: int
    column: int
    pointer: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        pointer = f" {self.pointer}" if self.pointer else ""
        return (
            f"{printable(f'{place}{pointer}: {self.reason}')}\n    remedy: {printable(self.remedy)}"
        )


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Add the name of a file to whatever goes wrong unexpectedly while it is worked on."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while generating from {file}")
        raise


def printable(text: str) -> str:
    """Return text with control and bidirectional characters escaped, line feeds excepted.

    Text from schemas and file names must not control a terminal or misrepresent itself.
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text
    )
