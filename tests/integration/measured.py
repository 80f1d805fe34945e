"""Values of the event ``interop.Measured``: as Python, as Avro's JSON, as Java prints them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from sdk.avro import Duration

ID = UUID("3f2b8a52-6c1e-4d6e-9f38-0f5a1c1c7a11")

# In Avro's JSON encoding, which knows no logical types: bytes are latin-1 text.
AS_JSON: dict[str, Any] = {
    "id": str(ID),
    "nothing": None,
    "flag": True,
    "small": -(2**31),
    "big": 2**63 - 1,
    "single": 1.5,
    "double": -0.1,
    "raw": "\x00\xff",
    "text": "größe 😀",
    "day": -1,
    "time_millis": 86_399_999,
    "time_micros": 1,
    "at_millis": -1,
    "at_micros": 1_768_469_400_250_001,
    "at_nanos": 1_768_469_400_250_000_001,
    "local_millis": -86_400_000,
    "local_micros": 1_768_469_400_250_001,
    "local_nanos": -1,
    "amount": "\x80",
    "fixed_amount": "\x00\x00\x00\x00\x07\x5b\xcd\x15",
    "big_amount": "\x04\xff\x7f\x04",
    "fixed_id": ID.bytes.decode("latin-1"),
    "lasting": "\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00",
    "digest": "\xde\xad\xbe\xef",
    "level": "HIGH",
    "samples": [1.0, -2.5, 1e300],
    "tags": {"a": 1},
    "choice": {"interop.Level": "LOW"},
    "place": {"name": "summit", "altitude": {"double": 2962.0}},
    "via": [{"name": "hut", "altitude": None}],
}

# The output of Java's conversions of logical types.
LOGICAL = {
    "id": str(ID),
    "day": "1969-12-31",
    "time_millis": "23:59:59.999",
    "time_micros": "00:00:00.000001",
    "at_millis": "1969-12-31T23:59:59.999Z",
    "at_micros": "2026-01-15T09:30:00.250001Z",
    "local_millis": "1969-12-31T00:00",
    "local_micros": "2026-01-15T09:30:00.250001",
    "amount": "-0.128",
    "fixed_amount": "12345.6789",
}


def measured(contracts: Any, **changes: Any) -> Any:
    """Return the event that `AS_JSON` shows."""
    v1, place = contracts.v1, contracts.Place
    values: dict[str, Any] = {
        "id": ID,
        "nothing": None,
        "flag": True,
        "small": -(2**31),
        "big": 2**63 - 1,
        "single": 1.5,
        "double": -0.1,
        "raw": b"\x00\xff",
        "text": "größe 😀",
        "day": date(1969, 12, 31),
        "time_millis": time(23, 59, 59, 999_000),
        "time_micros": time(0, 0, 0, 1),
        "at_millis": datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC),
        "at_micros": datetime(2026, 1, 15, 9, 30, 0, 250_001, UTC),
        "at_nanos": 1_768_469_400_250_000_001,
        "local_millis": datetime(1969, 12, 31),
        "local_micros": datetime(2026, 1, 15, 9, 30, 0, 250_001),
        "local_nanos": -1,
        "amount": Decimal("-0.128"),
        "fixed_amount": Decimal("12345.6789"),
        "big_amount": Decimal("-1.29"),
        "fixed_id": ID,
        "lasting": Duration(months=1, days=2, milliseconds=3),
        "digest": b"\xde\xad\xbe\xef",
        "level": v1.Level.HIGH,
        "samples": (1.0, -2.5, 1e300),
        "tags": {"a": 1},
        "choice": v1.Level.LOW,
        "place": place(name="summit", altitude=2962.0),
        "via": (place(name="hut"),),
    }
    return v1.Measured(**{**values, **changes})


def measured_newer(contracts: Any) -> Any:
    """Return an event of version 2 that uses what is new there."""
    v2 = contracts.v2
    old = measured(contracts)
    values = {
        name: getattr(old, name) for name in AS_JSON if name not in {"text", "level", "choice"}
    }
    return v2.Measured(
        **values, label="more", unit="feet", level=v2.Level.MEDIUM, choice=v2.Level.LOW
    )


def random_events(contracts: Any) -> st.SearchStrategy[Any]:
    """Random events of version 1, in what both languages can hold."""
    v1 = contracts.v1
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    place = st.builds(contracts.Place, name=text, altitude=st.none() | _doubles())
    longs = st.integers(-(2**63), 2**63 - 1)
    aware = st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC))
    naive = st.datetimes(datetime(1000, 1, 1))
    millis = {"microsecond": 0}
    return st.builds(
        v1.Measured,
        id=st.uuids(),
        nothing=st.none(),
        flag=st.booleans(),
        small=st.integers(-(2**31), 2**31 - 1),
        big=longs,
        single=st.floats(width=32, allow_nan=False, allow_infinity=False).map(_no_minus_zero),
        double=_doubles(),
        raw=st.binary(max_size=20),
        text=text,
        day=st.dates(),
        time_millis=st.times().map(lambda value: value.replace(**millis)),
        time_micros=st.times(),
        at_millis=aware.map(lambda value: value.replace(**millis)),
        at_micros=aware,
        at_nanos=longs,
        local_millis=naive.map(lambda value: value.replace(**millis)),
        local_micros=naive,
        local_nanos=longs,
        amount=st.integers(-(10**12) + 1, 10**12 - 1).map(lambda value: Decimal(value).scaleb(-3)),
        fixed_amount=st.integers(-(10**18) + 1, 10**18 - 1).map(
            lambda value: Decimal(value).scaleb(-4)
        ),
        big_amount=st.decimals(allow_nan=False, allow_infinity=False, places=6),
        fixed_id=st.uuids(),
        lasting=st.builds(
            Duration,
            months=st.integers(0, 2**32 - 1),
            days=st.integers(0, 2**32 - 1),
            milliseconds=st.integers(0, 2**32 - 1),
        ),
        digest=st.binary(min_size=4, max_size=4),
        level=st.sampled_from(v1.Level),
        samples=st.lists(_doubles(), max_size=5),
        tags=st.dictionaries(text, longs, max_size=1),  # Java does not keep the order
        choice=st.none() | longs | text | st.sampled_from(v1.Level) | place,
        place=place,
        via=st.lists(place, max_size=3),
    )


def _doubles() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False).map(_no_minus_zero)


def _no_minus_zero(value: float) -> float:
    """Avro's JSON encoding, through which these values pass, loses the sign of -0.0."""
    return value + 0.0
