"""Python names for Avro names: legal, stable, and never equal to a name that the module needs.

A name is kept wherever Python allows it. Otherwise a trailing ``_`` is added; characters that no
identifier may contain are replaced first.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Set
from enum import Enum
from typing import Final

from sdk.avro.schema import short_name

TEMPLATE_NAMES: Final = frozenset(
    (
        *("annotations", "dt", "field", "frozen", "ClassVar", "Decimal", "Duration", "Enum"),
        *("EventInfo", "Final", "Mapping", "Sequence", "TypeAlias", "UUID", "SCHEMA"),
        *("aware", "checked", "decimal_digits", "each", "finite", "fixed_size", "float32"),
        *("freeze", "int32", "int64", "naive", "to_map", "to_millis", "to_tuple"),
    )
)
"""Names that a generated module imports or defines for itself."""

_ANNOTATION_NAMES: Final = frozenset(("bool", "bytes", "float", "int", "str", "tuple"))
_KEYWORDS: Final = frozenset(keyword.kwlist)
_UNREADABLE: Final = frozenset(("I", "O", "l"))
_FIELD_RESERVED: Final = _KEYWORDS | _UNREADABLE | _ANNOTATION_NAMES | TEMPLATE_NAMES | {"self"}
_TYPE_RESERVED: Final = _KEYWORDS | _UNREADABLE | TEMPLATE_NAMES | frozenset(dir(builtins))
_ENUM_RESERVED: Final = (
    _KEYWORDS
    | _UNREADABLE
    | frozenset(dir(Enum))
    | {"mro", "name", "value", "ClassVar", "EventInfo"}
)
_MODULE_RESERVED: Final = _KEYWORDS | {"CATALOG", "annotations"}

_VERSION: Final = re.compile(r"v[0-9]+")
_BOUNDARY: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def attribute_names(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Return the attribute of each field of a record."""
    return _distinct(map(_plain, names), _FIELD_RESERVED | {*taken})


def member_names(symbols: Iterable[str]) -> list[str]:
    """Return the member of each symbol of an enum."""
    return _distinct(map(_member, symbols), _ENUM_RESERVED)


def class_names(full_names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return the class of each named type of a module.

    The first type of a short name keeps it; the name of a later one includes as much of its
    namespace as needed. None is called as a version's module: ``v1``, ``v2`` …
    """
    used = {*_TYPE_RESERVED, *taken}
    chosen: dict[str, str] = {}
    for full_name in full_names:
        free = (each for each in _class_candidates(full_name) if each not in used)
        name = next(each for each in free if not _VERSION.fullmatch(each))
        used.add(name)
        chosen[full_name] = name
    return chosen


def module_name(name: str) -> str:
    """Return the module or package of an event, a type, or one part of a namespace.

    ``OrderCreated`` becomes ``order_created``. A name that is all lower case would hide the class
    of the same name in the package above, so it takes a trailing ``_`` when it names a type.
    """
    words = _BOUNDARY.sub("_", _plain(name).strip("_") or "_").lower()
    return _suffixed(words if words.isidentifier() else f"_{words}", _MODULE_RESERVED)


def type_module_name(name: str) -> str:
    """Return the package of a type: as `module_name`, but never the name of its class."""
    module = module_name(name)
    return f"{module}_" if module == _plain(name) else module


def distinct_paths(wanted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return a package path for each key, numbered where two would be equal or hold each other."""
    chosen: dict[str, tuple[str, ...]] = {}
    used = {path[:depth] for path in wanted.values() for depth in range(len(path))}
    for key in sorted(wanted):
        *parents, last = wanted[key]
        number, path = 1, wanted[key]
        while path in used:
            number += 1
            path = (*parents, f"{last}_{number}")
        used.add(path)
        chosen[key] = path
    return chosen


def _plain(name: str) -> str:
    """Return an identifier for a name; it may be a reserved word.

    Python normalises identifiers (NFKC), so names are normalised first. Two leading underscores
    would be mangled by the class, or mean something to Python, so they move to the end.
    """
    letters = name
    if not (name.isascii() and name.isidentifier()):
        normal = unicodedata.normalize("NFKC", name)
        letters = "".join(each if f"_{each}".isidentifier() else "_" for each in normal)
    if letters.startswith("__"):
        bare = letters.strip("_")
        letters = f"{bare}__" if bare else "_"
    if not letters.isidentifier():
        letters = f"_{letters}"
    return letters


def _member(symbol: str) -> str:
    """Return an identifier that `Enum` takes for a member, not for a private or special name.

    Type checkers take every name with an underscore at both ends for a special one.
    """
    name = _plain(symbol)
    if name.startswith("_") and (name.endswith("_") or "__" in name):
        name = name.lstrip("_") or "underscore"
    return name if name.isidentifier() else f"n{name}"


def _class_candidates(full_name: str) -> Iterator[str]:
    name = _plain(short_name(full_name))
    yield name
    prefix = ""
    for part in reversed(full_name.split(".")[:-1]):
        prefix = "".join(word[:1].upper() + word[1:] for word in _plain(part).split("_")) + prefix
        yield _plain(prefix + name[:1].upper() + name[1:])
    while name := f"{name}_":
        yield name


def _distinct(names: Iterable[str], reserved: Set[str]) -> list[str]:
    """Return distinct names; those that do not conflict are kept."""
    wanted = list(names)
    taken = {*reserved, *wanted}
    chosen: dict[str, None] = {}
    for name in wanted:
        if name in reserved or name in chosen:
            name = _suffixed(name, taken)
            taken.add(name)
        chosen[name] = None
    return list(chosen)


def _suffixed(name: str, reserved: Set[str]) -> str:
    while name in reserved:
        name = f"{name}_"
    return name
