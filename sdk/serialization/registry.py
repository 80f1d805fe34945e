"""The registry interface of the serializers; `sdk.registry` implements it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from attrs import frozen

from sdk.events import Event, EventInfo
from sdk.records import ConsumerRecord, Header

Encode = Callable[[Any, bytes], bytes]
"""(event, bytes before the body) → both."""


@frozen(kw_only=True)
class FetchedSchema:
    """A schema as the registry keeps it.

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


Writable = Callable[[FetchedSchema], bool]
"""Returns whether every event of a class can be written with a schema without loss."""


@frozen(kw_only=True)
class RegisteredVersion:
    """The version of a subject that events are written with.

    Attributes:
        subject: Registry subject.
        version: The registry's own version number; it is never ours.
        schema_id: Registry schema id.
        guid: The schema's global id, if the registry has one.
        has_rules: Whether rules change or check what is written and read with this version.
        written_as: The schema to write with, if its bytes differ from those of the event's own: a
            newer version, or a union in which the event is one branch.
    """

    subject: str
    version: int
    schema_id: int
    guid: str | None
    has_rules: bool
    written_as: FetchedSchema | None = None


RuledWriter = Callable[[Event, str, list[Header]], bytes]
"""(event, topic, headers) → record value, written with a version whose rules check, change or
encrypt events; may append a header.

Raises `SerializationError` if the event does not fit its schema or a rule refuses it, and
`RegistryError` if an encryption key is unavailable.
"""

RuledReader = Callable[[ConsumerRecord, bytes, bytes], bytes]
"""(record, schema id as framed before a body, body) → body with rules applied, in the shape of
the writer's schema.

Raises `DeserializationError` if a rule refuses the record or it can never be read, and
`RegistryError` if an encryption key is unavailable.
"""


class SchemaRegistry(Protocol):
    """Finds, registers and fetches schemas; results are cached, errors are `sdk.errors`."""

    def registered(
        self, subject: str, contract: EventInfo, writable: Writable | None = None
    ) -> RegisteredVersion:
        """Return the version of ``subject`` that events of ``contract`` are written with.

        Args:
            subject: Registry subject.
            contract: Of the event, or of a shared type.
            writable: Checks whether another schema may be written instead of the event's own.

        Raises:
            SchemaNotFoundError: There is none, and auto-registration is off.
            RegistryError: The registry gave no usable answer.
        """

    def register(self, wanted: Iterable[tuple[str, EventInfo]]) -> None:
        """Register the missing (subject, contract) pairs, if auto-registration is on.

        Raises:
            RegistryError: The registry gave no usable answer.
        """

    def fetch(self, schema_id: int | str) -> FetchedSchema:
        """Return the schema with an id (a number) or a GUID (text).

        Raises:
            SchemaNotFoundError: The registry does not have this schema.
            RegistryError: The registry gave no usable answer.
        """

    def writer(
        self, version: RegisteredVersion, contract: EventInfo, encode: Encode, *, in_header: bool
    ) -> RuledWriter:
        """Return the writer for a version with rules."""

    def reader(self, fetched: FetchedSchema, strategy: Callable[[str, str], str]) -> RuledReader:
        """Return the reader for a schema with rules.

        Args:
            fetched: The writer's schema.
            strategy: (topic, record full name) → subject.

        Raises:
            InvalidSchemaError: The schema is not valid.
        """
