"""Splits Avro IDL into tokens (grammar: ``Idl.g4`` of the Avro project, version 1.12)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from codegen.findings import Finding

_PART: Final = r"(?:`[^`\n]+`|[^\W\d]\w*)"
_TOKEN: Final = re.compile(
    rf"""
    (?P<space>\s+|//[^\n]*|\x1a)
  | (?P<doc>/\*\*(?!/).*?\*/)
  | (?P<comment>/\*.*?\*/)
  | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>-?(?:0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|Infinity\b)[lLfFdD]?)
  | (?P<name>{_PART}(?:[.-]{_PART})*)
  | (?P<mark>[{{}}\[\]()<>@=;,:?])
    """,
    re.VERBOSE | re.DOTALL,
)

_TRIMMED: Final = "".join(map(chr, range(0x21)))
_BLANK: Final = " \t\xa0\u1680\u180e\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_BLANK_AHEAD: Final = re.compile(f"^[{_BLANK}]")


class IdlSyntaxError(Exception):
    """IDL that cannot be read, with the offset at which it goes wrong."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@frozen
class Token:
    """A token."""

    kind: str
    text: str
    offset: int
    doc: str | None = None


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of an IDL file, and at last one of kind ``end``."""
    position, doc = 0, None
    while position < len(source):
        found = _TOKEN.match(source, position)
        if found is None:
            raise IdlSyntaxError(f"unexpected {source[position]!r}", position)
        kind = str(found.lastgroup)
        if kind == "doc":
            doc = found[0]
        elif kind not in ("space", "comment"):
            yield Token(kind, found[0], position, doc and doc_text(doc))
            doc = None
        position = found.end()
    yield Token("end", "", len(source))


def doc_text(comment: str) -> str:
    """Return the text of a ``/** */`` comment, exactly as Java's reader of IDL does.

    One or two stars are a frame if every line begins with them; else lines after the first lose
    the blank space that all of them begin with. Schema texts must not depend on who read the IDL.
    """
    first, *rest = comment[3:-2].strip(_TRIMMED).split("\n")
    for stars in ("**", "*"):
        bare = [line.lstrip(_BLANK) for line in rest]
        if all(line.startswith(stars) for line in (first, *bare)):
            return "\n".join(_BLANK_AHEAD.sub("", line[len(stars) :]) for line in (first, *bare))
    margin = rest[0][: len(rest[0]) - len(rest[0].lstrip(_BLANK))] if rest else ""
    while not all(line.startswith(margin) for line in rest):
        margin = margin[:-1]
    return "\n".join((first, *(line[len(margin) :] for line in rest)))


def place(source: str, offset: int) -> tuple[int, int]:
    """Return line and column of an offset, from 1."""
    line = source.count("\n", 0, offset) + 1
    return line, offset - (source.rfind("\n", 0, offset) + 1) + 1


def syntax_finding(shown: str, source: str, error: IdlSyntaxError) -> Finding:
    """Return a syntax error as a finding."""
    return Finding(shown, *place(source, error.offset), "", error.message, "correct the IDL there")
