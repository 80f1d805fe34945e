"""Compiles the plan of a decoder.

Names in the generated code: ``d`` payload, ``p`` position, ``t`` how many records that can contain
themselves surround us, ``z`` how many items without bytes there were (a list of one), ``n`` and
``e`` scratch. Reading past the end raises `IndexError`, or leaves the position behind the end,
which the last comparison finds; so slices need no check of their own.
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import repeat
from typing import Any, Final
from uuid import UUID, SafeUUID

from sdk.avro import interpreter
from sdk.avro import plan as ops
from sdk.avro.compiled import bulk
from sdk.avro.compiled.source import Source
from sdk.avro.compiled.support import (
    CONTINUED,
    FIRST,
    LAST,
    BailError,
    block_count,
    charge,
    read_int,
    read_long,
    skip_block,
    span,
)
from sdk.avro.limits import Limits
from sdk.avro.logical import (
    EPOCH,
    EPOCH_ORDINAL,
    EXACT,
    LOCAL_EPOCH,
    MICROSECOND,
    MILLISECOND,
    decimal_size,
    from_wire,
)
from sdk.avro.plan import Op, Plan
from sdk.avro.plan_analysis import inlined_records
from sdk.avro.wire import UNZIGZAG, as_bytes, to_float32

Store = Callable[[str], str]
"""Makes the statement that keeps the value of an expression."""

_GLOBALS: Final[dict[str, Any]] = {
    "Bail": BailError,
    "Decimal": Decimal,
    "EPOCH": EPOCH,
    "LOCAL_EPOCH": LOCAL_EPOCH,
    "MICRO": MICROSECOND,
    "MILLI": MILLISECOND,
    "UNZIGZAG": UNZIGZAG,
    "UUID": UUID,
    "block_count": block_count,
    "as_bytes": as_bytes,
    "charge": charge,
    "from_ordinal": date.fromordinal,
    "from_bytes": int.from_bytes,
    "multiply": EXACT.multiply,
    "new": object.__new__,
    "read_int": read_int,
    "read_long": read_long,
    "repeat": repeat,
    "skip_block": skip_block,
    "span": span,
    "to_float32": to_float32,
    "unhexlify": unhexlify,
    "unpack_double": struct.Struct("<d").unpack_from,
    "unpack_float": struct.Struct("<f").unpack_from,
    "unpack_h": struct.Struct(">h").unpack_from,
    "unpack_hb": struct.Struct(">hB").unpack_from,
    "unpack_3h": struct.Struct("<3H").unpack_from,
    "unpack_4h": struct.Struct("<4H").unpack_from,
    "CONTINUED": CONTINUED,
    "FIRST": FIRST,
    "LAST": LAST,
    "uuid_int": vars(UUID)["int"].__set__,
    "uuid_safe": vars(UUID)["is_safe"].__set__,
    "UNKNOWN": SafeUUID.unknown,
    "BOOLEANS": (False, True),
}


_LARGE: Final = 60
"""Above so many fields, time to compile counts for more than a number read in place."""

Fallback = Callable[[bytes, int, Exception], Any]


def compile_decoder(
    plan: Plan, limits: Limits, fallback: Fallback | None = None
) -> Callable[..., Any]:
    """Return the function ``decode(data, start=0)`` of a plan.

    Args:
        plan: What to read.
        limits: What one payload may cost.
        fallback: Answers where the fast path gives up; by default the interpreter.
    """

    def replay(data: bytes, start: int, error: Exception) -> Any:
        if isinstance(error, MemoryError):
            raise error
        return interpreter.read(plan, data, start, limits)

    return _Decoder(plan, limits).compile(fallback or replay)


class _Decoder:
    def __init__(self, plan: Plan, limits: Limits) -> None:
        self.plan = plan
        self.limits = limits
        self.inlined = inlined_records(plan)
        self.is_large = sum(len(record.fields) for record in plan.records) > _LARGE
        self.code = Source()
        self.code.globals.update(_GLOBALS)
        self.functions: dict[tuple[str, Any], str] = {}
        self.pending: list[Callable[[], None]] = []

    def compile(self, fallback: Fallback) -> Callable[..., Any]:
        self.code.globals["replay"] = fallback
        self.root()
        while self.pending:
            self.pending.pop()()
        return self.code.function("decode", f"decode {self.plan.event}")

    def root(self) -> None:
        code = self.code
        with code.block("def decode(d, start=0):"):
            with code.block("try:", loop=True):
                code.line("if d.__class__ is not bytes: d = as_bytes(d)")
                code.line("p = start; end = len(d); t = 0; z = [0]")
                code.line(f"if end > {self.limits.max_payload_bytes}: raise Bail")
                self.read(self.plan.root, lambda value: f"v = {value}")
                code.line("if p == end: return v")
                code.line("raise Bail")
            with code.block("except Exception as error:"):
                code.line("return replay(d, start, error)")

    # --- functions of their own ---

    def call(self, op: Op, key: tuple[str, Any], body: Callable[[], None], store: Store) -> None:
        """Read a value by a function that is made when the current one is done."""
        code = self.code
        name = self.functions.get(key)
        if name is None:
            name = self.functions[key] = code.local("f")

            def define() -> None:
                with code.block(f"def {name}(d, p, t, z):"):
                    code.line("end = len(d)")
                    body()
                    code.line("return v, p")

            self.pending.append(define)
        code.line(f"v, p = {name}(d, p, t, z)")
        if (statement := store("v")) != "v = v":
            code.line(statement)

    def read(self, op: Op, store: Store) -> None:
        """Write the statements that read a value and keep it."""
        if self.code.is_deep and isinstance(op, ops.Array | ops.Map | ops.Union):
            inner: Store = lambda value: f"v = {value}"  # noqa: E731
            self.call(op, ("op", id(op)), lambda: self.read(op, inner), store)
            return
        match op:
            case ops.Primitive():
                self.primitive(op.kind, store)
            case ops.Promote():
                self.promote(op, store)
            case ops.Fixed():
                self.fixed(op, store)
            case ops.Logical():
                self.logical(op, store)
            case ops.Call():
                self.converted(op, store)
            case ops.Enum():
                self.enum(op, store)
            case ops.Array():
                self.array(op, store)
            case ops.Map():
                self.map(op, store)
            case ops.Union():
                self.union(op, lambda branch: self.read(branch, store))
            case ops.Record():
                self.record(op, store)
            case ops.Refuse():
                self.code.line("raise Bail")
            case ops.Skip():
                self.skip(op.op)
                self.code.line(store("None"))

    # --- leaves ---

    def span(self) -> None:
        """Set ``p`` and ``e`` to start and end of the bytes whose length comes next."""
        code = self.code
        code.line("n = d[p]")
        code.line("if n & 129: p, e = span(d, p)")
        code.line("else: p += 1; e = p + (n >> 1)")

    def number(self, kind: str) -> None:
        """Set ``n`` to the number that comes next; common sizes of it in place."""
        code = self.code
        code.line("n = d[p]")
        code.line("if n < 128: n = UNZIGZAG[n]; p += 1")
        if self.is_large:
            code.line(f"else: n, p = read_{kind}(d, p)")
            return
        with code.block("else:"):
            code.line("a = d[p + 1]")
            with code.block("if 0 < a < 128:"):
                code.line("n += (a << 7) - 128; p += 2")
                code.line("n = ~(n >> 1) if n & 1 else n >> 1")
            with code.block("else:"):
                code.line("b = d[p + 2]")
                with code.block("if a and 0 < b < 128:"):
                    code.line("n += (a << 7) + (b << 14) - 16512; p += 3")
                    code.line("n = ~(n >> 1) if n & 1 else n >> 1")
                code.line(f"else: n, p = read_{kind}(d, p)")

    def primitive(self, kind: str, store: Store) -> None:
        code = self.code
        match kind:
            case "null":
                code.line(store("None"))
            case "boolean":
                code.line(store("BOOLEANS[d[p]]"))
                code.line("p += 1")
            case "int" | "long":
                self.number(kind)
                code.line(store("n"))
            case "float" | "double":
                code.line(store(f"unpack_{kind}(d, p)[0]"))
                code.line(f"p += {4 if kind == 'float' else 8}")
            case "bytes" | "string":
                self.span()
                code.line(store("d[p:e].decode()" if kind == "string" else "d[p:e]"))
                code.line("p = e")

    def promote(self, op: ops.Promote, store: Store) -> None:
        match op.wire, op.kind:
            case (("string" | "bytes"), _):
                self.primitive(op.kind, store)
            case ("int", "long") | ("float", "double"):
                self.primitive(op.wire, store)
            case _:
                function = "to_float32" if op.kind == "float" else "float"
                self.primitive(op.wire, lambda value: store(f"{function}({value})"))

    def fixed(self, op: ops.Fixed, store: Store) -> None:
        value = f"d[p:p + {op.size}]"
        if op.cls is not bytes:
            value = f"{self.code.value(op.cls)}({value})"
        self.code.line(store(value))
        self.code.line(f"p += {op.size}")

    def enum(self, op: ops.Enum, store: Store) -> None:
        code = self.code
        if len(op.values) <= 64:
            table = {2 * i: value for i, value in enumerate(op.values) if value is not None}
            code.line(store(f"{code.value(table)}[d[p]]"))
            code.line("p += 1")
            return
        table = {i: value for i, value in enumerate(op.values) if value is not None}
        self.number("int")
        code.line(store(f"{code.value(table)}[n]"))

    # --- logical types ---

    def logical(self, op: ops.Logical, store: Store) -> None:
        code = self.code
        match op.name, op.wire:
            case "date", _:
                self.raw(op.wire, lambda raw: store(f"from_ordinal({raw} + {EPOCH_ORDINAL})"))
            case (("timestamp-micros" | "local-timestamp-micros"), ops.Primitive(kind="long")):
                self.micros("LOCAL_EPOCH" if "local" in op.name else "EPOCH", store)
            case (("timestamp-millis" | "local-timestamp-millis"), ops.Primitive(kind="long")):
                self.millis("LOCAL_EPOCH" if "local" in op.name else "EPOCH", store)
            case "time-micros", ops.Primitive():
                self.six_bytes()
                self.time("MICRO", 86_400_000_000, store)
            case "time-millis", ops.Primitive():
                self.number("int")
                self.time("MILLI", 86_400_000, store)
            case "decimal", ops.Primitive(kind="bytes"):
                self.decimal(op, store)
            case "decimal", ops.Fixed(size=size):
                longest = max(self.limits.max_decimal_bytes, decimal_size(op.precision))
                if size > longest:
                    code.line("raise Bail")
                code.line(f"n = from_bytes(d[p:p + {size}], 'big', signed=True); p += {size}")
                self.scaled(op, store)
            case "uuid", ops.Primitive(kind="string"):
                self.uuid_text(op, store)
            case "uuid", ops.Fixed():
                code.line("u = new(UUID)")
                code.line("uuid_int(u, from_bytes(d[p:p + 16], 'big')); uuid_safe(u, UNKNOWN)")
                code.line(store("u"))
                code.line("p += 16")
            case _:
                self.converted(op, store)

    def raw(self, wire: ops.Wire, store: Store) -> None:
        self.read(wire, store)

    def converted(self, op: ops.Logical | ops.Call, store: Store) -> None:
        function = self.code.value(from_wire(op, self.limits))
        self.raw(op.wire, lambda raw: store(f"{function}({raw})"))

    def micros(self, epoch: str, store: Store) -> None:
        """Eight bytes hold the microseconds of the years 1978 to 3111; the others are rare."""
        code = self.code
        code.line("n = -1")
        with code.block("if p + 8 <= end:"):
            code.line("a, b, c, e = unpack_4h(d, p)")
            code.line(
                "n = FIRST[a] + (CONTINUED[b] << 13) + (CONTINUED[c] << 27) + (LAST[e] << 41)"
            )
        code.line("if n < 0: n, p = read_long(d, p)")
        code.line("else: p += 8")
        code.line(store(f"{epoch} + n * MICRO"))

    def millis(self, epoch: str, store: Store) -> None:
        """Six bytes hold the milliseconds of June 1970 to 2039."""
        self.six_bytes()
        self.code.line(store(f"{epoch} + n * MILLI"))

    def six_bytes(self) -> None:
        """Set ``n`` to a number that most often takes six bytes."""
        code = self.code
        code.line("n = -1")
        with code.block("if p + 6 <= end:"):
            code.line("a, b, c = unpack_3h(d, p)")
            code.line("n = FIRST[a] + (CONTINUED[b] << 13) + (LAST[c] << 27)")
        code.line("if n < 0: n, p = read_long(d, p)")
        code.line("else: p += 6")

    def time(self, unit: str, units: int, store: Store) -> None:
        """Keep ``n`` as a time of day, which has so many units."""
        self.code.line(f"if not 0 <= n < {units}: raise Bail")
        self.code.line(store(f"(LOCAL_EPOCH + n * {unit}).time()"))

    def decimal(self, op: ops.Logical, store: Store) -> None:
        """Two and three bytes, which are most prices, are taken together with their length."""
        code = self.code
        longest = max(self.limits.max_decimal_bytes, decimal_size(op.precision))
        code.line("n = d[p]")
        code.line("if n == 4: n = unpack_h(d, p + 1)[0]; p += 3")
        code.line("elif n == 6: a, b = unpack_hb(d, p + 1); n = a << 8 | b; p += 4")
        with code.block("else:"):
            self.span()
            code.line(f"if not 0 < e - p <= {longest}: raise Bail")
            code.line("n = from_bytes(d[p:e], 'big', signed=True); p = e")
        self.scaled(op, store)

    def scaled(self, op: ops.Logical, store: Store) -> None:
        quantum = self.code.value(Decimal((0, (1,), -op.scale)))
        self.code.line(store(f"multiply(n, {quantum})"))

    def uuid_text(self, op: ops.Logical, store: Store) -> None:
        code = self.code
        with code.block("if d[p] == 72:"):
            code.line("n = unhexlify(d[p + 1:p + 37].replace(b'-', b''))")
            code.line("if len(n) != 16: raise Bail")
            code.line("u = new(UUID)")
            code.line("uuid_int(u, from_bytes(n, 'big'))")
            code.line("uuid_safe(u, UNKNOWN)")
            code.line(store("u"))
            code.line("p += 37")
        with code.block("else:"):
            self.converted(op, store)

    # --- containers ---

    def blocks(self, least: int, body: Callable[[], None]) -> None:
        """Write the loops over all blocks; the first count's first byte is in ``n``."""
        code = self.code
        with code.block("while n:", loop=True):
            code.line(f"if n & 129: n, p = block_count(d, p - 1, {least})")
            if least:
                times = "n" if least == 1 else f"n * {least}"
                with code.block("else:"):
                    code.line("n >>= 1")
                    code.line(f"if {times} > end - p: raise Bail")
            else:
                code.line("else: n >>= 1")
                code.line(f"charge(z, n, {self.limits.max_zero_size_items})")
            with code.block("for _ in repeat(None, n):", loop=True):
                body()
            code.line("n = d[p]; p += 1")

    def array(self, op: ops.Array, store: Store) -> None:
        code = self.code
        if isinstance(op.items, ops.Primitive) and op.items.kind in bulk.READERS:
            reader, settings = bulk.READERS[op.items.kind]
            code.globals[reader.__name__] = reader
            given = "".join(f", {name}={value!r}" for name, value in settings.items())
            code.line(f"v, p = {reader.__name__}(d, p{given})")
            code.line(store("v"))
            return
        items, add = code.local("i"), code.local("a")
        code.line("n = d[p]; p += 1")
        with code.block("if n:"):
            code.line(f"{items} = []; {add} = {items}.append")
            self.blocks(op.least, lambda: self.read(op.items, lambda value: f"{add}({value})"))
            code.line(store(f"tuple({items})"))
        with code.block("else:"):
            code.line(store("()"))

    def map(self, op: ops.Map, store: Store) -> None:
        code = self.code
        entries, key = code.local("m"), code.local("k")
        code.line(f"{entries} = {{}}")
        code.line("n = d[p]; p += 1")

        def entry() -> None:
            self.span()
            code.line(f"{key} = d[p:e].decode(); p = e")
            self.read(op.values, lambda value: f"{entries}[{key}] = {value}")

        self.blocks(op.least, entry)
        code.line(store(entries))

    def union(self, op: ops.Union, branch: Callable[[Op], None]) -> None:
        code = self.code
        if len(op.branches) <= 64:
            code.line("n = d[p]; p += 1")
            factor = 2
        else:
            self.number("int")
            factor = 1
        order = sorted(range(len(op.branches)), key=lambda i: _is_null(op.branches[i]))
        word = "if"
        for index in order:
            with code.block(f"{word} n == {index * factor}:"):
                branch(op.branches[index])
            word = "elif"
        code.line("else: raise Bail" if order else "raise Bail")

    # --- records ---

    def record(self, op: ops.Record, store: Store) -> None:
        record = self.plan.records[op.index]
        if op.index in self.inlined and not self.code.is_deep:
            self.fields(record, store)
            return
        key = ("record", op.index)
        self.call(op, key, lambda: self.record_body(record), store)

    def record_body(self, record: ops.RecordPlan) -> None:
        self.enter(record)
        self.fields(record, lambda value: f"v = {value}")

    def enter(self, record: ops.RecordPlan) -> None:
        if record.recursive:
            self.code.line("t += 1")
            self.code.line(f"if t > {self.limits.max_depth}: raise Bail")

    def fields(self, record: ops.RecordPlan, store: Store) -> None:
        if record.build == "slots":
            self.slots(record, store)
        else:
            self.arguments(record, store)

    def slots(self, record: ops.RecordPlan, store: Store) -> None:
        code = self.code
        instance = code.local("o")
        code.line(f"{instance} = new({code.value(record.cls)})")

        def setter(attribute: str | None) -> str:
            assert attribute is not None
            return code.value(getattr(record.cls, attribute).__set__, "s")

        for each in record.fields:
            if isinstance(each.op, ops.Skip):
                self.skip(each.op.op)
                continue
            put = setter(each.attribute)
            self.read(each.op, lambda value, put=put: f"{put}({instance}, {value})")  # type: ignore[misc]
        for default in record.defaults:
            value = self.default(default)
            code.line(f"{setter(default.attribute)}({instance}, {value})")
        for name, preset in record.presets:
            code.line(f"{setter(name)}({instance}, {code.value(preset)})")
        code.line(store(instance))

    def arguments(self, record: ops.RecordPlan, store: Store) -> None:
        """Collect the values in a dict and call the class with it."""
        code = self.code
        values = code.local("w")
        code.line(f"{values} = {{}}")
        for each in record.fields:
            if isinstance(each.op, ops.Skip):
                self.skip(each.op.op)
                continue
            key = code.value(each.argument)
            self.read(each.op, lambda value, key=key: f"{values}[{key}] = {value}")  # type: ignore[misc]
        for default in record.defaults:
            key = code.value(default.argument)
            code.line(f"{values}[{key}] = {self.default(default)}")
        code.line(store(f"{code.value(record.cls)}(**{values})"))

    def default(self, default: ops.DefaultPlan) -> str:
        plan = Plan(self.plan.event, default.op, self.plan.records, self.plan.generic)
        if not default.fresh:
            return self.code.value(interpreter.read(plan, default.data))
        if isinstance(default.op, ops.Map) and default.data == b"\0":
            return "{}"
        return f"{self.code.value(lambda: interpreter.read(plan, default.data))}()"

    # --- what nobody wants ---

    def skip(self, op: Op) -> None:
        code = self.code
        if code.is_deep and ops.parts(op):
            self.call(op, ("skip", id(op)), lambda: self.skip_body(op), lambda v: f"v = {v}")
            return
        match op:
            case ops.Primitive(kind="null"):
                pass
            case ops.Primitive(kind="int" | "long" as kind):
                code.line(
                    f"if d[p] < 128: p += 1\n{' ' * code.indent}else: _, p = read_{kind}(d, p)"
                )
            case ops.Primitive(kind="bytes" | "string"):
                self.span()
                code.line("p = e")
            case ops.Primitive():
                code.line(f"p += { {'boolean': 1, 'float': 4, 'double': 8}[op.kind] }")
            case ops.Fixed():
                code.line(f"p += {op.size}")
            case ops.Enum():
                code.line("_, p = read_int(d, p)")
            case ops.Array():
                self.skip_blocks(op.least, lambda: self.skip(op.items))
            case ops.Map():
                self.skip_blocks(op.least, lambda: self.skip_entry(op.values))
            case ops.Union():
                self.union(op, self.skip)
            case ops.Record():
                self.skip_record(op)

    def skip_body(self, op: Op) -> None:
        self.skip(op)
        self.code.line("v = None")

    def skip_entry(self, values: Op) -> None:
        self.span()
        self.code.line("p = e")
        self.skip(values)

    def skip_blocks(self, least: int, body: Callable[[], None]) -> None:
        code = self.code
        with code.block("while d[p]:", loop=True):
            code.line(f"n, p = skip_block(d, p, {least})")
            if not least:
                code.line(f"charge(z, n, {self.limits.max_zero_size_items})")
            with code.block("for _ in repeat(None, n):", loop=True):
                body()
        code.line("p += 1")

    def skip_record(self, op: ops.Record) -> None:
        record = self.plan.records[op.index]
        if op.index in self.inlined and not self.code.is_deep:
            for each in record.fields:
                self.skip(each.op)
            return

        def body() -> None:
            self.enter(record)
            for each in record.fields:
                self.skip(each.op)
            self.code.line("v = None")

        self.call(op, ("skip record", op.index), body, lambda v: f"v = {v}")


def _is_null(op: Op) -> bool:
    return isinstance(op, ops.Primitive) and op.kind == "null"
