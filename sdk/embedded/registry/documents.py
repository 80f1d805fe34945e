"""The parts of a registered schema besides its text: references, metadata and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import field, frozen

from sdk.embedded.registry import answers

CONFLUENT_VERSION: Final = "confluent:version"
"""Metadata property in which the registry keeps the version number."""

_MIGRATION_MODES: Final = ("UPGRADE", "DOWNGRADE", "UPDOWN")
_DOMAIN_MODES: Final = ("WRITE", "READ", "WRITEREAD")


def _by_key(values: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(values.items()))


def _as_set(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _tags(tags: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {name: _as_set(values) for name, values in sorted(tags.items())}


def _kind(kind: str) -> str:
    return kind or "TRANSFORM"


def _mode(mode: str) -> str:
    return mode or "WRITEREAD"


@frozen
class Reference:
    """Another registered schema whose types a schema uses."""

    name: str | None = None
    subject: str | None = None
    version: int | None = None

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

    tags: Mapping[str, tuple[str, ...]] = field(factory=dict, converter=_tags)
    properties: Mapping[str, str] = field(factory=dict, converter=_by_key)
    sensitive: tuple[str, ...] = field(default=(), converter=_as_set)

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

    name: str | None = None
    doc: str | None = None
    kind: str = field(default="", converter=_kind)
    mode: str = field(default="", converter=_mode)
    type: str | None = None
    tags: tuple[str, ...] = field(default=(), converter=_as_set)
    params: Mapping[str, str] = field(factory=dict, converter=_by_key)
    expr: str | None = None
    on_success: str | None = None
    on_failure: str | None = None
    disabled: bool = False

    def check(self, modes: tuple[str, ...], what: str) -> None:
        """Reject a rule without a valid name or type, or with a mode of the other kind."""
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
        for text in (self.expr, self.on_success, self.on_failure):
            if text is not None:
                yield text.encode()
        if self.disabled:
            yield b"\x01"


@frozen
class RuleSet:
    """Rules for migrations between versions and for the values of one version."""

    migration_rules: tuple[Rule, ...] = ()
    domain_rules: tuple[Rule, ...] = ()

    def validate(self) -> None:
        """Reject a rule set with an invalid rule or a repeated name."""
        seen: set[str | None] = set()
        for rule in (*self.migration_rules, *self.domain_rules):
            if rule.name in seen:
                raise answers.invalid_rule_set(f"Found rule with duplicate name '{rule.name}'")
            seen.add(rule.name)
        for rule in self.migration_rules:
            rule.check(_MIGRATION_MODES, "Migration")
        for rule in self.domain_rules:
            rule.check(_DOMAIN_MODES, "Domain")

    def has_type(self, rule_type: str) -> bool:
        """Return whether it contains a rule of this type."""
        return any(rule.type == rule_type for rule in (*self.migration_rules, *self.domain_rules))

    def digested(self) -> Iterator[bytes]:
        """Yield what enters the schema's GUID."""
        yield b"\x01"
        for rule in (*self.migration_rules, *self.domain_rules):
            yield from rule.digested()


def merge_metadata(old: Metadata | None, new: Metadata | None) -> Metadata | None:
    """Merge both; properties of the newer one take precedence."""
    if old is None or new is None:
        return new if old is None else old
    return Metadata(
        {**old.tags, **new.tags},
        {**old.properties, **new.properties},
        (*old.sensitive, *new.sensitive),
    )


def merge_rule_sets(old: RuleSet | None, new: RuleSet | None) -> RuleSet | None:
    """Merge both; a newer rule replaces an older one with its name."""
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
