"""Names and namespaces (Avro 1.12 specification, "Names").

Unicode letters and digits are allowed, as Java allows them; the specification names ASCII only.
The parts of a namespace may hold hyphens and start with digits, as Java allowed until 1.11: other
tools still write such schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sdk.avro.schema.defects import Defects, shown
from sdk.avro.schema.model import PRIMITIVES

NAME_REMEDY: Final = "use letters, digits and _, not starting with a digit"


def is_name(text: object) -> bool:
    """Return whether a value may be a name: letters, digits and ``_``, no digit first."""
    if not isinstance(text, str):
        return False
    if text.isascii():
        return text.isidentifier()
    return (text[0] == "_" or (text[0].isalpha() and text[0] <= "\uffff")) and all(
        letter == "_" or ((letter.isalpha() or letter.isdecimal()) and letter <= "\uffff")
        for letter in text
    )


def is_namespace_part(text: str) -> bool:
    """Return whether a text may be a part of a namespace."""
    return is_name("_" + text.replace("-", "_")) and text != ""


def full_name(name: str, namespace: str) -> str:
    """Return the full name of a name inside a namespace."""
    if "." in name:
        return name.removeprefix(".") if name.rfind(".") == 0 else name
    return f"{namespace}.{name}" if namespace else name


def namespace_of(name: str) -> str:
    """Return the namespace of a full name, or ``""``."""
    return name.rpartition(".")[0]


def declared_name(source: Mapping[str, Any], namespace: str) -> str:
    """Return the full name that a definition declares, unchecked, or ``""`` if it has none."""
    name = source.get("name")
    if not isinstance(name, str) or not name:
        return ""
    own = source.get("namespace")
    return full_name(name, own if isinstance(own, str) else namespace)


def read_name(
    source: Mapping[str, Any], kind: str, namespace: str, path: str, defects: Defects
) -> str:
    """Return the full name that a definition declares, or ``""`` with a defect noted."""
    if not isinstance(source.get("name"), str):
        where = f"{path}/name" if "name" in source else path
        defects.error(where, f"{kind} without a name", 'add "name"')
        return ""
    name = declared_name(source, namespace)
    *spaces, last = name.split(".")
    if not is_name(last):
        defects.error(f"{path}/name", f"{shown(source['name'])} is not a name", NAME_REMEDY)
        return ""
    if not all(map(is_name, spaces)):
        where = "namespace" if "." not in source["name"] and "namespace" in source else "name"
        text = shown(".".join(spaces))
        if not all(map(is_namespace_part, spaces)):
            remedy = "join names by single dots"
            defects.error(f"{path}/{where}", f"{text} is not a namespace", remedy)
            return ""
        if (
            "." in source["name"] or "namespace" in source
        ):  # else the warning is where it was inherited from
            message = f"{text} is a namespace that Java's parser refuses since 1.12"
            defects.warn(f"{path}/{where}", message, NAME_REMEDY)
    if name in PRIMITIVES:
        message = f"a type may not be called {name}"
        defects.error(f"{path}/name", message, "rename it or add a namespace")
        return ""
    return name


def read_aliases(
    source: Mapping[str, Any], path: str, defects: Defects, *, checked: bool
) -> tuple[str, ...]:
    """Return aliases unchanged, each once; Java checks those of types but not of fields."""
    aliases = source.get("aliases", [])
    if not isinstance(aliases, list):
        defects.error(f"{path}/aliases", "aliases are not an array", "use a JSON array")
        return ()
    good: dict[str, None] = {}
    for index, alias in enumerate(aliases):
        if isinstance(alias, str) and (not checked or is_name(alias.rpartition(".")[2])):
            good[alias] = None
        else:
            defects.error(f"{path}/aliases/{index}", f"{shown(alias)} is not a name", NAME_REMEDY)
    return tuple(good)
