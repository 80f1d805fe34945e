"""Compatibility of schema versions: the registry's verdict and, separately, our reader's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from attrs import frozen

from sdk.avro.contracts import contract_schema, info_of
from sdk.avro.resolution.reader_findings import ReaderFinding, reader_findings
from sdk.avro.resolution.registry_rule import Incompatibility, incompatibilities
from sdk.avro.schema.model import Schema
from sdk.avro.schema.parsing import parse_schema

LEVELS: Final = (
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
)
"""Compatibility levels as registries name them."""

Direction = Literal["backward", "forward"]
_DIRECTIONS: Final[tuple[Direction, ...]] = ("forward", "backward")
T = TypeVar("T")
SchemaSource = Schema | str | Mapping[str, Any] | list[Any] | type[Any]


@frozen
class Compatibility:
    """The compatibility of a reader's schema with a writer's.

    Attributes:
        registry: Why a registry would refuse the pair; exactly Java's ``SchemaCompatibility``.
        reader: Findings of our reader, whether or not a registry accepts the pair.
    """

    registry: tuple[Incompatibility, ...]
    reader: tuple[ReaderFinding, ...]

    @property
    def registry_accepts(self) -> bool:
        """Whether a registry would accept the pair."""
        return not self.registry

    @property
    def reader_accepts(self) -> bool:
        """Whether our reader reads all data with the intended meaning."""
        return not self.errors

    @property
    def errors(self) -> tuple[ReaderFinding, ...]:
        """The reader's findings that are errors."""
        return tuple(finding for finding in self.reader if finding.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether both accept."""
        return self.registry_accepts and self.reader_accepts

    def __bool__(self) -> bool:
        return self.ok


def compatibility(reader: SchemaSource, writer: SchemaSource) -> Compatibility:
    """Return whether data of one schema can be read with another.

    Args:
        reader: The schema, or event class, that must be able to read.
        writer: The schema, or event class, that the data was written with.

    Returns:
        Two verdicts: the registry's (``registry``) and our reader's (``reader``).

    Raises:
        InvalidSchemaError: One of them is not valid Avro.
        SchemaError: A class is not an event class.
    """
    new, old = as_schema(reader), as_schema(writer)
    return Compatibility(incompatibilities(new, old), reader_findings(new, old))


def comparisons(level: str, previous: Sequence[T]) -> Iterator[tuple[T, tuple[Direction, ...]]]:
    """Yield the earlier versions that a level compares, newest first, each with the directions.

    Backward means that the new schema reads the earlier one's data; of FULL, forward comes first.

    Args:
        level: One of `LEVELS`.
        previous: The earlier versions, oldest first.
    """
    kind, _, transitive = level.partition("_")
    directions = tuple(each for each in _DIRECTIONS if kind in (each.upper(), "FULL"))
    if directions:
        for each in reversed(previous if transitive else previous[-1:]):
            yield each, directions


def as_schema(source: SchemaSource) -> Schema:
    """Return the schema of an event class, or parse schema JSON; nodes are returned unchanged."""
    if isinstance(source, Schema):
        return source
    if isinstance(source, str | Mapping | list):
        return parse_schema(source)
    return contract_schema(info_of(source))
