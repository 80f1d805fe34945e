"""The state of the registry: versions, ids, references and contexts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from functools import cached_property

from attrs import define, evolve, field, frozen

from sdk.embedded.registry import answers
from sdk.embedded.registry.documents import Metadata, Reference, RuleSet
from sdk.embedded.registry.subjects import (
    DEFAULT_CONTEXT,
    EVERY_CONTEXT,
    QualifiedSubject,
    beside,
    context_of,
    matches,
)

AVRO = "AVRO"
LATEST = -1
"""Stands for the highest version number."""
_LAST = "\U0010ffff"


@frozen
class SchemaDocument:
    """A schema with everything that identifies it; the text may be missing in requests."""

    text: str | None = field(default=None, metadata={"key": "schema"})
    schema_type: str = AVRO
    references: tuple[Reference, ...] = ()
    metadata: Metadata | None = None
    rule_set: RuleSet | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no schema text."""
        return self.text is None or not self.text.strip()

    @cached_property
    def guid(self) -> str:
        """MD5 over text, references, metadata and rules, written as a UUID."""
        digest = hashlib.md5((self.text or "").encode(), usedforsecurity=False)
        for part in (*self.references, self.metadata, self.rule_set):
            for piece in part.digested() if part is not None else ():
                digest.update(piece)
        return str(uuid.UUID(bytes=digest.digest()))


@frozen
class SchemaVersion:
    """One version of one subject."""

    subject: str
    version: int
    id: int
    document: SchemaDocument
    deleted: bool = False


@define
class _Context:
    """The indexes of one context, in which ids are assigned and schemas are found."""

    highest_id: int = 0
    versions_by_id: dict[int, dict[str, int]] = field(factory=dict)
    id_by_guid: dict[str, int] = field(factory=dict)
    referenced_by: dict[tuple[str, int], set[int]] = field(factory=dict)


class Store:
    """Versions by subject, with the indexes that answers need; callers hold the lock."""

    def __init__(self) -> None:
        self._subjects: dict[str, dict[int, SchemaVersion]] = {}
        self._contexts: dict[str, _Context] = {}
        self._named_contexts: set[str] = set()

    # Contexts

    def contexts(self) -> list[str]:
        """Return the names of the contexts besides the default one, sorted."""
        return sorted(self._named_contexts)

    def add_context(self, context: str) -> None:
        """Add a context in which something is registered."""
        if context != DEFAULT_CONTEXT:
            self._named_contexts.add(context)

    def forget_context(self, context: str) -> None:
        """Drop an empty context."""
        self._named_contexts.discard(context)

    # Versions

    def version(self, subject: str, version: int) -> SchemaVersion | None:
        """Return one version, deleted or not."""
        return self._subjects.get(subject, {}).get(version)

    def versions(self, subject: str) -> list[SchemaVersion]:
        """Return all versions of one subject, deleted ones too, in ascending order."""
        return [row for _, row in sorted(self._subjects.get(subject, {}).items())]

    def get(self, subject: str, version: int, *, deleted: bool) -> SchemaVersion | None:
        """Return one version of exactly this subject; `LATEST` is never a deleted one."""
        if version == LATEST:
            return self.latest(subject)
        row = self.version(subject, version)
        return row if row is not None and (deleted or not row.deleted) else None

    def demand(self, subject: str, version: int, *, deleted: bool) -> SchemaVersion:
        """Return one version; a subject without context is looked for in all of them."""
        rows = (self.get(name, version, deleted=deleted) for name in self.everywhere(subject))
        row = next((row for row in rows if row is not None), None)
        if row is None:
            raise self.missing(subject, version, deleted=deleted)
        return row

    def missing(self, subject: str, version: int, *, deleted: bool) -> answers.RestError:
        """Return the error for a version that does not exist."""
        if self.has(subject, deleted=deleted):
            return answers.version_not_found(version)
        return answers.subject_not_found(subject)

    def everywhere(self, subject: str) -> Iterator[str]:
        """Yield a subject and, if it names no context, its namesakes in the other contexts."""
        yield subject
        parsed = QualifiedSubject.parse(subject)
        if parsed.in_default_context:
            for context in self.contexts():
                yield str(QualifiedSubject(context, parsed.name))

    def latest(self, subject: str) -> SchemaVersion | None:
        """Return the highest version that is not deleted."""
        return next((row for row in reversed(self.versions(subject)) if not row.deleted), None)

    def under_prefix(self, prefix: str) -> list[SchemaVersion]:
        """Return the versions of all subjects with a prefix, by context, subject and number.

        A prefix without context looks into the default one; ``:*:`` looks into all.
        """
        if EVERY_CONTEXT in prefix:
            name = prefix.split(EVERY_CONTEXT, 1)[1]
            if not name:
                return self._between(
                    QualifiedSubject(DEFAULT_CONTEXT, ""), QualifiedSubject(f".{_LAST}", "")
                )
            found = self.under_prefix(name)
            for context in self.contexts():
                found += self.under_prefix(str(QualifiedSubject(context, name)))
            return found
        return self._between(QualifiedSubject.parse(prefix), QualifiedSubject.parse(prefix + _LAST))

    def _between(self, first: QualifiedSubject, last: QualifiedSubject) -> list[SchemaVersion]:
        subjects = sorted((QualifiedSubject.parse(subject), subject) for subject in self._subjects)
        return [
            row
            for parsed, subject in subjects
            if first <= parsed < last
            for row in self.versions(subject)
        ]

    def matching(self, pattern: str | None, *, deleted: bool) -> Iterator[str]:
        """Yield the subjects with versions of a subject, a context or None (all)."""
        for subject, rows in self._subjects.items():
            if matches(pattern, subject) and any(
                deleted or not row.deleted for row in rows.values()
            ):
                yield subject

    def has(self, pattern: str | None, *, deleted: bool) -> bool:
        """Return whether a subject that matches ``pattern`` has versions."""
        return next(self.matching(pattern, deleted=deleted), None) is not None

    # Ids

    def find(self, subject: str, document: SchemaDocument) -> tuple[int, dict[str, int]] | None:
        """Return id and versions by subject of a schema inside the context of ``subject``."""
        context = self._context(subject)
        schema_id = context.id_by_guid.get(document.guid)
        versions = context.versions_by_id.get(schema_id) if schema_id is not None else None
        return (schema_id, versions) if schema_id is not None and versions else None

    def by_id(self, schema_id: int, scope: str | None) -> SchemaVersion | None:
        """Return a version with this id, of a subject or context; None is the default context."""
        parsed = QualifiedSubject.parse(scope or "")
        versions = self._context(scope or "").versions_by_id.get(schema_id)
        if not versions:
            return None
        subject = str(parsed) if parsed.name else next(iter(versions))
        version = versions.get(subject)
        return None if version is None else self.version(subject, version)

    def by_id_anywhere(self, schema_id: int, subject: str | None) -> SchemaVersion | None:
        """Return a version with an id; the subject, if given, is searched first."""
        parsed = QualifiedSubject.parse(subject or "")
        scopes = [subject] if subject is None or not parsed.name else [*self.everywhere(subject)]
        if parsed.name and parsed.in_default_context:
            scopes.append(parsed.prefix)
        rows = (self.by_id(schema_id, scope) for scope in scopes)
        return next((row for row in rows if row is not None), None)

    def by_guid(self, guid: str) -> tuple[str, SchemaVersion] | None:
        """Return the first context that has a GUID, and a version with it."""
        for context in (DEFAULT_CONTEXT, *self.contexts()):
            scope = QualifiedSubject(context, "").prefix
            schema_id = self._context(scope).id_by_guid.get(guid)
            row = None if schema_id is None else self.by_id(schema_id, scope)
            if row is not None:
                return context, row
        return None

    def versions_of_id(self, row: SchemaVersion) -> list[SchemaVersion]:
        """Return one version for each subject that has the schema of ``row``."""
        found = self.find(row.subject, row.document)
        versions = [] if found is None else sorted(found[1].items())
        rows = (self.version(subject, version) for subject, version in versions)
        return [row for row in rows if row is not None]

    def highest_id(self, subject: str) -> int:
        """Return the highest id ever assigned in the context of ``subject``."""
        return self._context(subject).highest_id

    def referenced_by(self, subject: str, version: int) -> set[int]:
        """Return the ids of the live schemas that reference a version."""
        return self._context(subject).referenced_by.get((subject, version), set())

    # Changes

    def put(self, row: SchemaVersion) -> None:
        """Add a version, or replace it."""
        context = self._context(row.subject)
        replaced = self.version(row.subject, row.version)
        if replaced is not None and replaced.id != row.id:
            self._drop_id(replaced)
        self._subjects.setdefault(row.subject, {})[row.version] = row
        context.highest_id = max(context.highest_id, row.id)
        context.versions_by_id.setdefault(row.id, {})[row.subject] = row.version
        context.id_by_guid[row.document.guid] = row.id
        for key in _targets(row):
            users = context.referenced_by.setdefault(key, set())
            (users.discard if row.deleted else users.add)(row.id)

    def soft_delete(self, row: SchemaVersion) -> None:
        """Mark a version as deleted; it stays readable by id."""
        self.put(evolve(row, deleted=True))

    def remove(self, rows: Iterable[SchemaVersion]) -> None:
        """Delete versions for good."""
        for row in rows:
            rest = self._subjects[row.subject]
            del rest[row.version]
            if not rest:
                del self._subjects[row.subject]
            self._drop_id(row)

    def _drop_id(self, row: SchemaVersion) -> None:
        ids = self._context(row.subject).versions_by_id
        versions = ids.get(row.id, {})
        if versions.get(row.subject) == row.version:
            del versions[row.subject]
            if not versions:
                del ids[row.id]

    def _context(self, subject: str) -> _Context:
        return self._contexts.setdefault(context_of(subject), _Context())


def _targets(row: SchemaVersion) -> Iterator[tuple[str, int]]:
    for reference in row.document.references:
        yield beside(row.subject, reference.subject or ""), reference.version or 0
