"""``/subjects`` and ``/schemas``."""

from __future__ import annotations

from typing import Any, Final

from sdk.embedded.registry import answers
from sdk.embedded.registry.bodies import as_json
from sdk.embedded.registry.registration import Registered, Registration, SchemaRequest
from sdk.embedded.registry.routing import RawText, Request, route
from sdk.embedded.registry.schemas import Schemas
from sdk.embedded.registry.scopes import Scopes
from sdk.embedded.registry.store import AVRO, SchemaDocument, SchemaVersion, Store
from sdk.embedded.registry.subjects import EVERY_CONTEXT, is_valid, normalize

_SUBJECT_LIMIT: Final = 20_000
_SCHEMA_LIMIT: Final = 1_000


class Resources:
    """The base of resources: the state of the registry, and the classes that change it."""

    def __init__(self, store: Store, scopes: Scopes) -> None:
        self._store = store
        self._scopes = scopes
        self._schemas = Schemas(store)
        self._registration = Registration(store, scopes, self._schemas)

    def subject(self, request: Request) -> str:
        """Return the subject in the path, or the one that it is an alias of."""
        return normalize(self._scopes.alias(request.params["subject"]))

    def normalizes(self, request: Request, subject: str) -> bool:
        """Whether the request or the subject's configuration requests normalization."""
        return request.flag("normalize") or bool(self._scopes.config_in_scope(subject).normalize)

    def formatted(self, request: Request, row: SchemaVersion) -> str:
        """Return a schema's text in the requested ``format``; unknown ones are ignored."""
        if (request.text("format") or "").strip() == "resolved":
            return self._schemas.stored(row).resolved
        return row.document.text or ""


class SubjectResources(Resources):
    """Subjects and their versions."""

    @route("GET", "/subjects")
    def _list_subjects(self, request: Request) -> Any:
        prefix = request.text("subjectPrefix", EVERY_CONTEXT) or ""
        all_deleted: dict[str, bool] = {}
        for row in self._store.under_prefix(prefix):
            all_deleted[row.subject] = all_deleted.get(row.subject, True) and row.deleted
        wanted = _filter(request)
        subjects = sorted(subject for subject, deleted in all_deleted.items() if deleted in wanted)
        return request.page(subjects, _SUBJECT_LIMIT)

    @route("POST", "/subjects/{subject}")
    def _look_up(self, request: Request) -> Any:
        schema = request.body(SchemaRequest)
        subject = self.subject(request)
        deleted = request.flag("deleted")
        row = self._registration.look_up(
            subject, schema.document, normalize=self.normalizes(request, subject), deleted=deleted
        )
        return self._version_json(request, self._demand(subject, row, deleted=deleted))

    @route("GET", "/subjects/{subject}/metadata")
    def _latest_with_metadata(self, request: Request) -> Any:
        """The latest version with certain properties."""
        subject = self.subject(request)
        deleted = request.flag("deleted")
        keys, values = request.query.get("key", ()), request.query.get("value", ())
        wanted = dict(zip(keys, values, strict=False)).items()
        rows = (
            row
            for row in reversed(self._store.versions(subject))
            if (metadata := row.document.metadata) is not None
            and (deleted or not row.deleted)
            and wanted <= metadata.properties.items()
        )
        row = next(rows, None)
        return self._version_json(request, self._demand(subject, row, deleted=deleted))

    @route("DELETE", "/subjects/{subject}")
    def _delete_subject(self, request: Request) -> Any:
        """Delete all versions, softly first, then for good; the answer is their numbers."""
        subject, permanent = self.subject(request), request.flag("permanent")
        if not self._store.has(subject, deleted=True):
            raise answers.subject_not_found(subject)
        if not permanent and not self._store.has(subject, deleted=False):
            raise answers.subject_soft_deleted(subject)
        rows = [row for row in self._store.versions(subject) if permanent or not row.deleted]
        self._check_deletable(subject, rows)
        if permanent:
            if not all(row.deleted for row in rows):
                raise answers.subject_not_soft_deleted(subject)
            self._store.remove(rows)
        else:
            for row in rows:
                self._store.soft_delete(row)
            self._scopes.forget(subject)
        return [row.version for row in rows]

    @route("GET", "/subjects/{subject}/versions")
    def _list_versions(self, request: Request) -> Any:
        subject = self.subject(request)
        wanted = _filter(request)
        if not self._store.has(subject, deleted=True in wanted):
            raise answers.subject_not_found(subject)
        versions = [row.version for row in self._store.versions(subject) if row.deleted in wanted]
        return request.page(versions, _SUBJECT_LIMIT)

    @route("POST", "/subjects/{subject}/versions")
    def _register(self, request: Request) -> Any:
        schema = request.body(SchemaRequest)
        subject = self.subject(request)
        if not is_valid(subject):
            raise answers.invalid_subject(subject)
        outcome = self._registration.register(
            subject, schema, normalize=self.normalizes(request, subject)
        )
        return _registered_json(request, outcome)

    @route("GET", "/subjects/{subject}/versions/{version}")
    def _get_version(self, request: Request) -> Any:
        return self._version_json(request, self._version(request, request.flag("deleted")))

    @route("GET", "/subjects/{subject}/versions/{version}/schema")
    def _get_text(self, request: Request) -> Any:
        row = self._version(request, request.flag("deleted"))
        return RawText(self.formatted(request, row))

    @route("GET", "/subjects/{subject}/versions/{version}/referencedby")
    def _referenced_by(self, request: Request) -> Any:
        """Ids of the schemas that use it."""
        row = self._version(request, deleted=True)
        ids = sorted(self._store.referenced_by(row.subject, row.version))
        return request.page(ids, _SUBJECT_LIMIT)

    @route("DELETE", "/subjects/{subject}/versions/{version}")
    def _delete_version(self, request: Request) -> Any:
        """Delete one version, softly first, then for good; the answer is its number."""
        subject, permanent = self.subject(request), request.flag("permanent")
        number = request.version()
        row = self._store.get(subject, number, deleted=True)
        if row is None:
            raise self._store.missing(subject, number, deleted=True)
        if row.deleted and not permanent:
            raise answers.version_soft_deleted(subject, request.params["version"])
        self._check_deletable(subject, [row])
        if not permanent:
            self._store.soft_delete(row)
            if self._store.latest(subject) is None:
                self._scopes.forget(subject)
        elif not row.deleted:
            raise answers.version_not_soft_deleted(subject, row.version)
        else:
            self._store.remove([row])
        return row.version

    def _check_deletable(self, subject: str, rows: list[SchemaVersion]) -> None:
        if self._scopes.is_read_only(subject):
            raise answers.read_only(subject)
        for row in rows:
            if self._store.referenced_by(subject, row.version):
                raise answers.reference_exists(subject, row.version)

    def _version(self, request: Request, deleted: bool) -> SchemaVersion:
        return self._store.demand(self.subject(request), request.version(), deleted=deleted)

    def _demand(self, subject: str, row: SchemaVersion | None, *, deleted: bool) -> SchemaVersion:
        if row is not None:
            return row
        if self._store.has(subject, deleted=deleted):
            raise answers.no_such_schema()
        raise answers.subject_not_found(subject)

    def _version_json(self, request: Request, row: SchemaVersion) -> dict[str, Any]:
        text = self.formatted(request, row)
        return version_json(row) | {"schema": text}


class SchemaResources(Resources):
    """Schemas by id and GUID, and all of them."""

    @route("GET", "/schemas")
    def _list_schemas(self, request: Request) -> Any:
        deleted = request.flag("deleted")
        prefix = request.text("subjectPrefix", "") or ""
        rows = [row for row in self._store.under_prefix(prefix) if deleted or not row.deleted]
        aliases = self._scopes.aliases() if request.flag("aliases") else {}
        if request.flag("latestOnly"):
            rows = list({row.subject: row for row in rows}.values())
        rule_type = request.text("ruleType")
        if rule_type:
            rows = [row for row in rows if _has_rule(row.document, rule_type)]
        rows.sort(key=lambda row: (row.subject, row.version))
        shown = []
        for row in request.page(rows, _SCHEMA_LIMIT):
            names = aliases.get(row.subject)
            shown.append(version_json(row) | ({"aliases": names} if names else {}))
        return shown

    @route("GET", "/schemas/types")
    def _list_types(self, request: Request) -> Any:
        return [AVRO]

    @route("GET", "/schemas/ids/{id}")
    def _by_id(self, request: Request) -> Any:
        schema_id = request.path_number("id")
        row = self._store.by_id_anywhere(schema_id, self._scope(request))
        if row is None:
            raise answers.schema_not_found(schema_id)
        text = self.formatted(request, row)
        found = document_json(row.document) | {"schema": text}
        if request.flag("fetchMaxId"):
            found["maxId"] = self._store.highest_id(row.subject)
        return found

    @route("GET", "/schemas/ids/{id}/schema")
    def _text_by_id(self, request: Request) -> Any:
        """The bare schema; an unknown id is an internal error."""
        row = self._store.by_id_anywhere(request.path_number("id"), self._scope(request))
        if row is None:
            raise answers.internal_error()
        return RawText(self.formatted(request, row))

    @route("GET", "/schemas/ids/{id}/subjects")
    def _subjects_of_id(self, request: Request) -> Any:
        subjects = [row.subject for row in self._rows_of_id(request)]
        return request.page(subjects, _SUBJECT_LIMIT)

    @route("GET", "/schemas/ids/{id}/versions")
    def _versions_of_id(self, request: Request) -> Any:
        rows = self._rows_of_id(request)
        pairs = [{"subject": row.subject, "version": row.version} for row in rows]
        return request.page(pairs, _SUBJECT_LIMIT)

    @route("GET", "/schemas/guids/{guid}")
    def _by_guid(self, request: Request) -> Any:
        guid = request.params["guid"]
        found = self._store.by_guid(guid)
        if found is None:
            raise answers.schema_not_found(guid)
        text = self.formatted(request, found[1])
        return document_json(found[1].document) | {"schema": text}

    @route("GET", "/schemas/guids/{guid}/ids")
    def _ids_of_guid(self, request: Request) -> Any:
        """The id in the context that knows the GUID."""
        found = self._store.by_guid(request.params["guid"])
        return [] if found is None else [{"context": found[0], "id": found[1].id}]

    def _rows_of_id(self, request: Request) -> list[SchemaVersion]:
        row = self._store.by_id_anywhere(request.path_number("id"), self._scope(request))
        if row is None:
            raise answers.no_such_schema()
        deleted = request.flag("deleted")
        return [each for each in self._store.versions_of_id(row) if deleted or not each.deleted]

    def _scope(self, request: Request) -> str | None:
        subject = request.text("subject")
        return None if subject is None else normalize(self._scopes.alias(subject))


def document_json(document: SchemaDocument) -> dict[str, Any]:
    """Return a schema as in responses; ``AVRO`` and empty values are omitted."""
    found = {"guid": document.guid, **as_json(document)}
    if document.schema_type == AVRO:
        del found["schemaType"]
    return found


def version_json(row: SchemaVersion) -> dict[str, Any]:
    """Return a version as in responses."""
    where = {"subject": row.subject, "version": row.version, "id": row.id}
    return where | document_json(row.document)


def _registered_json(request: Request, outcome: Registered) -> dict[str, Any]:
    """Return the id, and the version if the registry changed it or the client accepts more."""
    row = outcome.row
    if not (outcome.changed or request.knows_more):
        return {"id": row.id}
    return {"id": row.id, "version": row.version} | document_json(row.document)


def _filter(request: Request) -> tuple[bool, ...]:
    """Return the states of deletion that a listing shows."""
    if request.flag("deletedOnly"):
        return (True,)
    return (False, True) if request.flag("deleted") else (False,)


def _has_rule(document: SchemaDocument, rule_type: str) -> bool:
    return document.rule_set is not None and document.rule_set.has_type(rule_type)
