"""Writes and reads Avro bodies, the bytes after the schema id, with our codec."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from sdk.avro import branch_written, decoder_for, encoder_for
from sdk.avro.limits import DEFAULT_LIMITS, Limits
from sdk.avro.schema import parse_schema
from sdk.avro.schema.model import RecordSchema, Schema, UnionSchema
from sdk.errors import DeserializationError
from sdk.events import Event
from sdk.serialization.framed import Decode
from sdk.serialization.registry import Encode, FetchedSchema


class AvroFormat:
    """The `BodyFormat` of Avro."""

    content_type: Final = "application/avro"
    schema_type: Final = "AVRO"

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def encoder(self, event_class: type[Event], written_as: FetchedSchema | None) -> Encode:
        """Return a function that writes events of a class, with the given schema or its own."""
        if written_as is None:
            return encoder_for(event_class, limits=self._limits)
        return encoder_for(
            event_class,
            written_as=written_as.text,
            references=written_as.references,
            limits=self._limits,
        )

    def writer(self, fetched: FetchedSchema) -> AvroWriter:
        """Return the reader of bodies written with a schema."""
        schema = parse_schema(fetched.text, references=fetched.references, limits=self._limits)
        if not isinstance(schema, RecordSchema | UnionSchema):
            raise DeserializationError(f"the schema is a bare {schema.type}, not a record")
        name = schema.name if isinstance(schema, RecordSchema) else None
        return AvroWriter(name, schema, self._limits)


@frozen
class AvroWriter:
    """The schema of a record, or a union whose branch is in each body."""

    full_name: str | None
    schema: Schema
    limits: Limits = DEFAULT_LIMITS

    def name_of(self, data: bytes, start: int) -> str:
        """Return the full name of the record that a body holds; ``null`` for the branch null."""
        branch = branch_written(self.schema, data, start)
        if isinstance(branch, RecordSchema):
            return branch.name
        if branch.type == "null":
            return "null"
        raise DeserializationError(f"the value is a bare {branch.type}, not a record")

    def decoder(self, event_class: type[Event]) -> Decode:
        """Return a function that reads bodies as a class."""
        return decoder_for(event_class, self.schema, limits=self.limits)
