"""Bytes ↔ events: finds or makes the codec of a class, and keeps it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sdk.avro.codec.binding import Binding, bind
from sdk.avro.codec.lowering import encode_plan
from sdk.avro.codec.wire import MalformedError, read_int
from sdk.avro.limits import DEFAULT_LIMITS, Limits
from sdk.avro.schema import Schema, UnionSchema, parse_schema
from sdk.avro.schema.canonical import normalized_hash
from sdk.avro.schema.equality import same_definition
from sdk.avro.schema.parsing import Reference
from sdk.errors import DeserializationError, IncompatibleSchemaError

if TYPE_CHECKING:
    from sdk.avro.codec.executors import Executor
    from sdk.avro.codec.plan import Plan
    from sdk.avro.resolution.actions import Resolution

SchemaSource = str | Mapping[str, Any] | list[Any] | Schema
"""JSON text, its parsed value, or a parsed schema."""

_E = TypeVar("_E", covariant=True)
_T = TypeVar("_T")
_E_contra = TypeVar("_E_contra", contravariant=True)


class Encoder(Protocol[_E_contra]):
    """Writes events of one class."""

    def __call__(self, event: _E_contra, prefix: bytes = b"", /) -> bytes:
        """Return the prefix and the body.

        Raises:
            SerializationError: The event does not fit its schema; ``path`` names the field.
        """


class Decoder(Protocol[_E]):
    """Reads events of one class written with one schema."""

    def __call__(self, data: bytes, start: int = 0, /) -> _E:
        """Return the event whose body starts at ``start`` and ends with ``data``.

        Raises:
            DeserializationError: The bytes cannot be read; ``path`` names the field and
                ``byte_offset`` where its value starts in ``data``.
        """


class Cache:
    """Keeps the newest values; each is made once, even if several threads need it.

    Args:
        size: How many values to keep; beyond that, the oldest are dropped.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def get(self, key: Hashable) -> Any:
        """Return the value of a key, or None."""
        return self._kept.get(key)

    def get_or_make(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return the value of a key; make it if there is none yet."""
        kept: _T | None = self._kept.get(key)
        if kept is not None:
            return kept
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                kept = make()
                while len(self._kept) >= self._size:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = kept
            return kept

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


_CACHE_SIZE: Final = 1000
_bindings: Final = Cache(_CACHE_SIZE)
_plans: Final = Cache(_CACHE_SIZE)
_encoders: Final = Cache(_CACHE_SIZE)
_decoders: Final = Cache(_CACHE_SIZE)
_by_text: Final = Cache(_CACHE_SIZE)


def encode(event: Any) -> bytes:
    """Write an event.

    Args:
        event: An instance of a generated class.

    Returns:
        The bare body, in Avro's binary encoding.

    Raises:
        SerializationError: The event does not fit its schema; ``path`` names the field.
        SchemaError: The object is not an event, or its class does not fit its schema.
    """
    cls = event.__class__
    encoder = _encoders.get(cls) or encoder_for(cls)
    body: bytes = encoder(event)
    return body


def decode(cls: type[_T], data: bytes, writer_schema: SchemaSource | None = None) -> _T:
    """Read an event.

    Args:
        cls: The requested generated class.
        data: The bare body.
        writer_schema: The schema that the body was written with; by default that of the class.

    Returns:
        An instance of the class.

    Raises:
        DeserializationError: The bytes cannot be read; ``path`` names the field and
            ``byte_offset`` where its value starts.
        IncompatibleSchemaError: The class can never read what this schema wrote.
        InvalidSchemaError: The writer's schema is not valid Avro.
        SchemaError: The class does not fit its own schema.
    """
    if writer_schema is not None and not isinstance(writer_schema, str):
        return decoder_for(cls, writer_schema)(data)
    key = (cls, writer_schema)
    decoder: Decoder[_T] = _by_text.get(key) or _by_text.get_or_make(
        key, lambda: decoder_for(cls, writer_schema)
    )
    return decoder(data)


def encoder_for(
    cls: type[_T],
    *,
    written_as: SchemaSource | None = None,
    references: Iterable[Reference] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Encoder[_T]:
    """Return the function that writes events of a class; it is made at first use and kept.

    With ``written_as``, events are written as another schema than the class's own, such as a
    registered version with one more field, or a union at the root of which the class is one
    branch: ``["null", record]`` or several event types of one subject. Before the function is
    returned, it is proved that every event can be written this way without loss.

    Args:
        cls: A generated class.
        written_as: The schema that readers will be given; by default that of the class.
        references: Schemas whose types ``written_as`` names, in dependency order.
        limits: What one event may cost.

    Raises:
        IncompatibleSchemaError: Some events cannot be written as this schema without loss.
        InvalidSchemaError: A schema is not valid Avro.
        SchemaError: The class does not fit its schema.
    """
    from sdk.avro.codec.executors import executor

    other = _other(cls, written_as, references, limits)

    def make() -> Encoder[_T]:
        plan = _own_plan(cls) if other is None else _plan_as(binding(cls), other)
        return executor().compile_encoder(plan, limits)

    key: Any = cls
    if other is not None:
        key = (cls, normalized_hash(other), limits)
    elif limits != DEFAULT_LIMITS:
        key = (cls, limits)
    return _encoders.get_or_make(key, make)


def decoder_for(
    cls: type[_T],
    writer_schema: SchemaSource | None = None,
    *,
    references: Iterable[Reference] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Decoder[_T]:
    """Return the function that reads data of a schema as a class; it is made once and kept.

    Args:
        cls: The requested generated class.
        writer_schema: By default the schema of the class.
        references: Schemas whose types the writer's schema names, in dependency order.
        limits: What one payload may cost.

    Raises:
        IncompatibleSchemaError: The class can never read what this schema wrote.
        InvalidSchemaError: The writer's schema is not valid Avro.
        SchemaError: The class does not fit its own schema.
    """
    from sdk.avro.codec.executors import executor

    writer = _other(cls, writer_schema, references, limits)

    def make() -> Decoder[_T]:
        plan = _own_plan(cls) if writer is None else _plan_from(writer, binding(cls))
        return executor().compile_decoder(plan, limits)

    # a schema object is identified by itself, text or JSON by its content
    written = writer if writer is None or writer is writer_schema else normalized_hash(writer)
    key = (cls, written, limits)
    return _decoders.get_or_make(key, make)


@contextmanager
def running_on(executor: Executor) -> Iterator[None]:
    """Make every codec of this process with one executor, to compare executors.

    Functions returned earlier by `encoder_for` and `decoder_for` are not affected.
    """
    from sdk.avro.codec.executors import use

    former = use(executor)
    try:
        _forget()
        yield
    finally:
        use(former)
        _forget()


def _forget() -> None:
    for each in (_encoders, _decoders, _by_text):
        each.clear()


def binding(cls: type[Any]) -> Binding:
    """Return a class's contract, parsed once.

    Raises:
        SchemaError: The class has none, or does not fit it.
    """
    return _bindings.get_or_make((cls,), lambda: bind(cls))


def _other(
    cls: type[Any], source: SchemaSource | None, references: Iterable[Reference], limits: Limits
) -> Schema | None:
    """Return the given schema, or None if it is missing or equal to that of the class."""
    if isinstance(source, str | list | Mapping):
        source = parse_schema(source, references=tuple(references), limits=limits)
    if source is None or same_definition(source, binding(cls).schema):
        return None
    return source


def _own_plan(cls: type[Any]) -> Plan:
    """Return the plan that writes and reads a class with its own schema."""
    bound = binding(cls)
    return _plans.get_or_make((cls,), lambda: encode_plan(bound.schema, bound.types))


def _plan_from(writer: Schema, bound: Binding) -> Plan:
    """Return the plan that reads data of another schema."""
    from sdk.avro.codec.reading_from import decode_plan

    return decode_plan(_resolved(writer, bound.schema, bound), bound.schema, bound.types)


def _plan_as(bound: Binding, other: Schema) -> Plan:
    """Return the plan that writes events as another schema."""
    from sdk.avro.codec.writing_as import encode_plan_as

    return encode_plan_as(_resolved(bound.schema, other, bound), bound.schema, bound.types)


def branch_written(schema: Schema, data: bytes, start: int = 0) -> Schema:
    """Return the schema that a body was written with; the branch if that schema is a union.

    Raises:
        DeserializationError: The union has no branch of the index that was written.
    """
    if not isinstance(schema, UnionSchema):
        return schema
    try:
        index, _ = read_int(data, start)
    except (IndexError, MalformedError) as error:
        raise DeserializationError(
            f"the branch of the union cannot be read: {error}", byte_offset=start
        ) from error
    if not 0 <= index < len(schema.branches):
        raise DeserializationError(
            f"index {index} is not one of the {len(schema.branches)} branches", byte_offset=start
        )
    return schema.branches[index]


def _resolved(writer: Schema, reader: Schema, bound: Binding) -> Resolution:
    from sdk.avro.resolution.resolver import resolve  # most schemas are read and written as is

    try:
        return resolve(writer, reader)
    except IncompatibleSchemaError as error:
        error.event = bound.schema.name
        raise
