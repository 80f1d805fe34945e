"""``/subjects`` and ``/schemas``."""

from __future__ import annotations

from typing import Any, Final

from sdk.embedded.registry import answers
from sdk.embedded.registry.deletion import Deletion
from sdk.embedded.registry.documents import metadata_json, reference_json, rule_set_json
from sdk.embedded.registry.reading import Reading, version_number
from sdk.embedded.registry.registration import Registered, Registration, SchemaRequest
from sdk.embedded.registry.routing import RawText, Request, Route
from sdk.embedded.registry.scopes import Scopes
from sdk.embedded.registry.store import AVRO, SchemaDocument, SchemaVersion, Store
from sdk.embedded.registry.subjects import EVERY_CONTEXT, is_valid, normalize

_SUBJECT_LIMIT: Final = 20_000
_SCHEMA_LIMIT: Final = 1_000


class SubjectResources:
    """Subjects and their versions."""

    def __init__(
        self,
        store: Store,
        scopes: Scopes,
        reading: Reading,
        registration: Registration,
        deletion: Deletion,
    ) -> None:
        self._store = store
        self._scopes = scopes
        self._reading = reading
        self._registration = registration
        self._deletion = deletion

    @property
    def routes(self) -> list[Route]:
        """The paths below ``/subjects``."""
        return [
            Route("GET", "/subjects", self.list_subjects),
            Route("POST", "/subjects/{subject}", self.look_up),
            Route("DELETE", "/subjects/{subject}", self.delete_subject),
            Route("GET", "/subjects/{subject}/metadata", self.latest_with_metadata),
            Route("GET", "/subjects/{subject}/versions", self.list_versions),
            Route("POST", "/subjects/{subject}/versions", self.register),
            Route("GET", "/subjects/{subject}/versions/{version}", self.get_version),
            Route("DELETE", "/subjects/{subject}/versions/{version}", self.delete_version),
            Route("GET", "/subjects/{subject}/versions/{version}/schema", self.get_text),
            Route("GET", "/subjects/{subject}/versions/{version}/referencedby", self.referenced_by),
        ]

    def list_subjects(self, request: Request) -> Any:
        """GET /subjects."""
        prefix = request.text("subjectPrefix", EVERY_CONTEXT) or ""
        all_deleted: dict[str, bool] = {}
        for row in self._store.under_prefix(prefix):
            all_deleted[row.subject] = all_deleted.get(row.subject, True) and row.deleted
        wanted = _filter(request)
        subjects = sorted(subject for subject, deleted in all_deleted.items() if deleted in wanted)
        return request.page(subjects, _SUBJECT_LIMIT, _SUBJECT_LIMIT)

    def look_up(self, request: Request) -> Any:
        """POST /subjects/S: has this schema a version?"""
        schema = SchemaRequest.read(request.body())
        subject = self._subject(request)
        deleted = request.flag("deleted")
        row = self._registration.look_up(
            subject, schema.document, normalize=self._normalize(request, subject), deleted=deleted
        )
        return self._version_json(request, self._demand(subject, row, deleted=deleted))

    def latest_with_metadata(self, request: Request) -> Any:
        """GET /subjects/S/metadata: the latest version with certain properties."""
        subject = self._subject(request)
        deleted = request.flag("deleted")
        keys, values = request.query.get("key", ()), request.query.get("value", ())
        row = self._reading.with_metadata(
            subject, dict(zip(keys, values, strict=False)), deleted=deleted
        )
        return self._version_json(request, self._demand(subject, row, deleted=deleted))

    def delete_subject(self, request: Request) -> Any:
        """DELETE /subjects/S."""
        permanent = request.flag("permanent")
        return self._deletion.delete_subject(self._subject(request), permanent=permanent)

    def list_versions(self, request: Request) -> Any:
        """GET /subjects/S/versions."""
        subject = self._subject(request)
        wanted = _filter(request)
        if not self._store.has(subject, deleted=True in wanted):
            raise answers.subject_not_found(subject)
        versions = [row.version for row in self._store.versions(subject) if row.deleted in wanted]
        return request.page(versions, _SUBJECT_LIMIT, _SUBJECT_LIMIT)

    def register(self, request: Request) -> Any:
        """POST /subjects/S/versions."""
        schema = SchemaRequest.read(request.body())
        subject = self._subject(request)
        if not is_valid(subject):
            raise answers.invalid_subject(subject)
        outcome = self._registration.register(
            subject, schema, normalize=self._normalize(request, subject)
        )
        return _registered_json(request, outcome)

    def get_version(self, request: Request) -> Any:
        """GET /subjects/S/versions/V."""
        return self._version_json(request, self._version(request, request.flag("deleted")))

    def get_text(self, request: Request) -> Any:
        """GET /subjects/S/versions/V/schema: the bare schema."""
        row = self._version(request, request.flag("deleted"))
        return RawText(formatted(self._registration, request, row))

    def referenced_by(self, request: Request) -> Any:
        """GET /subjects/S/versions/V/referencedby: ids of the schemas that use it."""
        row = self._version(request, deleted=True)
        ids = sorted(self._store.referenced_by(row.subject, row.version))
        return request.page(ids, _SUBJECT_LIMIT, _SUBJECT_LIMIT)

    def delete_version(self, request: Request) -> Any:
        """DELETE /subjects/S/versions/V."""
        return self._deletion.delete_version(
            self._subject(request), request.params["version"], permanent=request.flag("permanent")
        )

    def _subject(self, request: Request) -> str:
        return normalize(self._scopes.alias(request.params["subject"]))

    def _normalize(self, request: Request, subject: str) -> bool:
        return request.flag("normalize") or bool(self._scopes.config_in_scope(subject).normalize)

    def _version(self, request: Request, deleted: bool) -> SchemaVersion:
        number = version_number(request.params["version"])
        return self._reading.demand(self._subject(request), number, deleted=deleted)

    def _demand(self, subject: str, row: SchemaVersion | None, *, deleted: bool) -> SchemaVersion:
        if row is not None:
            return row
        if self._store.has(subject, deleted=deleted):
            raise answers.schema_not_found()
        raise answers.subject_not_found(subject)

    def _version_json(self, request: Request, row: SchemaVersion) -> dict[str, Any]:
        text = formatted(self._registration, request, row)
        return version_json(row) | {"schema": text}


class SchemaResources:
    """Schemas by id and GUID, and all of them."""

    def __init__(
        self, store: Store, scopes: Scopes, reading: Reading, registration: Registration
    ) -> None:
        self._store = store
        self._scopes = scopes
        self._reading = reading
        self._registration = registration

    @property
    def routes(self) -> list[Route]:
        """The paths below ``/schemas``."""
        return [
            Route("GET", "/schemas", self.list_schemas),
            Route("GET", "/schemas/types", self.list_types),
            Route("GET", "/schemas/ids/{id}", self.by_id),
            Route("GET", "/schemas/ids/{id}/schema", self.text_by_id),
            Route("GET", "/schemas/ids/{id}/subjects", self.subjects_of_id),
            Route("GET", "/schemas/ids/{id}/versions", self.versions_of_id),
            Route("GET", "/schemas/guids/{guid}", self.by_guid),
            Route("GET", "/schemas/guids/{guid}/ids", self.ids_of_guid),
        ]

    def list_schemas(self, request: Request) -> Any:
        """GET /schemas."""
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
        for row in request.page(rows, _SCHEMA_LIMIT, _SCHEMA_LIMIT):
            names = aliases.get(row.subject)
            shown.append(version_json(row) | ({"aliases": names} if names else {}))
        return shown

    def list_types(self, request: Request) -> Any:
        """GET /schemas/types."""
        return [AVRO]

    def by_id(self, request: Request) -> Any:
        """GET /schemas/ids/N."""
        schema_id = request.path_number("id")
        row = self._reading.by_id(schema_id, self._scope(request))
        if row is None:
            raise answers.schema_not_found(schema_id)
        text = formatted(self._registration, request, row)
        found = document_json(row.document) | {"schema": text}
        if request.flag("fetchMaxId"):
            found["maxId"] = self._store.highest_id(row.subject)
        return found

    def text_by_id(self, request: Request) -> Any:
        """GET /schemas/ids/N/schema: the bare schema; an unknown id is an internal error."""
        row = self._reading.by_id(request.path_number("id"), self._scope(request))
        if row is None:
            raise answers.internal_error()
        return RawText(formatted(self._registration, request, row))

    def subjects_of_id(self, request: Request) -> Any:
        """GET /schemas/ids/N/subjects."""
        subjects = [row.subject for row in self._versions_of_id(request)]
        return request.page(subjects, _SUBJECT_LIMIT, _SUBJECT_LIMIT)

    def versions_of_id(self, request: Request) -> Any:
        """GET /schemas/ids/N/versions."""
        rows = self._versions_of_id(request)
        pairs = [{"subject": row.subject, "version": row.version} for row in rows]
        return request.page(pairs, _SUBJECT_LIMIT, _SUBJECT_LIMIT)

    def by_guid(self, request: Request) -> Any:
        """GET /schemas/guids/G."""
        guid = request.params["guid"]
        found = self._store.by_guid(guid)
        if found is None:
            raise answers.schema_not_found(guid)
        text = formatted(self._registration, request, found[1])
        return document_json(found[1].document) | {"schema": text}

    def ids_of_guid(self, request: Request) -> Any:
        """GET /schemas/guids/G/ids: the id in the context that knows the GUID."""
        found = self._store.by_guid(request.params["guid"])
        return [] if found is None else [{"context": found[0], "id": found[1].id}]

    def _versions_of_id(self, request: Request) -> list[SchemaVersion]:
        row = self._reading.by_id(request.path_number("id"), self._scope(request))
        if row is None:
            raise answers.schema_not_found()
        deleted = request.flag("deleted")
        return [each for each in self._store.versions_of_id(row) if deleted or not each.deleted]

    def _scope(self, request: Request) -> str | None:
        subject = request.text("subject")
        return None if subject is None else normalize(self._scopes.alias(subject))


def formatted(registration: Registration, request: Request, row: SchemaVersion) -> str:
    """Return a schema's text in the ``format`` that was asked for; unknown ones are ignored."""
    if (request.text("format") or "").strip() == "resolved":
        return registration.schemas.stored(row).resolved
    return row.document.text or ""


def document_json(document: SchemaDocument) -> dict[str, Any]:
    """Return a schema as it stands in answers; ``AVRO`` and what is empty are left out."""
    found: dict[str, Any] = {"guid": document.guid, "schema": document.text}
    if document.schema_type != AVRO:
        found["schemaType"] = document.schema_type
    if document.references:
        found["references"] = [reference_json(each) for each in document.references]
    if document.metadata is not None and (metadata := metadata_json(document.metadata)):
        found["metadata"] = metadata
    if document.rule_set is not None and (rules := rule_set_json(document.rule_set)):
        found["ruleSet"] = rules
    return found


def version_json(row: SchemaVersion) -> dict[str, Any]:
    """Return a version as it stands in answers."""
    where = {"subject": row.subject, "version": row.version, "id": row.id}
    return where | document_json(row.document)


def _registered_json(request: Request, outcome: Registered) -> dict[str, Any]:
    """Return the id; more where the registry changed the schema or the client knows more."""
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
