"""Avro behind a schema registry: Confluent's framing and rules, our codec for the body."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field
from confluent_kafka.schema_registry.serde import SchemaId

from sdk.abstractions import E
from sdk.avro import decoder_for, encoder_for
from sdk.avro.schema import parse_schema
from sdk.avro.schema.model import RecordSchema
from sdk.errors import (
    DeserializationError,
    InvalidSchemaError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaError,
    SchemaNotFoundError,
    SdkError,
    SerializationError,
)
from sdk.events import Catalog, Event, EventInfo
from sdk.records import ConsumerRecord, Header
from sdk.registry.client import registry_client
from sdk.registry.lookup import AVRO, SchemaRegistry
from sdk.registry.versions import FetchedSchema, RegisteredVersion, reference_texts
from sdk.serialization.framing import VALUE_SCHEMA_ID, locate, place, poison, schema_id_of
from sdk.topics import SubjectNameStrategy

if TYPE_CHECKING:
    from sdk.registry.rules import RuledReader, RuledWriter, RuleEngine

Encode = Callable[[Any, bytes], bytes]
Decode = Callable[[bytes, int], Any]
Route = tuple[Encode, bytes, Header | None]
"""How a class is written to a topic: encoder, bytes before the body, header to add."""

_UNKNOWN: Final = range(40401, 40404)
"""The registry's codes for a subject, version or schema that there is not."""

_UNKNOWN_FOR: Final = 10.0
"""Seconds for which an unknown id is not asked for again: poison often comes in floods."""
_UNKNOWN_KEPT: Final = 1000
_WARMERS: Final = 8
"""Threads that warm up: a registry far away takes its time, but takes it for many at once."""
_NO_SCHEMA: Final = "the registry has no such schema"


@define(eq=False)
class _Writer:
    """A writer schema found while reading, and the decoders made for it."""

    prefix: bytes
    schema_id: int | str
    full_name: str
    fetched: FetchedSchema
    rules: RuledReader | None
    decoders: dict[type[Any], Decode] = field(factory=dict)


@define(eq=False)
class AvroIncoming:
    """A record in Confluent's wire format whose writer schema is known."""

    full_name: str
    schema_id: int | str
    _writer: _Writer
    _record: ConsumerRecord
    _start: int

    def read(self, event_class: type[E]) -> E:
        """Return the event as an instance of ``event_class``.

        Raises:
            DeserializationError: The value can never be read as ``event_class``.
            RegistryError: A rule needs a key that is unavailable.
        """
        writer = self._writer
        decode = writer.decoders.get(event_class)
        data: bytes = self._record.value  # type: ignore[assignment]  # located, so there is one
        start = self._start
        try:
            if decode is None:
                decode = writer.decoders[event_class] = _decoder(writer, event_class)
            if writer.rules is not None:
                data, start = writer.rules.read(self._record, writer.prefix, data[start:]), 0
            event: E = decode(data, start)
        except SdkError as error:
            place(error, self._record, self.schema_id)
            raise
        return event


class AvroMessageSerializer:
    """Writes and reads record values in Confluent's wire format.

    Args:
        registry: Finds, registers and fetches schemas.
        strategy: (topic, record full name) → subject.
        schema_id_location: ``prefix`` (5 bytes before the body) or ``header`` (GUID).
        catalog: All versions of the events, so that those missing are registered in order.
        clock: Seconds that only grow.
    """

    content_type: Final = "application/avro"

    def __init__(
        self,
        registry: SchemaRegistry,
        strategy: SubjectNameStrategy,
        *,
        schema_id_location: str = "prefix",
        catalog: Catalog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._strategy = strategy
        self._in_header = schema_id_location == "header"
        self._catalog = catalog
        self._clock = clock
        self._routes: dict[tuple[type[Any], str], Route] = {}
        self._ruled: dict[tuple[type[Any], str], RuledWriter] = {}
        self._writers: dict[bytes, _Writer] = {}
        self._unknown: dict[bytes, float] = {}
        self._engine: RuleEngine | None = None
        self._engine_lock = threading.Lock()

    def encode(self, event: Event, topic: str, headers: list[Header]) -> bytes:
        """Return the record value of an event; in header mode, append the schema's GUID.

        Raises:
            SerializationError: The event does not fit its schema, or a rule refuses it.
            RegistryError: The schema id is unavailable.
        """
        route = self._routes.get((type(event), topic))
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

    def open(self, record: ConsumerRecord) -> AvroIncoming:
        """Find the writer schema that a record names.

        Raises:
            DeserializationError: The record does not name the schema of a record.
            RegistryError: The writer schema is unavailable.
        """
        prefix, start = locate(record)
        writer = self._writers.get(prefix)
        if writer is None:
            writer = self._find(prefix, record)
        return AvroIncoming(writer.full_name, writer.schema_id, writer, record, start)

    def ready(self, event_class: type[Event], topic: str) -> bool:
        """Whether `encode` will make no request; never where rules apply: they may need a key."""
        return (event_class, topic) in self._routes

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Resolve the schema ids and encoders of all (event class, topic) pairs.

        Where auto-registration is on, missing schemas are registered: shared types first, then
        all versions of each event, oldest first.

        Raises:
            SchemaNotFoundError: Schemas are not registered, and auto-registration is off; all of
                them are named.
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
        """Encode where no plain route is known: resolve it first, or apply rules."""
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
        return ruled.write(event, topic, headers)

    def _prepare(self, event_class: type[Any], topic: str) -> RuledWriter | None:
        """Resolve a route; return its writer if the version has rules."""
        contract: EventInfo = event_class.__event__
        subject = self._strategy(topic, contract.full_name)
        version = self._registry.registered(subject, contract)
        encode = encoder_for(event_class)
        framing = self._framing(version)
        if version.has_rules:
            ruled = self._rules().writer(
                subject,
                version.schema_id,
                contract.schema,
                tuple(reference_texts(contract)),
                encode,
                in_header=self._in_header,
            )
            self._ruled[event_class, topic] = ruled
            return ruled
        self._routes[event_class, topic] = (encode, *framing)
        return None

    def _framing(self, version: RegisteredVersion) -> tuple[bytes, Header | None]:
        if not self._in_header:
            return SchemaId(AVRO, version.schema_id).id_to_bytes(), None
        if version.guid is None:
            raise RegistryRefusedError(
                "the registry gives schemas no GUID, which headers carry",
                subject=version.subject,
                remedy="set producer.schema_id_location to 'prefix'",
            )
        guid = SchemaId(AVRO, version.schema_id, version.guid).guid_to_bytes()
        return b"", (VALUE_SCHEMA_ID, guid)

    def _register(self, pairs: Sequence[tuple[type[Any], str]]) -> None:
        """Register shared types, then every version of the events, in ascending order."""
        if not self._registry.options.auto_register:
            return
        routed = {each.__event__ for each, _ in pairs}
        wanted: dict[tuple[str, EventInfo], None] = {}
        for event_class, topic in pairs:
            own: EventInfo = event_class.__event__
            for contract in self._versions(own):
                if contract == own or contract not in routed:
                    wanted[self._strategy(topic, contract.full_name), contract] = None
        shared = {each for _, contract in wanted for each in _all_references(contract)}
        for each in sorted(shared, key=_by_version):
            self._registry.registered(each.full_name, each)
        for subject, contract in sorted(wanted, key=lambda pair: _by_version(pair[1])):
            self._registry.registered(subject, contract)

    def _versions(self, contract: EventInfo) -> list[EventInfo]:
        known = self._catalog
        if known is None or contract.full_name not in {entry.full_name for entry in known}:
            return [contract]
        return [each.__event__ for each in known.versions(contract.full_name)]

    def _rules(self) -> RuleEngine:
        from sdk.registry.rules import RuleEngine  # Confluent's serdes, which few schemas need

        with self._engine_lock:
            if self._engine is None:
                options = self._registry.options
                client = registry_client(options, options.url)
                self._engine = RuleEngine(client, self._registry.classed, options.rules)
                self._registry.closes(self._engine.close)
            return self._engine

    def _find(self, prefix: bytes, record: ConsumerRecord) -> _Writer:
        """Fetch the writer schema that a record names; remembered for all records after it."""
        schema_id = schema_id_of(prefix, record)
        if self._clock() - self._unknown.get(prefix, float("-inf")) < _UNKNOWN_FOR:
            raise poison(_NO_SCHEMA, record, schema_id)
        try:
            fetched = self._registry.fetch(schema_id)
        except SchemaNotFoundError as error:
            if error.error_code is None or error.error_code not in _UNKNOWN:
                raise _wrong_address(error, record, schema_id) from error
            if len(self._unknown) >= _UNKNOWN_KEPT:
                self._unknown.clear()
            self._unknown[prefix] = self._clock()
            raise poison(_NO_SCHEMA, record, schema_id) from error
        except SdkError as error:
            place(error, record, schema_id)
            raise
        writer = self._writer(prefix, fetched, schema_id, record)
        return self._writers.setdefault(prefix, writer)

    def _writer(
        self, prefix: bytes, fetched: FetchedSchema, schema_id: int | str, record: ConsumerRecord
    ) -> _Writer:
        if fetched.schema_type != AVRO:
            raise poison(f"the schema is {fetched.schema_type}, not Avro", record, schema_id)
        try:
            schema = parse_schema(fetched.text, references=fetched.references)
            if not isinstance(schema, RecordSchema):
                raise poison(f"the schema is a bare {schema.type}, no record", record, schema_id)
            rules = None
            if fetched.has_rules:
                rules = self._rules().reader(fetched.text, fetched.references, self._strategy)
        except InvalidSchemaError as error:
            raise poison("the writer's schema is not valid Avro", record, schema_id) from error
        return _Writer(prefix, schema_id, schema.name, fetched, rules)


def _decoder(writer: _Writer, event_class: type[Any]) -> Decode:
    """Make a decoder; for classes that can never be read, one that says so."""
    try:
        return decoder_for(event_class, writer.fetched.text, references=writer.fetched.references)
    except SchemaError as error:
        reason, path, cause = error.message, error.path, error

        def refuse(data: bytes, start: int) -> Any:
            raise DeserializationError(
                f"cannot be read as {event_class.__qualname__}: {reason}",
                event=writer.full_name,
                path=path,
            ) from cause

        return refuse


def _wrong_address(
    error: SchemaNotFoundError, record: ConsumerRecord, schema_id: int | str
) -> RegistryUnavailableError:
    """Return an outage for a bare 404: some path is wrong, and no record is to blame for that."""
    outage = RegistryUnavailableError(
        error.message, status=error.status, remedy="check registry.url and its path"
    )
    place(outage, record, schema_id)
    return outage


def _all_missing(errors: list[SchemaNotFoundError]) -> SchemaNotFoundError:
    """Return one error for all schemas that a service lacks at start."""
    if len(errors) == 1:
        return errors[0]
    found = SchemaNotFoundError(
        f"{len(errors)} schemas are missing: " + "; ".join(error.message for error in errors),
        remedy=errors[0].remedy,
    )
    found.__cause__ = errors[0]
    return found


def _all_references(contract: EventInfo) -> Iterable[EventInfo]:
    for shared in contract.references:
        yield shared
        yield from _all_references(shared)


def _by_version(contract: EventInfo) -> tuple[str, int]:
    return contract.full_name, contract.version
