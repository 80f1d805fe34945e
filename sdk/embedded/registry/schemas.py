"""Parses schema texts of requests and of the store with their references."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from attrs import evolve, frozen

from sdk.avro.limits import Limits
from sdk.avro.resolution.registry_rule import incompatibilities
from sdk.avro.schema.defaults import java_accepts_default
from sdk.avro.schema.model import NO_DEFAULT, RecordSchema, Schema, named_types
from sdk.avro.schema.parsing import parse_schema
from sdk.avro.schema.printing import json_text, to_json
from sdk.embedded.registry import answers
from sdk.embedded.registry.documents import Reference
from sdk.embedded.registry.normal_form import normalize_schema
from sdk.embedded.registry.store import AVRO, SchemaDocument, SchemaVersion, Store
from sdk.embedded.registry.subjects import beside
from sdk.errors import InvalidSchemaError

_LIMITS: Final = Limits(max_schema_length=64 * 2**20, max_schema_depth=1_000)
"""Confluent's registry has only the limits of its JSON parser and its log."""


@frozen
class AvroText:
    """A schema that was parsed.

    Attributes:
        schema: Its nodes.
        text: The schema as the registry prints it, referenced types only named.
        resolved: The same with referenced types written out.
    """

    schema: Schema
    text: str
    resolved: str

    def cannot_read(self, writer: AvroText, *, reader_name: str, writer_name: str) -> list[str]:
        """Return why this schema cannot read data of ``writer``, in the registry's words."""
        return [
            problem.registry_message(reader_name, writer_name)
            for problem in incompatibilities(self.schema, writer.schema)
        ]


class Schemas:
    """Parses schemas; references are looked up in the registry."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def canonical(
        self, subject: str, document: SchemaDocument, *, normalize: bool, new: bool
    ) -> tuple[SchemaDocument, AvroText]:
        """Return a schema as it would be stored, and parsed.

        Args:
            subject: Whose context unqualified references belong to.
            document: A schema with text.
            normalize: Bring it into normal form.
            new: It is about to be stored: defaults of a schema to normalize are checked, and a
                deleted version cannot be referenced.
        """
        if document.schema_type != AVRO:
            raise answers.invalid_schema(f"Invalid schema type {document.schema_type}")
        try:
            references, texts = self._references(subject, document.references, deleted=not new)
            parsed = _parsed(document.text or "", texts, strict=normalize and new)
            if normalize:
                parsed = _normalized(parsed.text, texts)
                references = tuple(
                    sorted(set(references), key=lambda each: (each.subject, each.version))
                )
        except (InvalidSchemaError, ValueError) as error:
            details = error.message if isinstance(error, InvalidSchemaError) else str(error)
            shown = ", ".join(map(str, document.references))
            raise answers.invalid_schema(
                f"Invalid schema {{subject={subject},version=0,id=-1,schemaType={AVRO},"
                f"references=[{shown}],metadata={_or_null(document.metadata)},"
                f"ruleSet={_or_null(document.rule_set)},schema={document.text}}} "
                f"with refs [{shown}] of type {AVRO}, details: {details}"
            ) from None
        return evolve(document, text=parsed.text, references=references), parsed

    def stored(self, row: SchemaVersion) -> AvroText:
        """Return a stored version, parsed."""
        _, texts = self._references(row.subject, row.document.references, deleted=True)
        return _parsed(row.document.text or "", texts)

    def _references(
        self, subject: str, references: Sequence[Reference], *, deleted: bool
    ) -> tuple[tuple[Reference, ...], tuple[str, ...]]:
        """Return references with version numbers, and all their texts in order of dependency."""
        texts: dict[str, str] = {}
        numbered = self._collect(subject, references, texts, deleted=deleted)
        return numbered, tuple(texts.values())

    def _collect(
        self,
        subject: str,
        references: Sequence[Reference],
        texts: dict[str, str],
        *,
        deleted: bool,
    ) -> tuple[Reference, ...]:
        numbered: list[Reference] = []
        for each in references:
            if each.name is None or each.subject is None or each.version is None:
                raise ValueError(f"Invalid reference: {each}")
            target = beside(subject, each.subject)
            row = self._store.get(target, each.version, deleted=deleted)
            if row is None:
                raise ValueError(
                    f'No schema reference found for subject "{target}" and version {each.version}'
                )
            numbered.append(evolve(each, version=row.version))
            if each.name not in texts:
                self._collect(row.subject, row.document.references, texts, deleted=deleted)
                texts[each.name] = row.document.text or ""
        return tuple(numbered)


def _parse(text: str, references: tuple[str, ...]) -> Schema:
    return parse_schema(text, references=references, limits=_LIMITS)


@lru_cache(maxsize=1024)
def _parsed(text: str, references: tuple[str, ...], *, strict: bool = False) -> AvroText:
    schema = _parse(text, references)
    if strict:
        _check_defaults(schema)
    return AvroText(schema, to_json(schema, known=_defined_names(references)), to_json(schema))


def _check_defaults(schema: Schema) -> None:
    """Reject a default that does not fit its type, as Avro's parser optionally does."""
    for record in reversed(list(named_types(schema))):  # inner types are parsed first
        for each in record.fields if isinstance(record, RecordSchema) else ():
            default = each.default
            if default is not NO_DEFAULT and not java_accepts_default(each.schema, default):
                raise InvalidSchemaError(
                    f"Invalid default for field {each.name}: {json_text(default)} "
                    f"not a {to_json(each.schema)}"
                )


def _normalized(text: str, references: tuple[str, ...]) -> AvroText:
    schema = _parse(text, references)
    known = _defined_names(references)
    normalize_schema(schema, known)
    return _parsed(to_json(schema, known=known), references)


@lru_cache(maxsize=1024)
def _defined_names(references: tuple[str, ...]) -> frozenset[str]:
    """Return the full names of all types that references define."""
    parsed = (_parse(text, references[:index]) for index, text in enumerate(references))
    return frozenset(each.name for schema in parsed for each in named_types(schema))


def _or_null(value: object) -> str:
    return "null" if value is None else str(value)
