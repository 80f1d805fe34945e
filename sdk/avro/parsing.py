"""From schema JSON to node classes, with every defect told by JSON pointer and remedy.

There are two strictnesses. The lenient one accepts what Java's parser accepts, because such schemas
live in registries and data written with them must be readable; the strict one is for schemas that
are about to be published. Both take Unicode letters and digits in names, as Java does (the
specification names ASCII only): Java, and so the registry, has let such schemas in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from attrs import define, field, frozen

from sdk.avro.defaults import default_defects
from sdk.avro.equality import same_definition
from sdk.avro.json_text import pointer, read_json
from sdk.avro.logical_names import logical_problem, logical_type
from sdk.avro.nodes import (
    NO_DEFAULT,
    PRIMITIVES,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    named_types,
)
from sdk.errors import InvalidSchemaError

MAX_DEPTH = 200
"""How many types may stand inside one another before a schema is refused as hostile."""

MAX_FIXED_SIZE = 2**31 - 1 - 8

Reference = str | Mapping[str, Any] | NamedSchema

_SCHEMA_KEYS = frozenset(
    ("doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases")
)
_ENUM_KEYS = _SCHEMA_KEYS | {"default"}
_FIELD_KEYS = frozenset(("default", "doc", "name", "order", "type", "aliases"))
_ORDERS = ("ascending", "descending", "ignore")


@frozen
class Defect:
    """Something wrong in a schema.

    Attributes:
        path: JSON pointer (RFC 6901) of the defect; empty for the document itself.
        message: What is wrong, in one line.
        remedy: What to do about it.
        warning: The schema is valid Avro all the same, but hardly what its author meant.
    """

    path: str
    message: str
    remedy: str
    warning: bool = False


def parse_schema(
    source: str | Mapping[str, Any] | list[Any],
    *,
    references: Iterable[Reference] | Mapping[str, NamedSchema] = (),
    strict: bool = False,
) -> Schema:
    """Parse an Avro 1.12 schema.

    Args:
        source: JSON text, in which comments may stand, or the value that it would load as. Text
            that is only a name must be a JSON string: ``'"long"'``.
        references: Schemas whose named types the source may use: JSON, in dependency order, or
            nodes that were parsed before, alone or by full name.
        strict: Also refuse what Java's parser lets pass: defaults that do not match their type,
            aliases that conflict, enums without symbols, keys given twice. Java's parser is the
            measure otherwise.

    Returns:
        The root of the schema; each named type is one object wherever it is used.

    Raises:
        InvalidSchemaError: The source is not JSON or not valid Avro; ``path`` is the JSON pointer
            of the first defect. `check_schema` returns all of them.
    """
    schema, defects = _parse(source, references, strict)
    errors = [defect for defect in defects if not defect.warning]
    if not errors:
        return schema
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise InvalidSchemaError(errors[0].message + more, remedy=errors[0].remedy, path=errors[0].path)


def check_schema(
    source: str | Mapping[str, Any] | list[Any],
    *,
    references: Iterable[Reference] | Mapping[str, NamedSchema] = (),
    strict: bool = True,
) -> tuple[Defect, ...]:
    """Return every defect and warning of a schema, in the order of the document.

    Args:
        source: As `parse_schema` takes it.
        references: As `parse_schema` takes them; they must themselves be valid.
        strict: As `parse_schema` takes it.

    Raises:
        InvalidSchemaError: A reference is not valid Avro.
    """
    names = _known_names(references)
    try:
        return _parse(source, names, strict)[1]
    except InvalidSchemaError as error:  # not JSON, so there is nothing else to tell
        return (Defect(error.path or "", error.message, error.remedy or ""),)


def _parse(
    source: str | Mapping[str, Any] | list[Any],
    references: Iterable[Reference] | Mapping[str, NamedSchema],
    strict: bool,
) -> tuple[Schema, tuple[Defect, ...]]:
    known = _known_names(references)
    duplicates: tuple[tuple[dict[str, Any], str], ...] = ()
    if isinstance(source, str):
        document = read_json(source)
        source, duplicates = document.value, document.duplicates
    parser = _Parser(known=known, strict=strict)
    for holder, key in duplicates:
        parser.duplicates.setdefault(id(holder), []).append(key)
    schema = parser.parse(source)
    return schema, tuple(parser.defects)


def _known_names(
    references: Iterable[Reference] | Mapping[str, NamedSchema],
) -> dict[str, NamedSchema]:
    known: dict[str, NamedSchema] = {}
    for reference in references.values() if isinstance(references, Mapping) else references:
        schema = (
            reference
            if isinstance(reference, NamedSchema)
            else parse_schema(reference, references=known)
        )
        known.update((each.name, each) for each in named_types(schema))
    return known


def is_name(text: object) -> bool:
    """Tell whether a value may be a name: letters, digits and ``_``, no digit first."""
    return (
        isinstance(text, str)
        and text != ""
        and (text[0] == "_" or (text[0].isalpha() and text[0] <= "\uffff"))
        and all(
            letter == "_" or ((letter.isalpha() or letter.isdecimal()) and letter <= "\uffff")
            for letter in text
        )
    )


def full_name(name: str, namespace: str) -> str:
    """Return the full name that a name stands for inside a namespace."""
    if "." in name:
        return name.removeprefix(".") if name.rfind(".") == 0 else name
    return f"{namespace}.{name}" if namespace else name


def _definition_name(source: Mapping[str, Any], namespace: str) -> str:
    """Return the full name that a definition declares, or ``""`` if it has none."""
    name = source.get("name")
    if not isinstance(name, str) or not name:
        return ""
    own = source.get("namespace")
    return full_name(name, own if isinstance(own, str) else namespace)


def _namespace(name: str) -> str:
    return name.rpartition(".")[0]


@define
class _Parser:
    """One run over one document."""

    known: dict[str, NamedSchema]
    strict: bool
    defects: list[Defect] = field(factory=list)
    duplicates: dict[int, list[str]] = field(factory=dict)
    shells: dict[str, NamedSchema] = field(factory=dict)
    filled: set[str] = field(factory=set)
    again: list[tuple[str, NamedSchema, NamedSchema]] = field(factory=list)
    defaults: list[tuple[str, FieldSchema]] = field(factory=list)

    def parse(self, source: Any) -> Schema:
        """Parse the document; defects are collected, never raised."""
        self._declare(source, "", 0)
        schema = self._schema(source, "", "", 0)
        if any(not defect.warning for defect in self.defects):
            return schema
        for path, second, first in self.again:
            if not same_definition(second, first):
                self._defect(
                    path,
                    f"{first.name} is defined twice, differently",
                    "rename one, or refer to the first by its name",
                )
        if self.strict:
            for path, each in self.defaults:
                for below, message, warning in default_defects(each.schema, each.default):
                    self._defect(
                        path + below,
                        message,
                        "give a default that the type accepts",
                        warning=warning,
                    )
        return schema

    def _declare(self, source: Any, namespace: str, depth: int) -> None:
        """Make an empty node for each definition, so that references may come before it."""
        if depth > MAX_DEPTH:
            return
        if isinstance(source, list):
            for branch in source:
                self._declare(branch, namespace, depth + 1)
        elif isinstance(source, Mapping):
            kind = source.get("type")
            if kind == "array":
                self._declare(source.get("items"), namespace, depth + 1)
            elif kind == "map":
                self._declare(source.get("values"), namespace, depth + 1)
            elif kind in ("record", "error", "enum", "fixed"):
                name = _definition_name(source, namespace)
                if name not in self.known and name not in self.shells:
                    self.shells[name] = _empty(kind, name)
                fields = source.get("fields")
                for each in fields if kind in ("record", "error") and _is_list(fields) else ():
                    if isinstance(each, Mapping):
                        self._declare(each.get("type"), _namespace(name), depth + 1)

    def _schema(self, source: Any, namespace: str, path: str, depth: int) -> Schema:
        if depth > MAX_DEPTH:
            return self._broken(path, "nested too deeply", "name inner types and refer to them")
        if isinstance(source, str):
            return self._reference(source, namespace, path)
        if isinstance(source, list):
            return self._union(source, namespace, path, depth)
        if not isinstance(source, Mapping):
            return self._broken(
                path, f"{_shown(source)} is no schema", "give a type name, an object or a union"
            )
        self._duplicate_keys(source, path)
        kind = source.get("type")
        if not isinstance(kind, str):
            return self._no_type(source, path)
        if kind in PRIMITIVES:
            props = _props(source, _SCHEMA_KEYS)
            return PrimitiveSchema(kind, self._logical(kind, None, props, path), props)
        if kind in ("array", "map"):
            return self._container(source, kind, namespace, path, depth)
        if kind in ("record", "error", "enum", "fixed"):
            return self._named(source, kind, namespace, path, depth)
        return self._reference(kind, namespace, f"{path}/type")

    def _no_type(self, source: Mapping[str, Any], path: str) -> Schema:
        if "type" not in source:
            return self._broken(path, "a schema object without a type", 'add "type"')
        return self._broken(
            f"{path}/type",
            "the type of a schema object must be a name",
            "put the inner type in the place of this object",
        )

    def _reference(self, name: str, namespace: str, path: str) -> Schema:
        if name in PRIMITIVES:
            return PrimitiveSchema(name)
        for candidate in (full_name(name, namespace), name):
            found = self.known.get(candidate) or self.shells.get(candidate)
            if found is not None:
                return found
        if name in ("record", "error", "enum", "fixed", "array", "map"):
            remedy = f'define it in place, as an object: {{"type": "{name}", …}}'
        else:
            remedy = "define the type, or give the schema that defines it as a reference"
        return self._broken(path, f"unknown type {full_name(name, namespace)}", remedy)

    def _union(self, source: list[Any], namespace: str, path: str, depth: int) -> Schema:
        branches: list[Schema] = []
        seen: set[str] = set()
        if self.strict and not source:
            self._defect(path, "a union without branches", "name at least one type")
        for index, each in enumerate(source):
            below = f"{path}/{index}"
            before = len(self.defects)
            branch = self._schema(each, namespace, below, depth + 1)
            branches.append(branch)
            if len(self.defects) > before:
                continue
            if isinstance(branch, UnionSchema):
                self._defect(below, "a union directly inside a union", "merge the branches")
            key = branch.name if isinstance(branch, NamedSchema) else branch.type
            if key in seen:
                self._defect(
                    below,
                    f"a union with two branches of type {key}",
                    "keep one; only named types of different names may repeat",
                )
            seen.add(key)
        return UnionSchema(tuple(branches))

    def _container(
        self, source: Mapping[str, Any], kind: str, namespace: str, path: str, depth: int
    ) -> Schema:
        key = "items" if kind == "array" else "values"
        if key not in source:
            return self._broken(path, f"{kind} without {key}", f'add "{key}": the inner type')
        inner = self._schema(source[key], namespace, f"{path}/{key}", depth + 1)
        props = _props(source, _SCHEMA_KEYS)
        self._logical(kind, None, props, path)
        return ArraySchema(inner, props) if kind == "array" else MapSchema(inner, props)

    def _named(
        self, source: Mapping[str, Any], kind: str, namespace: str, path: str, depth: int
    ) -> Schema:
        name = self._name(source, kind, namespace, path)
        if not name:
            return PrimitiveSchema("null")
        if name in self.filled or name in self.known:
            node = _empty(kind, name)
            self.again.append((path, node, self.known.get(name) or self.shells[name]))
        else:
            node = self.shells.get(name) or _empty(kind, name)
            if node.type != _empty(kind, name).type:  # declared twice, as different kinds
                node = _empty(kind, name)
                self.again.append((path, node, self.shells[name]))
            self.filled.add(name)
        doc = source.get("doc")
        node.doc = doc if isinstance(doc, str) else None
        node.aliases = tuple(
            full_name(alias, _namespace(name)) for alias in self._aliases(source, path)
        )
        node.props = _props(source, _ENUM_KEYS if kind == "enum" else _SCHEMA_KEYS)
        match node:
            case RecordSchema():
                self._logical(kind, None, node.props, path)
                self._fields(node, source, path, depth)
            case EnumSchema():
                self._logical(kind, None, node.props, path)
                self._symbols(node, source, path)
            case FixedSchema():
                self._size(node, source, path)
                node.logical = self._logical(kind, node.size, node.props, path)
        return self.known.get(name) or self.shells.get(name) or node

    def _name(self, source: Mapping[str, Any], kind: str, namespace: str, path: str) -> str:
        """Return the full name that a definition declares, or ``""`` with a defect noted."""
        if not isinstance(source.get("name"), str):
            where = f"{path}/name" if "name" in source else path
            self._defect(where, f"{kind} without a name", 'add "name"')
            return ""
        name = _definition_name(source, namespace)
        *spaces, last = name.split(".")
        if not is_name(last):
            self._defect(
                f"{path}/name",
                f"{_shown(source['name'])} is no name",
                "use letters, digits and _, not starting with a digit",
            )
            return ""
        if not all(map(is_name, spaces)):
            where = "namespace" if "." not in source["name"] and "namespace" in source else "name"
            self._defect(
                f"{path}/{where}",
                f"{_shown('.'.join(spaces))} is no namespace",
                "join names by single dots",
            )
            return ""
        if name in PRIMITIVES:
            self._defect(
                f"{path}/name", f"a type may not be called {name}", "rename it or add a namespace"
            )
            return ""
        return name

    def _aliases(self, source: Mapping[str, Any], path: str) -> list[str]:
        aliases = source.get("aliases", [])
        if "aliases" in source and not _is_list(aliases):
            self._defect(f"{path}/aliases", "aliases are not an array", "use a JSON array")
            return []
        good: list[str] = []
        for index, alias in enumerate(aliases):
            if isinstance(alias, str) and is_name(alias.rpartition(".")[2]):
                if alias not in good:
                    good.append(alias)
            else:
                self._defect(
                    f"{path}/aliases/{index}",
                    f"{_shown(alias)} is no name",
                    "use letters, digits and _, not starting with a digit",
                )
        return good

    def _fields(self, node: RecordSchema, source: Mapping[str, Any], path: str, depth: int) -> None:
        sources = source.get("fields")
        if not _is_list(sources):
            where = f"{path}/fields" if "fields" in source else path
            self._defect(where, "record without fields", 'add "fields": an array, maybe empty')
            return
        fields: list[FieldSchema] = []
        names: set[str] = set()
        for index, each in enumerate(sources):
            below = f"{path}/fields/{index}"
            made = self._field(each, _namespace(node.name), below, depth)
            if made is None:
                continue
            if made.name in names:
                self._defect(
                    f"{below}/name", f"two fields are called {made.name}", "rename one of them"
                )
            names.add(made.name)
            fields.append(made)
        node.fields = tuple(fields)
        if self.strict and len(fields) == len(sources):
            self._alias_conflicts(node, path)

    def _field(self, source: Any, namespace: str, path: str, depth: int) -> FieldSchema | None:
        if not isinstance(source, Mapping):
            self._defect(path, f"{_shown(source)} is no field", "give an object")
            return None
        self._duplicate_keys(source, path)
        name = source.get("name")
        if not is_name(name):
            where = f"{path}/name" if "name" in source else path
            problem = f"{_shown(name)} is no name" if "name" in source else "field without a name"
            self._defect(where, problem, "use letters, digits and _, not starting with a digit")
            return None
        if "type" not in source:
            self._defect(path, f"field {name} has no type", 'add "type"')
            return None
        before = len(self.defects)
        schema = self._schema(source["type"], namespace, f"{path}/type", depth + 1)
        broken = len(self.defects) > before
        made = FieldSchema(
            name=str(name),
            schema=schema,
            default=source.get("default", NO_DEFAULT),
            aliases=tuple(self._aliases(source, path)),
            doc=source["doc"] if isinstance(source.get("doc"), str) else None,
            order=self._order(source, path),
            props=_props(source, _FIELD_KEYS),
        )
        self._number_default(made, path)
        self._misplaced_logical(made, path)
        if made.default is not NO_DEFAULT and not broken:
            self.defaults.append((f"{path}/default", made))
        return made

    def _order(self, source: Mapping[str, Any], path: str) -> str:
        order = source.get("order", "ascending")
        if isinstance(order, str) and order.lower() in _ORDERS:
            return order.lower()
        self._defect(f"{path}/order", f"{_shown(order)} is no order", f"use {', '.join(_ORDERS)}")
        return "ascending"

    def _number_default(self, made: FieldSchema, path: str) -> None:
        """Read a textual default of a float or double as Java does, which allows ``"NaN"``."""
        if made.schema.type in ("float", "double") and isinstance(made.default, str):
            try:
                made.default = float(made.default)
            except ValueError:
                self._defect(
                    f"{path}/default",
                    f"{_shown(made.default)} is no {made.schema.type}",
                    "give a number",
                )

    def _misplaced_logical(self, made: FieldSchema, path: str) -> None:
        if "logicalType" in made.props:
            self._defect(
                f"{path}/logicalType",
                "a logicalType beside the type of a field is ignored by every reader",
                'move it into the type: {"type": …, "logicalType": …}',
                warning=True,
            )

    def _alias_conflicts(self, node: RecordSchema, path: str) -> None:
        owners = {each.name: each.name for each in node.fields}
        for index, each in enumerate(node.fields):
            for place, alias in enumerate(each.aliases):
                owner = owners.setdefault(alias, each.name)
                if owner != each.name:
                    self._defect(
                        f"{path}/fields/{index}/aliases/{place}",
                        f"alias {alias} of field {each.name} also stands for field {owner}",
                        "give each old name to one field",
                    )

    def _symbols(self, node: EnumSchema, source: Mapping[str, Any], path: str) -> None:
        symbols = source.get("symbols")
        if not _is_list(symbols):
            where = f"{path}/symbols" if "symbols" in source else path
            self._defect(where, "enum without symbols", 'add "symbols": an array of names')
            return
        if self.strict and not symbols:
            self._defect(f"{path}/symbols", "enum without symbols", "name at least one symbol")
        for index, symbol in enumerate(symbols):
            if not is_name(symbol):
                self._defect(
                    f"{path}/symbols/{index}",
                    f"{_shown(symbol)} is no name",
                    "use letters, digits and _, not starting with a digit",
                )
            elif symbol in symbols[:index]:
                self._defect(
                    f"{path}/symbols/{index}", f"symbol {symbol} stands twice", "remove one"
                )
        node.symbols = tuple(str(symbol) for symbol in symbols)
        default = source.get("default")
        if isinstance(default, str) and default in node.symbols:
            node.default = default
        elif isinstance(default, str) or (self.strict and default is not None):
            self._defect(
                f"{path}/default",
                f"the enum's default {_shown(default)} is none of its symbols",
                "name one of the symbols",
            )

    def _size(self, node: FixedSchema, source: Mapping[str, Any], path: str) -> None:
        size = source.get("size")
        if isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= MAX_FIXED_SIZE:
            node.size = size
            return
        where = f"{path}/size" if "size" in source else path
        self._defect(where, "fixed without a size", 'give "size" as a number of bytes')

    def _logical(self, kind: str, size: int | None, props: Mapping[str, Any], path: str) -> Any:
        if "logicalType" not in props:
            return None
        problem = logical_problem(kind, size, props)
        if problem is None:
            return logical_type(props)
        self._defect(
            f"{path}/logicalType",
            f"{problem}; every reader ignores it",
            "correct the annotation or remove it",
            warning=True,
        )
        return None

    def _duplicate_keys(self, source: Mapping[str, Any], path: str) -> None:
        for key in self.duplicates.get(id(source), ()) if self.strict else ():
            self._defect(path + pointer(key), f"key {key} stands twice in one object", "remove one")

    def _broken(self, path: str, message: str, remedy: str) -> Schema:
        self._defect(path, message, remedy)
        return PrimitiveSchema("null")

    def _defect(self, path: str, message: str, remedy: str, *, warning: bool = False) -> None:
        self.defects.append(Defect(path, message, remedy, warning))


def _empty(kind: str, name: str) -> NamedSchema:
    if kind == "enum":
        return EnumSchema(name, ())
    if kind == "fixed":
        return FixedSchema(name, 0)
    return RecordSchema(name, is_error=kind == "error")


def _props(source: Mapping[str, Any], reserved: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in source.items() if key not in reserved}


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
