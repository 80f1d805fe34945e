"""Builds the models of modules, packages and the catalog from linked schemas."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterable
from typing import Final

from attrs import define, evolve, field, frozen

from codegen.annotations import annotation, distinguished_fixed
from codegen.fields import Fields
from codegen.findings import Finding, naming
from codegen.layout import Built, Layout
from codegen.linker import Unit
from codegen.model import (
    AliasModel,
    CatalogModel,
    DomainModel,
    EnumModel,
    FixedModel,
    ForwardModel,
    InfoModel,
    ModuleModel,
    PackageModel,
    RecordModel,
    TypeModel,
)
from codegen.naming import attribute_names, class_names, distinct_paths, member_names
from codegen.progress import Progress
from codegen.scope import ClassHome, Scope, local_names, relative
from codegen.sources import Key
from sdk.avro.schema import (
    EnumSchema,
    FixedSchema,
    NamedSchema,
    RecordSchema,
    Schema,
    named_types,
)
from sdk.avro.schema.canonical import fingerprint
from sdk.avro.schema.model import children


@frozen
class Contracts:
    """The models of everything to render."""

    modules: tuple[ModuleModel | ForwardModel, ...]
    packages: tuple[PackageModel, ...]
    domains: tuple[DomainModel, ...]
    catalog: tuple[CatalogModel, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def build(units: Iterable[Unit], progress: Progress) -> Contracts:
    """Build the models of linked units, given in dependency order."""
    return _Builder(tuple(units)).build(progress)


_QUOTED: Final = re.compile(r'(?:freeze|to_map|to_tuple)\["[^"]*"\]')
"""A converter of a type that is all quoted."""


@define
class _Builder:
    units: tuple[Unit, ...]
    fields: Fields = field(factory=Fields)
    built: dict[Key, Built] = field(factory=dict)
    distinguished: set[str] = field(factory=set)
    packages: dict[str, tuple[str, ...]] = field(factory=dict)
    by_key: dict[Key, Unit] = field(factory=dict)

    def build(self, progress: Progress) -> Contracts:
        self.packages = distinct_paths({u.root.full_name: u.root.package for u in self.units})
        for unit in self.units:
            for part in (unit.schema, *(part for node in unit.own for part in children(node))):
                self.distinguished.update(fixed.name for fixed in distinguished_fixed(part))
        self.by_key = {unit.root.key: unit for unit in self.units}
        modules: list[ModuleModel | ForwardModel] = []
        for unit in progress.track("building", self.units):
            with naming(unit.root.file.shown):
                self._name(unit)
                modules.append(self._module(unit))
        layout = Layout(self.units, self.built, self.packages)
        return Contracts(
            tuple(modules),
            tuple(layout.packages()),
            tuple(layout.domains()),
            tuple(layout.catalog()),
            tuple(self.fields.findings),
            tuple(self.fields.warnings),
        )

    def _path(self, key: Key) -> tuple[str, ...]:
        return (*self.packages[key[0]], f"v{key[1]}")

    def _name(self, unit: Unit) -> None:
        """Give the types of a unit their classes; a circle's first member does it for all."""
        leader = self.built.get(unit.circle[0])
        if leader is not None:
            self.built[unit.root.key] = evolve(leader, unit=unit)
            return
        module = self._path(unit.root.key)
        roots = [full_name for full_name, _ in unit.circle]
        nodes = {node.name: node for node in self._own(unit)}
        spaces = {name.rpartition(".")[0] for name in roots}
        outer = [node.name for key in unit.circle for node in self.by_key[key].own]
        ordered = sorted(dict.fromkeys(outer), key=lambda name: _rank(name, roots, spaces))
        named = [name for name in ordered if self._has_class(unit, nodes[name])]
        if not unit.has_class:
            named.insert(0, unit.root.full_name)
        classes = class_names(named)
        homes: dict[str, ClassHome] = {}
        for reference in unit.references:
            homes.update(self.built[reference.root.key].homes)
        used = [n.name for key in unit.circle for n in named_types(self.by_key[key].schema)]
        foreign = [name for name in used if name not in nodes]
        foreign += [each.root.full_name for each in unit.references]
        local = local_names(classes, dict.fromkeys(foreign), homes)
        taken = set(local.values())
        for name, chosen in classes.items():
            spelling = _spelling(nodes[name], taken) if name in nodes else {}
            homes[name] = ClassHome(module, chosen, spelling)
        self.built[unit.root.key] = Built(unit, module, homes, classes, local)

    def _own(self, unit: Unit) -> list[NamedSchema]:
        """Return the types of a module, those of its whole circle, in an order of definition.

        Enums and fixed come first, then records, each after what it holds.
        """
        members = [self.by_key[key] for key in unit.circle]
        simple = [n for each in members for n in each.own if not isinstance(n, RecordSchema)]
        records = [node for each in members for node in _definition_order(each)]
        found: dict[str, NamedSchema] = {}
        for node in (*simple, *records):
            found.setdefault(node.name, node)
        return list(found.values())

    def _has_class(self, unit: Unit, node: NamedSchema) -> bool:
        if not isinstance(node, FixedSchema):
            return True
        return node.logical is None and (node.name in self.distinguished or node is unit.schema)

    def _module(self, unit: Unit) -> ModuleModel | ForwardModel:
        built = self.built[unit.root.key]
        path = self._path(unit.root.key)
        title = f"{unit.root.full_name}, version {unit.root.version}."
        source, digest = unit.root.file.path, schema_hash(unit)
        if built.module != path:
            home = relative(path, built.module)
            return ForwardModel(path, source, digest, title, home, built.exports())
        scope = Scope(path, built.homes, built.local)
        types: list[TypeModel] = []
        for node in self._own(unit):
            if node.name in built.classes and self._has_class(unit, node):
                types.append(self._type(unit, node, scope))
                scope.defined.add(node.name)
        if not unit.has_class:
            scope.use("typing", "TypeAlias")
            alias = built.classes[unit.root.full_name]
            types.append(AliasModel(alias, annotation(unit.schema, scope)))
        infos = tuple(self._info(self.by_key[key], scope) for key in unit.circle)
        _excuse_quoted(scope, types)
        return ModuleModel(
            path,
            source,
            digest,
            title,
            {module: tuple(sorted(taken)) for module, taken in scope.imports.items()},
            tuple(types),
            infos,
        )

    def _type(self, unit: Unit, node: NamedSchema, scope: Scope) -> TypeModel:
        name = scope.local[node.name]
        is_root = any(node.name == full_name for full_name, _ in unit.circle)
        if is_root:
            scope.use("typing", "ClassVar")
        if isinstance(node, EnumSchema):
            scope.use("enum", "Enum")
            spelling = scope.homes[node.name].members
            members = tuple((spelling[symbol], symbol) for symbol in node.symbols)
            return EnumModel(name, node.doc, node.default, members, is_root)
        if isinstance(node, FixedSchema):
            return FixedModel(name, node.doc, node.size, is_root)
        scope.use("attrs", "frozen")
        if node.fields:
            scope.use("sdk.events", "checked")
        fields = self.fields.build(unit.root, node, scope)
        return RecordModel(name, node.doc, fields, is_root)

    def _info(self, unit: Unit, scope: Scope) -> InfoModel:
        root, built = unit.root, self.built[unit.circle[0]]
        scope.use("sdk.events", "EventInfo")
        if unit.has_class:
            target = f"{scope.local[root.full_name]}.__event__"
        else:
            scope.use("typing", "Final")
            target = "SCHEMA"
        defined = {node.name for node in unit.own if self._has_class(unit, node)}
        return InfoModel(
            target=target,
            full_name=root.full_name,
            version=root.version,
            domain=root.domain,
            key_field=self.fields.key(unit.root, unit.schema, scope),
            compatibility=root.config.compatibility if root.config else "BACKWARD_TRANSITIVE",
            owner=root.config.owner if root.config else None,
            fingerprint=fingerprint(unit.schema),
            references=tuple(self._reference(each, scope) for each in unit.references),
            types=tuple((name, cls) for name, cls in built.classes.items() if name in defined),
            schema=unit.text,
        )

    def _reference(self, unit: Unit, scope: Scope) -> str:
        if unit.has_class:
            return f"{scope.use_class(unit.root.full_name)}.__event__"
        module = relative(scope.module, self.built[unit.root.key].module)
        name = "_".join((*self.packages[unit.root.full_name], "schema")).upper()
        scope.use(module, f"SCHEMA as {name}")
        return name


def schema_hash(unit: Unit) -> str:
    """Return the SHA-256 of a version of an event: its schema and its pins.

    White space, comments and the order of keys do not count.
    """
    pins = {each.root.full_name: each.root.version for each in unit.references}
    text = json.dumps([unit.root.value, pins], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _rank(full_name: str, roots: list[str], spaces: Container[str]) -> int:
    """Return which types may keep their short name first: roots, then their neighbours."""
    if full_name in roots:
        return roots.index(full_name)
    return len(roots) + (full_name.rpartition(".")[0] not in spaces)


def _spelling(node: NamedSchema, taken: Iterable[str]) -> dict[str, str]:
    """Return how Python spells the fields of a record or the symbols of an enum."""
    if isinstance(node, RecordSchema):
        names = [each.name for each in node.fields]
        return dict(zip(names, attribute_names(names, taken), strict=True))
    if isinstance(node, EnumSchema):
        return dict(zip(node.symbols, member_names(node.symbols), strict=True))
    return {}


def _excuse_quoted(scope: Scope, types: Iterable[TypeModel]) -> None:
    """Mark ``Sequence`` for linters if it occurs only in quoted types.

    Inside another type linters see through quotes; they do not inside our own converters.
    """
    names = scope.imports.get("collections.abc", set())
    fields = [each for model in types if isinstance(model, RecordModel) for each in model.fields]
    options = [pair for each in fields for pair in each.options]
    evaluated = " ".join(value for key, value in options if key in ("converter", "factory"))
    if "Sequence" in names and "Sequence[" not in _QUOTED.sub("", evaluated):
        names.remove("Sequence")
        scope.use("collections.abc", "Sequence  # noqa: F401")


def _definition_order(unit: Unit) -> list[RecordSchema]:
    """Return the records that a schema defines, each after those that it holds."""
    own = {id(node) for node in unit.own}
    records: list[RecordSchema] = []
    seen: set[int] = set()
    work: list[tuple[Schema, bool]] = [(unit.schema, False)]
    while work:
        node, is_done = work.pop()
        if is_done:
            if id(node) in own and isinstance(node, RecordSchema):
                records.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            work.append((node, True))
            work.extend((child, False) for child in reversed(children(node)))
    return records
