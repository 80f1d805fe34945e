"""Identity of schemas: Parsing Canonical Form, its fingerprint, and the key of codec caches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    logical_of,
)
from sdk.avro.schema.printing import Piece, joined, render

_EMPTY: Final = 0xC15D213AA4D7A795


def canonical_form(schema: Schema) -> str:
    """Return the Parsing Canonical Form (Avro 1.12, "Parsing Canonical Form for Schemas").

    It keeps what is needed to parse data and drops the rest: two schemas of one form may still
    differ in defaults, aliases and logical types.
    """
    return _rendered(schema, _canonical)


def meaning(schema: Schema) -> str:
    """Return the Parsing Canonical Form with the logical types kept.

    Two schemas of one meaning write the same bytes for the same values, so either may replace
    the other on the wire. They may differ in docs, defaults, aliases, properties such as
    ``avro.java.string``, and the order of their keys.
    """
    return _rendered(schema, _meaningful)


def same_meaning(one: Schema, other: Schema) -> bool:
    """Return whether two schemas write the same bytes for the same values (see `meaning`).

    `sdk.avro.encoder_for` with ``written_as`` checks whether values of a schema can be written with
    one of another meaning.
    """
    return meaning(one) == meaning(other)


def fingerprint(schema: Schema) -> str:
    """Return the CRC-64-AVRO fingerprint of a schema's Parsing Canonical Form.

    Returns:
        16 hexadecimal digits, in the byte order of single-object encoding (little-endian).
    """
    return crc64(canonical_form(schema).encode()).to_bytes(8, "little").hex()


def crc64(data: bytes) -> int:
    """Return the 64-bit Rabin fingerprint of bytes (Avro 1.12, "Schema Fingerprints")."""
    table = _crc64_table()
    result = _EMPTY
    for byte in data:
        result = (result >> 8) ^ table[(result ^ byte) & 0xFF]
    return result


def normalized_hash(schema: Schema) -> str:
    """Return the SHA-256 of everything that a codec depends on, as 64 hexadecimal digits.

    Unlike the fingerprint it covers defaults, aliases, logical types and enum defaults; unlike the
    text it does not depend on white space, docs, order of keys, or how names are qualified.
    """
    return hashlib.sha256(_rendered(schema, _codec_relevant).encode()).hexdigest()


def _rendered(schema: Schema, pieces_of: Callable[[Schema], list[Piece]]) -> str:
    """Render a schema; named types are written out once and referred to by full name after."""
    written: set[str] = set()

    def pieces(each: Schema, _: str) -> list[Piece]:
        if isinstance(each, NamedSchema):
            if each.name in written:
                return [f'"{each.name}"']
            written.add(each.name)
        return pieces_of(each)

    return render(schema, pieces)


@cache
def _crc64_table() -> tuple[int, ...]:
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (_EMPTY if entry & 1 else 0)
        table.append(entry)
    return tuple(table)


def _canonical(schema: Schema) -> list[Piece]:
    match schema:
        case UnionSchema():
            return ["[", *joined([(branch, "")] for branch in schema.branches), "]"]
        case ArraySchema():
            return ['{"type":"array","items":', (schema.items, ""), "}"]
        case MapSchema():
            return ['{"type":"map","values":', (schema.values, ""), "}"]
        case EnumSchema():
            symbols = ",".join(f'"{symbol}"' for symbol in schema.symbols)
            return [f'{{"name":"{schema.name}","type":"enum","symbols":[{symbols}]}}']
        case FixedSchema():
            return [f'{{"name":"{schema.name}","type":"fixed","size":{schema.size}}}']
        case RecordSchema():
            fields = joined(
                [f'{{"name":"{each.name}","type":', (each.schema, ""), "}"]
                for each in schema.fields
            )
            return [f'{{"name":"{schema.name}","type":"record","fields":[', *fields, "]}"]
    return [f'"{schema.type}"']


def _meaningful(schema: Schema) -> list[Piece]:
    logical = logical_of(schema)
    if logical is None:
        return _canonical(schema)
    return [*_canonical(schema), f"@{logical.name}({logical.precision},{logical.scale})"]


def _codec_relevant(schema: Schema) -> list[Piece]:
    extra: list[Any] = [getattr(schema, "aliases", ())]
    if isinstance(schema, EnumSchema):
        extra.append(schema.default)
    elif isinstance(schema, RecordSchema):
        for each in schema.fields:
            extra += [each.aliases, [] if each.default is NO_DEFAULT else [each.default]]
    text = json.dumps(extra, sort_keys=True) if extra != [()] else ""
    return [*_meaningful(schema), text]
