"""Registers schemas and looks them up: the same steps, with and without storing the result."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import evolve, field, frozen

from sdk.embedded.registry import answers, compatibility
from sdk.embedded.registry.documents import (
    CONFLUENT_VERSION,
    Metadata,
    merge_metadata,
    merge_rule_sets,
)
from sdk.embedded.registry.schemas import AvroText, Schemas
from sdk.embedded.registry.scopes import Config, Scopes
from sdk.embedded.registry.store import SchemaDocument, SchemaVersion, Store
from sdk.embedded.registry.subjects import QualifiedSubject, context_of

_MAX_RECORD = 1_048_576
"""Kafka's default limit of a record, in which the real registry stores a schema."""

_RECORD_OVERHEAD = 200
_RESERVED_FIELDS = "confluent:reserved"


def _id(number: int) -> int:
    return max(number, -1)


@frozen
class SchemaRequest:
    """A schema sent by a client; version 0 and id -1 let the registry choose."""

    document: SchemaDocument = field(factory=SchemaDocument, metadata={"key": ""})
    version: int = 0
    id: int = field(default=-1, converter=_id)


@frozen
class Registered:
    """The version that now has the schema, and whether the registry changed or completed it."""

    row: SchemaVersion
    changed: bool = False


class Registration:
    """Checks schemas against mode, level and history, and stores them."""

    def __init__(self, store: Store, scopes: Scopes, schemas: Schemas) -> None:
        self._store = store
        self._scopes = scopes
        self._schemas = schemas

    def register(self, subject: str, request: SchemaRequest, *, normalize: bool) -> Registered:
        """Store a schema, unless it is stored already."""
        config = self._scopes.config_in_scope(subject)
        if request.version != -1 and not config.changes_schemas:
            found = self._find(subject, request.document, normalize=normalize, deleted=False)
            if found is not None and self._is_same(found, request):
                return Registered(found)
        self._check_mode(subject, request.id)
        importing = self._scopes.mode_in_scope(subject) == "IMPORT"
        rows = self._store.versions(subject)
        live = [row for row in rows if not row.deleted]
        next_version = max((row.version for row in rows), default=0) + 1
        document = request.document
        if not importing:
            document = self._completed(document, config, live, request.version, next_version)
        changed = document != request.document
        if document.is_empty:
            raise answers.invalid_schema("Empty schema")
        document, parsed = self._schemas.canonical(
            subject, document, normalize=normalize, new=request.id < 0
        )
        known = self._known_id(subject, document, request)
        if isinstance(known, SchemaVersion):
            return Registered(known, changed)
        if request.version == 0:
            same = self._with_references_inlined(live, document, parsed)
            if same is not None and request.id in (-1, same.id):
                return Registered(same, changed)
        problems = [] if importing else self._problems(config, document, parsed, live)
        if problems:
            raise answers.incompatible(subject, ", ".join(problems))
        row = self._numbered(subject, document, request, known, next_version, importing=importing)
        self._store_version(row, rows)
        return Registered(row, changed)

    def look_up(
        self, subject: str, document: SchemaDocument, *, normalize: bool, deleted: bool
    ) -> SchemaVersion | None:
        """Return the version that has a schema, in this or, without context, in any context."""
        found = (
            self._look_up_here(name, document, normalize=normalize, deleted=deleted)
            for name in self._store.everywhere(subject)
        )
        return next((row for row in found if row is not None), None)

    def compare(
        self,
        subject: str,
        document: SchemaDocument,
        previous: Sequence[SchemaVersion],
        *,
        normalize: bool,
    ) -> list[str]:
        """Return why a schema could not follow ``previous`` under the subject's level."""
        config = self._scopes.config_in_scope(subject)
        if document.is_empty:
            raise answers.invalid_schema("Empty schema")
        document, parsed = self._schemas.canonical(subject, document, normalize=normalize, new=True)
        return self._problems(config, document, parsed, previous)

    def _look_up_here(
        self, subject: str, document: SchemaDocument, *, normalize: bool, deleted: bool
    ) -> SchemaVersion | None:
        found = self._find(subject, document, normalize=normalize, deleted=deleted)
        latest = self._store.latest(subject)
        if found is not None or latest is None:
            return found
        # As when registering, values are copied from the latest version.
        config = self._scopes.config_in_scope(subject)
        completed = self._with_metadata(document, config, latest)
        if completed == document:
            return None
        return self._find(subject, completed, normalize=normalize, deleted=deleted)

    def _find(
        self, subject: str, document: SchemaDocument, *, normalize: bool, deleted: bool
    ) -> SchemaVersion | None:
        """Return the version of this very subject that has a schema."""
        if document.is_empty:
            return None
        document, parsed = self._schemas.canonical(
            subject, document, normalize=normalize, new=False
        )
        found = self._store.find(subject, document)
        if found is not None:
            row = self._version_of(subject, found[1])
            if row is not None and (deleted or not row.deleted):
                return row
        rows = [row for row in self._store.versions(subject) if deleted or not row.deleted]
        return self._with_references_inlined(rows, document, parsed) or next(
            (row for row in reversed(rows) if _same_but_version_note(document, row)), None
        )

    def _version_of(self, subject: str, versions: dict[str, int]) -> SchemaVersion | None:
        version = versions.get(subject)
        return None if version is None else self._store.version(subject, version)

    def _with_references_inlined(
        self, rows: Sequence[SchemaVersion], document: SchemaDocument, parsed: AvroText
    ) -> SchemaVersion | None:
        """Find a schema that was sent with its references inlined."""
        if document.references:
            return None
        for row in reversed(rows):
            if row.document.references and self._schemas.stored(row).resolved == parsed.resolved:
                return row
        return None

    @staticmethod
    def _is_same(found: SchemaVersion, request: SchemaRequest) -> bool:
        if request.version == 0:
            return request.id < 0 or request.id == found.id
        return request.id == found.id and request.version == found.version

    def _check_mode(self, subject: str, schema_id: int) -> None:
        mode = self._scopes.mode_in_scope(subject)
        if self._scopes.is_read_only(subject):
            raise answers.read_only(subject)
        if schema_id >= 0 and mode != "IMPORT":
            raise answers.not_permitted(f"Subject {subject} is not in import mode")
        if schema_id < 0 and mode != "READWRITE":
            raise answers.not_permitted(f"Subject {subject} is not in read-write mode")

    def _completed(
        self,
        document: SchemaDocument,
        config: Config,
        live: Sequence[SchemaVersion],
        version: int,
        next_version: int,
    ) -> SchemaDocument:
        """Fill in parts that a request omits from the latest version and the configuration."""
        latest = live[-1] if live else None
        if document.is_empty and latest is not None:
            document = evolve(
                document,
                text=latest.document.text,
                schema_type=latest.document.schema_type,
                references=latest.document.references,
            )
        document = self._with_metadata(document, config, latest)
        if version != 0 or _property(document, CONFLUENT_VERSION) is not None:
            document = _with_note(document, str(next_version))
        return document

    @staticmethod
    def _with_metadata(
        document: SchemaDocument, config: Config, latest: SchemaVersion | None
    ) -> SchemaDocument:
        own_metadata, own_rules = document.metadata, document.rule_set
        if latest is not None:
            own_metadata = own_metadata or latest.document.metadata
            own_rules = own_rules or latest.document.rule_set
        metadata = merge_metadata(
            merge_metadata(config.default_metadata, own_metadata), config.override_metadata
        )
        rules = merge_rule_sets(
            merge_rule_sets(config.default_rule_set, own_rules), config.override_rule_set
        )
        return evolve(document, metadata=metadata, rule_set=rules)

    def _known_id(
        self, subject: str, document: SchemaDocument, request: SchemaRequest
    ) -> SchemaVersion | int:
        """Return the live version that has the schema; else the id for it, or -1."""
        found = self._store.find(subject, document)
        if found is None or request.id not in (-1, found[0]):
            return request.id
        row = self._version_of(subject, found[1])
        if request.version == 0 and row is not None and not row.deleted:
            return row
        return found[0]

    def _problems(
        self,
        config: Config,
        document: SchemaDocument,
        parsed: AvroText,
        previous: Sequence[SchemaVersion],
    ) -> list[str]:
        level = config.compatibility or "BACKWARD"
        found: list[str] = []
        if config.validate_fields:
            before = _reserved(previous[-1].document) if previous else []
            found += compatibility.reserved_field_problems(parsed, _reserved(document), before)
        key = config.compatibility_group
        if key is not None:
            group = _property(document, key)
            previous = [row for row in previous if _property(row.document, key) == group]
        found += compatibility.problems(
            level, parsed, [(row.version, self._schemas.stored(row)) for row in previous]
        )
        if found:
            checked = str(bool(config.validate_fields)).lower()
            found.append(f"{{validateFields: '{checked}', compatibility: '{level}'}}")
        return found

    def _numbered(
        self,
        subject: str,
        document: SchemaDocument,
        request: SchemaRequest,
        schema_id: int,
        next_version: int,
        *,
        importing: bool,
    ) -> SchemaVersion:
        version = request.version if request.version > 0 else next_version
        if version != next_version and not importing:
            raise answers.invalid_schema("Version is not one more than previous version")
        if schema_id < 0:
            schema_id = self._store.highest_id(subject) + 1
        else:
            scope = QualifiedSubject(context_of(subject), "").prefix
            other = self._store.by_id(schema_id, scope)
            if other is not None and other.document != document:
                raise answers.not_permitted(
                    f"Overwrite new schema with id {schema_id} is not permitted."
                )
        return SchemaVersion(subject, version, schema_id, document)

    def _store_version(self, row: SchemaVersion, rows: Sequence[SchemaVersion]) -> None:
        stored = json.dumps(row.document.text, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(stored) + _RECORD_OVERHEAD > _MAX_RECORD:
            raise answers.schema_too_large()
        self._store.add_context(context_of(row.subject))
        replaced = [
            old for old in rows if old.deleted and old.id == row.id and old.version < row.version
        ]
        self._store.remove(replaced)
        self._store.put(row)


def _reserved(document: SchemaDocument) -> list[str]:
    names = (_property(document, _RESERVED_FIELDS) or "").split(",")
    return [name.strip() for name in names if name.strip()]


def _property(document: SchemaDocument, name: str) -> str | None:
    return None if document.metadata is None else document.metadata.properties.get(name)


def _same_but_version_note(document: SchemaDocument, row: SchemaVersion) -> bool:
    """Return whether two schemas differ at most in the registry's note of the version."""
    note, own = _property(row.document, CONFLUENT_VERSION), _property(document, CONFLUENT_VERSION)
    if (note is None) == (own is None) or (own is not None and own != str(row.version)):
        return False
    return _with_note(document, None) == _with_note(row.document, None)


def _with_note(document: SchemaDocument, version: str | None) -> SchemaDocument:
    """Return a schema with the registry's note of a version, or without any."""
    metadata = document.metadata or Metadata()
    properties = {k: v for k, v in metadata.properties.items() if k != CONFLUENT_VERSION}
    if version is not None:
        properties[CONFLUENT_VERSION] = version
    return evolve(document, metadata=evolve(metadata, properties=properties))
