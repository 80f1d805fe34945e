"""Subject names, which may be qualified by a context: ``:.staging:orders``."""

from __future__ import annotations

import re

from attrs import frozen

DEFAULT_CONTEXT = "."
EVERY_CONTEXT = ":*:"
_CONTEXT_PREFIX = ":."
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_RESERVED = ("__GLOBAL", "__EMPTY")


@frozen(order=True)
class QualifiedSubject:
    """A subject inside a context; the order is that of listings.

    Attributes:
        context: Name of the context, which begins with a dot; ``.`` alone is the default one.
        name: The subject inside it; empty when the context itself is meant.
    """

    context: str
    name: str

    @classmethod
    def parse(cls, text: str) -> QualifiedSubject:
        """Split ``:.context:name``; a name without a context is in the default one."""
        if text.startswith(_CONTEXT_PREFIX):
            context, _, name = text[1:].partition(":")
            return cls(context, name)
        if text.startswith(EVERY_CONTEXT):
            return cls("*", text.removeprefix(EVERY_CONTEXT))
        return cls(DEFAULT_CONTEXT, text)

    @property
    def prefix(self) -> str:
        """The context as a prefix of the name; empty for the default context."""
        return "" if self.context == DEFAULT_CONTEXT else f":{self.context}:"

    @property
    def in_default_context(self) -> bool:
        """Whether the subject is in the default context."""
        return self.context == DEFAULT_CONTEXT

    def __str__(self) -> str:
        return self.prefix + self.name


def normalize(text: str) -> str:
    """Return a subject in the form in which it is stored: ``:.:orders`` is ``orders``."""
    return str(QualifiedSubject.parse(text))


def context_of(subject: str) -> str:
    """Return the name of a subject's context."""
    return QualifiedSubject.parse(subject).context


def normalize_context(context: str) -> str:
    """Return a context's name, however it is written, as a prefix."""
    context = context.removeprefix(":").removesuffix(":")
    if ":" in context:
        raise ValueError("Context name cannot contain a colon")
    if not context.startswith("."):
        context = f".{context}"
    return QualifiedSubject(context, "").prefix


def is_valid(subject: str) -> bool:
    """Return whether schemas may be registered under this subject."""
    return (
        _CONTROL.search(subject) is None and QualifiedSubject.parse(subject).name not in _RESERVED
    )


def is_default_context(subject: str) -> bool:
    """Return whether a path names the default context itself, which means the global scope."""
    parsed = QualifiedSubject.parse(subject)
    return parsed.in_default_context and not parsed.name


def beside(parent: str, subject: str) -> str:
    """Return a subject, resolved in the context of another."""
    parsed = QualifiedSubject.parse(subject)
    if parsed.in_default_context:
        return str(QualifiedSubject(context_of(parent), subject))
    return str(parsed)


def matches(pattern: str | None, subject: str) -> bool:
    """Return whether a subject matches a name; a context alone matches all of its subjects."""
    if pattern is None or pattern == subject:
        return True
    wanted = QualifiedSubject.parse(pattern)
    return not wanted.name and wanted.context == context_of(subject)
