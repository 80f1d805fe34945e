"""Builds Python source and compiles it into a function."""

from __future__ import annotations

import itertools
import linecache
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_SERIAL: Final = itertools.count(1)
_STRANGE: Final = re.compile(r"[^\w.]")

MAX_LOOPS: Final = 6
MAX_INDENT: Final = 24
"""Python nests at most 20 loops and 100 levels; deeper parts become separate functions."""


class Source:
    """Collects the statements of a module of functions."""

    def __init__(self) -> None:
        self.globals: dict[str, Any] = {}
        self.lines: list[str] = []
        self.indent = 0
        self.loops = 0
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []
        self._serial = itertools.count()

    def line(self, text: str) -> None:
        """Append a statement."""
        self.lines.append(" " * self.indent + text)

    @contextmanager
    def block(self, head: str, *, loop: bool = False) -> Iterator[None]:
        """Append the head of a compound statement; what follows inside is its body."""
        self.line(head)
        self.indent += 1
        self.loops += loop
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.line("pass")
        self.indent -= 1
        self.loops -= loop

    @property
    def is_deep(self) -> bool:
        """Whether the next loop or branch should become a separate function."""
        return self.loops >= MAX_LOOPS or self.indent >= MAX_INDENT

    def local(self, prefix: str) -> str:
        """Return a name that is not in use."""
        return f"{prefix}{next(self._serial)}"

    def value(self, value: Any, prefix: str = "k") -> str:
        """Return the global name of a value in the functions."""
        name = self._names.get(id(value))
        if name is None:
            name = self._names[id(value)] = f"{prefix.upper()}_{next(self._serial)}"
            self._kept.append(value)  # so that its id is not used again
            self.globals[name] = value
        return name

    def function(self, name: str, title: str) -> Callable[..., Any]:
        """Compile the module and return one of its functions."""
        filename = f"<avro {_STRANGE.sub('_', title)} {next(_SERIAL)}>"
        text = "\n".join(self.lines) + "\n"
        namespace = self.globals
        exec(compile(text, filename, "exec"), namespace)  # noqa: S102 - our own text, see above
        made: Callable[..., Any] = namespace[name]
        linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
        weakref.finalize(made, linecache.cache.pop, filename, None).atexit = False
        return made
