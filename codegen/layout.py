"""Packages that export the newest versions, and the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from codegen.linker import Unit, families
from codegen.model import CatalogModel, DomainModel, PackageModel
from codegen.scope import ClassHome
from codegen.sources import Key
from sdk.avro.schema import RecordSchema


@frozen
class Built:
    """A unit whose classes have names.

    Attributes:
        unit: The unit.
        module: Path of the module in which its classes stand.
        homes: Full name → home, of every type that the module may name.
        classes: Full name → class, of the types that the module defines.
        local: Full name → what a type is called in the module, imported ones too.
    """

    unit: Unit
    module: tuple[str, ...]
    homes: Mapping[str, ClassHome]
    classes: Mapping[str, str]
    local: Mapping[str, str]

    def exports(self) -> tuple[str, ...]:
        """Return the names that the module offers."""
        alias = () if self.unit.has_class else ("SCHEMA",)
        return tuple(sorted((*self.classes.values(), *alias)))


@frozen
class Layout:
    """The packages of a tree."""

    units: tuple[Unit, ...]
    built: Mapping[Key, Built]
    paths: Mapping[str, tuple[str, ...]]

    def packages(self) -> Iterator[PackageModel]:
        """Yield a model for the package of each event and shared type."""
        for full_name, family in families(self.units).items():
            versions = tuple(unit.root.version for unit in family)
            exports = self.built[family[-1].root.key].exports()
            yield PackageModel(self.paths[full_name], full_name, versions, exports)

    def domains(self) -> Iterator[DomainModel]:
        """Yield a model for every package above the events' own, the outermost one included."""
        parents: dict[tuple[str, ...], dict[str, str]] = {(): {}}
        inner: dict[tuple[str, ...], set[str]] = {}
        for path in self.paths.values():
            for depth in range(len(path)):
                parents.setdefault(path[:depth], {})
                inner.setdefault(path[:depth], set()).add(path[depth])
        for full_name, family in families(self.units).items():
            path, newest = self.paths[full_name], family[-1].root
            name = self.built[newest.key].classes.get(full_name)
            homes = parents[path[:-1]] if path else {}
            if name is not None and path and name not in homes and name not in inner[path[:-1]]:
                homes[name] = f".{path[-1]}.v{newest.version}"
        for path, homes in sorted(parents.items()):
            yield DomainModel(path, tuple(sorted(homes.items())))

    def catalog(self) -> Iterator[CatalogModel]:
        """Yield an entry for each event.

        An event is a record that has an ``event.toml`` or that no other root names. Other records
        are shared types.
        """
        named = {each.root.full_name for unit in self.units for each in unit.references}
        for full_name, family in families(self.units).items():
            newest = family[-1]
            is_record = newest.root.is_named and isinstance(newest.schema, RecordSchema)
            if not is_record or (full_name in named and newest.root.config is None):
                continue
            for unit in family:
                version, classes = unit.root.version, self.built[unit.root.key].classes
                module = ".".join((*self.paths[full_name], f"v{version}"))
                yield CatalogModel(full_name, version, module, classes[full_name])
