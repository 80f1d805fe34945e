"""The executors of plans, and the choice of the one that a process uses.

The variable ``SDK_ACCEL`` selects one: ``auto`` (the default) takes the native executor if
it is installed and passes a self-check, ``off`` never loads it, and ``require`` makes its absence
an error. A plan that the native executor does not support goes to the compiled one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from sdk.avro.codec import interpreter
from sdk.avro.codec.logical import from_wire, to_wire
from sdk.avro.codec.plan import (
    PLAN_VERSION,
    Array,
    Logical,
    Plan,
    Primitive,
    Record,
    RecordPlan,
)
from sdk.avro.limits import DEFAULT_LIMITS, Limits
from sdk.errors import ConfigurationError

logger = logging.getLogger(__name__)

VARIABLE: Final = "SDK_ACCEL"
_CHOICES: Final = ("auto", "off", "require")

Compile = Callable[[Plan, Limits], Callable[..., Any]]


@frozen
class Executor:
    """The functions that turn plans into codecs.

    Attributes:
        name: ``native``, ``compiled`` or ``interpreter``.
        reason: Why it was chosen, in words.
        compile_encoder: Plan, limits → ``encode(event, prefix=b"")``.
        compile_decoder: Plan, limits → ``decode(data, start=0)``.
    """

    name: str
    reason: str
    compile_encoder: Compile
    compile_decoder: Compile


_used: Executor | None = None


def executor() -> Executor:
    """Return the executor that this process uses; it is chosen once.

    Raises:
        ConfigurationError: ``SDK_ACCEL`` has an unknown value, or is ``require`` and the native
            executor cannot be used.
    """
    chosen = _used or _choose()
    use(chosen)
    return chosen


def use(executor: Executor | None) -> Executor | None:
    """Set the executor of codecs made from now on, and return the previous one.

    None makes the next use choose again. See `sdk.avro.codec.codecs.running_on`.
    """
    global _used
    former, _used = _used, executor
    return former


def executor_named(name: str) -> Executor:
    """Return one of the three executors, whatever ``SDK_ACCEL`` says.

    Raises:
        ImportError: The native executor is not installed, or runs another version of plans.
    """
    reason = "asked for by name"
    if name == "native":
        return _native(reason)
    return _compiled(reason) if name == "compiled" else _interpreter(reason)


def _choose() -> Executor:
    wanted = os.environ.get(VARIABLE, "auto").strip().lower() or "auto"
    if wanted not in _CHOICES:
        raise ConfigurationError(
            f"{VARIABLE} is {wanted!r}", remedy=f"use one of {', '.join(_CHOICES)}"
        )
    if wanted == "off":
        return _compiled(f"{VARIABLE}=off")
    try:
        found = _native("installed")
        _check(found)
    except ModuleNotFoundError as error:
        if error.name != "sdk_accel":
            return _refused(wanted, error)
        if wanted == "require":
            raise ConfigurationError(
                f"{VARIABLE}=require, and the native executor is not installed",
                remedy="pip install 'avro-messaging-sdk[accel]', or in a checkout: make accel",
            ) from error
        return _compiled("the native executor is not installed")
    except Exception as error:  # noqa: BLE001 - a broken extension may raise anything
        return _refused(wanted, error)
    return found


def _compiled(reason: str) -> Executor:
    from sdk.avro.codec import compiled  # the native executor seldom needs it

    return Executor("compiled", reason, compiled.compile_encoder, compiled.compile_decoder)


def _interpreter(reason: str) -> Executor:
    def compile_encoder(plan: Plan, limits: Limits) -> Callable[..., bytes]:
        return lambda event, prefix=b"": interpreter.write(plan, event, prefix, limits)

    def compile_decoder(plan: Plan, limits: Limits) -> Callable[..., Any]:
        return lambda data, start=0: interpreter.read(plan, data, start, limits)

    return Executor("interpreter", reason, compile_encoder, compile_decoder)


def _refused(wanted: str, error: Exception) -> Executor:
    reason = f"the native executor cannot be used: {error}"
    if wanted == "require":
        raise ConfigurationError(
            f"{VARIABLE}=require, and {reason}",
            remedy="install the version that belongs to this SDK, or set SDK_ACCEL=auto",
        ) from error
    logger.warning("%s; the compiled one runs instead", reason)
    return _compiled(reason)


def _native(reason: str) -> Executor:
    import sdk_accel

    if sdk_accel.PLAN_VERSION != PLAN_VERSION:
        raise ImportError(
            f"it runs plans of version {sdk_accel.PLAN_VERSION}, and plans have version "
            f"{PLAN_VERSION}"
        )

    def compile_encoder(plan: Plan, limits: Limits) -> Callable[..., bytes]:
        def replay(event: Any, prefix: bytes) -> bytes:
            return interpreter.write(plan, event, prefix, limits)

        try:
            encode: Callable[..., bytes] = sdk_accel.compile_encoder(plan, limits, to_wire, replay)
            return encode
        except sdk_accel.Unsupported as error:
            logger.debug("%s is written by the compiled executor: %s", plan.event, error)
            return _compiled(str(error)).compile_encoder(plan, limits)

    def compile_decoder(plan: Plan, limits: Limits) -> Callable[..., Any]:
        def convert(op: Any) -> Callable[[Any], Any]:
            return from_wire(op, limits)

        def replay(data: bytes, start: int) -> Any:
            return interpreter.read(plan, data, start, limits)

        try:
            decode: Callable[..., Any] = sdk_accel.compile_decoder(plan, limits, convert, replay)
            return decode
        except sdk_accel.Unsupported as error:
            logger.debug("%s is read by the compiled executor: %s", plan.event, error)
            return _compiled(str(error)).compile_decoder(plan, limits)

    return Executor("native", reason, compile_encoder, compile_decoder)


@frozen(kw_only=True)
class _Golden:
    """The event that the self-check encodes and decodes."""

    number: int
    names: tuple[str, ...]
    amount: Any


def _check(executor: Executor) -> None:
    """Encode and decode an event whose bytes are known; an extension that differs is not used."""
    from decimal import Decimal

    op = Logical(Primitive("bytes"), "decimal", 9, 2)
    fields = (
        ("number", Primitive("long"), "number", "number"),
        ("names", Array(Primitive("string"), 1), "names", "names"),
        ("amount", op, "amount", "amount"),
    )
    plan = Plan("Golden", Record(0), (RecordPlan("Golden", fields, "slots", _Golden),))
    golden = _Golden(number=-(2**40), names=("é", "tea"), amount=Decimal("-12.34"))
    data = bytes.fromhex("ffffffffff3f 0404c3a90674656100 04fb2e")
    if executor.compile_encoder(plan, DEFAULT_LIMITS)(golden) != data:
        raise ImportError("it writes an event differently")
    if executor.compile_decoder(plan, DEFAULT_LIMITS)(data) != golden:
        raise ImportError("it reads an event differently")
