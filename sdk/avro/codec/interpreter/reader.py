"""Reads a value, step by step."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NoReturn

from sdk.avro.codec import plan as ops
from sdk.avro.codec import wire
from sdk.avro.codec.interpreter.path import place
from sdk.avro.codec.logical import from_wire
from sdk.avro.codec.plan import Op, Plan, check_version
from sdk.avro.limits import DEFAULT_LIMITS, Limits
from sdk.errors import DeserializationError

_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")


def read(plan: Plan, data: bytes, start: int = 0, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Read a value."""
    check_version(plan)
    return _Reader(plan, data, start, limits).run()


class _Reader:
    def __init__(self, plan: Plan, data: bytes, start: int, limits: Limits) -> None:
        self.plan = plan
        self.data = data if type(data) is bytes else self.as_bytes(data)
        self.position = start
        self.limits = limits
        self.path: list[str] = []
        self.depth = 0
        self.empty_items = 0

    def as_bytes(self, data: Any) -> bytes:
        try:
            return wire.as_bytes(data)
        except TypeError as error:
            raise DeserializationError(
                str(error), event=self.plan.event, remedy="a null value has no event in it"
            ) from error

    def run(self) -> Any:
        if not 0 <= self.position <= len(self.data):
            self.fail(f"the payload of {len(self.data)} bytes ends before the body starts", 0)
        if len(self.data) > self.limits.max_payload_bytes:
            self.fail(f"the payload has {len(self.data)} bytes", 0, remedy="raise the limit")
        try:
            value = self.read(self.plan.root)
        except RecursionError as error:
            self.fail("the value is nested too deeply for this thread", self.position, error)
        left = len(self.data) - self.position
        if left:
            self.path.clear()
            self.fail(f"{left} bytes are left over", self.position)
        return value

    def fail(
        self, message: str, offset: int, cause: Exception | None = None, remedy: str | None = None
    ) -> NoReturn:
        raise DeserializationError(
            message,
            event=self.plan.event,
            path=place(self.path),
            byte_offset=offset,
            remedy=remedy or getattr(cause, "remedy", None),
        ) from cause

    def read(self, op: Op) -> Any:
        return _READERS[type(op)](self, op)

    # --- pieces ---

    def take(self, size: int, start: int) -> bytes:
        left = len(self.data) - self.position
        if size < 0:
            self.fail(f"length {size} is negative", start)
        if size > left:
            self.fail(f"{size} bytes are needed, {left} are left", start)
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, kind: str, start: int) -> int:
        try:
            reader = wire.read_int if kind == "int" else wire.read_long
            value, self.position = reader(self.data, self.position)
        except IndexError as error:
            self.fail("the payload ends inside a number", start, error)
        except wire.MalformedError as error:
            self.fail(str(error), start, error)
        return value

    def index(self, size: int, what: str, start: int) -> int:
        value = self.number("int", start)
        if not 0 <= value < size:
            self.fail(f"index {value} is not one of the {size} {what}", start)
        return value

    def raw(self, kind: str) -> Any:
        start = self.position
        match kind:
            case "null":
                return None
            case "boolean":
                byte = self.take(1, start)[0]
                if byte > 1:
                    self.fail(f"byte {byte} is not a boolean", start)
                return byte == 1
            case "int" | "long":
                return self.number(kind, start)
            case "float":
                return _FLOAT.unpack(self.take(4, start))[0]
            case "double":
                return _DOUBLE.unpack(self.take(8, start))[0]
        return self.take(self.number("long", start), start)

    def text(self, data: bytes, start: int) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            self.fail(str(error), start, error)

    # --- operations ---

    def primitive(self, op: ops.Primitive) -> Any:
        start = self.position
        value = self.raw(op.kind)
        return self.text(value, start) if op.kind == "string" else value

    def promote(self, op: ops.Promote) -> Any:
        start = self.position
        value = self.raw(op.wire)
        match op.kind:
            case "string":
                return self.text(value, start)
            case "float":
                return wire.to_float32(value)
            case "double":
                return float(value)
        return value

    def fixed(self, op: ops.Fixed) -> bytes:
        data = self.take(op.size, self.position)
        return data if op.cls is bytes else op.cls(data)

    def logical(self, op: ops.Logical | ops.Call) -> Any:
        start = self.position
        value = self.read(op.wire)
        try:
            return from_wire(op, self.limits)(value)
        except (ValueError, ArithmeticError) as error:
            self.fail(str(error), start, error)

    def enum(self, op: ops.Enum) -> Any:
        start = self.position
        index = self.index(len(op.symbols), f"symbols of {op.name}", start)
        value = op.values[index]
        if value is None:
            self.fail(f"enum {op.name} has no symbol {op.symbols[index]!r} and no default", start)
        return value

    def blocks(self, least: int, *, skip: bool = False) -> Iterator[int]:
        """Yield the index of each item; with ``skip``, jump over blocks with a size."""
        total = 0
        while True:
            start = self.position
            count = self.number("long", start)
            if count == 0:
                return
            if count < 0:
                count = -count
                size = self.number("long", start)
                if not 0 <= size <= len(self.data) - self.position:
                    self.fail(f"a block of {size} bytes does not fit the payload", start)
                if skip:
                    self.position += size
                    continue
            left = len(self.data) - self.position
            if count * least > left:
                self.fail(f"{count} items cannot fit the {left} bytes that are left", start)
            if least == 0:
                self.empty_items += count
                if self.empty_items > self.limits.max_zero_size_items:
                    self.fail(f"{self.empty_items} items that take no bytes", start)
            yield from range(total, total + count)
            total += count

    def array(self, op: ops.Array) -> Any:
        items = []
        for index in self.blocks(op.least):
            self.path.append(f"[{index}]")
            items.append(_READERS[type(op.items)](self, op.items))
            self.path.pop()
        return tuple(items)

    def map(self, op: ops.Map) -> dict[str, Any]:
        entries = {}
        for _ in self.blocks(op.least):
            start = self.position
            key = self.text(self.raw("string"), start)
            self.path.append(f"[{key!r}]")
            entries[key] = _READERS[type(op.values)](self, op.values)
            self.path.pop()
        return entries

    def union(self, op: ops.Union) -> Any:
        branch = op.branches[self.index(len(op.branches), "branches", self.position)]
        return _READERS[type(branch)](self, branch)

    def record(self, op: ops.Record) -> Any:
        record = self.plan.records[op.index]
        start = self.position
        self.enter(record, start)
        values = {}
        for name, part, attribute, _ in record.fields:
            self.path.append(f".{name}")
            value = _READERS[type(part)](self, part)
            self.path.pop()
            if attribute is not None:
                values[attribute] = value
        for default in record.defaults:
            plan = ops.Plan(self.plan.event, default.op, self.plan.records)
            values[default.attribute] = read(plan, default.data)
        self.depth -= record.recursive
        return self.build(record, values, start)

    def enter(self, record: ops.RecordPlan, start: int) -> None:
        self.depth += record.recursive
        if self.depth > self.limits.max_depth:
            self.fail(f"more than {self.limits.max_depth} records inside each other", start)

    def build(self, record: ops.RecordPlan, values: dict[str, Any], start: int) -> Any:
        assert record.cls is not None
        if record.build == "call":
            names = {argument: name for _, _, name, argument in record.fields if argument and name}
            names |= {each.argument: each.attribute for each in record.defaults}
            try:
                return record.cls(**{argument: values[name] for argument, name in names.items()})
            except Exception as error:  # noqa: BLE001 - the class's own hooks may raise anything
                self.fail(f"{record.cls.__name__} refuses the values: {error}", start, error)
        instance = object.__new__(record.cls)
        for name, value in (*values.items(), *record.presets):
            getattr(record.cls, name).__set__(instance, value)
        return instance

    def refuse(self, op: ops.Refuse) -> NoReturn:
        self.fail(op.message, self.position, remedy="read with a schema that has this type")

    # --- skipped values ---

    def skip(self, op: ops.Skip) -> None:
        self.skip_over(op.op)

    def skip_over(self, op: Op) -> None:
        start = self.position
        match op:
            case ops.Primitive(kind="null"):
                pass
            case ops.Primitive(kind="boolean"):
                self.take(1, start)
            case ops.Primitive():
                self.raw(op.kind)
            case ops.Fixed():
                self.take(op.size, start)
            case ops.Enum():
                self.number("int", start)
            case ops.Array():
                for _ in self.blocks(op.least, skip=True):
                    self.skip_over(op.items)
            case ops.Map():
                for _ in self.blocks(op.least, skip=True):
                    self.raw("string")
                    self.skip_over(op.values)
            case ops.Union():
                self.skip_over(op.branches[self.index(len(op.branches), "branches", start)])
            case ops.Record():
                record = self.plan.records[op.index]
                self.enter(record, start)
                for _, part, _, _ in record.fields:
                    self.skip_over(part)
                self.depth -= record.recursive


_READERS: Final[Mapping[type[Any], Callable[[_Reader, Any], Any]]] = {
    ops.Primitive: _Reader.primitive,
    ops.Promote: _Reader.promote,
    ops.Fixed: _Reader.fixed,
    ops.Logical: _Reader.logical,
    ops.Call: _Reader.logical,
    ops.Enum: _Reader.enum,
    ops.Array: _Reader.array,
    ops.Map: _Reader.map,
    ops.Union: _Reader.union,
    ops.Record: _Reader.record,
    ops.Refuse: _Reader.refuse,
    ops.Skip: _Reader.skip,
}
