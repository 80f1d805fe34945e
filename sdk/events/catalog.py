"""Finds event classes by full name and version, importing only those that are needed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from attrs import frozen

from sdk.errors import ConfigurationError, suggest


@frozen
class CatalogEntry:
    """The location of the class of one event version, imported only when needed.

    Attributes:
        full_name: Avro full name.
        version: Our version number.
        module: Absolute module name.
        class_name: Name of the class inside the module.
    """

    full_name: str
    version: int
    module: str
    class_name: str

    def load(self) -> type[Any]:
        """Import the module and return the class."""
        loaded: type[Any] = getattr(importlib.import_module(self.module), self.class_name)
        return loaded


class Catalog:
    """Finds event classes by full name and version without importing the others.

    A generated contracts package carries one as ``CATALOG``.

    Args:
        entries: One for each event version.
    """

    def __init__(self, entries: Iterable[CatalogEntry]) -> None:
        self._entries: dict[str, dict[int, CatalogEntry]] = {}
        for entry in entries:
            self._entries.setdefault(entry.full_name, {})[entry.version] = entry

    def __iter__(self) -> Iterator[CatalogEntry]:
        for versions in self._entries.values():
            for version in sorted(versions):
                yield versions[version]

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def full_name(self, name: str) -> str:
        """Return the full name for a short or full name.

        Raises:
            ConfigurationError: No event, or more than one, has this name.
        """
        if name in self._entries:
            return name
        found = sorted(known for known in self._entries if known.rpartition(".")[2] == name)
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigurationError(
                f"event name {name!r} fits {' and '.join(found)}", remedy="use the full name"
            )
        shorts = [known.rpartition(".")[2] for known in self._entries]
        raise ConfigurationError(
            f"no event is called {name!r}",
            remedy=suggest(
                name,
                [*self._entries, *shorts],
                "generate its class first; a record that other schemas name is an event "
                "if an event.toml stands beside it",
            ),
        )

    def find(self, name: str, version: int | None = None) -> type[Any]:
        """Return the class of an event, by short or full name; the newest version by default.

        Raises:
            ConfigurationError: The name is unknown or ambiguous, or there is no such version.
        """
        full_name = self.full_name(name)
        versions = self._entries[full_name]
        wanted = max(versions) if version is None else version
        if wanted not in versions:
            raise ConfigurationError(
                f"event {full_name} has no version {wanted}",
                remedy=f"known versions: {', '.join(map(str, sorted(versions)))}",
            )
        return versions[wanted].load()

    def versions(self, name: str) -> tuple[type[Any], ...]:
        """Return the classes of all versions of an event, oldest first.

        Raises:
            ConfigurationError: The name is unknown or ambiguous.
        """
        versions = self._entries[self.full_name(name)]
        return tuple(versions[version].load() for version in sorted(versions))


def find_catalog(contracts: str | ModuleType | Catalog | None) -> Catalog:
    """Return the catalog of a contracts package; an empty one for None.

    Args:
        contracts: The package, its name, or a catalog.

    Raises:
        ConfigurationError: There is no such module, or it has no catalog.
    """
    if contracts is None:
        return Catalog(())
    if isinstance(contracts, Catalog):
        return contracts
    if isinstance(contracts, str):
        try:
            contracts = importlib.import_module(contracts)
        except ImportError as error:
            raise ConfigurationError(
                f"the contracts package {contracts!r} cannot be imported: {error}",
                remedy="generate it, put its parent folder on the path, or correct `contracts`",
            ) from error
    catalog = getattr(contracts, "CATALOG", None)
    if not isinstance(catalog, Catalog):
        raise ConfigurationError(
            f"module {contracts.__name__} has no CATALOG",
            remedy="name the top-level generated package",
        )
    return catalog
