"""Hypothesis strategies for events, with every value that a schema allows.

    from hypothesis import given
    from sdk.testing import events

    @given(events(OrderCreated))
    def test_every_order_is_booked(order: OrderCreated) -> None: ...

Needs Hypothesis, which the extra ``testing`` installs.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final

import attrs

from sdk.avro.codec.codecs import binding
from sdk.avro.duration import Duration
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    named_types,
)
from sdk.errors import ConfigurationError
from sdk.events import E

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise ConfigurationError(
        "Hypothesis is not installed", remedy="pip install 'avro-messaging-sdk[testing]'"
    ) from error

_MAX_DEPTH: Final = 6
_MAX_RECORDS: Final = 30
"""Depth from which unions take their shortest branch, and arrays and maps are empty."""

_MAX_DIGITS: Final = 100
_LONG: Final = st.integers(-(2**63), 2**63 - 1)
_SHORT_TEXT: Final = st.text(max_size=20)


def _whole_millis(value: Any) -> Any:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


_LEAVES: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": _LONG,
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=20),
    "string": _SHORT_TEXT,
    "date": st.dates(),
    "time-millis": st.times().map(_whole_millis),
    "time-micros": st.times(),
    "timestamp-millis": st.datetimes(timezones=st.just(dt.UTC)).map(_whole_millis),
    "timestamp-micros": st.datetimes(timezones=st.just(dt.UTC)),
    "timestamp-nanos": _LONG,
    "local-timestamp-millis": st.datetimes().map(_whole_millis),
    "local-timestamp-micros": st.datetimes(),
    "local-timestamp-nanos": _LONG,
    "uuid": st.uuids(),
    "big-decimal": st.decimals(allow_nan=False, allow_infinity=False),
    "duration": st.builds(Duration, *[st.integers(0, 2**32 - 1)] * 3),
}


def events(event_class: type[E], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[E]:
    """Return a strategy for the events of a class.

    Every value is one that the schema allows: ranges, sizes, digits, units of time, symbols, all
    branches of unions. Recursive types end. Numbers may be infinite, but never NaN, so an event
    equals itself and the event decoded from its bytes.

    Args:
        event_class: A generated class.
        **fields: Strategies for some attributes, instead of what the schema allows:
            ``events(OrderCreated, currency=st.just(Currency.EUR))``.

    Raises:
        ConfigurationError: The class has no such attribute, or no event of it can be finite.
        SchemaError: The class is not an event class.
    """
    bound = binding(event_class)
    names = [each.name for each in attrs.fields(bound.cls)]
    for name in fields:
        if name not in names:
            near = get_close_matches(name, names, n=1) or names
            raise ConfigurationError(
                f"{event_class.__name__} has no field {name!r}",
                remedy=f"did you mean {' or '.join(near)}?",
            )
    heights = _heights(bound.schema)
    if math.isinf(heights[bound.schema.name]):
        raise ConfigurationError(
            f"no event of {bound.schema.name} is finite, because it always holds itself",
            remedy="make the field that leads back nullable",
        )

    @st.composite
    def strategy(draw: st.DrawFn) -> E:
        event: E = _Drawing(draw, bound.types, heights).record(bound.schema, 0, fields)
        return event

    return strategy()


class _Drawing:
    """Draws one event.

    Args:
        draw: Given by Hypothesis.
        types: Avro full name → class.
        heights: Avro full name of a record → how many records its smallest value nests.
    """

    def __init__(
        self, draw: st.DrawFn, types: Mapping[str, type[Any]], heights: Mapping[str, float]
    ) -> None:
        self._draw = draw
        self._types = types
        self._heights = heights
        self._records = 0

    def value(self, schema: Schema, depth: int) -> Any:
        is_small = depth > _MAX_DEPTH or self._records > _MAX_RECORDS
        match schema:
            case RecordSchema():
                return self.record(schema, depth + 1, {})
            case UnionSchema():
                branches = list(schema.branches)
                if is_small:
                    branches = [min(branches, key=lambda each: _height(each, self._heights))]
                else:
                    branches = [b for b in branches if _height(b, self._heights) < math.inf]
                return self.value(self._draw(st.sampled_from(branches)), depth)
            case ArraySchema():
                return tuple(
                    self.value(schema.items, depth) for _ in self._places(schema, is_small)
                )
            case MapSchema():
                places = self._places(schema, is_small)
                keys = self._draw(st.sets(_SHORT_TEXT, min_size=len(places), max_size=len(places)))
                return {key: self.value(schema.values, depth) for key in sorted(keys)}
            case EnumSchema():
                members: Any = self._types[schema.name]
                return self._draw(st.sampled_from(list(members)))
        return self._draw(_leaf(schema, self._types))

    def record(
        self, schema: RecordSchema, depth: int, fields: Mapping[str, st.SearchStrategy[Any]]
    ) -> Any:
        self._records += 1
        cls = self._types[schema.name]
        return cls(
            **{
                attribute.alias: self._draw(fields[attribute.name])
                if attribute.name in fields
                else self.value(each.schema, depth)
                for attribute, each in zip(attrs.fields(cls), schema.fields, strict=True)
            }
        )

    def _places(self, schema: ArraySchema | MapSchema, is_small: bool) -> range:
        """Return a range as long as a container is to be; its items may be impossible."""
        items = schema.items if isinstance(schema, ArraySchema) else schema.values
        if is_small or math.isinf(_height(items, self._heights)):
            return range(0)
        return range(self._draw(st.integers(0, 3)))


def _leaf(
    schema: PrimitiveSchema | FixedSchema, types: Mapping[str, type[Any]]
) -> st.SearchStrategy[Any]:
    logical = schema.logical
    if logical is not None and logical.name == "decimal":
        return _decimals(logical.precision or 1, logical.scale or 0)
    if logical is None and isinstance(schema, FixedSchema):
        make: Callable[[bytes], bytes] = types.get(schema.name, bytes)
        return st.binary(min_size=schema.size, max_size=schema.size).map(make)
    return _LEAVES[logical.name if logical is not None else schema.type]


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    largest = 10 ** min(precision, _MAX_DIGITS) - 1
    return st.integers(-largest, largest).map(
        lambda unscaled: Decimal(
            (int(unscaled < 0), Decimal(abs(unscaled)).as_tuple().digits, -scale)
        )
    )


def _heights(schema: RecordSchema) -> dict[str, float]:
    """Return how many records the smallest value of each record nests; infinite if it has none."""
    records = [each for each in named_types(schema) if isinstance(each, RecordSchema)]
    heights = dict.fromkeys((each.name for each in records), math.inf)
    for _ in records:
        for each in records:
            inner = (_height(field.schema, heights) for field in each.fields)
            heights[each.name] = 1 + max(inner, default=0)
    return heights


def _height(schema: Schema, heights: Mapping[str, float]) -> float:
    if isinstance(schema, RecordSchema):
        return heights[schema.name]
    if isinstance(schema, UnionSchema):
        return min((_height(each, heights) for each in schema.branches), default=math.inf)
    return 0
