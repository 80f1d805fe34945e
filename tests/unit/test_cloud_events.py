"""The standard headers."""

from __future__ import annotations

import itertools
import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.cloud_events import CloudEventHeaders
from sdk.events import EventInfo
from sdk.records import Header

MOMENT = 1_767_225_600_250_001_999  # 2026-01-01T00:00:00.250001999Z


class OrderCreated:
    """As generated, without fields."""

    __event__ = EventInfo(
        full_name="orders.OrderCreated", version=2, schema="{}", fingerprint="00112233aabbccdd"
    )


def headers(
    key: object = None, *, source: str | None = "/orders", now: int = MOMENT
) -> list[Header]:
    """Return the standard headers of an OrderCreated at a fixed time."""
    make = CloudEventHeaders(source, "application/avro", clock=lambda: now)
    return make(OrderCreated, key)


def test_headers() -> None:
    """All attributes are there, as the Kafka binding's binary mode names them."""
    found = dict(headers("order-1"))
    identifier = found.pop("ce_id")
    assert found == {
        "ce_specversion": b"1.0",
        "ce_type": b"orders.OrderCreated",
        "ce_source": b"/orders",
        "ce_dataschema": b"urn:avro:orders.OrderCreated:2:00112233aabbccdd",
        "ce_eventversion": b"2",
        "content-type": b"application/avro",
        "ce_time": b"2026-01-01T00:00:00.250001Z",
        "ce_subject": b"order-1",
    }
    assert identifier is not None
    assert UUID(identifier.decode()).version == 7


def test_extension_names_are_legal() -> None:
    """Attribute names are lower-case letters and digits, as CloudEvents demands."""
    names = [name.removeprefix("ce_") for name, _ in headers() if name.startswith("ce_")]
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in names)


@pytest.mark.parametrize(
    ("key", "subject"),
    [
        ("order-1", b"order-1"),
        ("bestellung-ä", "bestellung-ä".encode()),
        (7, b"7"),
        (UUID(int=1), b"00000000-0000-0000-0000-000000000001"),
        (None, None),
        ("", None),
        (b"raw", None),
        ("\ud800", None),
    ],
)
def test_subject(key: object, subject: bytes | None) -> None:
    """The key is the subject where it is text, an integer or a UUID; else there is none."""
    assert dict(headers(key)).get("ce_subject") == subject


def test_source_is_never_absent() -> None:
    """A service without a name still sends the required attribute."""
    assert dict(headers(source=None))["ce_source"] == b"/unnamed-service"


def test_identifiers_are_unique_and_ordered() -> None:
    """Identifiers never repeat, are valid UUIDs, and sort by time."""
    now = MOMENT

    def clock() -> int:
        nonlocal now
        now += 100_000
        return now

    make = CloudEventHeaders("/orders", "application/avro", clock=clock)
    found = [UUID((dict(make(OrderCreated))["ce_id"] or b"").decode()) for _ in range(2000)]
    assert len(set(found)) == 2000
    assert {identifier.variant for identifier in found} == {"specified in RFC 4122"}
    milliseconds = [identifier.int >> 80 for identifier in found]
    assert milliseconds == sorted(milliseconds)
    assert milliseconds[0] == (MOMENT + 100_000) // 1_000_000


def test_a_seeded_host_does_not_repeat_identifiers() -> None:
    """A program that seeds `random` does not publish the same identifiers twice."""
    state = random.getstate()
    try:
        random.seed(1)
        first = dict(headers())["ce_id"]
        random.seed(1)
        assert dict(headers())["ce_id"] != first
    finally:
        random.setstate(state)


def test_each_list_is_fresh() -> None:
    """Headers that a caller appends are not on the next record."""
    make = CloudEventHeaders("/orders", "application/avro")
    make(OrderCreated).append(("own", b"1"))
    assert "own" not in dict(make(OrderCreated))


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_time_round_trip(now: int) -> None:
    """The time is RFC 3339 in UTC and reads back to the microsecond."""
    written = dict(headers(now=now))["ce_time"]
    assert written is not None
    read = datetime.fromisoformat(written.decode())
    assert read == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now // 1000)


def identifiers(make: CloudEventHeaders, count: int) -> list[bytes]:
    """Return the ids of so many events."""
    return [dict(make(OrderCreated))["ce_id"] or b"" for _ in range(count)]


def test_ids_of_one_millisecond_are_distinct() -> None:
    """More events than the counter holds, in several threads and of two sources, share no id."""
    shared = CloudEventHeaders("/orders", "application/avro", lambda: MOMENT)
    other = CloudEventHeaders("/orders", "application/avro", lambda: MOMENT)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(identifiers, [shared] * 4, [5_000] * 4))
    every = [*itertools.chain(*found), *identifiers(other, 5_000)]
    assert len(set(every)) == 25_000
    parsed = UUID(every[-1].decode())
    assert (parsed.version, parsed.variant) == (7, RFC_4122)
    assert parsed.int >> 80 == MOMENT // 1_000_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_makes_its_own_ids() -> None:
    """Parent and child do not go on counting from the same random bits."""
    make = CloudEventHeaders("/orders", "application/avro", lambda: MOMENT)
    identifiers(make, 1)
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.write(writer, identifiers(make, 1)[0])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() != identifiers(make, 1)[0]
    os.wait()
