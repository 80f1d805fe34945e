"""The executors that tests of the codec run on, and their results."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import attrs

from sdk.avro import Limits
from sdk.avro.codec import compiled
from sdk.avro.codec.executors import executor, executor_named
from sdk.avro.codec.logical import from_wire, to_wire
from sdk.avro.codec.plan import Plan
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.errors import SdkError

FAST: Final = ("compiled", "native") if executor().name == "native" else ("compiled",)
"""The executors that leave unexpected values to the interpreter."""

EXECUTORS: Final = {name: executor_named(name) for name in ("interpreter", *FAST)}


class GaveUpError(Exception):
    """A fast executor left the answer to the interpreter."""


def _give_up(*_: Any) -> Any:
    raise GaveUpError


def fast_reader(name: str, plan: Plan, limits: Limits = DEFAULT_LIMITS) -> Callable[..., Any]:
    """The decoder of a fast executor, without the interpreter behind it."""
    if name == "compiled":
        return compiled.compile_decoder(plan, limits, _give_up)
    import sdk_accel

    return sdk_accel.compile_decoder(plan, limits, lambda op: from_wire(op, limits), _give_up)


def fast_writer(name: str, plan: Plan, limits: Limits = DEFAULT_LIMITS) -> Callable[..., bytes]:
    """The encoder of a fast executor, without the interpreter behind it."""
    if name == "compiled":
        return compiled.compile_encoder(plan, limits, _give_up)
    import sdk_accel

    return sdk_accel.compile_encoder(plan, limits, to_wire, _give_up)


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a codec as comparable data: a value with its exact types, or an error."""
    try:
        return exactly(function(*arguments))
    except SdkError as error:
        place = (error.event, error.path, error.byte_offset)
        return type(error), *place, str(error), repr(error.__cause__)


def exactly(value: Any) -> Any:
    """A value with the classes of all that is in it; numbers by their bits, maps in their order."""
    kind = type(value)
    if attrs.has(kind):
        parts = [(each.name, getattr(value, each.name)) for each in attrs.fields(kind)]
        return kind, [(name, exactly(part)) for name, part in parts]
    if kind is tuple:
        return kind, [exactly(item) for item in value]
    if kind is dict:
        return kind, [(exactly(key), exactly(item)) for key, item in value.items()]
    return kind, struct.pack("<d", value) if kind is float else repr(value)
