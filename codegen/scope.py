"""The names that one generated module can use, and the imports that they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field

from codegen.naming import class_names


@define(eq=False)
class ClassHome:
    """The place of a named type's class, and the Python names of its members.

    Attributes:
        module: Path of the module below the output.
        name: The class.
        members: Field of a record → attribute, or symbol of an enum → member.
    """

    module: tuple[str, ...]
    name: str
    members: Mapping[str, str] = field(factory=dict)


@define(eq=False)
class Scope:
    """Names and imports of a module.

    Attributes:
        module: The module's own path.
        homes: Full name → home, of every named type that the module may name.
        local: Full name → the name it goes by in this module.
        imports: Module → imported names.
        defined: Full names of the classes above the one that is being written.
    """

    module: tuple[str, ...]
    homes: Mapping[str, ClassHome]
    local: Mapping[str, str]
    imports: dict[str, set[str]] = field(factory=dict)
    defined: set[str] = field(factory=set)

    def use(self, module: str, name: str) -> str:
        """Import a name and return it."""
        self.imports.setdefault(module, set()).add(name)
        return name

    def use_datetime(self) -> str:
        """Import `datetime` as ``dt``, so that fields may be called ``date`` and ``time``."""
        self.imports.setdefault("", set()).add("import datetime as dt")
        return "dt"

    def use_class(self, full_name: str) -> str:
        """Return the name that a type goes by in this module, importing it where necessary."""
        home = self.homes[full_name]
        name = self.local[full_name]
        if home.module != self.module:
            shown = home.name if home.name == name else f"{home.name} as {name}"
            self.use(relative(self.module, home.module), shown)
        return name

    def is_forward(self, full_name: str) -> bool:
        """Return whether a type of this module is defined further below."""
        return self.homes[full_name].module == self.module and full_name not in self.defined


def relative(source: tuple[str, ...], target: tuple[str, ...]) -> str:
    """Return a module's name as another one imports it."""
    package = source[:-1]
    common = 0
    while common < min(len(package), len(target) - 1) and package[common] == target[common]:
        common += 1
    return "." * (len(package) - common + 1) + ".".join(target[common:])


def local_names(
    own: Mapping[str, str], foreign: Iterable[str], homes: Mapping[str, ClassHome]
) -> dict[str, str]:
    """Return the name of each type in a module: its own classes first, then imported ones."""
    taken = set(own.values())
    local = dict(own)
    clashing = []
    for full_name in foreign:
        home = homes.get(full_name)
        if home is None or full_name in local:
            continue
        if home.name in taken:
            clashing.append(full_name)
        else:
            taken.add(home.name)
            local[full_name] = home.name
    return local | class_names(clashing, taken)
