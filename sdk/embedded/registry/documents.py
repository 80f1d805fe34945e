"""What a schema carries besides its text: references, metadata and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import asdict, field, frozen

from sdk.embedded.registry import answers
from sdk.embedded.registry.bodies import Body

CONFLUENT_VERSION = "confluent:version"
"""Metadata property in which the registry keeps the version number."""

_MIGRATION_MODES = ("UPGRADE", "DOWNGRADE", "UPDOWN")
_DOMAIN_MODES = ("WRITE", "READ", "WRITEREAD")


@frozen
class Reference:
    """Another registered schema whose types a schema uses."""

    name: str | None
    subject: str | None
    version: int | None

    @classmethod
    def read(cls, body: Body) -> Reference:
        """Read one entry of ``references``."""
        return cls(body.text("name"), body.text("subject"), body.integer("version"))

    def as_json(self) -> dict[str, Any]:
        """Return the reference as in responses."""
        return _filled(asdict(self))

    def __str__(self) -> str:
        return f"{{name='{self.name}', subject='{self.subject}', version={self.version}}}"

    def digested(self) -> Iterator[bytes]:
        """Yield what enters the schema's GUID."""
        yield (self.name or "").encode()
        yield (self.subject or "").encode()
        yield (self.version or 0).to_bytes(4, "big", signed=True)


@frozen
class Metadata:
    """Tags, properties and the names of sensitive properties, all in sorted order."""

    tags: Mapping[str, tuple[str, ...]] = field(factory=dict)
    properties: Mapping[str, str] = field(factory=dict)
    sensitive: tuple[str, ...] = ()

    @classmethod
    def read(cls, body: Body | None) -> Metadata | None:
        """Read the object ``metadata``."""
        if body is None:
            return None
        tags = body.listing("tags") or {}
        return cls(
            {name: tuple(sorted(set(values))) for name, values in sorted(tags.items())},
            dict(sorted((body.mapping("properties") or {}).items())),
            tuple(sorted(set(body.texts("sensitive") or ()))),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the metadata as in responses."""
        return _filled(asdict(self))

    def with_property(self, name: str, value: str) -> Metadata:
        """Return a copy with one more property."""
        properties = dict(sorted({**self.properties, name: value}.items()))
        return Metadata(self.tags, properties, self.sensitive)

    def without_property(self, name: str) -> Metadata:
        """Return a copy that lacks a property."""
        properties = {key: value for key, value in self.properties.items() if key != name}
        return Metadata(self.tags, properties, self.sensitive)

    def digested(self) -> Iterator[bytes]:
        """Yield what enters the schema's GUID."""
        yield b"\x01"
        for name, values in self.tags.items():
            yield name.encode()
            yield from (value.encode() for value in values)
        for name, value in self.properties.items():
            yield name.encode()
            yield value.encode()
        yield from (name.encode() for name in self.sensitive)


@frozen
class Rule:
    """One rule of a rule set; the registry keeps rules and leaves running them to clients."""

    name: str | None
    doc: str | None
    kind: str
    mode: str
    type: str | None
    tags: tuple[str, ...]
    params: Mapping[str, str]
    expr: str | None
    onSuccess: str | None  # noqa: N815 - the name in JSON
    onFailure: str | None  # noqa: N815
    disabled: bool

    @classmethod
    def read(cls, body: Body) -> Rule:
        """Read one rule."""
        return cls(
            name=body.text("name"),
            doc=body.text("doc"),
            kind=body.text("kind") or "TRANSFORM",
            mode=body.text("mode") or "WRITEREAD",
            type=body.text("type"),
            tags=tuple(sorted(set(body.texts("tags") or ()))),
            params=dict(sorted((body.mapping("params") or {}).items())),
            expr=body.text("expr"),
            onSuccess=body.text("onSuccess"),
            onFailure=body.text("onFailure"),
            disabled=body.boolean("disabled") or False,
        )

    def validate(self, modes: tuple[str, ...], what: str) -> None:
        """Refuse a rule without proper name or type, or of another kind's mode."""
        name = self.name
        if name is None:
            raise answers.invalid_rule_set("Missing rule name")
        if not name:
            raise answers.invalid_rule_set("Empty rule name")
        if not (name[0].isalpha() or name[0] == "_"):
            raise answers.invalid_rule_set(f"Illegal initial character in rule name: {name}")
        if not all(letter.isalnum() or letter in "_-" for letter in name[1:]):
            raise answers.invalid_rule_set(f"Illegal character in rule name: {name}")
        if self.type is None:
            raise answers.invalid_rule_set("Missing rule type")
        if self.mode not in modes:
            raise answers.invalid_rule_set(f"{what} rules can only be {', '.join(modes)}")

    def digested(self) -> Iterator[bytes]:
        """Yield what enters the schema's GUID."""
        for text in (self.name, self.doc, self.kind, self.mode, self.type, *self.tags):
            if text is not None:
                yield text.encode()
        for name, value in self.params.items():
            yield name.encode()
            yield value.encode()
        for text in (self.expr, self.onSuccess, self.onFailure):
            if text is not None:
                yield text.encode()
        if self.disabled:
            yield b"\x01"


@frozen
class RuleSet:
    """Rules for migrations between versions and for the values of one version."""

    migration_rules: tuple[Rule, ...] = ()
    domain_rules: tuple[Rule, ...] = ()

    @classmethod
    def read(cls, body: Body | None) -> RuleSet | None:
        """Read the object ``ruleSet`` and check its rules."""
        if body is None:
            return None
        rules = cls(
            tuple(Rule.read(rule) for rule in body.objects("migrationRules") or ()),
            tuple(Rule.read(rule) for rule in body.objects("domainRules") or ()),
        )
        rules.validate()
        return rules

    def validate(self) -> None:
        """Refuse a rule set with a broken rule or a name used twice."""
        seen: set[str | None] = set()
        for rule in (*self.migration_rules, *self.domain_rules):
            if rule.name in seen:
                raise answers.invalid_rule_set(f"Found rule with duplicate name '{rule.name}'")
            seen.add(rule.name)
        for rule in self.migration_rules:
            rule.validate(_MIGRATION_MODES, "Migration")
        for rule in self.domain_rules:
            rule.validate(_DOMAIN_MODES, "Domain")

    def as_json(self) -> dict[str, Any]:
        """Return the rules as in responses."""
        kinds = {"migrationRules": self.migration_rules, "domainRules": self.domain_rules}
        return _filled({k: [_filled(asdict(rule)) for rule in kinds[k]] for k in kinds})

    def has_type(self, rule_type: str) -> bool:
        """Tell whether a rule of this type is among them."""
        return any(rule.type == rule_type for rule in (*self.migration_rules, *self.domain_rules))

    def digested(self) -> Iterator[bytes]:
        """Yield what enters the schema's GUID."""
        yield b"\x01"
        for rule in (*self.migration_rules, *self.domain_rules):
            yield from rule.digested()


def merge_metadata(old: Metadata | None, new: Metadata | None) -> Metadata | None:
    """Return both together; the newer one's properties win."""
    if old is None or new is None:
        return new if old is None else old
    return Metadata(
        dict(sorted({**old.tags, **new.tags}.items())),
        dict(sorted({**old.properties, **new.properties}.items())),
        tuple(sorted({*old.sensitive, *new.sensitive})),
    )


def merge_rule_sets(old: RuleSet | None, new: RuleSet | None) -> RuleSet | None:
    """Return both together; a newer rule replaces the older one of its name."""
    if old is None or new is None:
        return new if old is None else old
    return RuleSet(
        _merge_rules(old.migration_rules, new.migration_rules),
        _merge_rules(old.domain_rules, new.domain_rules),
    )


def _merge_rules(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[Rule, ...]:
    new = tuple(new)
    names = {rule.name for rule in new}
    return (*(rule for rule in old if rule.name not in names), *new)


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null or empty, as the registry does; false stays."""
    return {name: value for name, value in values.items() if value not in (None, "", (), [], {})}
