"""Finds the version of a subject that an event is written with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from sdk.errors import SchemaNotFoundError
from sdk.events import EventInfo
from sdk.registry.client import RegistryClient
from sdk.registry.failures import NO_SUBJECT
from sdk.registry.matching import Relation, differences, match
from sdk.registry.schemas import Reference, StoredSchema, StoredVersion
from sdk.serialization.registry import FetchedSchema, RegisteredVersion, Writable

logger = logging.getLogger(__name__)

_ACCEPTED: Final[dict[str, frozenset[Relation]]] = {
    "exact": frozenset({Relation.EXACT}),
    "canonical": frozenset({Relation.EXACT, Relation.CANONICAL}),
    "latest_compatible": frozenset(Relation),
}
_COMPARED: Final = 10
"""How many of the newest versions an error compares with ours."""


def find(
    client: RegistryClient,
    subject: str,
    contract: EventInfo,
    references: Sequence[Reference] | None,
    wanted: str,
    writable: Writable | None = None,
) -> RegisteredVersion | None:
    """Return the version to write with, or None.

    Looking a schema up finds the version without rules and metadata. When a newer version holds
    the same schema with rules, that is the one to write with: ignoring it would send values
    unencrypted that it encrypts.
    """
    plain: StoredVersion | None = None
    if wanted != "latest_compatible" and references is not None:
        doing = f"look up version {contract.version} of {contract.full_name}"
        try:
            plain = client.find(subject, contract.schema, references, doing)
        except SchemaNotFoundError as error:
            if error.error_code == NO_SUBJECT:
                return None
    try:
        newest = client.version(subject, None)
    except SchemaNotFoundError:  # there is no such subject, or all its versions are deleted
        if plain is None:
            return None
        raise
    if plain is not None and newest.version == plain.version:
        return _registered(newest, newest.schema)
    for version in _newer(client, newest, 0 if plain is None else plain.version):
        if plain is not None and not version.schema.has_rules:
            continue
        fetched = resolved(client, version.schema)
        relation = match(contract, fetched, writable)
        if relation in _ACCEPTED[wanted]:
            own = relation is not Relation.WRITABLE and not _is_union(fetched)
            return _registered(version, version.schema, None if own else fetched)
    # Answers to a look-up omit rules.
    return None if plain is None else _registered(plain, client.schema(plain.schema_id))


def not_found(
    client: RegistryClient,
    subject: str,
    contract: EventInfo,
    wanted: str,
    missing: SchemaNotFoundError | None,
) -> SchemaNotFoundError:
    """Return the error with the existing versions and how the nearest one differs."""
    message = f"version {contract.version} of {contract.full_name} is not registered"
    if missing is not None:
        message += f"; and {missing.message} under subject {missing.subject}"
    remedy = "register it before the service starts, or set registry.auto_register"
    try:
        newest = list(islice(_newer(client, client.version(subject, None), 0), _COMPARED))
    except SchemaNotFoundError:
        newest = []
    if newest:
        compared = [(each, resolved(client, each.schema)) for each in newest]
        version, schema = min(compared, key=lambda pair: len(differences(contract, pair[1])))
        reasons = differences(contract, schema)
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        known = ", ".join(f"{each.version} (id {each.schema_id})" for each in reversed(newest))
        message += (
            f"; the subject has versions {known}, of which {version.version} is nearest:"
            f" {'; '.join(reasons[:3])}{more}"
        )
        if wanted == "exact" and match(contract, schema) is Relation.CANONICAL:
            remedy = (
                f"version {version.version} means the same: set registry.match to 'canonical' to"
                " write with it"
            )
    return SchemaNotFoundError(message, subject=subject, event=contract.full_name, remedy=remedy)


def resolved(client: RegistryClient, schema: StoredSchema) -> FetchedSchema:
    """Return a schema with everything that it refers to."""
    texts: dict[Reference, str] = {}

    def collect(each: StoredSchema) -> None:
        for reference in each.references:
            if reference not in texts:
                inner = client.version(reference.subject, reference.version).schema
                collect(inner)
                texts[reference] = inner.text

    if schema.schema_type == "AVRO":
        collect(schema)
    return FetchedSchema(
        text=schema.text,
        references=tuple(texts.values()),
        schema_type=schema.schema_type,
        has_rules=schema.has_rules,
    )


def _newer(client: RegistryClient, newest: StoredVersion, oldest: int) -> Iterator[StoredVersion]:
    """Yield the versions of a subject above a number, newest first."""
    numbers = [newest.version]
    if newest.version > oldest + 1:
        numbers = client.versions(newest.subject)
    for number in sorted(numbers, reverse=True):
        if number > oldest:
            known = newest if number == newest.version else None
            yield known or client.version(newest.subject, number)


def _registered(
    version: StoredVersion, schema: StoredSchema, written_as: FetchedSchema | None = None
) -> RegisteredVersion:
    if schema.has_migrations:
        logger.warning(
            "migration rules of subject %s, version %s, are not run: versions are resolved as Avro"
            " does",
            version.subject,
            version.version,
        )
    return RegisteredVersion(
        subject=version.subject,
        version=version.version,
        schema_id=version.schema_id,
        guid=version.guid,
        has_rules=schema.has_rules,
        written_as=written_as,
    )


def _is_union(fetched: FetchedSchema) -> bool:
    return fetched.text.lstrip().startswith("[")
