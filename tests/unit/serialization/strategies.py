"""Events for Hypothesis."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from sdk.avro.duration import Duration
from tests.unit.serialization.shop import Cat, Currency, Dog, Everything, Level, Line, OrderV2

longs = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
money = st.integers(-(10**9) + 1, 10**9 - 1).map(lambda cents: Decimal(cents).scaleb(-2))
uint32 = st.integers(0, 2**32 - 1)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
aware = moments.map(lambda moment: moment.replace(tzinfo=UTC))
floats = st.floats(allow_nan=False)
nanos = st.integers(-(2**62), 2**62)


def whole_milliseconds(moment: datetime) -> datetime:
    """Drop what `timestamp-millis` cannot carry."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


orders = st.builds(
    OrderV2,
    order_id=st.uuids(),
    created_at=aware,
    amount=money,
    note=st.none() | texts,
    currency=st.sampled_from(Currency),
    lines=st.lists(st.builds(Line, sku=texts, quantity=st.integers(-(2**31), 2**31 - 1))),
)

everything = st.builds(
    Everything,
    flag=st.booleans(),
    small=st.integers(-(2**31), 2**31 - 1),
    big=longs,
    ratio=st.floats(width=32, allow_nan=False),
    exact=floats,
    text=texts,
    raw=st.binary(max_size=20),
    hash=st.binary(min_size=4, max_size=4),
    level=st.sampled_from(Level),
    from_=texts,
    day=st.dates(),
    clock_ms=st.times().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
    clock_us=st.times(),
    at_ms=aware.map(whole_milliseconds),
    at_us=aware,
    at_ns=nanos,
    local_us=moments,
    local_ns=nanos,
    price=money,
    uid=st.uuids(),
    span=st.builds(Duration, months=uint32, days=uint32, milliseconds=uint32),
    tags=st.lists(texts, max_size=3),
    counts=st.dictionaries(texts, longs, max_size=3),
    pet=st.none() | st.builds(Cat, name=texts) | st.builds(Dog, name=texts),
    either=st.none() | texts | longs | st.booleans(),
    alike=texts | st.binary(max_size=10),
)


def narrow(value: float) -> float:
    """Return the 32-bit float nearest to a number."""
    return value if math.isnan(value) else float(struct.unpack("<f", struct.pack("<f", value))[0])
