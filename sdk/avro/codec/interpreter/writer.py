"""Writes a value, step by step."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from sdk.avro.codec import plan as ops
from sdk.avro.codec import wire
from sdk.avro.codec.interpreter.path import place
from sdk.avro.codec.logical import to_wire
from sdk.avro.codec.plan import Op, Plan, check_version
from sdk.avro.limits import DEFAULT_LIMITS, Limits
from sdk.errors import SerializationError

_DOUBLE: Final = struct.Struct("<d")
REFUSALS: Final = (TypeError, ValueError, ArithmeticError, AttributeError)
"""The exceptions of conversions for values that do not fit."""


def write(plan: Plan, value: Any, prefix: bytes = b"", limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Write a value behind a prefix."""
    check_version(plan)
    return _Writer(plan, limits).run(value, prefix)


class _Writer:
    def __init__(self, plan: Plan, limits: Limits) -> None:
        self.plan = plan
        self.limits = limits
        self.out = bytearray()
        self.path: list[str] = []
        self.depth = 0

    def run(self, value: Any, prefix: bytes) -> bytes:
        self.out += prefix
        try:
            self.write(self.plan.root, value)
        except RecursionError as error:
            self.fail("the event is nested too deeply for this thread", error)
        except REFUSALS as error:  # nothing has left the path since
            self.fail(str(error), error)
        return bytes(self.out)

    def fail(
        self, message: str, cause: Exception | None = None, remedy: str | None = None
    ) -> NoReturn:
        raise SerializationError(
            message,
            event=self.plan.event,
            path=place(self.path),
            remedy=remedy or getattr(cause, "remedy", None),
        ) from cause

    def write(self, op: Op, value: Any) -> None:
        _WRITERS[type(op)](self, op, value)

    def block(self, data: bytes) -> None:
        self.out += wire.long_bytes(len(data))
        self.out += data

    def primitive(self, op: ops.Primitive, value: Any) -> None:
        match op.kind:
            case "null":
                if value is not None:
                    raise TypeError(f"expected None, got {type(value).__name__}")
            case "boolean":
                if not isinstance(value, bool):
                    raise TypeError(f"expected bool, got {type(value).__name__}")
                self.out += b"\1" if value else b"\0"
            case "int":
                self.out += wire.int_bytes(value)
            case "long":
                self.out += wire.checked_long_bytes(value)
            case "float":
                self.out += wire.float_bytes(value)
            case "double":
                self.out += _DOUBLE.pack(wire.as_float(value))
            case "bytes":
                self.block(wire.as_bytes(value))
            case "string":
                self.block(wire.as_text(value))

    def fixed(self, op: ops.Fixed, value: Any) -> None:
        data = wire.as_bytes(value)
        if len(data) != op.size:
            raise ValueError(f"{len(data)} bytes given, {op.size} are needed")
        self.out += data

    def logical(self, op: ops.Logical | ops.Call, value: Any) -> None:
        self.write(op.wire, to_wire(op)(value))

    def enum(self, op: ops.Enum, value: Any) -> None:
        assert op.cls is not None
        if type(value) is not op.cls:
            raise TypeError(f"expected {op.cls.__name__}, got {type(value).__name__}")
        self.out += wire.long_bytes(op.values.index(value))

    def array(self, op: ops.Array, value: Any) -> None:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
            raise TypeError(f"expected tuple, got {type(value).__name__}")
        if value:
            self.out += wire.long_bytes(len(value))
        for index, item in enumerate(value):
            self.path.append(f"[{index}]")
            _WRITERS[type(op.items)](self, op.items, item)
            self.path.pop()
        self.out += b"\0"

    def map(self, op: ops.Map, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected dict, got {type(value).__name__}")
        if value:
            self.out += wire.long_bytes(len(value))
        for key, item in value.items():
            self.path.append(f"[{key!r}]")
            self.block(wire.as_text(key))
            _WRITERS[type(op.values)](self, op.values, item)
            self.path.pop()
        self.out += b"\0"

    def union(self, op: ops.Union, value: Any) -> None:
        candidates = candidates_of(op, type(value))
        if not candidates:
            raise TypeError(f"no branch of the union takes {type(value).__name__}")
        *others, last = candidates
        state = len(self.out), len(self.path), self.depth
        for index in others:
            try:
                return self.branch(op, index, value)
            except (*REFUSALS, SerializationError):
                del self.out[state[0] :], self.path[state[1] :]
                self.depth = state[2]
        return self.branch(op, last, value)

    def branch(self, op: ops.Union, index: int, value: Any) -> None:
        self.out += wire.long_bytes(index)
        _WRITERS[type(op.branches[index])](self, op.branches[index], value)

    def record(self, op: ops.Record, value: Any) -> None:
        record = self.plan.records[op.index]
        assert record.cls is not None
        if type(value) is not record.cls:
            raise TypeError(f"expected {record.cls.__name__}, got {type(value).__name__}")
        self.depth += record.recursive
        if self.depth > self.limits.max_depth:
            self.fail(f"more than {self.limits.max_depth} records inside each other")
        for name, part, attribute, _ in record.fields:
            self.path.append(f".{name}")
            item = None if attribute is None else getattr(value, attribute)
            _WRITERS[type(part)](self, part, item)
            self.path.pop()
        self.depth -= record.recursive

    def constant(self, op: ops.Constant, _: None) -> None:
        self.out += op.data


def candidates_of(op: ops.Union, cls: type[Any]) -> tuple[int, ...]:
    """Return the branches that may take a value of a class or, if there is none, of a base class.

    A bool is never an int, and an event is only its own class.
    """
    if cls in op.choices:
        return op.choices[cls]
    if cls is bool or hasattr(cls, "__attrs_attrs__"):
        return ()
    for base in cls.__mro__[1:]:
        if base in op.choices:
            return op.choices[base]
    if issubclass(cls, Mapping):
        return op.choices.get(dict, ())
    if issubclass(cls, Sequence):
        return op.choices.get(tuple, ())
    return ()


_WRITERS: Final[Mapping[type[Any], Callable[[_Writer, Any, Any], None]]] = {
    ops.Primitive: _Writer.primitive,
    ops.Fixed: _Writer.fixed,
    ops.Logical: _Writer.logical,
    ops.Call: _Writer.logical,
    ops.Enum: _Writer.enum,
    ops.Array: _Writer.array,
    ops.Map: _Writer.map,
    ops.Union: _Writer.union,
    ops.Record: _Writer.record,
    ops.Constant: _Writer.constant,
}
