"""Makes the functions that convert values of one schema to plain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sdk.avro.codec import plan as ops
from sdk.avro.codec.binding import Binding, shape_of
from sdk.avro.codec.interpreter.writer import REFUSALS, candidates_of
from sdk.avro.codec.lowering import Lowering
from sdk.avro.plain.scalars import Convert, Form, misfit, scalar, text
from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    MapSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.errors import SdkError

_CAUGHT: Final = (*REFUSALS, SdkError)
_KINDS: Final[Mapping[type[Any], str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "array",
    dict: "object",
}


class MisfitError(ValueError):
    """A value that does not fit its schema; its path grows while it travels outwards."""

    def __init__(self, cause: Exception, step: str = "") -> None:
        super().__init__(cause.message if isinstance(cause, SdkError) else str(cause))
        self.remedy: str | None = getattr(cause, "remedy", None)
        inner: str | None = getattr(cause, "path", None)
        self.path = [step, f".{inner}" if inner else ""]


def _at(error: Exception, step: str) -> MisfitError:
    """Return an error with one more step at the front of its path."""
    if not isinstance(error, MisfitError):
        return MisfitError(error, step)
    error.path.insert(0, step)
    return error


class Forms:
    """Makes the forms of one event class; a record inside itself refers to itself by name."""

    def __init__(self, bound: Binding, *, ignore_unknown: bool) -> None:
        self.types = bound.types
        self.ignore_unknown = ignore_unknown
        self.records: dict[str, Form] = {}

    def form(self, schema: Schema) -> Form:
        """Return the form of values of a schema."""
        match schema:
            case RecordSchema():
                return self.record(schema)
            case EnumSchema():
                return _enum(schema, self.types[schema.name])
            case ArraySchema():
                return _array(self.form(schema.items))
            case MapSchema():
                return _map(self.form(schema.values))
            case UnionSchema():
                return self.union(schema)
        return scalar(schema, self.types)

    def record(self, schema: RecordSchema) -> Form:
        """Return the form of a record; inside the record itself, a reference to it."""
        known, name = self.records, schema.name
        if name not in known:
            kinds = frozenset({"object"})
            known[name] = Form(
                lambda value: known[name].write(value), lambda value: known[name].read(value), kinds
            )
            cls = self.types[name]
            shape = shape_of(cls, schema)
            forms = [self.form(each.schema) for each in schema.fields]
            write = _record_writer(cls, schema, shape.attributes, forms)
            read = _record_reader(cls, schema, shape.arguments, forms, self.ignore_unknown)
            known[name] = Form(write, read, kinds)
        return known[name]

    def union(self, schema: UnionSchema) -> Form:
        """Return the form of a union, which distinguishes its branches by JSON types if it can."""
        names = [str(getattr(each, "name", each.type)) for each in schema.branches]
        forms = [self.form(branch) for branch in schema.branches]
        choices = ops.Union((), Lowering(self.types).choices(schema))
        by_kind = {kind: form for form in forms for kind in form.kinds}
        if len(by_kind) == sum(len(form.kinds) for form in forms):
            read = _by_kind(names, by_kind)
            return Form(_union_writer(names, forms, choices), read, frozenset(by_kind))
        kinds = frozenset({"object", "null"} if "null" in names else {"object"})
        by_name = dict(zip(names, forms, strict=True))
        return Form(_union_writer(names, forms, choices, tagged=True), _by_name(by_name), kinds)


def _record_writer(
    cls: type[Any], schema: RecordSchema, attributes: tuple[str, ...], forms: list[Form]
) -> Convert:
    parts = [
        (each.name, attribute, form.write)
        for each, attribute, form in zip(schema.fields, attributes, forms, strict=True)
    ]

    def write(value: Any) -> Any:
        if type(value) is not cls:
            misfit(cls.__qualname__, value)
        plain = {}
        for name, attribute, convert in parts:
            try:
                plain[name] = convert(getattr(value, attribute))
            except _CAUGHT as error:
                raise _at(error, f".{name}") from error.__cause__
        return plain

    return write


def _record_reader(
    cls: type[Any],
    schema: RecordSchema,
    given: tuple[str, ...],
    forms: list[Form],
    ignore_unknown: bool,
) -> Convert:
    parts = [
        ((each.name, *each.aliases), argument, form.read, each.default is NO_DEFAULT)
        for each, argument, form in zip(schema.fields, given, forms, strict=True)
    ]
    known = {name for names, *_ in parts for name in names}

    def read(value: Any) -> Any:
        if type(value) is not dict:
            misfit("an object", value)
        if not ignore_unknown and not known.issuperset(value):
            name = next(name for name in value if name not in known)
            raise MisfitError(ValueError(f"{cls.__qualname__} has no such field"), f".{name}")
        arguments: dict[str, Any] = {}
        for names, argument, convert, required in parts:
            for name in names:
                if name in value:
                    try:
                        arguments[argument] = convert(value[name])
                    except _CAUGHT as error:
                        raise _at(error, f".{name}") from error.__cause__
                    break
            else:
                if required:
                    missing = ValueError("the field is missing and has no default")
                    raise MisfitError(missing, f".{names[0]}")
        return cls(**arguments)

    return read


def _enum(schema: EnumSchema, cls: type[Any]) -> Form:
    members: dict[Any, Any] = {symbol: cls(symbol) for symbol in schema.symbols}
    fallback = None if schema.default is None else members[schema.default]

    def write(value: Any) -> Any:
        return value.value if type(value) is cls else misfit(cls.__qualname__, value)

    def read(value: Any) -> Any:
        if type(value) is not str:
            misfit("a symbol", value)
        member = members.get(value, fallback)
        return misfit(f"one of {', '.join(schema.symbols)}", value) if member is None else member

    return Form(write, read)


def _array(items: Form) -> Form:
    def convert(value: Any, each: Convert) -> list[Any]:
        result: list[Any] = []
        try:
            for item in value:
                result.append(each(item))
        except _CAUGHT as error:
            raise _at(error, f"[{len(result)}]") from error.__cause__
        return result

    def write(value: Any) -> Any:
        if not isinstance(value, tuple | list):
            misfit("a tuple", value)
        return convert(value, items.write)

    def read(value: Any) -> Any:
        if type(value) is not list:
            misfit("an array", value)
        return tuple(convert(value, items.read))

    return Form(write, read, frozenset({"array"}))


def _map(values: Form) -> Form:
    def convert(value: Mapping[str, Any], each: Convert) -> dict[str, Any]:
        result = {}
        for key, item in value.items():
            try:
                result[text(key)] = each(item)
            except _CAUGHT as error:
                raise _at(error, f"[{key!r}]") from error.__cause__
        return result

    def write(value: Any) -> Any:
        if not isinstance(value, Mapping):
            misfit("a mapping", value)
        return convert(value, values.write)

    def read(value: Any) -> Any:
        if type(value) is not dict:
            misfit("an object", value)
        return convert(value, values.read)

    return Form(write, read, frozenset({"object"}))


def _union_writer(
    names: list[str], forms: list[Form], choices: ops.Union, *, tagged: bool = False
) -> Convert:
    """Return a function that writes the branch that the binary encoding would choose."""

    def write(value: Any) -> Any:
        candidates = candidates_of(choices, type(value))
        if not candidates:
            misfit(f"one of {', '.join(names)}", value)
        for index in candidates:
            try:
                plain = forms[index].write(value)
                break
            except _CAUGHT:
                if index == candidates[-1]:
                    raise
        return {names[index]: plain} if tagged and names[index] != "null" else plain

    return write


def _by_kind(names: list[str], by_kind: Mapping[str, Form]) -> Convert:
    def read(value: Any) -> Any:
        form = by_kind.get(_KINDS.get(type(value), "unknown"))
        if form is None:
            misfit(f"one of {', '.join(names)}", value)
        return form.read(value)

    return read


def _by_name(by_name: Mapping[str, Form]) -> Convert:
    def read(value: Any) -> Any:
        if value is None and "null" in by_name:
            return None
        if type(value) is not dict or len(value) != 1:
            misfit(f"an object with one key of {', '.join(by_name)}", value)
        ((name, inner),) = value.items()
        if name not in by_name:
            reason = f"no branch of the union; they are {', '.join(by_name)}"
            raise MisfitError(ValueError(reason), f".{name}")
        try:
            return by_name[name].read(inner)
        except _CAUGHT as error:
            raise _at(error, f".{name}") from error.__cause__

    return read
