"""Python literals for text from schemas, which is always treated as data."""

from __future__ import annotations

import re
import textwrap
from typing import Final

LINE_LENGTH: Final = 100
_QUOTES: Final = re.compile('("+)')
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def text_literal(text: str) -> str:
    """Return a string literal as formatters write it: in double quotes unless it has many."""
    if _is_plain(text):
        return f'"{text}"'
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(_escaped(letter, quote) for letter in text) + quote


def bytes_literal(data: bytes) -> str:
    """Return a bytes literal, of printable ASCII and escapes."""
    quote = "'" if data.count(b'"') > data.count(b"'") else '"'
    letters = (_escaped(chr(byte), quote) if byte < 0x7F else f"\\x{byte:02x}" for byte in data)
    return f"b{quote}{''.join(letters)}{quote}"


def schema_literal(text: str) -> str:
    """Return a literal of a schema's text that shows it as in its file, if possible.

    Text that a raw string cannot hold, or that has invisible characters, is escaped line by line.
    """
    if '"""' not in text and text[:1] != '"' and text[-1:] not in '"\\' and _shows(text):
        return f'r"""{text}"""'
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return text_literal(text)
    return "(\n" + "".join(f"        {text_literal(line)}\n" for line in lines) + "    )"


def docstring(text: str, indent: str, *, limit: int = LINE_LENGTH) -> str:
    """Return a docstring of any text, indented, with long lines wrapped."""
    lines = _wrapped(text, limit - len(indent) - 6)
    first, *rest = [_docstring_line(line) for line in lines]
    shown = [f'{indent}"""{first}', *(f"{indent}{line}" if line else "" for line in rest)]
    closing = f'\n{indent}"""' if rest else '"""'
    return "\n".join(shown) + closing


def _wrapped(text: str, width: int) -> list[str]:
    whole = _SURROGATES.sub("\ufffd", text)  # source must be UTF-8, which has no half characters
    plain = textwrap.dedent(whole.expandtabs(4).replace("\r\n", "\n")).strip()
    lines: list[str] = []
    for line in plain.split("\n"):
        line = line.rstrip()
        lead = line[: len(line) - len(line.lstrip())]
        if len(line) <= width:
            lines.append(line)
        else:
            lines.extend(
                textwrap.wrap(
                    line,
                    width,
                    subsequent_indent=lead,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
    return [line.rstrip() for line in lines]


def _docstring_line(line: str) -> str:
    """Escape a line; quotes are escaped where they could end the docstring."""
    if _is_plain(line):
        return line
    parts = _QUOTES.split(line)
    last = len(parts) - 1
    return "".join(
        part.replace('"', '\\"')
        if index % 2
        and (len(part) > 2 or not parts[index - 1] or (index + 1 == last and not parts[last]))
        else "".join(_escaped(letter, "") for letter in part)
        for index, part in enumerate(parts)
    )


def _is_plain(text: str) -> bool:
    """Return whether text can stand between double quotes without escapes."""
    return text.isprintable() and '"' not in text and "\\" not in text


def _shows(text: str) -> bool:
    return text.replace("\n", "").isprintable()


def _escaped(letter: str, quote: str) -> str:
    if letter in _NAMED:
        return _NAMED[letter]
    if letter == quote:
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    code = ord(letter)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
