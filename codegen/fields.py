"""Fields of records: their types, defaults, converters and validators as Python source."""

from __future__ import annotations

from typing import Final, TypeGuard

from attrs import define, field

from codegen.annotations import accepted, annotation, converter, merged_branches, value_class
from codegen.default_values import UnholdableDefaultError, default_source, is_mutable
from codegen.findings import Finding
from codegen.model import FieldModel
from codegen.names import definition_pointer
from codegen.scope import Scope
from codegen.sources import Root, SchemaFile
from codegen.validators import validators
from sdk.avro.schema import (
    NO_DEFAULT,
    FieldSchema,
    MapSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)

_CALLS: Final = ("UUID(", "Duration(")
"""Calls that linters take for mutable defaults unless ``field`` holds them."""

_KEY_CLASSES: Final = {"str", "int", "UUID", "bytes", "None"}
"""The types that key serializers accept; None means no key."""


@define
class Fields:
    """Builds the fields of records, and collects what is wrong with them."""

    findings: list[Finding] = field(factory=list)
    warnings: list[Finding] = field(factory=list)

    def build(self, root: Root, record: RecordSchema, scope: Scope) -> tuple[FieldModel, ...]:
        """Return the fields of a record that a root defines."""
        attributes = scope.homes[record.name].members
        place = definition_pointer(root.value, record.name)
        made = []
        for index, each in enumerate(record.fields):
            pointer = f"{place}/fields/{index}" if place is not None else ""
            for shared, branches in merged_branches(each.schema):
                self._warn_of_merged(root, pointer, shared, branches)
            default = self._default(root, pointer, each, scope)
            made.append(_field(attributes[each.name], each, default, scope))
        return tuple(made)

    def key(self, root: Root, schema: Schema, scope: Scope) -> str | None:
        """Return the attribute that is the message key of a root, if it has one."""
        config = root.config
        if config is None or config.key is None:
            return None
        event = f"version {root.version} of {root.full_name}"
        fields = {each.name: each for each in schema.fields} if _is_record(schema) else {}
        if not _is_record(schema) or config.key not in fields:
            reason = f"{event} has no field {config.key!r}"
            remedy = "name a field that every version has, or leave the key out"
            self._refuse(config.file, "/key", reason, remedy)
            return None
        kind = fields[config.key].schema
        branches = kind.branches if isinstance(kind, UnionSchema) else (kind,)
        unfit = sorted({value_class(branch) for branch in branches} - _KEY_CLASSES)
        if unfit:
            reason = f"field {config.key} of {event} is of type {' or '.join(unfit)}"
            remedy = "name a field of type string, int, long, uuid, bytes or fixed as key"
            self._refuse(config.file, "/key", f"{reason}, not a key", remedy)
        return scope.homes[schema.name].members[config.key]

    def _default(self, root: Root, pointer: str, each: FieldSchema, scope: Scope) -> str | None:
        if each.default is NO_DEFAULT:
            return None
        try:
            return default_source(each.schema, each.default, scope)
        except UnholdableDefaultError as error:
            self._refuse(
                root,
                f"{pointer}/default" if pointer else "",
                f"field {each.name}: {error}",
                "give a default that its Python type can hold, or none",
            )
            return None

    def _refuse(self, at: Root | SchemaFile, pointer: str, reason: str, remedy: str) -> None:
        self.findings.append(at.finding(pointer, reason, remedy))

    def _warn_of_merged(self, root: Root, pointer: str, shared: str, branches: list[str]) -> None:
        self.warnings.append(
            root.finding(
                f"{pointer}/type" if pointer else "",
                f"{' and '.join(branches)} become {shared}: which of them was read is not kept",
                "if the difference means something, make the branches records",
            )
        )


def _field(attribute: str, each: FieldSchema, default: str | None, scope: Scope) -> FieldModel:
    options: dict[str, str] = {}
    if default is not None and is_mutable(each.schema, each.default):
        options["factory"] = _factory(each.schema, default, scope)
    elif default is not None:
        options["default"] = default
    if (made := converter(each.schema, scope)) is not None:
        options["converter"] = made
    if checks := validators(each.schema, scope):
        options["validator"] = checks[0] if len(checks) == 1 else f"[{', '.join(checks)}]"
    if attribute.startswith("_"):
        options["alias"] = f'"{attribute}"'
    value = None
    if default is not None and options.keys() == {"default"} and not default.startswith(_CALLS):
        value = options.pop("default")
    if options:
        scope.use("attrs", "field")
    kind = annotation(each.schema, scope)
    return FieldModel(attribute, each.name, kind, each.doc, value, tuple(options.items()))


def _factory(schema: Schema, default: str, scope: Scope) -> str:
    """Return a callable that creates a default; an empty dict has its type."""
    if default != "{}":
        return f"lambda: {default}"
    branches = schema.branches if isinstance(schema, UnionSchema) else (schema,)
    values = next(each.values for each in branches if isinstance(each, MapSchema))
    return f"dict[str, {accepted(values, scope)}]"


def _is_record(schema: Schema) -> TypeGuard[RecordSchema]:
    return isinstance(schema, RecordSchema)
