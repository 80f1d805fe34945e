"""Schemas in a registry's responses."""

from __future__ import annotations

from typing import Any, Self

from attrs import frozen


@frozen
class Reference:
    """A schema that another one refers to."""

    name: str
    subject: str
    version: int

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Parse a reference in a response."""
        return cls(str(answer["name"]), str(answer["subject"]), int(answer["version"]))

    def as_json(self) -> dict[str, Any]:
        """Return the reference as in requests."""
        return {"name": self.name, "subject": self.subject, "version": self.version}


@frozen(kw_only=True)
class StoredSchema:
    """A schema in a registry.

    Attributes:
        text: The schema's own text.
        schema_type: ``AVRO``, ``JSON`` or ``PROTOBUF``.
        references: What it refers to.
        has_rules: Whether rules change or check what is written and read with it.
        has_migrations: Whether there are rules between versions, which are not run: versions are
            resolved as Avro does.
    """

    text: str
    schema_type: str
    references: tuple[Reference, ...]
    has_rules: bool
    has_migrations: bool

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Parse a schema in a response."""
        rules = answer.get("ruleSet") or {} if isinstance(answer, dict) else {}
        text = answer["schema"]
        if not isinstance(text, str):
            raise TypeError("a schema is text")
        return cls(
            text=text,
            schema_type=str(answer.get("schemaType") or "AVRO"),
            references=tuple(map(Reference.read, answer.get("references") or ())),
            has_rules=bool(rules.get("domainRules") or rules.get("encodingRules")),
            has_migrations=bool(rules.get("migrationRules")),
        )


@frozen(kw_only=True)
class StoredVersion:
    """A schema under a subject."""

    subject: str
    version: int
    schema_id: int
    guid: str | None
    schema: StoredSchema

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Parse a version in a response."""
        return cls(
            subject=str(answer["subject"]),
            version=int(answer["version"]),
            schema_id=int(answer["id"]),
            guid=answer.get("guid") or None,
            schema=StoredSchema.read(answer),
        )
