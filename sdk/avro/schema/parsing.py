"""Parses schema JSON into node classes; every defect has a JSON pointer and a remedy.

There are two strictnesses. The lenient one accepts what Java's parser accepts, because such schemas
live in registries and data written with them must be readable; the strict one is for schemas that
are about to be published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from sdk.avro.limits import DEFAULT_LIMITS, Limits
from sdk.avro.schema import definitions
from sdk.avro.schema.defaults import default_defects
from sdk.avro.schema.defects import Defect, Defects, shown
from sdk.avro.schema.equality import same_definition
from sdk.avro.schema.json_text import is_deeper, pointer, read_json
from sdk.avro.schema.model import (
    NAMED_KINDS,
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
from sdk.avro.schema.names import (
    NAME_REMEDY,
    declared_name,
    full_name,
    is_name,
    namespace_of,
    read_aliases,
    read_name,
)
from sdk.errors import InvalidSchemaError

_STRUCTURE = frozenset(("type", "fields", "items", "values"))
_OBJECT = (dict, Mapping)  # exact types first: a check against an abstract class is slow

Reference = str | Mapping[str, Any] | NamedSchema


def parse_schema(
    source: str | Mapping[str, Any] | list[Any],
    *,
    references: Iterable[Reference] | Mapping[str, NamedSchema] = (),
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Schema:
    """Parse an Avro 1.12 schema.

    Args:
        source: JSON text, possibly with comments, or its parsed value. Text
            that is only a name must be a JSON string: ``'"long"'``.
        references: Schemas whose named types the source may use: JSON, in dependency order, or
            nodes that were parsed before, alone or by full name.
        strict: Also refuse some defects that Java's parser accepts: defaults that do not match
            their type, conflicting aliases, enums and unions without values, repeated keys.
        limits: How large and how deeply nested the source, and each reference, may be.

    Returns:
        The root of the schema; each named type is one object wherever it is used.

    Raises:
        InvalidSchemaError: The source is not JSON or not valid Avro; ``path`` is the JSON pointer
            of the first defect. `check_schema` returns all of them.
    """
    schema, defects = _parse(source, _known_names(references, limits), strict, limits)
    if not defects.errors:
        return schema
    first = next(defect for defect in defects.found if not defect.warning)
    more = f" (and {defects.errors - 1} more)" if defects.errors > 1 else ""
    raise InvalidSchemaError(first.message + more, remedy=first.remedy, path=first.path)


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
    known = _known_names(references, DEFAULT_LIMITS)
    try:
        return tuple(_parse(source, known, strict, DEFAULT_LIMITS)[1].found)
    except InvalidSchemaError as error:  # not JSON, so there is nothing else to report
        return (Defect(error.path or "", error.message, error.remedy or ""),)


def _parse(
    source: str | Mapping[str, Any] | list[Any],
    known: dict[str, NamedSchema],
    strict: bool,
    limits: Limits,
) -> tuple[Schema, Defects]:
    parser = _Parser(known=known, strict=strict, max_depth=limits.max_schema_depth)
    value: Any = source
    if isinstance(source, str):
        if len(source) > limits.max_schema_length:
            raise InvalidSchemaError(
                f"the schema has {len(source)} characters, more than {limits.max_schema_length}",
                remedy="raise the limit max_schema_length if the schema can be trusted",
                path="",
            )
        document = read_json(source, find_duplicates=strict)  # holds the objects whose ids follow
        value = document.value
        for holder, key in document.duplicates:
            parser.duplicates.setdefault(id(holder), []).append(key)
    try:
        return parser.parse(value), parser.defects
    except RecursionError as error:  # the limit was raised beyond what this thread's stack holds
        raise InvalidSchemaError(
            "the schema is nested too deeply for this thread",
            remedy="name inner types and refer to them",
            path="",
        ) from error


def _known_names(
    references: Iterable[Reference] | Mapping[str, NamedSchema], limits: Limits
) -> dict[str, NamedSchema]:
    known: dict[str, NamedSchema] = {}
    for reference in references.values() if isinstance(references, Mapping) else references:
        schema = (
            reference
            if isinstance(reference, NamedSchema)
            else parse_schema(reference, references=known, limits=limits)
        )
        known.update((each.name, each) for each in named_types(schema))
    return known


@define
class _Parser:
    """One run over one document; defects are collected, never raised."""

    known: dict[str, NamedSchema]
    strict: bool
    max_depth: int
    defects: Defects = field(factory=Defects)
    duplicates: dict[int, list[str]] = field(factory=dict)
    declared: dict[str, NamedSchema] = field(factory=dict)
    filled: set[str] = field(factory=set)
    again: list[tuple[str, NamedSchema, NamedSchema]] = field(factory=list)
    defaults: list[tuple[str, FieldSchema]] = field(factory=list)

    def parse(self, source: Any) -> Schema:
        self.declare(source, "", 0)
        schema = self.schema(source, "", "", 0)
        if not self.defects.errors:  # these look into types, which must be whole
            self.check_redefinitions()
            if self.strict:
                self.check_defaults()
        return schema

    def declare(self, source: Any, namespace: str, depth: int) -> None:
        """Make an empty node for each definition, so that references may come before it."""
        if isinstance(source, str) or depth > self.max_depth:
            return
        if isinstance(source, list):
            for branch in source:
                self.declare(branch, namespace, depth + 1)
        elif isinstance(source, _OBJECT):
            kind = source.get("type")
            if kind == "array":
                self.declare(source.get("items"), namespace, depth + 1)
            elif kind == "map":
                self.declare(source.get("values"), namespace, depth + 1)
            elif kind in NAMED_KINDS:
                name = declared_name(source, namespace)
                if name not in self.known and name not in self.declared:
                    self.declared[name] = definitions.empty_node(kind, name)
                fields = source.get("fields") if kind in ("record", "error") else None
                inner = namespace_of(name)
                for each in fields if isinstance(fields, list) else ():
                    if isinstance(each, _OBJECT):
                        self.declare(each.get("type"), inner, depth + 1)

    def schema(self, source: Any, namespace: str, path: str, depth: int) -> Schema:
        if depth > self.max_depth:
            return self.broken(path, "nested too deeply", "name inner types and refer to them")
        if isinstance(source, str):
            return self.reference(source, namespace, path)
        if isinstance(source, list):
            return self.union(source, namespace, path, depth)
        if not isinstance(source, _OBJECT):
            message = f"{shown(source)} is not a schema"
            return self.broken(path, message, "give a type name, an object or a union")
        self.check_keys(source, path)
        kind = source.get("type")
        if "type" not in source:
            return self.broken(path, "a schema object without a type", 'add "type"')
        if not isinstance(kind, str):
            return self.broken(
                f"{path}/type",
                "the type of a schema object must be a name",
                "put the inner type in the place of this object",
            )
        if kind in PRIMITIVES:
            props = definitions.properties(source, kind)
            logical = definitions.read_logical(kind, None, props, path, self.defects)
            return PrimitiveSchema(kind, logical, props)
        if kind in ("array", "map"):
            return self.container(source, kind, namespace, path, depth)
        if kind in NAMED_KINDS:
            return self.named(source, kind, namespace, path, depth)
        return self.reference(kind, namespace, f"{path}/type")

    def reference(self, name: str, namespace: str, path: str) -> Schema:
        if name in PRIMITIVES:
            return PrimitiveSchema(name)
        # a leading dot is valid in names and aliases only: Java does not accept it in a reference
        candidates = () if name.startswith(".") else (full_name(name, namespace), name)
        for candidate in candidates:
            found = self.known.get(candidate) or self.declared.get(candidate)
            if found is not None:
                return found
        if name in (*NAMED_KINDS, "array", "map"):
            remedy = f'define it in place, as an object: {{"type": "{name}", …}}'
        else:
            remedy = "define the type, or give the schema that defines it as a reference"
        return self.broken(path, f"unknown type {full_name(name, namespace)}", remedy)

    def union(self, source: list[Any], namespace: str, path: str, depth: int) -> Schema:
        branches: list[Schema] = []
        seen: set[str] = set()
        if self.strict and not source:
            self.defects.error(path, "a union without branches", "name at least one type")
        for index, each in enumerate(source):
            below = f"{path}/{index}"
            errors = self.defects.errors
            branch = self.schema(each, namespace, below, depth + 1)
            branches.append(branch)
            if self.defects.errors > errors:
                continue
            if isinstance(branch, UnionSchema):
                self.defects.error(below, "a union directly inside a union", "merge the branches")
            key = branch.name if isinstance(branch, NamedSchema) else branch.type
            if key in seen:
                message = f"a union with two branches of type {key}"
                remedy = "keep one; only named types of different names may repeat"
                self.defects.error(below, message, remedy)
            seen.add(key)
        return UnionSchema(tuple(branches))

    def container(
        self, source: Mapping[str, Any], kind: str, namespace: str, path: str, depth: int
    ) -> Schema:
        key = "items" if kind == "array" else "values"
        if key not in source:
            return self.broken(path, f"{kind} without {key}", f'add "{key}": the inner type')
        inner = self.schema(source[key], namespace, f"{path}/{key}", depth + 1)
        props = definitions.properties(source, kind)
        definitions.read_logical(kind, None, props, path, self.defects)
        return ArraySchema(inner, props) if kind == "array" else MapSchema(inner, props)

    def named(
        self, source: Mapping[str, Any], kind: str, namespace: str, path: str, depth: int
    ) -> Schema:
        name = read_name(source, kind, namespace, path, self.defects)
        if not name:
            return PrimitiveSchema("null")
        node = self.node_to_fill(kind, name, path)
        node.doc = definitions.text_or_none(source.get("doc"))
        node.aliases = tuple(
            full_name(alias, namespace_of(name))
            for alias in read_aliases(source, path, self.defects, checked=True)
        )
        node.props = definitions.properties(source, kind)
        size = None
        match node:
            case RecordSchema():
                self.fields(node, source, path, depth)
            case EnumSchema():
                definitions.read_symbols(node, source, path, self.defects, strict=self.strict)
            case FixedSchema():
                definitions.read_size(node, source, path, self.defects)
                size = node.size
        logical = definitions.read_logical(kind, size, node.props, path, self.defects)
        if isinstance(node, FixedSchema):
            node.logical = logical
        return self.known.get(name) or self.declared.get(name) or node

    def node_to_fill(self, kind: str, name: str, path: str) -> NamedSchema:
        """Return the declared node of a name, or a spare one if the name is defined again."""
        node = self.declared.get(name)
        spare = definitions.empty_node(kind, name)
        if node is None or name in self.filled or node.type != spare.type:
            self.again.append((path, spare, node or self.known[name]))
            return spare
        self.filled.add(name)
        return node

    def fields(self, node: RecordSchema, source: Mapping[str, Any], path: str, depth: int) -> None:
        sources = source.get("fields")
        if not isinstance(sources, list):
            where = f"{path}/fields" if "fields" in source else path
            remedy = 'add "fields": an array, maybe empty'
            self.defects.error(where, "record without fields", remedy)
            return
        fields: list[FieldSchema] = []
        names: set[str] = set()
        namespace = namespace_of(node.name)
        for index, each in enumerate(sources):
            below = f"{path}/fields/{index}"
            made = self.field(each, namespace, below, depth)
            if made is None:
                continue
            if made.name in names:
                message = f"two fields are called {made.name}"
                self.defects.error(f"{below}/name", message, "rename one of them")
            names.add(made.name)
            fields.append(made)
        node.fields = tuple(fields)
        if self.strict and len(fields) == len(sources):
            definitions.check_alias_conflicts(node, path, self.defects)

    def field(self, source: Any, namespace: str, path: str, depth: int) -> FieldSchema | None:
        if not isinstance(source, _OBJECT):
            self.defects.error(path, f"{shown(source)} is not a field", "give an object")
            return None
        self.check_keys(source, path)
        name = source.get("name")
        if not is_name(name):
            if "name" in source:
                self.defects.error(f"{path}/name", f"{shown(name)} is not a name", NAME_REMEDY)
            else:
                self.defects.error(path, "field without a name", 'add "name"')
            return None
        if "type" not in source:
            self.defects.error(path, f"field {name} has no type", 'add "type"')
            return None
        errors = self.defects.errors
        schema = self.schema(source["type"], namespace, f"{path}/type", depth + 1)
        if self.defects.errors > errors:
            return FieldSchema(source["name"], schema)
        made = definitions.read_field(source, schema, path, self.defects, strict=self.strict)
        if made.default is not NO_DEFAULT:
            self.defaults.append((f"{path}/default", made))
        return made

    def check_keys(self, source: Mapping[str, Any], path: str) -> None:
        for key in self.duplicates.get(id(source), ()) if self.strict else ():
            message = f"key {key} occurs twice in one object"
            self.defects.error(path + pointer(key), message, "remove one")
        for key, value in source.items():
            if isinstance(value, str) or key in _STRUCTURE:
                continue
            if is_deeper(value, self.max_depth):
                self.defects.error(path + pointer(key), "nested too deeply", "flatten the value")

    def check_redefinitions(self) -> None:
        for path, second, first in self.again:
            if not same_definition(second, first):
                message = f"{first.name} is defined twice, differently"
                remedy = "rename one, or refer to the first by its name"
                self.defects.error(path, message, remedy)

    def check_defaults(self) -> None:
        remedy = "give a default that the type accepts"
        for path, each in self.defaults:
            for below, message, is_warning in default_defects(each.schema, each.default):
                note = self.defects.warn if is_warning else self.defects.error
                note(path + below, message, remedy)

    def broken(self, path: str, message: str, remedy: str) -> Schema:
        self.defects.error(path, message, remedy)
        return PrimitiveSchema("null")
