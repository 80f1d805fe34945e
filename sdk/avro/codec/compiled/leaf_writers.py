"""The part of the encoder's compiler that writes values without parts.

See `sdk.avro.codec.compiled.encoder` for the names in the generated code.
"""

from __future__ import annotations

import struct
from binascii import hexlify
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sdk.avro.codec import plan as ops
from sdk.avro.codec.compiled.source import Source
from sdk.avro.codec.compiled.support import (
    LENGTHS,
    PAIRS,
    SMALL,
    BailError,
    int_bytes,
    large,
    large_int,
    large_long,
    length,
    long_bytes_of,
    refuse,
)
from sdk.avro.codec.logical import (
    EPOCH,
    EPOCH_ORDINAL,
    LOCAL_EPOCH,
    decimal_context,
    decimal_size,
    to_wire,
)
from sdk.avro.codec.wire import long_bytes

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
    "int_bytes": int_bytes,
    "long_bytes": long_bytes_of,
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


class LeafWriters:
    """Writes the statements that make pieces of primitives, fixed and logical types."""

    def __init__(self, *, is_large: bool) -> None:
        self.is_large = is_large
        self.code = Source()
        self.code.globals.update(_GLOBALS)
        self.pieces: list[str] = []

    def named(self, value: str) -> str:
        """Return a local name for a value."""
        if value.isidentifier():
            return value
        name = self.code.local("x")
        self.code.line(f"{name} = {value}")
        return name

    def expect(self, name: str, cls: str) -> None:
        """Write that anything but instances of one class goes to the interpreter."""
        self.code.line(f"if {name}.__class__ is not {cls}: raise Bail")

    # --- leaves ---

    def primitive(self, kind: str, value: str) -> None:
        """Add the pieces of a primitive."""
        code = self.code
        match kind:
            case "null":
                code.line(f"if {value} is not None: raise Bail")
            case "boolean":
                name = self.named(value)
                self.pieces.append(
                    f"b'\\1' if {name} is True else b'\\0' if {name} is False else refuse()"
                )
            case "int" | "long" if self.is_large:
                self.pieces.append(f"{kind}_bytes({value})")
            case "int" | "long":
                name = self.named(value)
                self.expect(name, "int")
                self.pieces.append(number_piece(name, kind))
            case "float" | "double":
                name = self.named(value)
                self.expect(name, "float")
                self.pieces.append(f"pack_{kind}({name})")
            case "bytes":
                name = self.named(value)
                self.expect(name, "bytes")
                self.pieces += [length_piece(name), name]
            case "string":
                name = code.local("x")
                code.line(f"{name} = encode_text({value})")
                self.pieces += [length_piece(name), name]

    def fixed(self, op: ops.Fixed, value: str) -> None:
        """Add the piece of a fixed."""
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
        """Add the pieces of a value of a logical type."""
        code = self.code
        match op.name, op.wire:
            case "date", _:
                name = self.named(value)
                self.expect(name, "date")
                days = code.local("x")
                code.line(f"{days} = {name}.toordinal() - {EPOCH_ORDINAL}")
                self.pieces.append(number_piece(days, "int"))
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
        """Convert a value by a function and add the pieces of the raw one."""
        name = self.code.local("x")
        self.code.line(f"{name} = {self.code.value(to_wire(op))}({value})")
        if isinstance(op.wire, ops.Fixed):
            self.fixed(op.wire, name)
        else:
            self.primitive(op.wire.kind, name)

    def since(self, epoch: str, value: str) -> str:
        """Set a name to the time since an epoch; a missing or superfluous zone is a TypeError."""
        name = self.named(value)
        self.expect(name, "datetime")
        delta = self.code.local("x")
        self.code.line(f"{delta} = {name} - {epoch}")
        return delta

    def micros(self, epoch: str, value: str) -> None:
        """Add the pieces of a timestamp, which most often takes eight bytes."""
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
        """Add the pieces of a timestamp, which most often takes six bytes."""
        delta = self.since(epoch, value)
        code = self.code
        code.line(
            f"n = ({delta}.days * 86400 + {delta}.seconds) * 1000 + {delta}.microseconds // 1000"
        )
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
        """Add the pieces of a time of day."""
        code = self.code
        name, units = self.named(value), code.local("x")
        code.line(f"if {name}.__class__ is not time or {name}.tzinfo is not None: raise Bail")
        code.line(f"n = ({name}.hour * 60 + {name}.minute) * 60 + {name}.second")
        if op.name == "time-micros":
            code.line(f"n = n * 1000000 + {name}.microsecond")
            self.six_bytes()
            return
        code.line(f"{units} = n * 1000 + {name}.microsecond // 1000")
        self.pieces.append(number_piece(units, "int"))

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
        longest = decimal_size(op.precision)
        if longest > 4095:  # a schema may claim any precision; a table for it would fill memory
            self.pieces += [f"length({size})", data]
            return
        sizes = code.value(tuple(map(long_bytes, range(longest + 1))))
        self.pieces += [f"{sizes}[{size}]", data]


def number_piece(name: str, kind: str) -> str:
    """Return the piece of a number: what takes up to four bytes is looked up."""
    return (
        f"SMALL[n] if (n := {name} + {name} if {name} >= 0 else ~({name} + {name})) < 16384 else "
        f"PAIRS[n & 16383] + SMALL[n >> 14] if n < 268435456 else large_{kind}({name})"
    )


def length_piece(name: str) -> str:
    """Return the piece with the length of bytes."""
    return f"LENGTHS[n] if (n := len({name})) < 4096 else length(n)"
