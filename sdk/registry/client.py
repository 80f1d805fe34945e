"""The registry's REST API: one method per request, with values as results and our errors."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from sdk.errors import (
    ClosedError,
    ConfigurationError,
    RegistryRefusedError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SdkError,
)
from sdk.happenings import RegistryRequested
from sdk.observers import Observers
from sdk.redaction import hide
from sdk.registry.failures import refused, unreachable, unusable
from sdk.registry.http import Answer, HttpClient
from sdk.registry.proxies import proxy_for
from sdk.registry.schemas import Reference, StoredSchema, StoredVersion
from sdk.retry import RetryPolicy
from sdk.settings import RegistryOptions, TlsOptions

T = TypeVar("T")

_HEADERS: Final = {
    "Accept": "application/vnd.schemaregistry.v1+json, application/json",
    "Confluent-Accept-Unknown-Properties": "true",
    "User-Agent": "avro-messaging-sdk",
}


class RegistryClient:
    """Sends requests to a registry, each with a time-out and retries during outages.

    Each URL has its own connections; the last one that answered is tried first, so that a dead
    registry costs its time-out only once. Safe for use by many threads.

    Args:
        options: The ``[registry]`` table, with a real URL (never ``embedded``).
        retry: Decides how often a request that failed by an outage is made again.
        observers: Notified of each request.

    Raises:
        ConfigurationError: A file named in ``registry.tls``, or a proxy, cannot be used.
    """

    def __init__(
        self, options: RegistryOptions, retry: RetryPolicy, observers: Observers | None = None
    ) -> None:
        if options.embedded:
            raise ConfigurationError(
                "registry.url is 'embedded' and no embedded registry runs",
                remedy="use sdk.connect, which starts it, or give the URL of a registry",
            )
        self._retry = retry
        self._observers = observers
        self._secrets = registry_secrets(options)
        self._servers = _servers(options)
        self._preferred = 0
        self._closed = False
        self.outage: RegistryUnavailableError | None = None

    def close(self) -> None:
        """Close the connections; requests after this raise `ClosedError`."""
        self._closed = True
        for server in self._servers:
            server.close()

    def hide(self, text: str) -> str:
        """Return a text without the registry's credentials."""
        return hide(text, self._secrets)

    def find(
        self, subject: str, text: str, references: Sequence[Reference], doing: str
    ) -> StoredVersion:
        """Return the version of a subject that has exactly this schema.

        Raises:
            SchemaNotFoundError: There is no such subject or version.
            RegistryError: The registry gave no usable answer.
        """
        path = f"/subjects/{_quoted(subject)}?normalize=false&deleted=false"
        return self._ask(
            "lookup", doing, "POST", path, StoredVersion.read, _body(text, references),
            subject=subject,
        )  # fmt: skip

    def register(
        self, subject: str, text: str, references: Sequence[Reference], doing: str
    ) -> None:
        """Register a schema as a version of a subject, unless it is one already.

        Raises:
            IncompatibleSchemaError: The subject's compatibility level does not allow it.
            RegistryError: The registry gave no usable answer.
        """
        path = f"/subjects/{_quoted(subject)}/versions?normalize=false"
        self._ask("register", doing, "POST", path, _any, _body(text, references), subject=subject)

    def versions(self, subject: str) -> list[int]:
        """Return the numbers of a subject's versions, oldest first."""
        path = f"/subjects/{_quoted(subject)}/versions"
        return self._ask("versions", "list versions", "GET", path, _numbers, subject=subject)

    def version(self, subject: str, number: int | None) -> StoredVersion:
        """Return a version of a subject, or the newest; deleted ones only by number."""
        which = "latest" if number is None else f"{number}?deleted=true"
        path = f"/subjects/{_quoted(subject)}/versions/{which}"
        return self._ask(
            "version", "fetch a version", "GET", path, StoredVersion.read, subject=subject
        )

    def schema(self, schema_id: int | str) -> StoredSchema:
        """Return the schema with an id (a number) or a GUID (text)."""
        kind = "ids" if isinstance(schema_id, int) else "guids"
        return self._ask(
            "schema", "fetch a schema", "GET", f"/schemas/{kind}/{_quoted(str(schema_id))}",
            StoredSchema.read, schema_id=schema_id,
        )  # fmt: skip

    def set_level(self, subject: str, level: str) -> None:
        """Set a subject's compatibility level."""
        doing = f"set the compatibility level to {level}"
        body = {"compatibility": level}
        self._ask(
            "config", doing, "PUT", f"/config/{_quoted(subject)}", _any, body, subject=subject
        )

    def answers(self) -> bool:
        """Whether ``registry.url`` is a registry's, which all support this request."""
        try:
            self._ask("config", "read the global compatibility level", "GET", "/config", _any)
        except RegistryRefusedError:
            return True  # it may be forbidden
        except (RegistryUnavailableError, SchemaNotFoundError):
            return False
        return True

    def _ask(
        self,
        operation: str,
        doing: str,
        method: str,
        path: str,
        read: Callable[[Any], T],
        body: Any = None,
        **where: Any,
    ) -> T:
        data = None if body is None else json.dumps(body).encode()

        def attempt() -> T:
            started = time.perf_counter()
            try:
                answer = self._ask_each(doing, method, path, data, where)
                value = self._value(answer, doing, read, where)
            except SdkError as error:
                self.outage = error if isinstance(error, RegistryUnavailableError) else None
                self._observe(operation, where, started, error)
                raise
            self.outage = None
            self._observe(operation, where, started, None)
            return value

        return self._retry.call(attempt, name=doing)

    def _observe(
        self, operation: str, where: dict[str, Any], started: float, error: SdkError | None
    ) -> None:
        if self._observers is not None:
            seconds = time.perf_counter() - started
            self._observers.notify(
                RegistryRequested(operation, where.get("subject"), seconds, error)
            )

    def _value(
        self, answer: Answer, doing: str, read: Callable[[Any], T], where: dict[str, Any]
    ) -> T:
        """Return the value of a successful response."""
        try:
            return read(json.loads(answer.body))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise unusable(doing, where) from error

    def _ask_each(
        self, doing: str, method: str, path: str, body: bytes | None, where: dict[str, Any]
    ) -> Answer:
        """Try one URL after the other until one is available."""
        count = len(self._servers)
        first = self._preferred
        for attempt in range(count):
            if self._closed:
                raise ClosedError(f"cannot {doing}: the registry client is closed", **where)
            index = (first + attempt) % count
            failure: SdkError
            cause: Exception | None = None
            server = self._servers[index]
            try:
                answer = server.request(method, path, body)
            except (OSError, HTTPException) as error:
                failure, cause = unreachable(error, doing, where, server.address), error
            else:
                if 200 <= answer.status < 300:
                    self._preferred = index
                    return answer
                failure = refused(answer, doing, where)
            available = not isinstance(failure, RegistryUnavailableError)
            if available:
                self._preferred = index
            if available or attempt == count - 1:
                failure.message = self.hide(failure.message)
                failure.args = (failure.message,)
                raise failure from cause
        raise AssertionError("there is at least one URL")


def registry_secrets(options: RegistryOptions) -> tuple[str, ...]:
    """Return the secrets, which no message may contain."""
    known = [options.password, options.bearer_token, *options.rules.values()]
    if options.username is not None:
        known.append(_basic(options.username, options.password or ""))
    if options.tls is not None:
        known.append(options.tls.key_password)
    return tuple(secret for secret in known if secret)


def _servers(options: RegistryOptions) -> tuple[HttpClient, ...]:
    headers = {**_HEADERS, **_authorization(options)}
    tls = _tls(options.tls) if any(url.startswith("https:") for url in options.url) else None
    return tuple(
        HttpClient(
            url,
            timeout=options.timeout_ms / 1000,
            headers=headers,
            tls=tls,
            proxy=proxy_for(urlsplit(url)) if options.use_proxies else None,
        )
        for url in options.url
    )


def _authorization(options: RegistryOptions) -> dict[str, str]:
    if options.username is not None:
        return {"Authorization": f"Basic {_basic(options.username, options.password or '')}"}
    if options.bearer_token is not None:
        return {"Authorization": f"Bearer {options.bearer_token}"}
    return {}


def _basic(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _tls(options: TlsOptions | None) -> ssl.SSLContext:
    options = options or TlsOptions()
    try:
        if not options.verify:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = ssl.create_default_context(cafile=options.ca_location)
        if options.certificate_location is not None:
            context.load_cert_chain(
                options.certificate_location,
                options.key_location,
                lambda: options.key_password or "",
            )
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the files named in registry.tls cannot be used: {type(error).__name__}",
            remedy="check that they are PEM and readable, and that key, its password and"
            " certificate belong together",
        ) from error
    return context


def _body(text: str, references: Sequence[Reference]) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": text, "schemaType": "AVRO"}
    if references:
        body["references"] = [each.as_json() for each in references]
    return body


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _any(answer: Any) -> None:
    return None


def _numbers(answer: Any) -> list[int]:
    return sorted(int(number) for number in answer)
