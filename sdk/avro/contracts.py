"""The contract that a generated class carries, as far as its schema goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from sdk.avro.schema.model import NamedSchema, Schema, named_types
from sdk.avro.schema.parsing import parse_schema
from sdk.errors import SchemaError


class EventInfo(Protocol):
    """What is needed of ``cls.__event__`` (see `sdk.events.EventInfo`)."""

    @property
    def full_name(self) -> str:
        """Avro full name."""

    @property
    def schema(self) -> str:
        """JSON text."""

    @property
    def references(self) -> tuple[Any, ...]:
        """Contracts of the types that the schema names but does not define."""

    @property
    def types(self) -> Mapping[str, type[Any]]:
        """Avro full name → class of what the schema defines."""


InfoT = TypeVar("InfoT", bound=EventInfo)


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
    """Parse the schema of a contract with all that it refers to."""
    references: list[NamedSchema] = []
    for each in dependencies(info):
        references += named_types(parse_schema(each.schema, references=references))
    return parse_schema(info.schema, references=references)


def dependencies(info: InfoT, seen: set[str] | None = None) -> Iterator[InfoT]:
    """Yield the contracts that one refers to, each once, those that others need first."""
    seen = set() if seen is None else seen
    for each in info.references:
        if each.full_name not in seen:
            seen.add(each.full_name)
            yield from dependencies(each, seen)
            yield each
