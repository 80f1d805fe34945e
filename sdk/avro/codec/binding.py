"""The Python class for each Avro type, and creating its instances."""

from __future__ import annotations

import keyword
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs
from attrs import frozen

from sdk.avro.contracts import contract_schema, dependencies, info_of
from sdk.avro.schema import RecordSchema
from sdk.avro.schema.canonical import normalized_hash
from sdk.errors import InvalidSchemaError, SchemaError

_OURS: Final = "sdk.events"
"""Converters and validators of this package state what a plan guarantees anyway."""


@frozen
class Binding:
    """A generated class and its contract."""

    cls: type[Any]
    schema: RecordSchema
    types: Mapping[str, type[Any]]

    @cached_property
    def hash(self) -> str:
        """`normalized_hash` of the schema."""
        return normalized_hash(self.schema)


@frozen
class Shape:
    """How instances of a class are read and created.

    Attributes:
        attributes: Names by field of the record.
        arguments: Their parameters in the constructor.
        build: ``slots`` or ``call``, as in `sdk.avro.codec.plan.RecordPlan`.
        presets: Further slots that the constructor would fill.
    """

    attributes: tuple[str, ...]
    arguments: tuple[str, ...]
    build: str
    presets: tuple[tuple[str, Any], ...]


def bind(cls: type[Any]) -> Binding:
    """Parse the contract of a generated class and find the classes of its types."""
    info = info_of(cls)
    types: dict[str, type[Any]] = {}
    for each in (*dependencies(info), info):
        types.update(each.types)
    schema = contract_schema(info)
    if not isinstance(schema, RecordSchema):
        raise InvalidSchemaError(
            f"the schema of {cls.__name__} is not a record but {schema.type}", event=info.full_name
        )
    types[schema.name] = cls
    return Binding(cls, schema, types)


_shapes: Final[WeakKeyDictionary[type[Any], Shape]] = WeakKeyDictionary()


def shape_of(cls: type[Any], schema: RecordSchema) -> Shape:
    """Return how instances of a class are read and created.

    Raises:
        SchemaError: The class is not an attrs class with one attribute for each field.
    """
    attributes = getattr(cls, "__attrs_attrs__", None)
    if attributes is None or len(attributes) != len(schema.fields):
        raise SchemaError(
            f"class {cls.__name__} does not have one attribute for each field of {schema.name}",
            event=schema.name,
            remedy="generate the class from the schema again",
        )
    shape = _shapes.get(cls)
    if shape is None:
        shape = _shapes[cls] = _shape(cls, attributes)
    return shape


def _shape(cls: type[Any], attributes: tuple[attrs.Attribute[Any], ...]) -> Shape:
    names = tuple([each.name for each in attributes])
    bad = [name for name in names if not name.isidentifier() or keyword.iskeyword(name)]
    if bad:
        raise SchemaError(f"{bad[0]!r} of class {cls.__name__} is not a name")
    return Shape(
        attributes=names,
        arguments=tuple([each.alias or each.name for each in attributes]),
        build="slots" if _is_plain(cls, attributes) else "call",
        presets=_presets(cls),
    )


def _is_plain(cls: type[Any], attributes: Iterable[attrs.Attribute[Any]]) -> bool:
    """Return whether filling the slots does all that the constructor would do."""
    return (
        getattr(cls, "__new__", None) is object.__new__
        and not hasattr(cls, "__attrs_post_init__")
        and not hasattr(cls, "__attrs_pre_init__")
        and _made_by_attrs(cls)
        and all(
            isinstance(getattr(cls, each.name, None), types.MemberDescriptorType)
            for each in attributes
        )
        and all(
            _is_ours(hook)
            for each in attributes
            if each.converter is not None or each.validator is not None
            for hook in _hooks(each)
        )
    )


def _made_by_attrs(cls: type[Any]) -> bool:
    code = getattr(cls.__init__, "__code__", None)
    return code is not None and code.co_filename.startswith("<attrs generated")


def _hooks(attribute: attrs.Attribute[Any]) -> Iterator[Any]:
    """Yield the functions that the constructor calls for an attribute, also inside combinators."""
    pending = [attribute.converter, attribute.validator]
    while pending:
        hook = pending.pop()
        inner = getattr(hook, "_validators", None) or getattr(hook, "validator", None)
        if inner is not None and type(hook).__module__ in ("attr._make", "attr.validators"):
            pending += inner if isinstance(inner, tuple | list) else [inner]
        elif hook is not None:
            yield hook


def _is_ours(hook: Any) -> bool:
    module = str(getattr(hook, "__module__", ""))
    return module == _OURS or module.startswith(f"{_OURS}.")


def _presets(cls: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Return the slots that attrs fills beside the fields: the cache of a hash."""
    name = "_attrs_cached_hash"
    return ((name, None),) if hasattr(cls, name) else ()
