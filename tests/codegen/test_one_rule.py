"""The constructor takes what the encoder takes, and nothing else."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from attrs import validators

from sdk import avro
from sdk.errors import InvalidValueError, SerializationError
from tests.codegen.tree import Tree, record

NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 123456)
CET = dt.timezone(dt.timedelta(hours=1))


class Level(enum.IntEnum):
    """A subclass of int, as applications have them."""

    LOW = 1


class Text(str):
    """A subclass of str."""

    __slots__ = ()


VALUES: list[Any] = [
    *(None, True, 0, 1, Level.LOW, 2**31, -(2**31), 2**60 + 1, 2**63, 10**400),
    *(1.5, -0.0, float("nan"), float("inf"), 1e39, 1e300),
    *("", "x", Text("x"), "2026-01-02", "c0ffee00-0000-4000-8000-000000000000"),
    *(b"", b"abcd", b"0" * 12, b"0" * 16),
    *(Decimal(0), Decimal("1.5"), Decimal("1.55"), Decimal("1E+1"), Decimal("999.9")),
    *(Decimal("1000"), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")),
    *(NOON.date(), NOON, NOON.replace(tzinfo=dt.UTC), NOON.replace(tzinfo=CET)),
    *(NOON.time(), NOON.time().replace(tzinfo=dt.UTC), dt.timedelta(1)),
    *(UUID(int=1), avro.Duration(days=1)),
    *((), (1,), [1, 2], (1, "x"), ("x",), (None,), (1.5,), ((1,),), {1}, range(2)),
    *({}, {"a": 1}, {"a": "x"}, {1: 1}, {"a": (1,)}, object()),
]
LOGICAL = {
    "date": "int",
    "time-millis": "int",
    "time-micros": "long",
    "timestamp-millis": "long",
    "timestamp-micros": "long",
    "timestamp-nanos": "long",
    "local-timestamp-millis": "long",
    "local-timestamp-micros": "long",
    "uuid": "string",
    "big-decimal": "bytes",
}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1}
FIXED = {"type": "fixed", "name": "F", "size": 4}
SIMPLE: list[Any] = [
    *("null", "boolean", "int", "long", "float", "double", "bytes", "string"),
    *({"type": base, "logicalType": name} for name, base in LOGICAL.items()),
    *(DECIMAL, FIXED, {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}),
    {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"},
]
TYPES: list[Any] = [
    *SIMPLE,
    *(["null", each] for each in SIMPLE[1:]),
    *({"type": "array", "items": each} for each in ("int", "double", DECIMAL, ["null", "int"])),
    *({"type": "map", "values": each} for each in ("int", "string", ["int", "string"])),
    {"type": "array", "items": {"type": "array", "items": "int"}},
    {"type": "map", "values": {"type": "array", "items": "int"}},
    *(["int", "string"], ["null", "int", "long", "string"], ["boolean", "long", DECIMAL]),
    *(["null", {"type": "array", "items": "int"}, {"type": "map", "values": "int"}],),
    *(
        [
            {"type": "int", "logicalType": "date"},
            {"type": "long", "logicalType": "timestamp-micros"},
        ],
    ),
    *(["bytes", FIXED], ["int", "long"], ["float", "double"]),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """One event for each type, called after its number."""
    tree = Tree(tmp_path_factory.mktemp("rule"))
    tree.write(
        {
            f"shop/R{number}/v1.avsc": record(f"R{number}", ("x", kind), namespace=f"n{number}")
            for number, kind in enumerate(TYPES)
        }
    )
    done = tree.run()
    assert done.status == 0, done.err
    return tree


def test_the_constructor_takes_what_the_encoder_takes(tree: Tree) -> None:
    """Values of every kind, for fields of every type: both take it or both refuse it."""
    disagreements = []
    taken = 0
    for number, kind in enumerate(TYPES):
        with tree.imported(f"shop.r{number}.v1") as module:
            cls = getattr(module, f"R{number}")
            for value in VALUES:
                by_constructor, by_encoder = _constructs(cls, value), _encodes(cls, value)
                taken += by_encoder
                if by_constructor != by_encoder:
                    disagreements.append((kind, value, by_constructor, by_encoder))
    assert disagreements == []
    assert taken > 200


@pytest.mark.parametrize("value", [bytearray(b"abcd"), memoryview(b"abcd")])
def test_an_event_holds_no_bytes_that_can_change(value: Any, tree: Tree) -> None:
    """Buffers are refused: an event must stay what it was when it was constructed."""
    number = TYPES.index("bytes")
    with tree.imported(f"shop.r{number}.v1") as module:
        assert not _constructs(getattr(module, f"R{number}"), value)


def _constructs(cls: type[Any], value: Any) -> bool:
    try:
        cls(x=value)
    except InvalidValueError:
        return False
    return True


def _encodes(cls: type[Any], value: Any) -> bool:
    with validators.disabled():
        event = cls(x=value)
    try:
        avro.encode(event)
    except SerializationError:
        return False
    return True
