"""Deleting versions and subjects: softly first, then for good."""

from __future__ import annotations

from sdk.embedded.registry import answers
from sdk.embedded.registry.scopes import Scopes
from sdk.embedded.registry.store import SchemaVersion, Store


class Deletion:
    """Checks mode and references, and deletes."""

    def __init__(self, store: Store, scopes: Scopes) -> None:
        self._store = store
        self._scopes = scopes

    def delete_version(self, subject: str, number: int, *, named: str, permanent: bool) -> int:
        """Delete one version and return its number."""
        row = self._store.get(subject, number, deleted=True)
        if row is None:
            raise self._store.missing(subject, number, deleted=True)
        if row.deleted and not permanent:
            raise answers.version_soft_deleted(subject, named)
        self._check(subject, [row])
        if not permanent:
            self._store.soft_delete(row)
            if self._store.latest(subject) is None:
                self._scopes.forget(subject)
        elif not row.deleted:
            raise answers.version_not_soft_deleted(subject, row.version)
        else:
            self._store.remove([row])
        return row.version

    def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Delete all versions of a subject and return their numbers."""
        if not self._store.has(subject, deleted=True):
            raise answers.subject_not_found(subject)
        if not permanent and not self._store.has(subject, deleted=False):
            raise answers.subject_soft_deleted(subject)
        rows = [row for row in self._store.versions(subject) if permanent or not row.deleted]
        self._check(subject, rows)
        if permanent:
            if not all(row.deleted for row in rows):
                raise answers.subject_not_soft_deleted(subject)
            self._store.remove(rows)
        else:
            for row in rows:
                self._store.soft_delete(row)
            self._scopes.forget(subject)
        return [row.version for row in rows]

    def _check(self, subject: str, rows: list[SchemaVersion]) -> None:
        if self._scopes.is_read_only(subject):
            raise answers.read_only(subject)
        for row in rows:
            if self._store.referenced_by(subject, row.version):
                raise answers.reference_exists(subject, row.version)
