"""Looks up, registers and fetches schemas, with one request per schema."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from sdk.avro.contracts import dependencies
from sdk.cache import Cache
from sdk.errors import (
    ConfigurationError,
    RegistryUnavailableError,
    SchemaNotFoundError,
)
from sdk.events import Catalog, EventInfo
from sdk.happenings import SchemaResolved
from sdk.observers import Observers
from sdk.registry.client import RegistryClient
from sdk.registry.failures import UNKNOWN_CODES
from sdk.registry.schemas import Reference
from sdk.registry.versions import find, not_found, resolved
from sdk.retry import RetryPolicy
from sdk.serialization.registry import (
    Encode,
    FetchedSchema,
    RegisteredVersion,
    RuledReader,
    RuledWriter,
    Writable,
)
from sdk.settings import RegistryOptions

if TYPE_CHECKING:
    from sdk.registry.rules import RuleEngine

logger = logging.getLogger(__name__)

_UNKNOWN_FOR: Final = 10.0
"""Seconds for which an unknown id is not requested again: poison often comes in large numbers."""
_UNKNOWN_KEPT: Final = 1000


class Registry:
    """Finds, registers and fetches schemas (`sdk.serialization.registry.SchemaRegistry`).

    Safe for use by many threads: those that need the same schema at once share one request.

    Args:
        options: The ``[registry]`` table, with a real URL (never ``embedded``).
        retry: Decides how often a request that failed by an outage is made again.
        catalog: All versions of the events, so that those missing are registered in order.
        uses_guids: Whether this service names schemas by GUID (``producer.schema_id_location``).
        observers: Notified of requests and of resolved schemas.
        clock: Seconds that only grow.

    Raises:
        ConfigurationError: A file named in ``registry.tls``, or a proxy, cannot be used.
    """

    def __init__(
        self,
        options: RegistryOptions,
        retry: RetryPolicy,
        *,
        catalog: Catalog | None = None,
        uses_guids: bool = False,
        observers: Observers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._client = RegistryClient(options, retry, observers)
        self._catalog = catalog
        self._uses_guids = uses_guids
        self._observers = observers
        self._clock = clock
        self._levels: set[str] = set()
        self._level_lock = threading.Lock()
        self._registered: Cache[tuple[str, EventInfo, bool], RegisteredVersion] = Cache()
        self._fetched: Cache[int | str, FetchedSchema] = Cache()
        self._unknown: dict[int | str, tuple[float, str, str | None]] = {}
        self._engine: Cache[None, RuleEngine] = Cache()

    def close(self) -> None:
        """Close the connections; requests after this raise `ClosedError`."""
        self._client.close()
        engine = self._engine.known(None)
        if engine is not None:
            engine.close()

    @property
    def outage(self) -> RegistryUnavailableError | None:
        """The error of the last request if it was not answered, or None."""
        return self._client.outage

    def registered(
        self, subject: str, contract: EventInfo, writable: Writable | None = None
    ) -> RegisteredVersion:
        """Return the version of ``subject`` that events of ``contract`` are written with.

        ``registry.match`` decides which version that is. If auto-registration is on, a missing
        schema is registered, after the schemas that it refers to.
        """
        return self._registered.get(
            (subject, contract, writable is None),
            lambda: self._find_or_register(subject, contract, writable),
        )

    def register(self, wanted: Iterable[tuple[str, EventInfo]]) -> None:
        """Register the missing (subject, contract) pairs, if auto-registration is on.

        Shared types come first, then all versions that the catalog has of each event, oldest
        first; a version that another pair puts under another subject is left out.
        """
        if not self._options.auto_register:
            return
        pairs = list(wanted)
        routed = {contract for _, contract in pairs}
        complete = {
            (subject, version)
            for subject, contract in pairs
            for version in self._versions(contract)
            if version == contract or version not in routed
        }
        shared = {each for _, contract in complete for each in dependencies(contract)}
        for each in sorted(shared, key=_by_version):
            self.registered(self._reference_subject(each), each)
        for subject, contract in sorted(complete, key=lambda pair: _by_version(pair[1])):
            self.registered(subject, contract)

    def fetch(self, schema_id: int | str) -> FetchedSchema:
        """Return the schema with an id (a number) or a GUID (text).

        An unknown id is cached for ten seconds.

        Raises:
            SchemaNotFoundError: The registry does not have this schema.
            ConfigurationError: This service uses GUIDs, and the registry does not serve them.
            RegistryError: The registry gave no usable answer.
        """
        since, message, remedy = self._unknown.get(schema_id, (float("-inf"), "", None))
        if self._clock() - since < _UNKNOWN_FOR:
            raise SchemaNotFoundError(message, remedy=remedy, schema_id=schema_id)
        try:
            return self._fetched.get(schema_id, lambda: self._fetch(schema_id))
        except SchemaNotFoundError as error:
            if len(self._unknown) >= _UNKNOWN_KEPT:
                self._unknown.clear()
            self._unknown[schema_id] = (self._clock(), error.message, error.remedy)
            raise

    def writer(
        self, version: RegisteredVersion, contract: EventInfo, encode: Encode, *, in_header: bool
    ) -> RuledWriter:
        """Return the writer for a version with rules."""
        text, references = contract.schema, tuple(each.schema for each in dependencies(contract))
        if version.written_as is not None:
            text, references = version.written_as.text, version.written_as.references
        return self._rules().writer(version, text, references, encode, in_header=in_header)

    def reader(self, fetched: FetchedSchema, strategy: Callable[[str, str], str]) -> RuledReader:
        """Return the reader for a schema with rules."""
        return self._rules().reader(fetched.text, fetched.references, strategy)

    def _rules(self) -> RuleEngine:
        def make() -> RuleEngine:
            from sdk.registry.rules import RuleEngine  # Confluent's client takes long to load

            return RuleEngine(self._options)

        return self._engine.get(None, make)

    def _find_or_register(
        self, subject: str, contract: EventInfo, writable: Writable | None
    ) -> RegisteredVersion:
        name = f"version {contract.version} of {contract.full_name}"
        missing: SchemaNotFoundError | None = None
        references: list[Reference] | None = None
        try:
            references = self._references(contract)
        except SchemaNotFoundError as error:
            missing = error  # no error if the event was registered with its shared types inlined
        match = self._options.match
        found = find(self._client, subject, contract, references, match, writable)
        if found is None and references is not None and self._options.auto_register:
            found = self._register(subject, contract, references, name)
        if found is None:
            raise not_found(self._client, subject, contract, match, missing) from missing
        if self._observers:
            self._observers.notify(SchemaResolved(contract.full_name, subject, found.schema_id))
        return found

    def _register(
        self, subject: str, contract: EventInfo, references: list[Reference], name: str
    ) -> RegisteredVersion:
        self._set_level(subject, contract.compatibility)
        self._client.register(subject, contract.schema, references, f"register {name}")
        found = find(self._client, subject, contract, references, self._options.match)
        if found is None:
            raise RegistryUnavailableError(
                f"{name} was registered and is not found",
                subject=subject,
                remedy="a replica may lag behind; try again",
            )
        logger.info(
            "registered version %d of %s: subject %s, version %d, id %d",
            contract.version,
            contract.full_name,
            subject,
            found.version,
            found.schema_id,
        )
        return found

    def _references(self, contract: EventInfo) -> list[Reference]:
        """Return the references of a schema; a pin is our version mapped to the registry's."""
        references = []
        for shared in contract.references:
            subject = self._reference_subject(shared)
            version = self.registered(subject, shared).version
            references.append(Reference(shared.full_name, subject, version))
        return references

    def _reference_subject(self, shared: EventInfo) -> str:
        own = self._options.references.get(shared.full_name)
        if own is not None:
            return own
        namespace, _, name = shared.full_name.rpartition(".")
        return self._options.reference_subject.format(
            full_name=shared.full_name, namespace=namespace, name=name
        )

    def _versions(self, contract: EventInfo) -> list[EventInfo]:
        known = self._catalog
        if known is None or contract.full_name not in {entry.full_name for entry in known}:
            return [contract]
        return [each.__event__ for each in known.versions(contract.full_name)]

    def _set_level(self, subject: str, level: str) -> None:
        with self._level_lock:
            if subject not in self._levels:
                self._client.set_level(subject, level)
                self._levels.add(subject)

    def _fetch(self, schema_id: int | str) -> FetchedSchema:
        try:
            return resolved(self._client, self._client.schema(schema_id))
        except SchemaNotFoundError as error:
            if error.error_code in UNKNOWN_CODES:
                error.message = "the registry has no such schema"
                raise
            failure: SchemaNotFoundError | RegistryUnavailableError = error
        except RegistryUnavailableError as error:
            if error.status != 404:
                raise
            failure = error
        # A bare 404 names no schema: the registry lacks this path, or the URL leads elsewhere.
        if isinstance(schema_id, int) or not self._client.answers():
            raise RegistryUnavailableError(
                failure.message, status=404, schema_id=schema_id, remedy=failure.remedy
            ) from failure
        message = "the registry does not serve schemas by GUID"
        remedy = "have records written with the schema id as prefix"
        if self._uses_guids:
            raise ConfigurationError(message, schema_id=schema_id, remedy=remedy) from failure
        raise SchemaNotFoundError(
            message, status=404, schema_id=schema_id, remedy=remedy
        ) from failure


def _by_version(contract: EventInfo) -> tuple[str, int]:
    return contract.full_name, contract.version
