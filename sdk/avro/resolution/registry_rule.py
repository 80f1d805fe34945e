"""The registry's rule: the exact results of Java Avro's ``SchemaCompatibility``.

Schema registries accept or refuse a version by this rule, so its verdicts, locations, order and
even its oddities are kept: results are remembered by pair, with the location at which the pair was
first met, and a new enum field that has an enum default but no field default counts as a type
mismatch. For what a reader really gets, see `sdk.avro.resolution.reader_findings`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from attrs import frozen

from sdk.avro.resolution.matching import names_match, promotes, writer_fields
from sdk.avro.schema.json_text import pointer
from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.avro.schema.printing import to_json

MAX_REPORTED: Final = 1000
"""A hostile pair repeats its incompatibilities without end; at most this many are reported."""

_RULES: Final = {
    "READER_FIELD_MISSING_DEFAULT_VALUE": (
        "C101",
        "field-added-without-default",
        "The field '{message}' at path '{location}' in the {reader} schema has no default value "
        "and is missing in the {writer} schema",
    ),
    "TYPE_MISMATCH": (
        "C102",
        "type-changed",
        "The type (path '{location}') of a field in the {reader} schema does not match with the "
        "{writer} schema",
    ),
    "NAME_MISMATCH": (
        "C103",
        "name-changed",
        "The name of the schema has changed (path '{location}')",
    ),
    "MISSING_ENUM_SYMBOLS": (
        "C104",
        "enum-symbol-removed",
        "The {reader} schema is missing enum symbols '{message}' at path '{location}' in the "
        "{writer} schema",
    ),
    "MISSING_UNION_BRANCH": (
        "C105",
        "union-branch-removed",
        "The {reader} schema is missing a type inside a union field at path '{location}' in the "
        "{writer} schema",
    ),
    "FIXED_SIZE_MISMATCH": (
        "C106",
        "fixed-size-changed",
        "The size of FIXED type field at path '{location}' in the {reader} schema does not match "
        "with the {writer} schema",
    ),
    "AMBIGUOUS_FIELD": ("C102", "type-changed", "{message}"),
}
"""The registry's ``errorType`` → our number and name of the rule, and the registry's words."""


@frozen
class Incompatibility:
    """One reason for which a registry refuses a pair of schemas.

    Attributes:
        type: The registry's ``errorType``, such as ``TYPE_MISMATCH``; ``AMBIGUOUS_FIELD`` where
            Java raises because a field is written under two of its names.
        location: JSON pointer inside the reader's schema; ``/`` is its root.
        message: The registry's ``additionalInfo``.
    """

    type: str
    location: str
    message: str

    @property
    def rule(self) -> str:
        """Our number of the rule, ``C101`` to ``C106``."""
        return _RULES[self.type][0]

    @property
    def name(self) -> str:
        """Our name of the rule, such as ``type-changed``."""
        return _RULES[self.type][1]

    def describe(self, reader: str = "new", writer: str = "old") -> str:
        """Return the message of the registry."""
        return _RULES[self.type][2].format(
            message=self.message, location=self.location, reader=reader, writer=writer
        )

    def registry_message(self, reader: str = "new", writer: str = "old") -> str:
        """Return the item that the registry's REST answer lists."""
        if self.type == "AMBIGUOUS_FIELD":
            return f"Unexpected exception during compatibility check: {self.message}"
        return (
            f"{{errorType:'{self.type}', description:'{self.describe(reader, writer)}', "
            f"additionalInfo:'{self.message}'}}"
        )


def incompatibilities(reader: Schema, writer: Schema) -> tuple[Incompatibility, ...]:
    """Return why a registry would refuse that a reader's schema follows a writer's.

    Returns:
        Java's list, in Java's order; empty if the registry accepts the pair.
    """
    try:
        return _Checker().run(reader, writer)
    except _AmbiguousFieldError as error:
        return (Incompatibility("AMBIGUOUS_FIELD", "/", str(error)),)


_INNER: Final = {"array", "map", "record", "enum", "fixed"}

_Result = tuple[Incompatibility, ...]
_Path = tuple[str | int, ...]
_Request = tuple[Schema, Schema, _Path]
_Check = Generator[_Request, _Result, _Result]


class _AmbiguousFieldError(Exception):
    """A reader's field is written under two of its names; Java raises here."""


class _Checker:
    """One run. Checks are generators that ask for inner checks, so depth costs no stack."""

    def __init__(self) -> None:
        # None marks a pair whose check is under way: compatible unless proven otherwise
        self.memo: dict[tuple[int, int], _Result | None] = {}

    def run(self, reader: Schema, writer: Schema) -> _Result:
        stack: list[tuple[tuple[int, int], _Check]] = []
        request: _Request = (reader, writer, ())
        while True:
            answer = self.answer(*request)
            if answer is None:
                key = (id(request[0]), id(request[1]))
                self.memo[key] = None
                stack.append((key, self.compare(*request)))
            while stack:
                key, check = stack[-1]
                try:
                    request = check.send(answer)  # type: ignore[arg-type]
                    break
                except StopIteration as done:
                    answer = self.memo[key] = done.value[:MAX_REPORTED]
                    stack.pop()
            else:
                return answer or ()

    def answer(self, reader: Schema, writer: Schema, path: _Path) -> _Result | None:
        """Return the result if it is known without checking the parts, or None."""
        key = (id(reader), id(writer))
        if key in self.memo:
            return self.memo[key] or ()
        if "union" in (reader.type, writer.type):
            return None
        if reader.type == writer.type:
            return None if reader.type in _INNER else ()
        if promotes(writer, reader):
            return ()
        mine, theirs = reader.type.upper(), writer.type.upper()
        message = f"reader type: {mine} not compatible with writer type: {theirs}"
        found = (_found("TYPE_MISMATCH", path, message),)
        self.memo[key] = found
        return found

    def compare(self, reader: Schema, writer: Schema, path: _Path) -> _Check:
        """Compare two unions, or two schemas of one type that has something inside."""
        match reader, writer:
            case UnionSchema(), UnionSchema():
                return (yield from self.both_unions(reader, writer, path))
            case _, UnionSchema():
                found: _Result = ()
                for index, branch in enumerate(writer.branches):
                    found += yield (reader, branch, (*path, index))
                return found
            case UnionSchema(), _:
                for branch in reader.branches:
                    refused = self.answer(branch, writer, ())
                    if refused is None:
                        refused = yield (branch, writer, ())
                    if not refused:
                        return ()
                return (_lacking(writer, path),)
            case ArraySchema(), ArraySchema():
                return (yield (reader.items, writer.items, (*path, "items")))
            case MapSchema(), MapSchema():
                return (yield (reader.values, writer.values, (*path, "values")))
            case FixedSchema(), FixedSchema():
                return (*_names(reader, writer, path), *_sizes(reader, writer, path))
            case EnumSchema(), EnumSchema():
                return (*_names(reader, writer, path), *_symbols(reader, writer, path))
            case RecordSchema(), RecordSchema():
                fields = yield from self.fields(reader, writer, path)
                return (*_names(reader, writer, path), *fields)
        return ()

    def both_unions(self, reader: UnionSchema, writer: UnionSchema, path: _Path) -> _Check:
        found: _Result = ()
        for index, branch in enumerate(writer.branches):
            if (yield (reader, branch, ())):
                found += (_lacking(branch, (*path, index)),)
        return found

    def fields(self, reader: RecordSchema, writer: RecordSchema, path: _Path) -> _Check:
        found: _Result = ()
        by_name = {each.name: each for each in writer.fields}
        for index, field in enumerate(reader.fields):
            below = (*path, "fields", index)
            matches = writer_fields(by_name, field)
            if len(matches) > 1:
                raise _ambiguous(writer, field, index)
            if matches:
                found += yield (field.schema, matches[0].schema, (*below, "type"))
            elif field.default is NO_DEFAULT:
                if isinstance(field.schema, EnumSchema) and field.schema.default is not None:
                    found += yield (field.schema, writer, (*below, "type"))
                else:
                    found += (_found("READER_FIELD_MISSING_DEFAULT_VALUE", below, field.name),)
            if len(found) > MAX_REPORTED:
                break
        return found


def _ambiguous(writer: RecordSchema, field: FieldSchema, index: int) -> _AmbiguousFieldError:
    label = f"{field.name} type:{field.schema.type.upper()} pos:{index}"
    return _AmbiguousFieldError(
        f"Reader record field {label} matches multiple fields in writer record schema "
        f"{to_json(writer)}"
    )


def _names(reader: NamedSchema, writer: NamedSchema, path: _Path) -> Iterator[Incompatibility]:
    if not names_match(writer, reader):
        yield _found("NAME_MISMATCH", (*path, "name"), f"expected: {writer.name}")


def _sizes(reader: FixedSchema, writer: FixedSchema, path: _Path) -> Iterator[Incompatibility]:
    if reader.size != writer.size:
        message = f"expected: {writer.size}, found: {reader.size}"
        yield _found("FIXED_SIZE_MISMATCH", (*path, "size"), message)


def _symbols(reader: EnumSchema, writer: EnumSchema, path: _Path) -> Iterator[Incompatibility]:
    missing = set(writer.symbols) - set(reader.symbols)
    if missing and reader.default not in reader.symbols:
        message = f"[{', '.join(sorted(missing))}]"
        yield _found("MISSING_ENUM_SYMBOLS", (*path, "symbols"), message)


def _lacking(writer: Schema, path: _Path) -> Incompatibility:
    message = f"reader union lacking writer type: {writer.type.upper()}"
    return _found("MISSING_UNION_BRANCH", path, message)


def _found(kind: str, path: _Path, message: str) -> Incompatibility:
    return Incompatibility(kind, pointer(*path) or "/", message)
