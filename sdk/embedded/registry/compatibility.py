"""Compatibility levels: which versions are compared, in which direction, and the messages."""

from __future__ import annotations

from collections.abc import Sequence

from sdk.avro.resolution.evolution import comparisons
from sdk.avro.schema.model import RecordSchema
from sdk.embedded.registry.schemas import AvroText

_SHOWN_SCHEMA = 10 * 1024
Previous = tuple[int, AvroText]


def problems(level: str, new: AvroText, previous: Sequence[Previous]) -> list[str]:
    """Compare a schema with earlier versions, with the messages of Confluent's registry.

    Returns:
        The incompatibilities with the newest version that has any; empty if there is none.
    """
    for (version, old), directions in comparisons(level, previous):
        found: list[str] = []
        for direction in directions:
            if direction == "forward":
                last = old.cannot_read(new, reader_name="old", writer_name="new")
            else:
                last = new.cannot_read(old, reader_name="new", writer_name="old")
            found += last
        if last:
            text = f"'{old.text}'"
            if len(old.text) > _SHOWN_SCHEMA:
                text = f"<truncated to {_SHOWN_SCHEMA} characters> '{old.text[:_SHOWN_SCHEMA]}'"
            found += [f"{{oldSchemaVersion: {version}}}", f"{{oldSchema: {text}}}"]
        if found:
            return found
    return []


def reserved_field_problems(
    new: AvroText, reserved: Sequence[str], reserved_before: Sequence[str]
) -> list[str]:
    """Check the names reserved by metadata, as the option ``validateFields`` requires."""
    fields = new.schema.fields if isinstance(new.schema, RecordSchema) else ()
    used = {field.name for field in fields}
    return [
        *(
            f"The new schema has reserved field {name} removed from its metadata which is present "
            "in the old schema's metadata."
            for name in reserved_before
            if name not in reserved
        ),
        *(
            f"The new schema has field that conflicts with the reserved field {name}."
            for name in reserved
            if name in used
        ),
    ]
