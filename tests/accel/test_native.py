"""The native executor's promises beyond its answers: instances, limits, memory, threads."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import gc
import os
import pickle
import random
import subprocess
import sys
import threading
import tracemalloc
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
from sdk.avro.codec.wire import long_bytes
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
    """If the extension is installed, codecs use it."""
    assert executor().name == "native"
    assert encoder_for(OrderCreated).__module__ == "sdk_accel"


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


class Base:
    """A constructor with a check of its own, which no generated class has."""

    __slots__ = ("__weakref__",)

    def __attrs_post_init__(self) -> None:
        """Refuse shouting."""
        assert self.f != "HI"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attribute", "options"),
    [
        (attrs.field(converter=str.strip), {"slots": True}),
        (attrs.field(validator=attrs.validators.max_len(3)), {"slots": True}),
        (attrs.field(), {"slots": True, "bases": (Base,)}),
        (attrs.field(), {"slots": False}),
    ],
    ids=["converter", "validator", "post-init", "no slots"],
)
def test_class_with_hooks_goes_the_python_way(attribute: Any, options: dict[str, Any]) -> None:
    """A class whose constructor does more than fill slots is left to the compiled executor."""
    cls = attrs.make_class("R", {"f": attribute}, frozen=True, kw_only=True, **options)
    ours = event_class(record(("f", "string")))
    cls.__event__ = attrs.evolve(ours.__event__, types={"R": cls})  # type: ignore[attr-defined]
    decode = decoder_for(cls)
    assert decode.__module__ != "sdk_accel"
    assert decode(b"\x06 hi") == cls(f=" hi")
    if attribute._validator or "bases" in options:
        with pytest.raises(DeserializationError):
            decode(b"\x08shot" if attribute._validator else b"\x04HI")


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


def test_depth_beyond_the_stack_of_a_thread_is_our_error() -> None:
    """A limit that is too generous ends in an error, not in a crash, however small the stack is."""
    rows = {"type": "array", "items": {"type": "map", "values": {"type": "array", "items": "R"}}}
    cls, other = event_class(record(("f", rows))), event_class(record(("g", "int", 1)))
    generous = Limits(max_depth=1_000_000)
    read = decoder_for(cls, limits=generous)
    skip = decoder_for(other, record(("f", rows)), limits=generous)
    errors: list[DeserializationError] = []

    def work() -> None:
        for function in (read, skip):
            with pytest.raises(DeserializationError, match="nested too deeply") as caught:
                function(b"\x02\x02\x02a\x02" * 100_000)
            errors.append(caught.value)

    former = threading.stack_size(1 << 19)
    thread = threading.Thread(target=work)
    thread.start()
    threading.stack_size(former)
    thread.join()
    assert len(errors) == 2


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


def fail(function: Any, *arguments: Any) -> None:
    """Call what must end in an error of ours."""
    with pytest.raises((SerializationError, DeserializationError)):
        function(*arguments)


ROUNDS = int(os.environ.get("ACCEL_ROUNDS", "20000"))
"""A long run: ACCEL_ROUNDS=1000000 pytest -o timeout=0 -k leaks tests/accel."""


@pytest.mark.parametrize("what", ["events", "cut payloads", "events without values"])
def test_nothing_leaks(what: str) -> None:
    """Successes and failures leave memory blocks and references to shared objects as before."""
    body = avro.encode(ORDER)
    cut, broken = body[:-3], OrderCreated.__new__(OrderCreated)
    work = {
        "events": lambda: avro.decode(OrderCreated, avro.encode(ORDER)),
        "cut payloads": lambda: fail(avro.decode, OrderCreated, cut),
        "events without values": lambda: fail(avro.encode, broken),
    }[what]
    shared = (ORDER, ORDER.total_amount, ORDER.lines, OrderCreated, OrderLine, UUID, dt.UTC, body)
    gc.collect()  # what earlier tests left behind may refer to them too
    before = [sys.getrefcount(each) for each in shared]
    assert abs(blocks_after(work, ROUNDS)) < ROUNDS // 20
    after = [sys.getrefcount(each) for each in shared]
    assert all(abs(new - old) < 100 for old, new in zip(before, after, strict=True)), after


def test_memory_is_bounded_by_the_payload() -> None:
    """Payloads that claim much cost little, whatever is claimed: items, bytes, keys, records."""
    tree = record(("f", {"type": "array", "items": "R"}), ("g", {"type": "map", "values": "R"}))
    cls, chance = event_class(tree), random.Random(1)
    decode = decoder_for(cls, limits=Limits(max_zero_size_items=100))
    payloads = [bytes(chance.choices((0, 2, 4, 128, 254, 255), k=200)) for _ in range(3000)]
    for claim in (2**20, 2**31, 2**40, 2**62):
        payloads.append(long_bytes(claim) + bytes(200))
        payloads.append(long_bytes(-claim) + long_bytes(claim) + bytes(200))
    tracemalloc.start()
    for payload in payloads:
        with contextlib.suppress(DeserializationError):
            decode(payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_codecs_are_collected() -> None:
    """An unused codec is freed, even if its fallback refers back to it."""

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


def run(code: str, accel: str = "auto") -> subprocess.CompletedProcess[str]:
    """Run a program beside this one."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SDK_ACCEL": accel},
        capture_output=True,
        text=True,
        check=True,
    )


def test_other_interpreters_of_the_process_fall_back() -> None:
    """The main interpreter goes on with the native executor; others take the compiled one."""
    ended = run(
        "import sys\n"
        "from sdk.avro.codec.executors import executor\n"
        "print(executor().name, flush=True)\n"
        "if sys.version_info >= (3, 13):\n"
        "    import _interpreters as interpreters\n"
        "    other = interpreters.create('legacy')\n"
        "else:\n"
        "    import _xxsubinterpreters as interpreters\n"
        "    other = interpreters.create(isolated=False)\n"
        "code = 'from sdk.avro.codec.executors import executor;'\n"
        "code += 'print(executor().name, executor().reason, flush=True)'\n"
        "failed = interpreters.run_string(other, code)\n"
        "assert failed is None, failed\n"
        "interpreters.destroy(other)\n"
    )
    ours, theirs = ended.stdout.splitlines()
    assert ours == "native"
    assert theirs.startswith("compiled the native executor cannot be used")
    assert "interpreter" in theirs


def test_events_changed_by_another_thread() -> None:
    """An event changed while it is written may be written in any of its states, without a crash."""
    schema = record(
        ("items", {"type": "array", "items": "string"}), ("map", {"type": "map", "values": "long"})
    )
    cls = event_class(schema)
    items, entries, done = ["x"], {"x": 1}, threading.Event()
    event = cls(items=(), map={})
    object.__setattr__(event, "map", entries)

    def change() -> None:
        chance = random.Random(1)
        while not done.is_set():
            items.append("y" * 30)
            entries[str(chance.random())] = 2
            if chance.random() < 0.1:
                items.clear()
                entries.clear()
            object.__setattr__(event, "items", items if chance.random() < 0.5 else tuple(items))

    def write() -> None:
        encode = encoder_for(cls)
        for _ in range(3000):
            with contextlib.suppress(SerializationError, RuntimeError):
                encode(event)

    changing = threading.Thread(target=change)
    changing.start()
    writing = [threading.Thread(target=write) for _ in range(3)]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    done.set()
    changing.join()
    object.__setattr__(event, "items", ("a",))
    object.__setattr__(event, "map", {})
    assert encoder_for(cls)(event) == b"\x02\x02a\x00\x00"


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
    """An extension for another plan format is ignored with one line that says why."""
    ended = run(
        "import sys, types, logging; logging.basicConfig()\n"
        "fake = types.ModuleType('sdk_accel'); fake.PLAN_VERSION = 0\n"
        "sys.modules['sdk_accel'] = fake\n"
        "from sdk.avro.codec.executors import executor\n"
        "print(executor().name)\n"
    )
    assert ended.stdout.strip() == "compiled"
    assert "plans of version 0" in ended.stderr


@pytest.mark.parametrize("direction", ["encoder", "decoder"])
def test_extension_that_answers_wrongly_is_not_used(direction: str) -> None:
    """The self-check compares the bytes and the value of an event that is known."""
    ended = run(
        "import logging; logging.basicConfig()\n"
        "import sdk_accel\n"
        f"made = sdk_accel.compile_{direction}\n"
        "def compile_wrongly(*given):\n"
        "    right = made(*given)\n"
        "    return lambda one, *more: None if type(one) is bytes else right(one, *more)[:-1]\n"
        f"sdk_accel.compile_{direction} = compile_wrongly\n"
        "from sdk.avro.codec.executors import executor\n"
        "print(executor().name)\n"
    )
    assert ended.stdout.strip() == "compiled"
    assert "an event differently" in ended.stderr
    assert ended.stderr.count("\n") == 1
