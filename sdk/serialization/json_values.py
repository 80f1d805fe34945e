"""Events ↔ JSON values, guided by the Avro schema that both formats share.

====================  ==========================================================================
Avro                  JSON
====================  ==========================================================================
record, map           object; a record's keys are the schema's field names
array                 array
enum                  the symbol
bytes, fixed          base64 (RFC 4648)
float, double         number; ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
decimal, big-decimal  text, such as ``"59.80"``: a JSON number would be rounded by many readers
uuid                  text
timestamp-*           RFC 3339 in UTC, such as ``"2026-01-15T09:30:00.250000Z"``
local-timestamp-*     the same without the offset
date, time-*          RFC 3339 full-date and partial-time
duration              ``{"months": 1, "days": 2, "milliseconds": 3}``
union                 the branch's value; where two branches look alike in JSON, ``{"name": value}``
                      as in Avro's own JSON encoding
====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import define, field, frozen

from sdk.avro.schema import parse_schema
from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    MapSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.errors import SdkError
from sdk.events import EventInfo
from sdk.serialization.json_scalars import MismatchError, scalar

Convert = Callable[[Any], Any]


@frozen
class Form:
    """How one schema looks in JSON.

    Attributes:
        write: Python value → JSON value; raises `MismatchError`.
        read: JSON value → Python value; raises `MismatchError`.
        accepts: Whether a Python value is of this schema, which chooses the branch of a union.
        kinds: JSON types that values take, to tell branches of a union that look alike.
    """

    write: Convert
    read: Convert
    accepts: Callable[[Any], bool]
    kinds: frozenset[str]


def json_form(event_class: type[Any], *, strict: bool) -> Form:
    """Return the JSON form of an event class.

    Args:
        event_class: A generated class.
        strict: Refuse keys that are no fields; otherwise, as for events of another version, they
            are ignored.
    """
    contract: EventInfo = event_class.__event__
    references = tuple(dict.fromkeys(each.schema for each in _shared(contract)))
    classes = {name: cls for each in _shared(contract) for name, cls in each.types.items()}
    classes.update(contract.types)
    classes[contract.full_name] = event_class
    schema = parse_schema(contract.schema, references=references)
    return _Builder(classes, strict).form(schema)


def _shared(contract: EventInfo) -> list[EventInfo]:
    """Return all contracts that one refers to, each after what it refers to itself."""
    found: list[EventInfo] = []
    for each in contract.references:
        found += [*_shared(each), each]
    return found


@define
class _Builder:
    """Makes the forms of one schema; recursive records refer to themselves by late binding."""

    classes: Mapping[str, type[Any]]
    strict: bool
    records: dict[str, list[Form]] = field(factory=dict)

    def form(self, schema: Schema) -> Form:
        if isinstance(schema, RecordSchema):
            return self._record(schema)
        if isinstance(schema, UnionSchema):
            return self._union(schema)
        if isinstance(schema, ArraySchema):
            return _array(self.form(schema.items))
        if isinstance(schema, MapSchema):
            return _map(self.form(schema.values))
        if isinstance(schema, EnumSchema):
            return _enum(schema, self.classes[schema.name])
        return Form(*scalar(schema, self.classes))

    def _record(self, schema: RecordSchema) -> Form:
        cls = self.classes[schema.name]
        kinds = frozenset({"object"})
        accepts: Callable[[Any], bool] = lambda value: type(value) is cls  # noqa: E731
        if schema.name in self.records:
            late = self.records[schema.name]
            return Form(
                lambda value: late[0].write(value),
                lambda value: late[0].read(value),
                accepts,
                kinds,
            )
        self.records[schema.name] = made = []
        fields = [
            _Field(schema=each, form=self.form(each.schema), attribute=attribute)
            for each, attribute in zip(schema.fields, attrs.fields(cls), strict=True)
        ]
        form = Form(
            _record_writer(cls, fields),
            _record_reader(cls, fields, strict=self.strict),
            accepts,
            kinds,
        )
        made.append(form)
        return form

    def _union(self, schema: UnionSchema) -> Form:
        branches = [(_branch_name(each), self.form(each)) for each in schema.branches]
        kinds = frozenset[str]().union(*(form.kinds for _, form in branches))
        tagged = sum(len(form.kinds) for _, form in branches) > len(kinds)
        accepts: Callable[[Any], bool] = lambda value: any(  # noqa: E731
            form.accepts(value) for _, form in branches
        )
        if tagged:
            kinds = frozenset({"object", "null"} if "null" in kinds else {"object"})
            return Form(_tagged_writer(branches), _tagged_reader(branches), accepts, kinds)
        return Form(_plain_writer(branches), _plain_reader(branches), accepts, kinds)


@frozen(kw_only=True)
class _Field:
    """A field of a record and the attribute that holds it."""

    schema: FieldSchema
    form: Form
    attribute: attrs.Attribute[Any]


def _record_writer(cls: type[Any], fields: list[_Field]) -> Convert:
    parts = [(each.schema.name, each.attribute.name, each.form.write) for each in fields]

    def write(value: Any) -> Any:
        if type(value) is not cls:
            raise MismatchError(cls.__qualname__, value)
        result = {}
        for name, attribute, convert in parts:
            try:
                result[name] = convert(getattr(value, attribute))
            except MismatchError as error:
                raise error.within(name) from error.__cause__
        return result

    return write


def _record_reader(cls: type[Any], fields: list[_Field], *, strict: bool) -> Convert:
    parts = [
        (
            (each.schema.name, *each.schema.aliases),
            each.attribute.alias or each.attribute.name,
            each.form.read,
            each.schema.default is NO_DEFAULT,
        )
        for each in fields
    ]
    known = {name for names, *_ in parts for name in names}

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise MismatchError("an object", value)
        if strict and not known.issuperset(value):
            name = next(name for name in value if name not in known)
            raise MismatchError.at(name, f"{cls.__qualname__} has no such field")
        arguments: dict[str, Any] = {}
        for names, argument, convert, required in parts:
            for name in names:
                if name in value:
                    try:
                        arguments[argument] = convert(value[name])
                    except MismatchError as error:
                        raise error.within(name) from error.__cause__
                    break
            else:
                if required:
                    raise MismatchError.at(names[0], "the field is missing and has no default")
        try:
            return cls(**arguments)
        except SdkError as error:
            raise MismatchError.at(error.path or "", error.message) from error

    return read


def _array(items: Form) -> Form:
    def convert(value: Any, each: Convert) -> list[Any]:
        result = []
        for index, item in enumerate(value):
            try:
                result.append(each(item))
            except MismatchError as error:
                raise error.within(f"[{index}]") from error.__cause__
        return result

    def write(value: Any) -> Any:
        if not isinstance(value, tuple | list):
            raise MismatchError("a tuple", value)
        return convert(value, items.write)

    def read(value: Any) -> Any:
        if type(value) is not list:
            raise MismatchError("an array", value)
        return tuple(convert(value, items.read))

    return Form(write, read, lambda value: isinstance(value, tuple | list), frozenset({"array"}))


def _map(values: Form) -> Form:
    def convert(value: Mapping[str, Any], each: Convert) -> dict[str, Any]:
        result = {}
        for key, item in value.items():
            if type(key) is not str:
                raise MismatchError("text as key", key)
            try:
                result[key] = each(item)
            except MismatchError as error:
                raise error.within(f"[{key!r}]") from error.__cause__
        return result

    def write(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise MismatchError("a mapping", value)
        return convert(value, values.write)

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise MismatchError("an object", value)
        return convert(value, values.read)

    return Form(write, read, lambda value: isinstance(value, Mapping), frozenset({"object"}))


def _enum(schema: EnumSchema, cls: type[Any]) -> Form:
    members: dict[str, Any] = {symbol: cls(symbol) for symbol in schema.symbols}
    fallback = None if schema.default is None else members[schema.default]

    def write(value: Any) -> Any:
        if type(value) is not cls:
            raise MismatchError(cls.__qualname__, value)
        return value.value

    def read(value: Any) -> Any:
        if type(value) is not str:
            raise MismatchError("a symbol", value)
        member = members.get(value, fallback)
        if member is None:
            raise MismatchError(f"one of {', '.join(schema.symbols)}", value)
        return member

    return Form(write, read, lambda value: type(value) is cls, frozenset({"text"}))


def _branch_name(schema: Schema) -> str:
    return str(getattr(schema, "name", schema.type))


def _chosen(branches: list[tuple[str, Form]], value: Any) -> tuple[str, Form]:
    for branch in branches:
        if branch[1].accepts(value):
            return branch
    raise MismatchError(f"one of {', '.join(name for name, _ in branches)}", value)


def _plain_writer(branches: list[tuple[str, Form]]) -> Convert:
    return lambda value: _chosen(branches, value)[1].write(value)


def _tagged_writer(branches: list[tuple[str, Form]]) -> Convert:
    def write(value: Any) -> Any:
        name, form = _chosen(branches, value)
        written = form.write(value)
        return written if name == "null" else {name: written}

    return write


def _plain_reader(branches: list[tuple[str, Form]]) -> Convert:
    by_kind = {kind: form for _, form in branches for kind in form.kinds}

    def read(value: Any) -> Any:
        form = by_kind.get(_KINDS.get(type(value), "unknown"))
        if form is None:
            raise MismatchError(f"one of {', '.join(name for name, _ in branches)}", value)
        return form.read(value)

    return read


def _tagged_reader(branches: list[tuple[str, Form]]) -> Convert:
    by_name = dict(branches)

    def read(value: Any) -> Any:
        if value is None and "null" in by_name:
            return None
        if type(value) is not dict or len(value) != 1:
            raise MismatchError(f"an object with one key of {', '.join(by_name)}", value)
        ((name, inner),) = value.items()
        if name not in by_name:
            raise MismatchError.at(name, f"no branch of the union; they are {', '.join(by_name)}")
        try:
            return by_name[name].read(inner)
        except MismatchError as error:
            raise error.within(name) from error.__cause__

    return read


_KINDS: Mapping[type[Any], str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "array",
    dict: "object",
}
