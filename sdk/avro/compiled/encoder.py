"""Compiles the plan of an encoder.

Names in the generated code: ``v`` the event, ``x…`` values, ``t`` how many records that can contain
themselves surround us, ``out`` the list of pieces. Pieces that are known together are added
together: at the end all are joined once, behind the prefix. A function without loops needs no
list at all.

A value of another class than expected is no error yet: the interpreter decides.
"""

from __future__ import annotations

import struct
from binascii import hexlify
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sdk.avro import interpreter
from sdk.avro import plan as ops
from sdk.avro.compiled import bulk
from sdk.avro.compiled.source import Source
from sdk.avro.compiled.support import (
    LENGTHS,
    PAIRS,
    SMALL,
    BailError,
    large,
    large_int,
    large_long,
    length,
    refuse,
)
from sdk.avro.limits import Limits
from sdk.avro.logical import (
    EPOCH,
    EPOCH_ORDINAL,
    LOCAL_EPOCH,
    decimal_context,
    decimal_size,
    to_wire,
)
from sdk.avro.plan import Op, Plan
from sdk.avro.plan_analysis import inlined_records
from sdk.avro.wire import long_bytes

_GLOBALS: Final[dict[str, Any]] = {
    "Bail": BailError,
    "EPOCH": EPOCH,
    "LENGTHS": LENGTHS,
    "LOCAL_EPOCH": LOCAL_EPOCH,
    "PAIRS": PAIRS,
    "SMALL": SMALL,
    "UUID": UUID,
    "Decimal": Decimal,
    "date": date,
    "datetime": datetime,
    "encode_text": str.encode,
    "hexlify": hexlify,
    "join": b"".join,
    "large_int": large_int,
    "large_long": large_long,
    "length": length,
    "join_uuid": b"-".join,
    "pack_double": struct.Struct("<d").pack,
    "pack_float": struct.Struct("<f").pack,
    "refuse": refuse,
    "time": time,
    "split_uuid": struct.Struct("8s4s4s4s12s").unpack,
    "large": large,
    "NONE": b"",
}
_FEW: Final = 8
"""Branches of up to so many pieces are kept in variables, longer ones in the list."""


Fallback = Callable[[Any, bytes, Exception], bytes]


def compile_encoder(
    plan: Plan, limits: Limits, fallback: Fallback | None = None
) -> Callable[..., bytes]:
    """Return the function ``encode(event, prefix=b"")`` of a plan.

    Args:
        plan: What to write.
        limits: What one event may cost.
        fallback: Answers where the fast path gives up; by default the interpreter.
    """

    def replay(event: Any, prefix: bytes, error: Exception) -> bytes:
        if isinstance(error, MemoryError):
            raise error
        return interpreter.write(plan, event, prefix, limits)

    return _Encoder(plan, limits).compile(fallback or replay)


class _Encoder:
    def __init__(self, plan: Plan, limits: Limits) -> None:
        self.plan = plan
        self.limits = limits
        self.inlined = inlined_records(plan)
        self.code = Source()
        self.code.globals.update(_GLOBALS)
        self.functions: dict[Any, str] = {}
        self.pending: list[Callable[[], None]] = []
        self.pieces: list[str] = []
        self.listed = False
        self.simple: dict[int, bool] = {}

    def compile(self, fallback: Fallback) -> Callable[..., bytes]:
        self.code.globals["replay"] = fallback
        self.root()
        while self.pending:
            self.pending.pop()()
        return self.code.function("encode", f"encode {self.plan.event}")

    def root(self) -> None:
        code = self.code
        self.listed = not self.is_simple(self.plan.root)
        with code.block("def encode(v, prefix=b''):"):
            with code.block("try:", loop=True):
                if self.listed:
                    code.line("out = [prefix]; t = 0")
                    self.write(self.plan.root, "v")
                    self.flush()
                    code.line("return join(out)")
                else:
                    self.pieces.append("prefix")
                    self.write(self.plan.root, "v")
                    code.line(f"return join(({', '.join(self.pieces)},))")
                    self.pieces.clear()
            with code.block("except Exception as error:"):
                code.line("return replay(v, prefix, error)")

    # --- pieces ---

    def is_simple(self, op: Op) -> bool:
        """Whether an operation needs no list: it has no loops and no calls."""
        known = self.simple.get(id(op))
        if known is None:
            known = self.simple[id(op)] = self.find_simple(op)
        return known

    def find_simple(self, op: Op) -> bool:
        match op:
            case ops.Array():
                return _bulk(op) is not None
            case ops.Map():
                return isinstance(op.values, ops.Primitive) and op.values.kind in ("int", "long")
            case ops.Union():
                few = all(self.weight(branch) <= _FEW for branch in op.branches)
                return few and all(map(self.is_simple, op.branches))
            case ops.Record():
                fields = self.plan.records[op.index].fields
                return op.index in self.inlined and all(self.is_simple(x.op) for x in fields)
        return True

    def weight(self, op: Op) -> int:
        """Return about how many pieces an operation adds."""
        match op:
            case ops.Union():
                return 1 + max(map(self.weight, op.branches), default=0)
            case ops.Record() if op.index in self.inlined:
                return sum(self.weight(each.op) for each in self.plan.records[op.index].fields)
        return 2

    def flush(self) -> None:
        """Move the pieces that wait to the list."""
        if len(self.pieces) == 1:
            self.code.line(f"out.append({self.pieces[0]})")
        elif self.pieces:
            self.code.line(f"out += ({', '.join(self.pieces)})")
        self.pieces.clear()

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """Collect the pieces of a part by themselves."""
        outer, self.pieces = self.pieces, []
        yield self.pieces
        self.pieces = outer

    def call(self, op: Op, key: Any, body: Callable[[], None], value: str) -> None:
        """Write a value by a function that is made when the current one is done."""
        code = self.code
        self.flush()
        name = self.functions.get(key)
        if name is None:
            name = self.functions[key] = code.local("f")

            def define() -> None:
                self.listed = True
                with code.block(f"def {name}(v, out, t):"):
                    body()
                    self.flush()

            self.pending.append(define)
        code.line(f"{name}({value}, out, t)")

    def write(self, op: Op, value: str) -> None:
        """Write the statements that add the pieces of a value.

        Args:
            op: What to write.
            value: A name, or an attribute of one.
        """
        if self.listed and self.code.is_deep and ops.parts(op):
            self.call(op, ("op", id(op)), lambda: self.write(op, "v"), value)
            return
        match op:
            case ops.Primitive():
                self.primitive(op.kind, value)
            case ops.Fixed():
                self.fixed(op, value)
            case ops.Logical():
                self.logical(op, value)
            case ops.Call():
                self.converted(op, value)
            case ops.Enum():
                name = self.named(value)
                self.expect(name, self.code.value(op.cls))
                table = {each.value: long_bytes(i) for i, each in enumerate(op.values)}
                self.pieces.append(f"{self.code.value(table)}[{name}._value_]")
            case ops.Array():
                self.array(op, value)
            case ops.Map():
                self.map(op, value)
            case ops.Union():
                self.union(op, value)
            case ops.Record():
                self.record(op, value)

    def named(self, value: str) -> str:
        """Return a local name for a value."""
        if value.isidentifier():
            return value
        name = self.code.local("x")
        self.code.line(f"{name} = {value}")
        return name

    def expect(self, name: str, cls: str) -> None:
        self.code.line(f"if {name}.__class__ is not {cls}: raise Bail")

    # --- leaves ---

    def primitive(self, kind: str, value: str) -> None:
        code = self.code
        match kind:
            case "null":
                code.line(f"if {value} is not None: raise Bail")
            case "boolean":
                name = self.named(value)
                self.pieces.append(
                    f"b'\\1' if {name} is True else b'\\0' if {name} is False else refuse()"
                )
            case "int" | "long":
                name = self.named(value)
                self.expect(name, "int")
                self.pieces.append(_number(name, kind))
            case "float" | "double":
                name = self.named(value)
                self.expect(name, "float")
                self.pieces.append(f"pack_{kind}({name})")
            case "bytes":
                name = self.named(value)
                self.expect(name, "bytes")
                self.pieces += [_length(name), name]
            case "string":
                name = code.local("x")
                code.line(f"{name} = encode_text({value})")
                self.pieces += [_length(name), name]

    def fixed(self, op: ops.Fixed, value: str) -> None:
        name = self.named(value)
        code = self.code
        if op.cls is bytes:
            self.expect(name, "bytes")
        else:
            self.expect(name, code.value(op.cls))
        code.line(f"if len({name}) != {op.size}: raise Bail")
        self.pieces.append(name)

    # --- logical types ---

    def logical(self, op: ops.Logical, value: str) -> None:
        code = self.code
        match op.name, op.wire:
            case "date", _:
                name = self.named(value)
                self.expect(name, "date")
                days = code.local("x")
                code.line(f"{days} = {name}.toordinal() - {EPOCH_ORDINAL}")
                self.pieces.append(_number(days, "int"))
            case (("timestamp-micros" | "local-timestamp-micros"), _):
                self.micros("LOCAL_EPOCH" if "local" in op.name else "EPOCH", value)
            case (("timestamp-millis" | "local-timestamp-millis"), _):
                self.millis("LOCAL_EPOCH" if "local" in op.name else "EPOCH", value)
            case (("time-millis" | "time-micros"), _):
                self.time(op, value)
            case "decimal", _:
                self.decimal(op, value)
            case "uuid", ops.Primitive():
                name, text = self.named(value), code.local("x")
                self.expect(name, "UUID")
                code.line(f"{text} = hexlify({name}.int.to_bytes(16, 'big'))")
                self.pieces += ["b'\\x48'", f"join_uuid(split_uuid({text}))"]
            case "uuid", _:
                name = self.named(value)
                self.expect(name, "UUID")
                self.pieces.append(f"{name}.int.to_bytes(16, 'big')")
            case _:
                self.converted(op, value)

    def converted(self, op: ops.Logical | ops.Call, value: str) -> None:
        name = self.code.local("x")
        self.code.line(f"{name} = {self.code.value(to_wire(op))}({value})")
        self.primitive_or_fixed(op.wire, name)

    def primitive_or_fixed(self, wire: ops.Wire, name: str) -> None:
        if isinstance(wire, ops.Fixed):
            self.fixed(wire, name)
        else:
            self.primitive(wire.kind, name)

    def since(self, epoch: str, value: str) -> str:
        """Set a name to the time since an epoch; a missing or superfluous zone is a TypeError."""
        name = self.named(value)
        self.expect(name, "datetime")
        delta = self.code.local("x")
        self.code.line(f"{delta} = {name} - {epoch}")
        return delta

    def micros(self, epoch: str, value: str) -> None:
        delta = self.since(epoch, value)
        code = self.code
        a, b, c, d = (code.local("y") for _ in range(4))
        code.line(f"n = ({delta}.days * 86400 + {delta}.seconds) * 1000000 + {delta}.microseconds")
        code.line("n = n + n if n >= 0 else ~(n + n)")
        with code.block(f"if {1 << 42} <= n < {1 << 56}:"):
            code.line(f"{a} = PAIRS[n & 16383]; {b} = PAIRS[n >> 14 & 16383]")
            code.line(f"{c} = PAIRS[n >> 28 & 16383]; {d} = SMALL[n >> 42]")
        code.line(f"else: {a} = large(n); {b} = {c} = {d} = NONE")
        self.pieces += [a, b, c, d]

    def millis(self, epoch: str, value: str) -> None:
        delta = self.since(epoch, value)
        code = self.code
        code.line(f"n, e = divmod({delta}.microseconds, 1000)")
        code.line("if e: raise Bail")
        code.line(f"n += ({delta}.days * 86400 + {delta}.seconds) * 1000")
        self.six_bytes()

    def six_bytes(self) -> None:
        """Add the pieces of ``n``, which most often takes six bytes."""
        code = self.code
        a, b, c = (code.local("y") for _ in range(3))
        code.line("n = n + n if n >= 0 else ~(n + n)")
        with code.block(f"if {1 << 28} <= n < {1 << 42}:"):
            code.line(f"{a} = PAIRS[n & 16383]; {b} = PAIRS[n >> 14 & 16383]; {c} = SMALL[n >> 28]")
        code.line(f"else: {a} = large(n); {b} = {c} = NONE")
        self.pieces += [a, b, c]

    def time(self, op: ops.Logical, value: str) -> None:
        code = self.code
        name, units = self.named(value), code.local("x")
        code.line(f"if {name}.__class__ is not time or {name}.tzinfo is not None: raise Bail")
        code.line(f"n = ({name}.hour * 60 + {name}.minute) * 60 + {name}.second")
        if op.name == "time-micros":
            code.line(f"n = n * 1000000 + {name}.microsecond")
            self.six_bytes()
            return
        code.line(f"{units}, e = divmod({name}.microsecond, 1000)")
        code.line("if e: raise Bail")
        code.line(f"{units} += n * 1000")
        self.pieces.append(_number(units, "int"))

    def decimal(self, op: ops.Logical, value: str) -> None:
        """The context raises for too many digits, and for any that would be cut off."""
        code = self.code
        name, data = self.named(value), code.local("x")
        context = decimal_context(op.precision)
        multiply = code.value(context.multiply)
        whole = code.value(context.to_integral_exact)
        power = code.value(Decimal((0, (1,), op.scale)))
        self.expect(name, "Decimal")
        code.line(f"n = int({whole}({multiply}({name}, {power})))")
        if isinstance(op.wire, ops.Fixed):
            self.pieces.append(f"{data}")
            code.line(f"{data} = n.to_bytes({op.wire.size}, 'big', signed=True)")
            return
        size = code.local("y")
        code.line(f"{size} = ((n if n >= 0 else ~n).bit_length() >> 3) + 1")
        code.line(f"{data} = n.to_bytes({size}, 'big', signed=True)")
        sizes = code.value(tuple(map(long_bytes, range(decimal_size(op.precision) + 1))))
        self.pieces += [f"{sizes}[{size}]", data]

    # --- containers ---

    def array(self, op: ops.Array, value: str) -> None:
        code = self.code
        name = self.named(value)
        code.line(f"if {name}.__class__ is not tuple and {name}.__class__ is not list: raise Bail")
        writer = _bulk(op)
        if writer is not None:
            function, settings = writer
            code.globals[function.__name__] = function
            given = "".join(f", {key}={setting!r}" for key, setting in settings.items())
            self.pieces.append(f"{function.__name__}({name}{given})")
            return
        self.flush()
        item = code.local("x")
        with code.block(f"if {name}:"):
            code.line(f"out.append(length(len({name})))")
            with code.block(f"for {item} in {name}:", loop=True), self.apart():
                self.write(op.items, item)
                self.flush()
        self.pieces.append("b'\\0'")

    def map(self, op: ops.Map, value: str) -> None:
        code = self.code
        name = self.named(value)
        self.expect(name, "dict")
        if isinstance(op.values, ops.Primitive) and op.values.kind in ("int", "long"):
            code.globals["write_number_map"] = bulk.write_number_map
            keys = code.value(bulk.Keys())
            self.pieces.append(f"write_number_map({name}, {op.values.kind!r}, {keys})")
            return
        self.flush()
        key, item, text = code.local("x"), code.local("x"), code.local("x")
        with code.block(f"if {name}:"):
            code.line(f"out.append(length(len({name})))")
            with code.block(f"for {key}, {item} in {name}.items():", loop=True), self.apart():
                code.line(f"{text} = encode_text({key})")
                self.pieces += [_length(text), text]
                self.write(op.values, item)
                self.flush()
        self.pieces.append("b'\\0'")

    def union(self, op: ops.Union, value: str) -> None:
        """Write one branch for each class that tells it; the rest is the interpreter's."""
        code = self.code
        name = self.named(value)
        kept = self.is_simple(op)
        if not kept:
            self.flush()
        results: list[tuple[int, list[str]]] = []
        word = "if"
        for test, index in _tests(op, name, code):
            with code.block(f"{word} {test}:"), self.apart() as pieces:
                pieces.append(repr(long_bytes(index)))
                if not test.endswith(" is None"):
                    self.write(op.branches[index], name)
                if kept:
                    results.append((len(code.lines), list(pieces)))
                    code.line("")
                else:
                    self.flush()
            word = "elif"
        code.line("else: raise Bail" if word == "elif" else "raise Bail")
        if kept:
            self.keep(results)

    def keep(self, results: list[tuple[int, list[str]]]) -> None:
        """Assign the pieces of each branch to the same variables, at the lines left for it."""
        code = self.code
        width = max((len(pieces) for _, pieces in results), default=0)
        names = [code.local("y") for _ in range(width)]
        for line, pieces in results:
            padded = pieces + ["NONE"] * (width - len(pieces))
            text = "; ".join(f"{n} = {p}" for n, p in zip(names, padded, strict=True))
            code.lines[line] = " " * (code.indent + 1) + text
        self.pieces += names

    # --- records ---

    def record(self, op: ops.Record, value: str) -> None:
        record = self.plan.records[op.index]
        if op.index in self.inlined and not (self.listed and self.code.is_deep):
            self.fields(record, self.named(value))
            return
        self.call(op, ("record", op.index), lambda: self.record_body(record), value)

    def record_body(self, record: ops.RecordPlan) -> None:
        if record.recursive:
            self.code.line("t += 1")
            self.code.line(f"if t > {self.limits.max_depth}: raise Bail")
        self.fields(record, "v")

    def fields(self, record: ops.RecordPlan, name: str) -> None:
        self.expect(name, self.code.value(record.cls))
        for each in record.fields:
            self.write(each.op, f"{name}.{each.attribute}")


def _number(name: str, kind: str) -> str:
    """Return the piece of a number: what takes up to four bytes is looked up."""
    return (
        f"SMALL[n] if (n := {name} + {name} if {name} >= 0 else ~({name} + {name})) < 16384 else "
        f"PAIRS[n & 16383] + SMALL[n >> 14] if n < 268435456 else large_{kind}({name})"
    )


def _length(name: str) -> str:
    """Return the piece that tells the length of bytes."""
    return f"LENGTHS[n] if (n := len({name})) < 4096 else length(n)"


def _bulk(op: ops.Array) -> tuple[Callable[..., bytes], dict[str, Any]] | None:
    items = op.items
    return bulk.WRITERS.get(items.kind) if isinstance(items, ops.Primitive) else None


def _tests(op: ops.Union, name: str, code: Source) -> Iterator[tuple[str, int]]:
    """Yield for each branch that a class alone tells (or a class and a range) the test of it."""
    plain: dict[int, list[str]] = {}
    for cls, indexes in op.choices.items():
        first = op.branches[indexes[0]]
        kind = first.kind if isinstance(first, ops.Primitive) else None
        test = f"{name}.__class__ is {code.value(cls)}"
        if kind == "null":
            plain.setdefault(indexes[0], []).append(f"{name} is None")
        elif cls is int and kind not in ("int", "long"):
            continue  # a float is wanted: whether it is exact takes a closer look
        elif kind == "int" and len(indexes) > 1:
            yield f"{test} and -0x80000000 <= {name} <= 0x7fffffff", indexes[0]
            second = op.branches[indexes[1]]
            if isinstance(second, ops.Primitive) and second.kind == "long":
                yield test, indexes[1]
        elif len(indexes) == 1 or kind is not None:
            plain.setdefault(indexes[0], []).append(test)
    for index, tests in plain.items():
        yield " or ".join(tests), index
