"""Schemas as a registry knows them, and when one of them is ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from attrs import frozen
from confluent_kafka.schema_registry import RegisteredSchema, Schema

from sdk.avro.schema import parse_schema
from sdk.avro.schema.printing import to_json
from sdk.errors import InvalidSchemaError, RegistryUnavailableError
from sdk.events import EventInfo

logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class RegisteredVersion:
    """A schema under a subject, as the registry knows it.

    Attributes:
        subject: Registry subject.
        version: The registry's own version number; it is never ours.
        schema_id: Registry schema id.
        guid: The id's global twin, of a registry that has such.
        has_rules: Whether rules change or check what is written and read with this version.
    """

    subject: str
    version: int
    schema_id: int
    guid: str | None
    has_rules: bool


@frozen(kw_only=True)
class FetchedSchema:
    """A schema fetched by its id.

    Attributes:
        text: The schema's own text.
        references: Texts of the schemas it refers to, in dependency order.
        schema_type: ``AVRO``, ``JSON`` or ``PROTOBUF``.
        has_rules: Whether rules change or check what is written and read with it.
    """

    text: str
    references: tuple[str, ...]
    schema_type: str
    has_rules: bool


def registered_version(
    subject: str, version: RegisteredSchema, schema: Schema
) -> RegisteredVersion:
    """Return a version as a value of ours, its rules taken from ``schema``."""
    rules = schema.rule_set
    if rules is not None and rules.migration_rules:
        logger.warning(
            "migration rules of subject %s, version %s, are not run: versions are resolved as Avro"
            " does",
            subject,
            version.version,
        )
    return RegisteredVersion(
        subject=subject,
        version=number_of(version.version),
        schema_id=number_of(version.schema_id),
        guid=version.guid or None,
        has_rules=has_rules(schema),
    )


def number_of(value: int | None) -> int:
    """Return what every answer of a registry holds; the client's types leave it optional."""
    if value is None:
        raise RegistryUnavailableError("the registry's answer lacks an id or a version")
    return value


def has_rules(schema: Schema) -> bool:
    """Tell whether rules run on write or read; migration rules do not (we resolve as Avro does)."""
    rules = schema.rule_set
    return rules is not None and bool(rules.domain_rules or rules.encoding_rules)


def same_schema(text: str | None, contract: EventInfo) -> bool:
    """Compare a registered text with ours; a registry may print a schema in its own way."""
    references = tuple(reference_texts(contract))
    try:
        theirs = parse_schema(str(text), references=references)
        ours = parse_schema(contract.schema, references=references)
    except InvalidSchemaError:
        return False
    return to_json(theirs) == to_json(ours)


def reference_texts(contract: EventInfo) -> Iterator[str]:
    """Yield the schemas that a contract refers to, each after what it refers to itself."""
    seen: set[str] = set()

    def walk(shared: EventInfo) -> Iterator[str]:
        for inner in shared.references:
            yield from walk(inner)
        if shared.full_name not in seen:
            seen.add(shared.full_name)
            yield shared.schema

    for shared in contract.references:
        yield from walk(shared)
