"""Finding versions: by number, by id, by GUID, by metadata, by prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sdk.embedded.registry import answers
from sdk.embedded.registry.store import SchemaVersion, Store
from sdk.embedded.registry.subjects import QualifiedSubject

LATEST = -1
_MAX_VERSION = 2**31 - 1


def version_number(text: str) -> int:
    """Return the number that a path names; `LATEST` for ``latest`` and ``-1``.

    Raises:
        RestError: 42202.
    """
    stripped = text.strip()
    if stripped.lower() == "latest":
        return LATEST
    digits = stripped.removeprefix("+")
    if not digits.removeprefix("-").isdecimal():
        raise answers.invalid_version(text)
    number = int(digits[:20])
    if number > _MAX_VERSION:
        raise answers.invalid_version(text)
    if number <= 0 and number != LATEST:
        raise answers.invalid_version(str(number))
    return number


class Reading:
    """The questions that change nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, subject: str, version: int, *, deleted: bool) -> SchemaVersion | None:
        """Return one version of exactly this subject; the latest is never a deleted one."""
        if version == LATEST:
            return self._store.latest(subject)
        row = self._store.version(subject, version)
        return row if row is not None and (deleted or not row.deleted) else None

    def get_anywhere(self, subject: str, version: int, *, deleted: bool) -> SchemaVersion | None:
        """Return one version; a subject without context is looked for in all of them."""
        return self._anywhere(subject, lambda name: self.get(name, version, deleted=deleted))

    def demand(self, subject: str, version: int, *, deleted: bool) -> SchemaVersion:
        """Return one version, wherever it is.

        Raises:
            RestError: 40401 or 40402.
        """
        row = self.get_anywhere(subject, version, deleted=deleted)
        if row is None:
            raise self.missing(subject, version, deleted=deleted)
        return row

    def missing(self, subject: str, version: int, *, deleted: bool) -> answers.RestError:
        """Return the refusal for a version that is not there."""
        if self._store.has(subject, deleted=deleted):
            return answers.version_not_found(version)
        return answers.subject_not_found(subject)

    def by_id(self, schema_id: int, subject: str | None) -> SchemaVersion | None:
        """Return a version with an id; the subject, if given, tells where to look first."""
        row = self._store.by_id(schema_id, subject)
        parsed = QualifiedSubject.parse(subject or "")
        if row is not None or not parsed.name or not parsed.in_default_context:
            return row
        for context in self._store.contexts():
            row = self._store.by_id(schema_id, str(QualifiedSubject(context, parsed.name)))
            if row is not None:
                return row
        return self._store.by_id(schema_id, parsed.prefix)

    def with_metadata(
        self, subject: str, properties: Mapping[str, str], *, deleted: bool
    ) -> SchemaVersion | None:
        """Return the highest version whose metadata has all these properties."""
        for row in reversed(self._store.versions(subject)):
            metadata = row.document.metadata
            if metadata is None or (row.deleted and not deleted):
                continue
            if properties.items() <= metadata.properties.items():
                return row
        return None

    def _anywhere(
        self, subject: str, find: Callable[[str], SchemaVersion | None]
    ) -> SchemaVersion | None:
        found = find(subject)
        parsed = QualifiedSubject.parse(subject)
        if found is not None or not parsed.in_default_context:
            return found
        for context in self._store.contexts():
            found = find(str(QualifiedSubject(context, parsed.name)))
            if found is not None:
                return found
        return None
