"""Compiles the plan of an encoder.

Names in the generated code: ``v`` the event, ``x…`` values, ``t`` how many records that can contain
themselves surround us, ``out`` the list of pieces. Pieces that are known together are added
together: at the end all are joined once, behind the prefix. A function without loops needs no
list at all.

A value of an unexpected class is not yet an error: the interpreter decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sdk.avro.codec import interpreter
from sdk.avro.codec import plan as ops
from sdk.avro.codec.compiled import bulk
from sdk.avro.codec.compiled.inlining import inlined_records, is_large
from sdk.avro.codec.compiled.leaf_writers import LeafWriters, length_piece
from sdk.avro.codec.compiled.source import Source
from sdk.avro.codec.plan import Op, Plan, check_version
from sdk.avro.codec.wire import long_bytes
from sdk.avro.limits import Limits

_FEW: Final = 8
"""Branches with at most this many pieces are kept in variables, longer ones in the list."""


Fallback = Callable[[Any, bytes, Exception], bytes]


def compile_encoder(
    plan: Plan, limits: Limits, fallback: Fallback | None = None
) -> Callable[..., bytes]:
    """Return the function ``encode(event, prefix=b"")`` of a plan."""

    def replay(event: Any, prefix: bytes, error: Exception) -> bytes:
        if isinstance(error, MemoryError):
            raise error
        return interpreter.write(plan, event, prefix, limits)

    check_version(plan)
    return _Encoder(plan, limits).compile(fallback or replay)


class _Encoder(LeafWriters):
    def __init__(self, plan: Plan, limits: Limits) -> None:
        super().__init__(is_large=is_large(plan))
        self.plan = plan
        self.limits = limits
        self.inlined = inlined_records(plan)
        self.functions: dict[Any, str] = {}
        self.pending: list[Callable[[], None]] = []
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
                return op.index in self.inlined and all(
                    self.is_simple(each) for _, each, _, _ in fields
                )
        return True

    def weight(self, op: Op) -> int:
        """Return roughly how many pieces an operation adds."""
        match op:
            case ops.Union():
                return 1 + max(map(self.weight, op.branches), default=0)
            case ops.Record() if op.index in self.inlined:
                fields = self.plan.records[op.index].fields
                return sum(self.weight(each) for _, each, _, _ in fields)
        return 2

    def flush(self) -> None:
        """Move the pending pieces to the list."""
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
        """Write a value with a function that is compiled after the current one."""
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
        """Write the statements that add the pieces of a value."""
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
                table = {x.value: long_bytes(i) for i, x in enumerate(op.values) if x is not None}
                self.pieces.append(f"{self.code.value(table)}[{name}._value_]")
            case ops.Constant():
                self.pieces.append(self.code.value(op.data))
            case ops.Array():
                self.array(op, value)
            case ops.Map():
                self.map(op, value)
            case ops.Union():
                self.union(op, value)
            case ops.Record():
                self.record(op, value)

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
            self.pieces.append(f"write_number_map({name}, {op.values.kind!r})")
            return
        self.flush()
        key, item, text = code.local("x"), code.local("x"), code.local("x")
        with code.block(f"if {name}:"):
            code.line(f"out.append(length(len({name})))")
            with code.block(f"for {key}, {item} in {name}.items():", loop=True), self.apart():
                code.line(f"{text} = encode_text({key})")
                self.pieces += [length_piece(text), text]
                self.write(op.values, item)
                self.flush()
        self.pieces.append("b'\\0'")

    def union(self, op: ops.Union, value: str) -> None:
        """Write a branch for each distinctive class; the interpreter handles the others."""
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
        for _, op, attribute, _ in record.fields:
            self.write(op, f"{name}.{attribute}")


def _bulk(op: ops.Array) -> tuple[Callable[..., bytes], dict[str, Any]] | None:
    items = op.items
    return bulk.WRITERS.get(items.kind) if isinstance(items, ops.Primitive) else None


def _tests(op: ops.Union, name: str, code: Source) -> Iterator[tuple[str, int]]:
    """Yield the test of each branch that a class (or a class and a range) identifies."""
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
