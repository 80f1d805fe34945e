"""The schema registry as this SDK uses it: find, register and fetch schemas, errors classed."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

from confluent_kafka.schema_registry import (
    RegisteredSchema,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
)

from sdk.errors import (
    ClosedError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
)
from sdk.events import EventInfo
from sdk.once import Once
from sdk.registry.client import registry_client, registry_secrets
from sdk.registry.failures import registry_failure
from sdk.registry.versions import (
    FetchedSchema,
    RegisteredVersion,
    has_rules,
    number_of,
    registered_version,
    same_schema,
)
from sdk.retry import RetryPolicy
from sdk.settings import RegistryOptions

T = TypeVar("T")

logger = logging.getLogger(__name__)

AVRO = "AVRO"


class SchemaRegistry:
    """Confluent's registry client behind our options, errors and retries.

    Each URL has a client of its own; the one that answered last is asked first, so that a dead
    registry costs its time-out once. Safe for use by many threads.

    Args:
        options: The ``[registry]`` table, with a real URL (never ``embedded``).
        retry: Decides how often a request that failed by an outage is made again.

    Raises:
        ConfigurationError: A file named in ``registry.tls`` cannot be used.
    """

    def __init__(self, options: RegistryOptions, retry: RetryPolicy) -> None:
        self._options = options
        self._retry = retry
        self._secrets = registry_secrets(options)
        self._clients = tuple(registry_client(options, (url,)) for url in options.url)
        self._closed = False
        self._opened = ExitStack()
        for client in self._clients:
            self._opened.push(client)
        self._preferred = 0
        self._levels: set[str] = set()
        self._level_lock = threading.Lock()
        self._registered: Once[tuple[str, EventInfo], RegisteredVersion] = Once()
        self._fetched: Once[int | str, FetchedSchema] = Once()

    @property
    def options(self) -> RegistryOptions:
        """The options that this registry was made from."""
        return self._options

    def close(self) -> None:
        """Close the HTTP sessions, and what was handed to `closes`."""
        self._closed = True
        self._opened.close()

    def closes(self, release: Callable[[], None]) -> None:
        """Call ``release`` when this registry is closed."""
        self._opened.callback(release)

    def registered(self, subject: str, contract: EventInfo) -> RegisteredVersion:
        """Return the version of ``subject`` that holds the schema of ``contract``.

        Where auto-registration is on, a missing schema is registered, after the schemas that it
        refers to. References are found, and registered, under their full names.

        Raises:
            SchemaNotFoundError: It is not registered, and auto-registration is off.
            IncompatibleSchemaError: The registry refuses it at the subject's level.
            RegistryError: The registry gave no usable answer.
        """
        return self._registered.get(
            (subject, contract), lambda: self._find_or_register(subject, contract)
        )

    def fetch(self, schema_id: int | str) -> FetchedSchema:
        """Return the schema with an id (a number) or a GUID (text).

        Raises:
            SchemaNotFoundError: The registry has no such schema.
            RegistryError: The registry gave no usable answer.
        """
        return self._fetched.get(schema_id, lambda: self._fetch(schema_id))

    def classed(self, error: Exception, doing: str, **where: Any) -> Exception:
        """Return our error for what Confluent's client raised elsewhere than through us."""
        return registry_failure(error, doing, secrets=self._secrets, **where)

    def _find_or_register(self, subject: str, contract: EventInfo) -> RegisteredVersion:
        references = self._references(contract)
        schema = Schema(contract.schema, AVRO, references)
        found = self._find(subject, contract, schema)
        if found is not None:
            return found
        if not self._options.auto_register:
            raise SchemaNotFoundError(
                f"version {contract.version} of {contract.full_name} is not registered",
                subject=subject,
                event=contract.full_name,
                remedy="register it before the service starts, or set registry.auto_register",
            )
        self._set_level(subject, contract.compatibility)
        self._ask(
            f"register version {contract.version} of {contract.full_name}",
            lambda client: client.register_schema_full_response(subject, schema),
            subject=subject,
        )
        found = self._find(subject, contract, schema)
        if found is not None:
            logger.info(
                "registered version %d of %s: subject %s, version %d, id %d",
                contract.version,
                contract.full_name,
                subject,
                found.version,
                found.schema_id,
            )
            return found
        raise RegistryUnavailableError(
            f"version {contract.version} of {contract.full_name} was registered and is not found",
            subject=subject,
            remedy="a replica may lag behind; try again",
        )

    def _references(self, contract: EventInfo) -> list[SchemaReference]:
        """Return the references of a schema; a pin is our version mapped to the registry's."""
        references = []
        for shared in contract.references:
            version = self.registered(shared.full_name, shared).version
            references.append(SchemaReference(shared.full_name, shared.full_name, version))
        return references

    def _find(self, subject: str, contract: EventInfo, schema: Schema) -> RegisteredVersion | None:
        """Return the version that holds a schema.

        Looking a schema up finds the version without rules and metadata. When a newer version
        holds the same schema with rules, that is the one to write with: passing it over would
        send in clear what it encrypts.
        """
        doing = f"look up version {contract.version} of {contract.full_name}"
        plain: RegisteredSchema | None = None
        try:
            plain = self._ask(
                doing, lambda client: client.lookup_schema(subject, schema), subject=subject
            )
        except SchemaNotFoundError as error:
            if error.error_code == 40401:  # no such subject
                return None
        try:
            newest = self._version(subject, None)
        except SchemaNotFoundError:  # all its versions are deleted
            if plain is None:
                return None
            raise
        if plain is not None and newest.version == plain.version:
            return registered_version(subject, newest, newest.schema)
        ruled = self._newer_with_rules(
            subject, contract, newest, 0 if plain is None else number_of(plain.version)
        )
        if ruled is not None or plain is None:
            return ruled
        # By id alone: the client has cached what was looked up, and that has no rules.
        schema_id = number_of(plain.schema_id)
        stored = self._ask(doing, lambda client: client.get_schema(schema_id), subject=subject)
        return registered_version(subject, plain, stored)

    def _newer_with_rules(
        self, subject: str, contract: EventInfo, newest: RegisteredSchema, oldest: int
    ) -> RegisteredVersion | None:
        """Return the newest version above ``oldest`` that has rules and the contract's schema.

        Where no plain version was found (``oldest`` is 0), metadata may keep it from being found,
        so any version with the contract's schema will do.
        """
        numbers = [number_of(newest.version)]
        if numbers[0] > oldest + 1:
            numbers = self._ask(
                "list versions", lambda client: client.get_versions(subject), subject=subject
            )
        for number in sorted(numbers, reverse=True):
            if number <= oldest:
                return None
            version = newest if number == newest.version else self._version(subject, number)
            told_apart = oldest == 0 or has_rules(version.schema)
            if told_apart and same_schema(version.schema.schema_str, contract):
                return registered_version(subject, version, version.schema)
        return None

    def _version(self, subject: str, number: int | None) -> RegisteredSchema:
        """Fetch a version of a subject, or the newest; deleted ones only by number."""

        def request(client: SchemaRegistryClient) -> RegisteredSchema:
            if number is not None:
                return client.get_version(subject, number, True)
            client.clear_latest_caches()  # type: ignore[no-untyped-call]
            return client.get_latest_version(subject)

        return self._ask("fetch a version", request, subject=subject)

    def _set_level(self, subject: str, level: str) -> None:
        with self._level_lock:
            if subject in self._levels:
                return
            self._ask(
                f"set the compatibility level to {level}",
                lambda client: client.set_compatibility(subject, level),
                subject=subject,
            )
            self._levels.add(subject)

    def _fetch(self, schema_id: int | str) -> FetchedSchema:
        def request(client: SchemaRegistryClient) -> Schema:
            if isinstance(schema_id, int):
                return client.get_schema(schema_id)
            return client.get_schema_by_guid(schema_id)

        try:
            schema = self._ask("fetch a schema", request, schema_id=schema_id)
        except RegistryUnavailableError as error:
            if isinstance(schema_id, int) or error.status != 404:
                raise
            raise RegistryRefusedError(
                "the registry does not serve schemas by GUID",
                status=404,
                schema_id=schema_id,
                remedy="have the records written with the schema id as prefix",
            ) from error
        texts: dict[tuple[str, int], str] = {}
        if schema.schema_type == AVRO:
            self._collect(schema, texts)
        return FetchedSchema(
            text=str(schema.schema_str),
            references=tuple(texts.values()),
            schema_type=str(schema.schema_type),
            has_rules=has_rules(schema),
        )

    def _collect(self, schema: Schema, texts: dict[tuple[str, int], str]) -> None:
        """Add what a schema refers to, each after what it refers to itself."""
        for reference in schema.references or ():
            key = (str(reference.subject), number_of(reference.version))
            if key in texts:
                continue
            version = self._version(*key)
            self._collect(version.schema, texts)
            texts[key] = str(version.schema.schema_str)

    def _ask(self, doing: str, request: Callable[[SchemaRegistryClient], T], **where: Any) -> T:
        return self._retry.call(lambda: self._ask_each(doing, request, where), name=doing)

    def _ask_each(
        self, doing: str, request: Callable[[SchemaRegistryClient], T], where: dict[str, Any]
    ) -> T:
        """Ask one registry after the other until one is not out of order."""
        if self._closed:
            raise ClosedError(f"cannot {doing}: the registry client is closed", **where)
        outer = sys.exception()
        count = len(self._clients)
        first = self._preferred
        for attempt in range(count):
            index = (first + attempt) % count
            try:
                answer = request(self._clients[index])
            except Exception as error:
                failure = registry_failure(
                    error, doing, secrets=self._secrets, outer=outer, **where
                )
                answered = not isinstance(failure, RegistryUnavailableError)
                if answered:
                    self._preferred = index
                if answered or attempt == count - 1:
                    raise failure from error
            else:
                self._preferred = index
                return answer
        raise AssertionError("there is at least one URL")
