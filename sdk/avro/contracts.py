"""The schemas behind the contract of a generated class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sdk.avro.event_info import EventInfo
from sdk.avro.schema.model import NamedSchema, Schema, named_types
from sdk.avro.schema.parsing import parse_schema
from sdk.errors import SchemaError


def info_of(cls: type[Any]) -> EventInfo:
    """Return the contract of a generated class."""
    info: EventInfo | None = getattr(cls, "__event__", None)
    if info is None:
        raise SchemaError(
            f"{getattr(cls, '__name__', cls)!r} is not an event class",
            remedy="pass a class that the code generator made",
        )
    return info


def contract_schema(info: EventInfo) -> Schema:
    """Parse the schema of a contract with everything that it refers to."""
    references: list[NamedSchema] = []
    for each in dependencies(info):
        references += named_types(parse_schema(each.schema, references=references))
    return parse_schema(info.schema, references=references)


def dependencies(info: EventInfo, seen: set[str] | None = None) -> Iterator[EventInfo]:
    """Yield the contracts that one refers to, each once, in dependency order."""
    seen = set() if seen is None else seen
    for each in info.references:
        if each.full_name not in seen:
            seen.add(each.full_name)
            yield from dependencies(each, seen)
            yield each
