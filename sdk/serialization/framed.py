"""Record values in the wire format of schema registries, for any format of bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Protocol

from attrs import define, evolve, field

from sdk.errors import (
    ConfigurationError,
    DeserializationError,
    InvalidSchemaError,
    SchemaError,
    SchemaNotFoundError,
    SdkError,
    SerializationError,
)
from sdk.events import E, Event, EventInfo
from sdk.records import ConsumerRecord, Header
from sdk.serialization.framing import (
    ID_LENGTH,
    VALUE_SCHEMA_ID,
    frame_guid,
    frame_id,
    locate,
    place,
    poison,
    unframe,
)
from sdk.serialization.registry import (
    Encode,
    FetchedSchema,
    RegisteredVersion,
    RuledReader,
    RuledWriter,
    SchemaRegistry,
)
from sdk.topics import SubjectNameStrategy

Decode = Callable[[bytes, int], Any]
"""(data, where the body starts) → event."""

Route = tuple[Encode, bytes, Header | None]
"""The route of a class to a topic: encoder, bytes before the body, header to add."""

_WARMERS: Final = 8
"""Threads for warming up: a distant registry is slow, but answers many requests at once."""


class WriterSchema(Protocol):
    """A writer's schema as its format understands it."""

    @property
    def full_name(self) -> str | None:
        """Full name of the written record; None if it depends on the body."""

    def name_of(self, data: bytes, start: int) -> str:
        """Return the full name of the record that a body holds.

        Raises:
            DeserializationError: The body has no valid branch.
        """

    def decoder(self, event_class: type[Event]) -> Decode:
        """Return a function that reads bodies as a class.

        Raises:
            SchemaError: The class can never read what this schema wrote.
        """


class BodyFormat(Protocol):
    """Writes and reads the bytes after the schema id."""

    @property
    def content_type(self) -> str:
        """Media type, such as ``application/avro``."""

    @property
    def schema_type(self) -> str:
        """The registry's name of the format, such as ``AVRO``."""

    def encoder(self, event_class: type[Event], written_as: FetchedSchema | None) -> Encode:
        """Return a function that writes events of a class, with the given schema or its own.

        Raises:
            SchemaError: The class cannot be written with this schema.
        """

    def writer(self, fetched: FetchedSchema) -> WriterSchema:
        """Return the reader of bodies written with a schema.

        Raises:
            InvalidSchemaError: The schema is not valid.
            DeserializationError: It describes no events.
        """


@define(eq=False)
class _Writer:
    """A writer schema found while reading, and the decoders made for it."""

    prefix: bytes
    schema_id: int | str
    full_name: str | None
    schema: WriterSchema
    rules: RuledReader | None
    decoders: dict[type[Any], Decode] = field(factory=dict)


@define(eq=False)
class FramedRecord:
    """A record whose writer schema is known."""

    full_name: str
    schema_id: int | str
    _writer: _Writer
    _record: ConsumerRecord
    _start: int

    def read(self, event_class: type[E]) -> E:
        """Return the event as an instance of ``event_class``."""
        writer = self._writer
        data: bytes = self._record.value  # type: ignore[assignment]  # located, so there is one
        start = self._start
        try:
            decode = writer.decoders.get(event_class)
            if decode is None:
                decode = _decoder(writer.schema, event_class, self.full_name)
                writer.decoders[event_class] = decode
            if writer.rules is not None:
                data, start = writer.rules(self._record, writer.prefix, data[start:]), 0
            event: E = decode(data, start)
        except SdkError as error:
            place(error, self._record, self.schema_id)
            raise
        return event


class FramedSerializer:
    """Writes and reads record values in Confluent's wire format.

    Args:
        registry: Finds, registers and fetches schemas.
        body: The format of the bytes after the schema id.
        strategy: (topic, record full name) → subject.
        schema_id_location: ``prefix`` (5 bytes before the body) or ``header`` (GUID).
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        body: BodyFormat,
        strategy: SubjectNameStrategy,
        *,
        schema_id_location: str = "prefix",
    ) -> None:
        self._registry = registry
        self._body = body
        self._strategy = strategy
        self._in_header = schema_id_location == "header"
        self._routes: dict[str, dict[type[Any], Route]] = {}
        self._ruled: dict[tuple[type[Any], str], RuledWriter] = {}
        self._writers: dict[bytes, _Writer] = {}

    @property
    def content_type(self) -> str:
        """Media type of the bodies."""
        return self._body.content_type

    def encode(self, event: Event, topic: str, headers: list[Header]) -> bytes:
        """Return the record value of an event; in header mode, append the schema's GUID."""
        try:  # two look-ups take half as long as one by a pair, which must be created
            route = self._routes[topic][type(event)]
        except KeyError:
            route = None
        if route is None:
            return self._encode_first(event, topic, headers)
        encode, prefix, header = route
        try:
            value = encode(event, prefix)
        except SdkError as error:
            error.topic = error.topic or topic
            raise
        if header is not None:
            headers.append(header)
        return value

    def open(self, record: ConsumerRecord) -> FramedRecord:
        """Find the writer schema that a record names."""
        value, start = record.value, ID_LENGTH
        for name, _ in record.headers:  # most records lack this header and have a known id
            if name == VALUE_SCHEMA_ID:
                value = None
                break
        writer = None if value is None else self._writers.get(value[:ID_LENGTH])
        if writer is None:
            prefix, start = locate(record)
            writer = self._writers.get(prefix) or self._find(prefix, record)
        if writer.full_name is None:
            return _open_branch(writer, record, start)
        return FramedRecord(writer.full_name, writer.schema_id, writer, record, start)

    def ready(self, event_class: type[Event], topic: str) -> bool:
        """Whether `encode` will make no request; false if rules apply, which may need a key."""
        return event_class in self._routes.get(topic, ())

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Resolve the schema ids and encoders of all (event class, topic) pairs.

        If auto-registration is on, missing schemas are registered first.

        Raises:
            SchemaNotFoundError: Schemas are not registered, and auto-registration is off; all of
                them are named.
            SchemaError: Events of a class cannot be written as the registered version.
            RegistryError: The registry gave no usable answer.
        """
        pairs = list(dict.fromkeys(routes))
        self._register(pairs)
        missing: list[SchemaNotFoundError] = []
        with ThreadPoolExecutor(_WARMERS, "sdk-warm-up") as pool:
            prepared = [pool.submit(self._prepare, *pair) for pair in pairs]
            try:
                for each in prepared:
                    try:
                        each.result()
                    except SchemaNotFoundError as error:
                        missing.append(error)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if missing:
            raise _all_missing(missing)

    def _encode_first(self, event: Event, topic: str, headers: list[Header]) -> bytes:
        """Encode if no plain route is known: resolve it first, or apply rules."""
        key = (type(event), topic)
        ruled = self._ruled.get(key)
        if ruled is None:
            if not isinstance(getattr(key[0], "__event__", None), EventInfo):
                raise SerializationError(
                    f"{key[0].__qualname__} is not a generated event class", topic=topic
                )
            self._register([key])
            ruled = self._prepare(*key)
        if ruled is None:
            return self.encode(event, topic, headers)
        return ruled(event, topic, headers)

    def _register(self, pairs: Iterable[tuple[type[Event], str]]) -> None:
        self._registry.register(
            (self._strategy(topic, each.__event__.full_name), each.__event__)
            for each, topic in pairs
        )

    def _prepare(self, event_class: type[Event], topic: str) -> RuledWriter | None:
        """Resolve a route; return its writer if the version has rules."""
        contract: EventInfo = event_class.__event__
        subject = self._strategy(topic, contract.full_name)
        version = self._registry.registered(subject, contract, partial(self._writable, event_class))
        encode = self._body.encoder(event_class, version.written_as)
        framing = self._framing(version)
        if version.has_rules:
            ruled = self._registry.writer(version, contract, encode, in_header=self._in_header)
            self._ruled[event_class, topic] = ruled
            return ruled
        self._routes.setdefault(topic, {})[event_class] = (encode, *framing)
        return None

    def _writable(self, event_class: type[Event], schema: FetchedSchema) -> bool:
        try:
            self._body.encoder(event_class, schema)
        except SchemaError:
            return False
        return True

    def _framing(self, version: RegisteredVersion) -> tuple[bytes, Header | None]:
        if not self._in_header:
            return frame_id(version.schema_id), None
        if version.guid is None:
            raise ConfigurationError(
                "the registry gives schemas no GUID, which headers carry",
                subject=version.subject,
                remedy="set producer.schema_id_location to 'prefix'",
            )
        return b"", (VALUE_SCHEMA_ID, frame_guid(version.guid))

    def _find(self, prefix: bytes, record: ConsumerRecord) -> _Writer:
        """Fetch the writer schema that a record names; it is cached for later records."""
        schema_id = unframe(prefix)
        if schema_id is None:
            raise poison(f"not a schema id: {prefix[:20].hex(' ')}", record)
        try:
            writer = self._writer(prefix, schema_id, self._registry.fetch(schema_id))
        except SchemaNotFoundError as error:
            raise poison(error.message, record, schema_id, error.remedy) from error
        except InvalidSchemaError as error:
            message = f"the writer's schema is not valid: {error.message}"
            raise poison(message, record, schema_id) from error
        except SdkError as error:
            place(error, record, schema_id)
            raise
        return self._writers.setdefault(prefix, writer)

    def _writer(self, prefix: bytes, schema_id: int | str, fetched: FetchedSchema) -> _Writer:
        if fetched.schema_type != self._body.schema_type:
            raise DeserializationError(
                f"the schema is {fetched.schema_type}, not {self._body.schema_type}"
            )
        schema = self._body.writer(fetched)
        rules = self._registry.reader(fetched, self._strategy) if fetched.has_rules else None
        return _Writer(prefix, schema_id, schema.full_name, schema, rules)


def _open_branch(writer: _Writer, record: ConsumerRecord, start: int) -> FramedRecord:
    """Open a record whose event depends on its body; rules are applied first."""
    data: bytes = record.value  # type: ignore[assignment]  # located, so there is one
    try:
        if writer.rules is not None:
            data, start = writer.rules(record, writer.prefix, data[start:]), 0
            record, writer = record._replace(value=data), evolve(writer, rules=None)
        name = writer.schema.name_of(data, start)
    except SdkError as error:
        place(error, record, writer.schema_id)
        raise
    return FramedRecord(name, writer.schema_id, writer, record, start)


def _decoder(schema: WriterSchema, event_class: type[Event], full_name: str) -> Decode:
    """Return a decoder; for classes that can never be read, one that raises."""
    try:
        return schema.decoder(event_class)
    except SchemaError as error:
        reason, path, cause = error.message, error.path, error

        def refuse(data: bytes, start: int) -> Any:
            raise DeserializationError(
                f"cannot be read as {event_class.__qualname__}: {reason}",
                event=full_name,
                path=path,
            ) from cause

        return refuse


def _all_missing(errors: list[SchemaNotFoundError]) -> SchemaNotFoundError:
    """Return one error for all schemas that are missing at start-up."""
    if len(errors) == 1:
        return errors[0]
    found = SchemaNotFoundError(
        f"{len(errors)} schemas are missing: " + "; ".join(error.message for error in errors),
        remedy=errors[0].remedy,
    )
    found.__cause__ = errors[0]
    return found
