"""Random events of generated classes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import attrs
from attrs import frozen

from sdk.avro import Duration
from sdk.avro.codec.codecs import binding
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def random_event(cls: type[Any], random: Random) -> Any:
    """Return an event whose fields all have random values, or None if no event is finite."""
    bound = binding(cls)
    try:
        return _Maker(bound.types, random).value(bound.schema, 0)
    except RecursionError:
        return None


@frozen
class _Maker:
    types: Mapping[str, type[Any]]
    random: Random

    def value(self, schema: Schema, depth: int) -> Any:
        match schema:
            case UnionSchema():
                return self._union(schema, depth)
            case ArraySchema():
                return tuple(self.value(schema.items, depth + 1) for _ in range(self._size(depth)))
            case MapSchema():
                keys = [self._text() for _ in range(self._size(depth))]
                return {key: self.value(schema.values, depth + 1) for key in keys}
            case RecordSchema():
                return self._record(schema, depth)
            case EnumSchema():
                return self.types[schema.name](self.random.choice(schema.symbols))
        if schema.logical is not None:
            return self._logical(schema)
        if isinstance(schema, FixedSchema):
            data = self.random.randbytes(schema.size)
            cls = self.types.get(schema.name, bytes)
            return cls(data)
        return self._primitive(schema.type)

    def _size(self, depth: int) -> int:
        return self.random.randint(0, 3) if depth < 4 else 0

    def _union(self, schema: UnionSchema, depth: int) -> Any:
        simple = [each for each in schema.branches if not isinstance(each, RecordSchema)]
        branches = simple if depth > 6 and simple else schema.branches
        return self.value(self.random.choice(branches), depth + 1)

    def _record(self, schema: RecordSchema, depth: int) -> Any:
        cls = self.types[schema.name]
        pairs = zip(attrs.fields(cls), schema.fields, strict=True)
        return cls(**{each.alias: self.value(field.schema, depth + 1) for each, field in pairs})

    def _primitive(self, kind: str) -> Any:
        random = self.random
        match kind:
            case "null":
                return None
            case "boolean":
                return random.random() < 0.5
            case "int":
                return random.randint(-(2**31), 2**31 - 1)
            case "long":
                return random.randint(-(2**63), 2**63 - 1)
            case "float" | "double":
                return random.randint(-(10**6), 10**6) / 4
            case "bytes":
                return random.randbytes(random.randint(0, 5))
        return self._text()

    def _text(self) -> str:
        letters = "abc é日🎉\n\x00\"'"
        return "".join(self.random.choices(letters, k=self.random.randint(0, 6)))

    def _logical(self, schema: PrimitiveSchema | FixedSchema) -> Any:
        assert schema.logical is not None
        name, random = schema.logical.name, self.random
        if name == "decimal":
            precision, scale = schema.logical.precision or 1, schema.logical.scale or 0
            limit = 10 ** min(precision, 30) - 1
            return Decimal(random.randint(-limit, limit)).scaleb(-scale)
        if name == "big-decimal":
            return Decimal(random.randint(-(10**20), 10**20)).scaleb(-random.randint(0, 9))
        if name == "uuid":
            return UUID(int=random.getrandbits(128))
        if name == "duration":
            return Duration(*(random.getrandbits(32) for _ in range(3)))
        if name.endswith("nanos"):
            return random.randint(-(2**63), 2**63 - 1)
        unit = 1000 if name.endswith("millis") else 1
        if name.startswith("time-"):
            microseconds = random.randrange(0, 86_400_000_000, unit)
            return (_EPOCH + dt.timedelta(microseconds=microseconds)).time()
        moment = _EPOCH + dt.timedelta(microseconds=random.randrange(-(10**15), 10**15, unit))
        if name == "date":
            return moment.date()
        return moment.replace(tzinfo=None) if name.startswith("local-") else moment
