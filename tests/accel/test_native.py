"""What holds for the native executor beside its answers: instances, limits, memory, threads."""

from __future__ import annotations

import copy
import datetime as dt
import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import pytest
import sdk_accel
from contracts.orders import OrderCreated
from contracts.orders.order_created import OrderLine

from sdk import avro
from sdk.avro import Limits
from sdk.avro.codec.codecs import decoder_for, encoder_for
from sdk.avro.codec.executors import executor
from sdk.errors import DeserializationError, SerializationError
from tests.unit.avro.events import event_class, record
from tests.unit.avro.test_fast_path import plans

ORDER = OrderCreated(
    order_id=UUID(int=7),
    created_at=dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC),
    total_amount=Decimal("12.34"),
    lines=[OrderLine(sku="tea", quantity=2, unit_price=Decimal("6.17"))],
)


def test_it_is_the_executor_in_use() -> None:
    """Where it is installed, codecs are native ones."""
    assert executor().name == "native"
    assert type(encoder_for(OrderCreated)).__module__ == "sdk_accel"


def test_instances_are_as_constructed() -> None:
    """Equality, hash, repr, pickling, copying, evolving and weak references are as usual."""
    decoded = avro.decode(OrderCreated, avro.encode(ORDER))
    assert decoded == ORDER
    assert hash(decoded) == hash(ORDER)
    assert repr(decoded) == repr(ORDER)
    assert pickle.loads(pickle.dumps(decoded)) == ORDER
    assert copy.copy(decoded) == copy.deepcopy(decoded) == ORDER
    assert attrs.evolve(decoded, total_amount=Decimal(1)).total_amount == 1
    assert weakref.ref(decoded)() is decoded
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        decoded.lines = ()


def test_errors_are_the_interpreters() -> None:
    """Failures name event, field path, byte offset and remedy as every executor does."""
    body = avro.encode(ORDER)
    with pytest.raises(DeserializationError) as reading:
        avro.decode(OrderCreated, body[:-1])
    assert reading.value.event == "orders.OrderCreated"
    assert reading.value.byte_offset is not None
    cls = event_class(record(("f", {"type": "array", "items": "int"})))
    with pytest.raises(SerializationError) as writing:
        avro.encode(cls(f=(1, "two")))
    assert writing.value.path == "f[1]"


def test_class_with_hooks_goes_the_python_way() -> None:
    """A class whose constructor does more than fill slots is left to the compiled executor."""

    def shout(value: str) -> str:
        return value.upper()

    cls = event_class(record(("f", "string")))
    loud = attrs.make_class(
        "R", {"f": attrs.field(converter=shout)}, frozen=True, slots=True, kw_only=True
    )
    loud.__event__ = attrs.evolve(cls.__event__, types={"R": loud})
    decode = decoder_for(loud)
    assert type(decode).__module__ != "sdk_accel"
    assert decode(avro.encode(cls(f="hi"))).f == "HI"


def test_unsupported_plans_are_refused() -> None:
    """A plan with operations that it does not know raises Unsupported when it is compiled."""
    reading = attrs.evolve(plans(OrderCreated)[1], root=object())
    with pytest.raises(sdk_accel.Unsupported):
        sdk_accel.compile_decoder(reading, Limits(), lambda op: op, lambda data, start: None)


NODE = record(("next", ["null", "R"]))


def chain(cls: type[Any], length: int) -> Any:
    """Records inside each other."""
    node = None
    for _ in range(length):
        node = cls(next=node)
    return node


def test_depth_is_limited_both_ways() -> None:
    """One record more than allowed is refused, and so are very many, without a crash."""
    cls = event_class(NODE)
    limits = Limits(max_depth=50)
    encode, decode = encoder_for(cls, limits=limits), decoder_for(cls, limits=limits)
    deepest = encode(chain(cls, 50))
    assert decode(deepest) == chain(cls, 50)
    with pytest.raises(SerializationError):
        encode(chain(cls, 51))
    for length in (51, 5_000, 200_000):
        with pytest.raises(DeserializationError):
            decode(b"\2" * (length - 1) + b"\0")


def test_counts_are_checked_before_anything_is_built() -> None:
    """Counts of 2**40, 2**31 and -2**63 items end in an error at once."""
    cls = event_class(record(("f", {"type": "array", "items": "long"})))
    for count in ("8080808080808001", "8080808010", "ffffffffffffffffff01"):
        with pytest.raises(DeserializationError):
            avro.decode(cls, bytes.fromhex(count))
    nulls = event_class(record(("f", {"type": "array", "items": "null"})))
    with pytest.raises(DeserializationError):
        avro.decode(nulls, bytes.fromhex("feffffff0f00"))


def blocks_after(work: Any, rounds: int) -> int:
    """How many more memory blocks are in use after many rounds of work than after a few."""
    for _ in range(2000):
        work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(rounds):
        work()
    gc.collect()
    return sys.getallocatedblocks() - before


def test_nothing_leaks() -> None:
    """Successes and failures of both directions leave as many memory blocks as before."""
    body = avro.encode(ORDER)
    cut, broken = body[:-3], OrderCreated.__new__(OrderCreated)
    rounds = int(os.environ.get("ACCEL_ROUNDS", "20000"))

    def fail(function: Any, *arguments: Any) -> None:
        with pytest.raises((SerializationError, DeserializationError)):
            function(*arguments)

    assert abs(blocks_after(lambda: avro.decode(OrderCreated, avro.encode(ORDER)), rounds)) < 50
    assert abs(blocks_after(lambda: fail(avro.decode, OrderCreated, cut), rounds // 10)) < 50
    assert abs(blocks_after(lambda: fail(avro.encode, broken), rounds // 10)) < 50


def test_codecs_are_collected() -> None:
    """A codec goes when nobody needs it, also where its fallback refers back to it."""

    class Fallback:
        codec: Any = None

        def __call__(self, event: Any, prefix: bytes) -> bytes:
            return b"left to me"

    fallback = Fallback()
    writing, _ = plans(event_class(record(("f", "string"))))
    fallback.codec = sdk_accel.compile_encoder(writing, Limits(), lambda op: op, fallback)
    assert fallback.codec(3) == b"left to me"
    gone = weakref.ref(fallback)
    del fallback
    gc.collect()
    assert gone() is None


def test_instances_of_atoms_are_not_tracked() -> None:
    """The collector skips instances that cannot lead back to themselves, and only those."""
    atoms = event_class(record(("f", "string"), ("g", {"type": "array", "items": "int"})))
    maps = event_class(record(("f", {"type": "map", "values": "int"})))
    assert not gc.is_tracked(avro.decode(atoms, avro.encode(atoms(f="x", g=(1,)))))
    assert gc.is_tracked(avro.decode(maps, avro.encode(maps(f={"x": 1}))))


class Meddler(dt.tzinfo):
    """A time zone that changes a list while the list is being written."""

    def __init__(self, victim: list[Any]) -> None:
        self.victim = victim

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        """Clear the list."""
        self.victim.clear()
        return dt.timedelta(0)


def test_list_changed_while_it_is_written() -> None:
    """Code that runs in the middle cannot make the executor read freed memory."""
    moment = {"type": "long", "logicalType": "timestamp-micros"}
    cls = event_class(record(("f", {"type": "array", "items": moment})))
    event, victim = cls(f=()), list[Any]()
    victim += [dt.datetime(2026, 1, 1, tzinfo=Meddler(victim)) for _ in range(100)]
    object.__setattr__(event, "f", victim)
    assert avro.encode(event) == b"\0"  # the interpreter tried again, and found it empty


def test_threads_share_a_codec() -> None:
    """Several threads encode and decode with the same functions."""
    encode, decode = encoder_for(OrderCreated), decoder_for(OrderCreated)
    wrong: list[Any] = []

    def work() -> None:
        wrong.extend(1 for _ in range(3000) if decode(encode(ORDER)) != ORDER)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("wanted", "code", "printed"),
    [
        ("auto", 0, "native"),
        ("require", 0, "native"),
        ("off", 0, "compiled"),
        ("perhaps", 1, "use one of auto, off, require"),
    ],
)
def test_variable_chooses_the_executor(wanted: str, code: int, printed: str) -> None:
    """SDK_ACCEL takes, refuses or demands the native executor."""
    ended = subprocess.run(
        [sys.executable, "-m", "sdk.avro"],
        env={**os.environ, "SDK_ACCEL": wanted},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert printed in ended.stdout + ended.stderr


def test_other_plan_versions_are_not_run() -> None:
    """An extension of another plan format is passed over with one line that says why."""
    code = (
        "import sys, types, logging; logging.basicConfig()\n"
        "fake = types.ModuleType('sdk_accel'); fake.PLAN_VERSION = 0\n"
        "sys.modules['sdk_accel'] = fake\n"
        "from sdk.avro.codec.executors import executor\n"
        "print(executor().name)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SDK_ACCEL": "auto"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "compiled"
    assert "plans of version 0" in ended.stderr
