"""Compatibility levels and modes: of a subject, of its context, of the whole registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import Attribute, evolve, field, fields, frozen

from sdk.avro.resolution.evolution import LEVELS
from sdk.embedded.registry import answers
from sdk.embedded.registry.bodies import as_json, key_of
from sdk.embedded.registry.documents import Metadata, RuleSet
from sdk.embedded.registry.store import Store
from sdk.embedded.registry.subjects import QualifiedSubject

MODES = ("READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT")
DEFAULT_LEVEL = "BACKWARD"
DEFAULT_MODE = "READWRITE"

Subject = str | None
"""A subject, a context, or None for the whole registry."""


def _known_level(level: str | None) -> str | None:
    if level is not None and level.upper() not in LEVELS:
        raise answers.invalid_level()
    return None if level is None else level.upper()


@frozen(kw_only=True)
class Config:
    """The values of ``/config``; None means not set."""

    alias: str | None = None
    normalize: bool | None = None
    validate_fields: bool | None = None
    compatibility: str | None = field(default=None, converter=_known_level)
    compatibility_group: str | None = None
    default_metadata: Metadata | None = None
    override_metadata: Metadata | None = None
    default_rule_set: RuleSet | None = None
    override_rule_set: RuleSet | None = None

    def over(self, older: Config) -> Config:
        """Return this merged with an older one, which fills in unset values."""
        return evolve(older, **{each.name: value for each, value in self._set()})

    @property
    def changes_schemas(self) -> bool:
        """Whether registered schemas get metadata or rules from here."""
        return any(isinstance(value, Metadata | RuleSet) for _, value in self._set())

    def as_json(self, level_key: str = "compatibilityLevel") -> dict[str, Any]:
        """Return the values that are set; requests spell the level differently from answers."""
        found = {key_of(each): as_json(value) for each, value in self._set()}
        return {level_key if key == "compatibility" else key: found[key] for key in found}

    def _set(self) -> Iterator[tuple[Attribute[Any], Any]]:
        values = ((each, getattr(self, each.name)) for each in fields(Config))
        return ((each, value) for each, value in values if value is not None)


class Scopes:
    """Levels and modes with their inheritance: subject, then context, then registry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._configs: dict[Subject, Config] = {}
        self._modes: dict[Subject, str] = {}

    # Configuration

    def config(self, subject: Subject) -> Config | None:
        """Return the configuration of exactly this scope; the registry's always has a level."""
        config = self._configs.get(subject)
        if subject is None:
            config = config or Config()
            return config if config.compatibility else evolve(config, compatibility=DEFAULT_LEVEL)
        return config

    def config_in_scope(self, subject: Subject) -> Config:
        """Return the nearest configuration, its level filled in from further out."""
        found = [config for scope in _outwards(subject) if (config := self._configs.get(scope))]
        nearest = found[0] if found else Config()
        level = next(
            (config.compatibility for config in found if config.compatibility), DEFAULT_LEVEL
        )
        return evolve(nearest, compatibility=level)

    def update_config(self, subject: Subject, config: Config) -> None:
        """Set the values that ``config`` has."""
        self._check_writable(subject)
        self._configs[subject] = config.over(self._configs.get(subject) or Config())

    def delete_config(self, subject: Subject) -> Config:
        """Unset everything, and return the previous values."""
        old = self.config(subject)
        if old is None:
            raise answers.subject_not_found(subject)
        self._check_writable(subject)
        self._configs.pop(subject, None)
        return old

    def alias(self, subject: str) -> str:
        """Return the subject that ``subject`` is an alias of, or itself."""
        config = self._configs.get(subject)
        return (config and config.alias) or subject

    def aliases(self) -> dict[str, list[str]]:
        """Return all aliases: subject → its aliases."""
        names: dict[str, list[str]] = {}
        for subject, config in self._configs.items():
            if subject is not None and config.alias:
                names.setdefault(config.alias, []).append(subject)
        return names

    # Modes

    def mode(self, subject: Subject) -> str | None:
        """Return the mode of exactly this scope; that of the registry is never None."""
        if self._global_mode() == "READONLY_OVERRIDE":
            return "READONLY_OVERRIDE"
        return self._global_mode() if subject is None else self._modes.get(subject)

    def mode_in_scope(self, subject: Subject) -> str:
        """Return the mode that applies to a subject."""
        if self._global_mode() == "READONLY_OVERRIDE":
            return "READONLY_OVERRIDE"
        modes = (self._modes.get(scope) for scope in _outwards(subject))
        return next((mode for mode in modes if mode), DEFAULT_MODE)

    def is_read_only(self, subject: Subject) -> bool:
        """Return whether writes are refused."""
        return self.mode_in_scope(subject).startswith("READONLY")

    def set_mode(self, subject: Subject, mode: str, *, force: bool) -> None:
        """Set a mode; IMPORT needs ``force`` while there are live schemas."""
        if mode == "IMPORT" and self.mode_in_scope(subject) != "IMPORT" and not force:
            self._make_room(subject)
        self._modes[subject] = mode

    def _make_room(self, subject: Subject) -> None:
        if self._store.has(subject, deleted=False):
            raise answers.not_permitted("Cannot import since found existing subjects")
        deleted = [
            row
            for name in self._store.matching(subject, deleted=True)
            for row in self._store.versions(name)
        ]
        for row in deleted:
            if self._store.referenced_by(row.subject, row.version):
                raise answers.reference_exists(row.subject, row.version)
        self._store.remove(deleted)

    def delete_mode(self, subject: str) -> str:
        """Delete a subject's mode and return it."""
        old = self.mode(subject)
        if old is None:
            raise answers.subject_not_found(subject)
        self._modes.pop(subject, None)
        return old

    def forget(self, subject: str) -> None:
        """Unset level and mode of a subject that has no live version any more."""
        self._configs.pop(subject, None)
        self._modes.pop(subject, None)

    def _global_mode(self) -> str:
        return self._modes.get(None, DEFAULT_MODE)

    def _check_writable(self, subject: Subject) -> None:
        if self.is_read_only(subject):
            raise answers.read_only(subject or "null")


def _outwards(subject: Subject) -> Iterator[Subject]:
    """Yield the scopes in which a setting for ``subject`` is looked for, nearest first.

    A context does not inherit from the registry, and the registry is the scope of the default
    context.
    """
    if subject is None:
        yield None
        return
    yield subject
    parsed = QualifiedSubject.parse(subject)
    yield None if parsed.in_default_context else parsed.prefix
