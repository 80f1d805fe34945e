"""Compiles the plan of a decoder.

Names in the generated code: ``d`` payload, ``p`` position, ``end`` its length, ``t`` how many
records that can contain themselves surround us, ``z`` how many items without bytes there were (a
list of one), ``n`` and ``e`` scratch. Reading past the end raises `IndexError`, or leaves the
position behind the end, which the last comparison finds; so slices need no separate check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sdk.avro.codec import interpreter
from sdk.avro.codec import plan as ops
from sdk.avro.codec.compiled import bulk
from sdk.avro.codec.compiled.inlining import inlined_records, is_large
from sdk.avro.codec.compiled.leaf_readers import LeafReaders, Store
from sdk.avro.codec.plan import Op, Plan, check_version
from sdk.avro.limits import Limits

Fallback = Callable[[bytes, int, Exception], Any]


def compile_decoder(
    plan: Plan, limits: Limits, fallback: Fallback | None = None
) -> Callable[..., Any]:
    """Return the function ``decode(data, start=0)`` of a plan."""

    def replay(data: bytes, start: int, error: Exception) -> Any:
        if isinstance(error, MemoryError):
            raise error
        return interpreter.read(plan, data, start, limits)

    check_version(plan)
    return _Decoder(plan, limits).compile(fallback or replay)


class _Decoder(LeafReaders):
    def __init__(self, plan: Plan, limits: Limits) -> None:
        super().__init__(limits, is_large=is_large(plan))
        self.plan = plan
        self.inlined = inlined_records(plan)
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

    # --- separate functions ---

    def call(self, op: Op, key: tuple[str, Any], body: Callable[[], None], store: Store) -> None:
        """Read a value with a function that is compiled after the current one."""
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

        for _, op, attribute, _ in record.fields:
            if isinstance(op, ops.Skip):
                self.skip(op.op)
                continue
            put = setter(attribute)
            self.read(op, lambda value, put=put: f"{put}({instance}, {value})")  # type: ignore[misc]
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
        for _, op, _, argument in record.fields:
            if isinstance(op, ops.Skip):
                self.skip(op.op)
                continue
            key = code.value(argument)
            self.read(op, lambda value, key=key: f"{values}[{key}] = {value}")  # type: ignore[misc]
        for default in record.defaults:
            key = code.value(default.argument)
            code.line(f"{values}[{key}] = {self.default(default)}")
        code.line(store(f"{code.value(record.cls)}(**{values})"))

    def default(self, default: ops.DefaultPlan) -> str:
        plan = Plan(self.plan.event, default.op, self.plan.records)
        if not default.fresh:
            return self.code.value(interpreter.read(plan, default.data))
        if isinstance(default.op, ops.Map) and default.data == b"\0":
            return "{}"
        return f"{self.code.value(lambda: interpreter.read(plan, default.data))}()"

    # --- skipped values ---

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
            for _, each, _, _ in record.fields:
                self.skip(each)
            return

        def body() -> None:
            self.enter(record)
            for _, each, _, _ in record.fields:
                self.skip(each)
            self.code.line("v = None")

        self.call(op, ("skip record", op.index), body, lambda v: f"v = {v}")


def _is_null(op: Op) -> bool:
    return isinstance(op, ops.Primitive) and op.kind == "null"
