"""Avro schemas: the node classes, and `parse_schema` that makes them from JSON."""

from sdk.avro.schema.defects import Defect
from sdk.avro.schema.model import (
    NAMED_KINDS,
    NO_DEFAULT,
    PRIMITIVES,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    LogicalType,
    MapSchema,
    NamedSchema,
    NoDefault,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    named_types,
    short_name,
)
from sdk.avro.schema.parsing import Reference, check_schema, parse_schema

__all__ = [
    "NAMED_KINDS",
    "NO_DEFAULT",
    "PRIMITIVES",
    "ArraySchema",
    "Defect",
    "EnumSchema",
    "FieldSchema",
    "FixedSchema",
    "LogicalType",
    "MapSchema",
    "NamedSchema",
    "NoDefault",
    "PrimitiveSchema",
    "RecordSchema",
    "Reference",
    "Schema",
    "UnionSchema",
    "check_schema",
    "named_types",
    "parse_schema",
    "short_name",
]
