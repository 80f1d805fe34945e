"""Compares a registered schema with one of ours by more than its text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from sdk.avro.contracts import contract_schema
from sdk.avro.schema import parse_schema
from sdk.avro.schema.canonical import same_meaning
from sdk.avro.schema.model import NamedSchema, Schema, UnionSchema
from sdk.avro.schema.printing import to_json
from sdk.errors import InvalidSchemaError
from sdk.events import EventInfo
from sdk.serialization.registry import FetchedSchema, Writable


class Relation(Enum):
    """The relation of a registered schema to ours; the closest first."""

    EXACT = auto()
    """The same schema, perhaps printed differently."""

    CANONICAL = auto()
    """The same bytes for the same values: canonical form and logical types are equal."""

    WRITABLE = auto()
    """Another schema, with which every event of ours can be written."""


def match(
    contract: EventInfo, registered: FetchedSchema, writable: Writable | None = None
) -> Relation | None:
    """Return the relation of a registered schema, or of its branch with our name, to ours."""
    if registered.schema_type != "AVRO":
        return None
    try:
        ours = contract_schema(contract)
        theirs = _counterpart(ours, parse_schema(registered.text, references=registered.references))
    except InvalidSchemaError:
        return None
    if to_json(ours) == to_json(theirs):
        return Relation.EXACT
    if same_meaning(ours, theirs):
        return Relation.CANONICAL
    return Relation.WRITABLE if writable is not None and writable(registered) else None


def differences(contract: EventInfo, registered: FetchedSchema) -> list[str]:
    """Return the differences of a registered schema from ours, each with its JSON pointer."""
    try:
        ours = contract_schema(contract)
        theirs = _counterpart(ours, parse_schema(registered.text, references=registered.references))
    except InvalidSchemaError as error:
        return [f"it is not valid Avro: {error.message}"]
    return list(_compare(json.loads(to_json(ours)), json.loads(to_json(theirs)), ""))


def _counterpart(ours: Schema, theirs: Schema) -> Schema:
    """Return the branch of a union at the root that has the name of our schema."""
    if isinstance(theirs, UnionSchema) and isinstance(ours, NamedSchema):
        for branch in theirs.branches:
            if isinstance(branch, NamedSchema) and branch.name == ours.name:
                return branch
    return theirs


def _compare(ours: Any, theirs: Any, pointer: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            here = f"{pointer}/{key}"
            if key not in theirs:
                yield f"{here} is missing there"
            elif key not in ours:
                yield f"{here} is only there"
            else:
                yield from _compare(ours[key], theirs[key], here)
    elif _named(ours) and _named(theirs):
        yield from _compare(_by_name(ours), _by_name(theirs), pointer)
        if [name for name in _by_name(ours) if name in _by_name(theirs)] != [
            name for name in _by_name(theirs) if name in _by_name(ours)
        ]:
            yield f"{pointer or '/'} has another order"
    elif ours != theirs or type(ours) is not type(theirs):
        yield f"{pointer or '/'} is {_short(theirs)} there, not {_short(ours)}"


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and "name" in each for each in value
    )


def _by_name(fields: list[Any]) -> dict[str, Any]:
    return {each["name"]: each for each in fields}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:59]}…"
