"""Links the roots of a tree: which names which, in which version, and the order of parsing.

Roots that name each other in a circle cannot be registered as references, because a registry wants
each reference before the schema that uses it. Such a circle shares one module, and the schema of
each member has the others written into it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping

from attrs import define, field, frozen

from codegen.circles import circles
from codegen.findings import Finding, naming
from codegen.names import Use, definitions, inlined, scan
from codegen.progress import Progress
from codegen.sources import Key, Root, SchemaFile
from sdk.avro.schema import (
    FixedSchema,
    NamedSchema,
    Schema,
    check_schema,
    named_types,
    parse_schema,
)
from sdk.errors import InvalidSchemaError


@define(eq=False)
class Unit:
    """A root with everything that it names.

    Attributes:
        root: The root.
        schema: Its parsed schema; named types of other roots are the nodes of their own units.
        text: The schema as the registry gets it.
        references: Units whose types the schema names, in dependency order.
        circle: Keys of the roots that share a module with this one, itself included, sorted.
        own: Named types that the schema's text defines, outer types first.
    """

    root: Root
    schema: Schema
    text: str
    references: tuple[Unit, ...]
    circle: tuple[Key, ...]
    own: tuple[NamedSchema, ...]

    @property
    def has_class(self) -> bool:
        """Whether the schema becomes a class; an amount of fixed size, say, is a `Decimal`."""
        is_logical = isinstance(self.schema, FixedSchema) and self.schema.logical is not None
        return self.root.is_named and not is_logical


@frozen
class Linked:
    """The result of linking."""

    units: tuple[Unit, ...]
    edges: Mapping[Key, Collection[Key]]
    findings: tuple[Finding, ...]


def link(roots: Iterable[Root], progress: Progress) -> Linked:
    """Resolve the names between roots and parse every schema."""
    return _Linker(tuple(roots)).link(progress)


def schema_warnings(units: Iterable[Unit]) -> Iterator[Finding]:
    """Yield the parts of a schema that are valid Avro but probably unintended."""
    for unit in units:
        known = {node.name: node for each in unit.references for node in named_types(each.schema)}
        for defect in check_schema(unit.text, references=known, strict=True):
            if defect.warning:
                yield unit.root.finding(defect.path, defect.message, defect.remedy)


def families(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    """Return the versions of each event and shared type by full name, the oldest first."""
    found: dict[str, list[Unit]] = {}
    for unit in sorted(units, key=lambda unit: unit.root.key):
        found.setdefault(unit.root.full_name, []).append(unit)
    return found


@define
class _Linker:
    roots: tuple[Root, ...]
    findings: list[Finding] = field(factory=list)
    versions: dict[str, dict[int, Root]] = field(factory=dict)
    inner: dict[str, list[Root]] = field(factory=dict)
    used: dict[Key, list[Use]] = field(factory=dict)
    edges: dict[Key, dict[Key, Root]] = field(factory=dict)
    units: dict[Key, Unit] = field(factory=dict)
    order: dict[Key, int] = field(factory=dict)

    def link(self, progress: Progress) -> Linked:
        for root in self.roots:
            self._register(root)
        roots = {root.key: root for family in self.versions.values() for root in family.values()}
        for root in roots.values():
            self.edges[root.key] = self._targets(root)
        for circle in progress.track("reading", list(circles(self.edges))):
            members = tuple(sorted(circle))
            for key in members:
                with naming(roots[key].file.shown):
                    self._parse(roots[key], members)
            if any(key not in self.units for key in members):
                for key in members:
                    self.units.pop(key, None)
        return Linked(tuple(self.units.values()), self.edges, tuple(self.findings))

    def _register(self, root: Root) -> None:
        defined, used = scan(root.value)
        family = self.versions.setdefault(root.full_name, {})
        other = family.get(root.version)
        if other is not None:
            if other.value != root.value:
                self._refuse(
                    root,
                    "",
                    f"{root.full_name} is defined in {other.file.shown} too, differently",
                    "keep one, or make them versions of one type: v1.avsc and v2.avsc",
                )
            return
        family[root.version] = root
        self.used[root.key] = used
        for name in defined:
            if name != root.full_name:
                self.inner.setdefault(name, []).append(root)

    def _targets(self, root: Root) -> dict[Key, Root]:
        """Return the roots that define the names which a root uses and does not define."""
        pins = root.config.references.get(root.version, {}) if root.config else {}
        targets: dict[Key, Root] = {}
        unused = set(pins)
        for qualified, written, pointer in self.used[root.key]:
            name = next((each for each in (qualified, written) if self._families(each)), None)
            if name is None:
                continue  # the parser describes an unknown type better
            families = self._families(name)
            if len(families) > 1:
                self._ambiguous(root, name, families, pointer)
                continue
            (family,) = families
            unused.discard(family)
            target = self._pinned(root, family, pins.get(family), pointer)
            if target is not None and target.key != root.key:
                targets[target.key] = target
        if root.config is not None:
            for family in sorted(unused):
                self._refuse(
                    root.config.file,
                    f"/versions/{root.version}/references/{family}",
                    f"v{root.version} names no type {family} of another file",
                    "remove the pin",
                )
        return targets

    def _families(self, name: str) -> tuple[str, ...]:
        """Return the full names of the roots, without versions, that define a name.

        If several contain equal definitions of it, the first of them stands for all.
        """
        if name in self.versions:
            return (name,)
        holders = sorted(self.inner.get(name, ()), key=lambda root: root.key)
        alike = {
            json.dumps(dict(definitions(each.value))[name], sort_keys=True) for each in holders
        }
        return tuple(dict.fromkeys(each.full_name for each in holders))[: len(alike)]

    def _ambiguous(self, root: Root, name: str, families: tuple[str, ...], pointer: str) -> None:
        self._refuse(
            root,
            pointer,
            f"{name} is defined inside {' and '.join(families)}",
            f"give {name} its own file, and refer to it in the others",
        )

    def _pinned(self, root: Root, family: str, pin: int | None, pointer: str) -> Root | None:
        versions = self.versions[family]
        if pin is None and len(versions) == 1:
            return next(iter(versions.values()))
        known = ", ".join(map(str, sorted(versions)))
        toml = f'[versions.{root.version}.references]\n        "{family}" = {max(versions)}'
        if pin is None:
            self._refuse(
                root,
                pointer,
                f"{family} has versions {known}, and none is pinned",
                f"pin one in event.toml beside the schema:\n        {toml}",
            )
            return None
        if pin not in versions and root.config is not None:
            self._refuse(
                root.config.file,
                f"/versions/{root.version}/references/{family}",
                f"{family} has no version {pin}",
                f"pin one of {known}",
            )
        return versions.get(pin)

    def _parse(self, root: Root, circle: tuple[Key, ...]) -> None:
        value, text = root.value, root.text
        targets = {key: target for key, target in self.edges[root.key].items() if key not in circle}
        if len(circle) > 1:
            members = [self.versions[full_name][version] for full_name, version in circle]
            if not all(member.is_named for member in members):
                self._refuse_unnamed(root, members)
                return
            value = inlined(
                root.value, dict(pair for m in members for pair in definitions(m.value))
            )
            text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
            for key in circle:
                targets.update((k, t) for k, t in self.edges[key].items() if k not in circle)
        missing = [key for key in targets if key not in self.units]
        if missing:
            return  # their defects have been reported
        ordered = sorted(targets, key=self.order.__getitem__)
        references = tuple(self.units[key] for key in ordered)
        known = self._known(root, references)
        if isinstance(value, str):
            value = json.dumps(value)  # otherwise it would be parsed as JSON text
        try:
            schema = parse_schema(value, references=known, strict=True)
        except InvalidSchemaError:
            reported = {(each.file, each.pointer) for each in self.findings}
            self.findings.extend(
                root.finding(defect.path, defect.message, defect.remedy)
                for defect in check_schema(value, references=known, strict=True)
                if not defect.warning
                and (root.file.shown, root.pointer + defect.path) not in reported
            )
            return
        foreign = {id(node) for node in known.values()}
        own = tuple(node for node in named_types(schema) if id(node) not in foreign)
        self.order[root.key] = len(self.order)
        self.units[root.key] = Unit(root, schema, text, references, circle, own)

    def _refuse_unnamed(self, root: Root, members: Iterable[Root]) -> None:
        if not root.is_named:
            others = " and ".join(each.full_name for each in members if each is not root)
            self._refuse(
                root,
                "",
                f"this schema has no name, and refers to {others} in a circle",
                "give types that others refer to their own files",
            )

    def _refuse(self, at: Root | SchemaFile, pointer: str, reason: str, remedy: str) -> None:
        self.findings.append(at.finding(pointer, reason, remedy))

    def _known(self, root: Root, references: tuple[Unit, ...]) -> dict[str, NamedSchema]:
        known: dict[str, NamedSchema] = {}
        for unit in references:
            for node in named_types(unit.schema):
                other = known.setdefault(node.name, node)
                if other is not node:
                    self._refuse(
                        root,
                        "",
                        f"two versions of {node.name} come together through its references",
                        "pin versions that use the same one",
                    )
        return known
