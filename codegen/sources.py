"""The results of loading: schema files, the roots that they define, and event.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from codegen.findings import Finding
from sdk.avro.schema import NAMED_KINDS

Key = tuple[str, int]
"""Full name and version: what identifies a root."""


@frozen
class SchemaFile:
    """A file of the schemas tree.

    Attributes:
        path: Path below the schemas root, with forward slashes.
        shown: Path as shown in messages.
        locate: JSON pointer → line and column.
    """

    path: str
    shown: str
    locate: Callable[[str], tuple[int, int]] = field(repr=False, eq=False)

    def finding(self, pointer: str, reason: str, remedy: str) -> Finding:
        """Return a finding at a JSON pointer of this file."""
        line, column = self.locate(pointer)
        return Finding(self.shown, line, column, pointer, reason, remedy)


@frozen
class EventConfig:
    """The contents of an ``event.toml``.

    Attributes:
        file: The file itself.
        key: Name of the Avro field that is the message key.
        owner: Team that owns the event.
        compatibility: Level that the versions must satisfy.
        references: Our version → full name of a shared type → the version it is pinned to.
        examples: Our version → events, as their fields.
    """

    file: SchemaFile
    key: str | None = None
    owner: str | None = None
    compatibility: str = "BACKWARD_TRANSITIVE"
    references: Mapping[int, Mapping[str, int]] = field(factory=dict)
    examples: Mapping[int, tuple[Mapping[str, Any], ...]] = field(factory=dict)


@define(eq=False)
class Root:
    """One version of an event or shared type, from which one module is generated.

    Attributes:
        full_name: Avro full name; of an unnamed type (a union, say) the one its path gives it.
        version: Our version number.
        value: The schema as `json.loads` gives it.
        text: The schema as JSON text; verbatim where the file is plain JSON.
        file: The file that defines it.
        pointer: Where in the file's JSON the schema is.
        domain: First folder below the schemas root, or first part of the namespace.
        package: Path of the package that holds the versions, below the output.
        config: The ``event.toml`` beside it.
        is_versioned: It is the event of a folder, one of whose versions its file is.
    """

    full_name: str
    version: int
    value: Any
    text: str
    file: SchemaFile
    pointer: str
    domain: str
    package: tuple[str, ...]
    config: EventConfig | None = None
    is_versioned: bool = False

    @property
    def is_named(self) -> bool:
        """Whether the schema defines a named type; any other schema becomes a type alias."""
        return isinstance(self.value, Mapping) and self.value.get("type") in NAMED_KINDS

    @property
    def key(self) -> Key:
        """Full name and version."""
        return self.full_name, self.version

    def finding(self, pointer: str, reason: str, remedy: str) -> Finding:
        """Return a finding at a JSON pointer of the schema."""
        return self.file.finding(self.pointer + pointer, reason, remedy)
