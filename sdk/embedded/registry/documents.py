"""What a schema carries besides its text: references, metadata and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import asdict, astuple, field, frozen

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

    def __str__(self) -> str:
        return f"{{name='{self.name}', subject='{self.subject}', version={self.version}}}"


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

    def with_property(self, name: str, value: str) -> Metadata:
        """Return a copy with one more property."""
        properties = dict(sorted({**self.properties, name: value}.items()))
        return Metadata(self.tags, properties, self.sensitive)

    def without_property(self, name: str) -> Metadata:
        """Return a copy that lacks a property."""
        properties = {key: value for key, value in self.properties.items() if key != name}
        return Metadata(self.tags, properties, self.sensitive)


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
    onSuccess: str | None  # noqa: N815 - as it stands in JSON
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
        """Refuse a rule without proper name or type, or of another kind's mode.

        Raises:
            RestError: 42210.
        """
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


@frozen
class RuleSet:
    """Rules for migrations between versions and for the values of one version."""

    migrationRules: tuple[Rule, ...] = ()  # noqa: N815 - as it stands in JSON
    domainRules: tuple[Rule, ...] = ()  # noqa: N815

    @classmethod
    def read(cls, body: Body | None) -> RuleSet | None:
        """Read the object ``ruleSet`` and check its rules.

        Raises:
            RestError: 42210.
        """
        if body is None:
            return None
        rules = cls(
            tuple(Rule.read(rule) for rule in body.objects("migrationRules") or ()),
            tuple(Rule.read(rule) for rule in body.objects("domainRules") or ()),
        )
        rules.validate()
        return rules

    def validate(self) -> None:
        """Refuse a rule set with a broken rule or a name used twice.

        Raises:
            RestError: 42210.
        """
        seen: set[str | None] = set()
        for rule in (*self.migrationRules, *self.domainRules):
            if rule.name in seen:
                raise answers.invalid_rule_set(f"Found rule with duplicate name '{rule.name}'")
            seen.add(rule.name)
        for rule in self.migrationRules:
            rule.validate(_MIGRATION_MODES, "Migration")
        for rule in self.domainRules:
            rule.validate(_DOMAIN_MODES, "Domain")

    def has_type(self, rule_type: str) -> bool:
        """Tell whether a rule of this type is among them."""
        return any(rule.type == rule_type for rule in (*self.migrationRules, *self.domainRules))


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
        _merge_rules(old.migrationRules, new.migrationRules),
        _merge_rules(old.domainRules, new.domainRules),
    )


def _merge_rules(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[Rule, ...]:
    new = tuple(new)
    names = {rule.name for rule in new}
    return (*(rule for rule in old if rule.name not in names), *new)


def digested(part: Any) -> Iterator[bytes]:
    """Yield what a part of a schema contributes to the schema's GUID."""
    match part:
        case None | False:
            return
        case True:
            yield b"\x01"
        case str():
            yield part.encode()
        case int():
            yield part.to_bytes(4, "big", signed=True)
        case tuple():
            for item in part:
                yield from digested(item)
        case Mapping():
            for name, item in part.items():
                yield name.encode()
                yield from digested(item)
        case _:
            if isinstance(part, Metadata | RuleSet):
                yield b"\x01"
            yield from digested(astuple(part, recurse=False))


def part_json(part: Reference | Metadata | RuleSet | None) -> dict[str, Any]:
    """Return a part of a schema as it stands in answers."""
    return {} if part is None else _filled(asdict(part))


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null or empty, as the registry does; false stays."""
    filled = {
        name: [_filled(item) if isinstance(item, dict) else item for item in value]
        if isinstance(value, tuple | list)
        else value
        for name, value in values.items()
    }
    return {name: value for name, value in filled.items() if value not in (None, "", [], {})}
