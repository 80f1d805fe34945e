"""The part of the decoder's compiler that reads values without parts.

See `sdk.avro.codec.compiled.decoder` for the names in the generated code.
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

from sdk.avro.codec import plan as ops
from sdk.avro.codec.compiled.source import Source
from sdk.avro.codec.compiled.support import (
    CONTINUED,
    FIRST,
    LAST,
    BailError,
    block_count,
    charge,
    read_int,
    read_long,
    read_text,
    skip_block,
    span,
)
from sdk.avro.codec.logical import (
    EPOCH,
    EPOCH_ORDINAL,
    EXACT,
    LOCAL_EPOCH,
    MICROSECOND,
    MILLISECOND,
    decimal_size,
    from_wire,
)
from sdk.avro.codec.wire import UNZIGZAG, as_bytes, to_float32
from sdk.avro.limits import Limits

_DIGITS: Final = 1000
"""Decimals of more digits are read by a function: their bound would fill the memory."""
_DIGITS_OF_THREE_BYTES: Final = 7

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
    "read_text": read_text,
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


class LeafReaders:
    """Writes the statements that read primitives, fixed, enums and logical types."""

    def __init__(self, limits: Limits, *, is_large: bool) -> None:
        self.limits = limits
        self.is_large = is_large
        self.code = Source()
        self.code.globals.update(_GLOBALS)

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
        if self.is_large:
            code.line(f"n, p = read_{kind}(d, p)")
            return
        code.line("n = d[p]")
        code.line("if n < 128: n = UNZIGZAG[n]; p += 1")
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
        """Read a primitive."""
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
            case "string" if self.is_large:
                code.line("v, p = read_text(d, p)")
                code.line(store("v"))
            case "bytes" | "string":
                self.span()
                code.line(store("d[p:e].decode()" if kind == "string" else "d[p:e]"))
                code.line("p = e")

    def promote(self, op: ops.Promote, store: Store) -> None:
        """Read a primitive as a wider one."""
        match op.wire, op.kind:
            case (("string" | "bytes"), _):
                self.primitive(op.kind, store)
            case ("int", "long") | ("float", "double"):
                self.primitive(op.wire, store)
            case _:
                function = "to_float32" if op.kind == "float" else "float"
                self.primitive(op.wire, lambda value: store(f"{function}({value})"))

    def fixed(self, op: ops.Fixed, store: Store) -> None:
        """Read a fixed."""
        value = f"d[p:p + {op.size}]"
        if op.cls is not bytes:
            value = f"{self.code.value(op.cls)}({value})"
        self.code.line(store(value))
        self.code.line(f"p += {op.size}")

    def enum(self, op: ops.Enum, store: Store) -> None:
        """Read a symbol: up to 64 of them have indexes of one byte."""
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
        """Read a value of a logical type."""
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
            case "decimal", ops.Primitive(kind="bytes") if op.precision <= _DIGITS:
                self.decimal(op, store)
            case "decimal", ops.Fixed(size=size) if op.precision <= _DIGITS:
                if size > self.longest(op):
                    code.line("raise Bail")
                code.line(f"n = from_bytes(d[p:p + {size}], 'big', signed=True); p += {size}")
                self.in_precision(op)
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
        """Read a raw value."""
        match wire:
            case ops.Primitive():
                self.primitive(wire.kind, store)
            case ops.Promote():
                self.promote(wire, store)
            case ops.Fixed():
                self.fixed(wire, store)

    def converted(self, op: ops.Logical | ops.Call, store: Store) -> None:
        """Read a raw value and convert it by a function."""
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
        code.line("n = d[p]")
        code.line("if n == 4: n = unpack_h(d, p + 1)[0]; p += 3")
        code.line("elif n == 6: a, b = unpack_hb(d, p + 1); n = a << 8 | b; p += 4")
        with code.block("else:"):
            self.span()
            code.line(f"if not 0 < e - p <= {self.longest(op)}: raise Bail")
            code.line("n = from_bytes(d[p:e], 'big', signed=True); p = e")
            self.in_precision(op)
        if op.precision < _DIGITS_OF_THREE_BYTES:
            self.in_precision(op)
        self.scaled(op, store)

    def longest(self, op: ops.Logical) -> int:
        """Return how many bytes a decimal may have."""
        return max(self.limits.max_decimal_bytes, decimal_size(op.precision))

    def in_precision(self, op: ops.Logical) -> None:
        """Write that ``n`` may not have more digits than the decimal's precision."""
        bound = self.code.value(10**op.precision)
        self.code.line(f"if not -{bound} < n < {bound}: raise Bail")

    def scaled(self, op: ops.Logical, store: Store) -> None:
        """Keep ``n`` as a decimal."""
        quantum = self.code.value(Decimal((0, (1,), -op.scale)))
        self.code.line(store(f"multiply(n, {quantum})"))

    def uuid_text(self, op: ops.Logical, store: Store) -> None:
        """Read a UUID: the usual form in place, any other by a function."""
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
