"""``/config``, ``/mode``, ``/compatibility``, ``/contexts`` and the server's own data."""

from __future__ import annotations

from typing import Any, Final

from sdk.embedded.registry import answers
from sdk.embedded.registry.reading import LATEST, Reading, version_number
from sdk.embedded.registry.registration import Registration, SchemaRequest
from sdk.embedded.registry.routing import NoContent, Request, Route
from sdk.embedded.registry.scopes import MODES, Config, Scopes, Subject
from sdk.embedded.registry.store import SchemaVersion, Store
from sdk.embedded.registry.subjects import (
    DEFAULT_CONTEXT,
    QualifiedSubject,
    is_default_context,
    is_valid,
    normalize,
)

VERSION: Final = "7.9.10"
"""The release of Confluent's registry whose answers these are."""

_CONTEXT_LIMIT: Final = 2_000


class ScopeResources:
    """Everything that is set for a subject, a context or the whole registry."""

    def __init__(
        self, store: Store, scopes: Scopes, reading: Reading, registration: Registration
    ) -> None:
        self._store = store
        self._scopes = scopes
        self._reading = reading
        self._registration = registration

    @property
    def routes(self) -> list[Route]:
        """The paths."""
        compatibility = "/compatibility/subjects/{subject}/versions"
        return [
            Route("GET", "/config", self.get_config),
            Route("PUT", "/config", self.put_config),
            Route("DELETE", "/config", self.delete_config),
            Route("GET", "/config/{subject}", self.get_config),
            Route("PUT", "/config/{subject}", self.put_config),
            Route("DELETE", "/config/{subject}", self.delete_config),
            Route("GET", "/mode", self.get_mode),
            Route("PUT", "/mode", self.put_mode),
            Route("GET", "/mode/{subject}", self.get_mode),
            Route("PUT", "/mode/{subject}", self.put_mode),
            Route("DELETE", "/mode/{subject}", self.delete_mode),
            Route("POST", compatibility, self.compare_with_all),
            Route("POST", f"{compatibility}/{{version}}", self.compare_with_one),
            Route("GET", "/contexts", self.list_contexts),
            Route("DELETE", "/contexts/{context}", self.delete_context),
            Route("GET", "/", lambda _: {}),
            Route("POST", "/", lambda _: {}),
            Route("GET", "/v1/metadata/id", lambda _: _IDENTITY),
            Route("GET", "/v1/metadata/version", lambda _: {"version": VERSION, "commitId": ""}),
        ]

    def get_config(self, request: Request) -> Any:
        """GET /config and /config/S."""
        subject = _scope(request)
        if request.flag("defaultToGlobal"):
            return self._scopes.config_in_scope(subject).as_json()
        config = self._scopes.config(subject)
        if config is None:
            raise answers.no_subject_level(str(subject))
        return config.as_json()

    def put_config(self, request: Request) -> Any:
        """PUT /config and /config/S; the answer repeats the request."""
        body = request.body()
        config = Config.read(body)
        subject = _scope(request)
        if subject is not None and not is_valid(subject):
            raise answers.invalid_subject(subject)
        self._scopes.update_config(subject, config)
        told = config.as_json("compatibility")
        return told | ({"compatibility": body.text("compatibility")} if config.level else {})

    def delete_config(self, request: Request) -> Any:
        """DELETE /config and /config/S; the answer is what was set."""
        return self._scopes.delete_config(_scope(request)).as_json()

    def get_mode(self, request: Request) -> Any:
        """GET /mode and /mode/S."""
        subject = _scope(request)
        if request.flag("defaultToGlobal"):
            return {"mode": self._scopes.mode_in_scope(subject)}
        mode = self._scopes.mode(subject)
        if mode is None:
            raise answers.no_subject_mode(str(subject))
        return {"mode": mode}

    def put_mode(self, request: Request) -> Any:
        """PUT /mode and /mode/S; the answer repeats the request."""
        mode = request.body().text("mode")
        subject = _scope(request)
        if subject is not None and not is_valid(subject):
            raise answers.invalid_subject(subject)
        if mode is None:
            raise answers.internal_error()
        if mode.upper() not in MODES:
            raise answers.invalid_mode()
        self._scopes.set_mode(subject, mode.upper(), force=request.flag("force"))
        return {"mode": mode}

    def delete_mode(self, request: Request) -> Any:
        """DELETE /mode/S; the answer is what was set."""
        return {"mode": self._scopes.delete_mode(normalize(request.params["subject"]))}

    def compare_with_one(self, request: Request) -> Any:
        """POST /compatibility/subjects/S/versions/V."""
        schema = SchemaRequest.read(request.body())
        subject = self._subject(request)
        number = version_number(request.params["version"])
        row = self._reading.get(subject, number, deleted=False)
        if row is None and number != LATEST:
            raise answers.version_not_found(number)
        return self._verdict(request, subject, schema, [row] if row else [])

    def compare_with_all(self, request: Request) -> Any:
        """POST /compatibility/subjects/S/versions: what registering would compare."""
        schema = SchemaRequest.read(request.body())
        subject = self._subject(request)
        rows = [row for row in self._store.versions(subject) if not row.deleted]
        return self._verdict(request, subject, schema, rows)

    def list_contexts(self, request: Request) -> Any:
        """GET /contexts."""
        contexts = [DEFAULT_CONTEXT, *self._store.contexts()]
        return request.page(contexts, _CONTEXT_LIMIT, _CONTEXT_LIMIT)

    def delete_context(self, request: Request) -> Any:
        """DELETE /contexts/C: forget an empty context."""
        prefix = normalize(request.params["context"])
        if self._store.has(prefix, deleted=True):
            raise answers.context_not_empty(prefix)
        self._store.forget_context(QualifiedSubject.parse(prefix).context)
        return NoContent()

    def _verdict(
        self, request: Request, subject: str, schema: SchemaRequest, rows: list[SchemaVersion]
    ) -> dict[str, Any]:
        verbose = request.flag("verbose")
        normalized = self._scopes.config_in_scope(subject).normalize
        try:
            found = self._registration.compare(
                subject,
                schema.document,
                rows,
                normalize=request.flag("normalize") or bool(normalized),
            )
        except answers.RestError as error:
            if not verbose:
                raise
            found = [error.message]
        verdict: dict[str, Any] = {"is_compatible": not found}
        return verdict | ({"messages": found} if verbose else {})

    def _subject(self, request: Request) -> str:
        return normalize(self._scopes.alias(request.params["subject"]))


_IDENTITY: Final = {
    "scope": {
        "path": [],
        "clusters": {"kafka-cluster": "embedded", "schema-registry-cluster": "schema-registry"},
    },
    "id": "",
}


def _scope(request: Request) -> Subject:
    subject = request.params.get("subject")
    return None if subject is None or is_default_context(subject) else normalize(subject)
