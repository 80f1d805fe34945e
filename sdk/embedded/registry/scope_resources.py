"""``/config``, ``/mode``, ``/compatibility``, ``/contexts`` and the server's own data."""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen

from sdk.embedded.registry import answers
from sdk.embedded.registry.bodies import as_json
from sdk.embedded.registry.registration import SchemaRequest
from sdk.embedded.registry.resources import Resources
from sdk.embedded.registry.routing import NoContent, Request, route
from sdk.embedded.registry.scopes import MODES, Config, Subject
from sdk.embedded.registry.store import LATEST, SchemaVersion
from sdk.embedded.registry.subjects import (
    DEFAULT_CONTEXT,
    QualifiedSubject,
    is_default_context,
    is_valid,
    normalize,
)

VERSION: Final = "7.9.10"
"""The release of Confluent's registry that is imitated."""

_CONTEXT_LIMIT: Final = 2_000


@frozen
class _Level:
    compatibility: str | None = None


@frozen
class _Mode:
    mode: str | None = None


class ScopeResources(Resources):
    """Settings of a subject, a context or the whole registry."""

    @route("GET", "/config")
    @route("GET", "/config/{subject}")
    def _get_config(self, request: Request) -> Any:
        subject = _scope(request)
        if request.flag("defaultToGlobal"):
            return self._scopes.config_in_scope(subject).as_json()
        config = self._scopes.config(subject)
        if config is None:
            raise answers.no_subject_level(str(subject))
        return config.as_json()

    @route("PUT", "/config")
    @route("PUT", "/config/{subject}")
    def _put_config(self, request: Request) -> Any:
        """The answer repeats the request."""
        config = request.body(Config)
        subject = _scope(request)
        if subject is not None and not is_valid(subject):
            raise answers.invalid_subject(subject)
        self._scopes.update_config(subject, config)
        return config.as_json("compatibility") | as_json(request.body(_Level))

    @route("DELETE", "/config")
    @route("DELETE", "/config/{subject}")
    def _delete_config(self, request: Request) -> Any:
        """The answer is what was set."""
        return self._scopes.delete_config(_scope(request)).as_json()

    @route("GET", "/mode")
    @route("GET", "/mode/{subject}")
    def _get_mode(self, request: Request) -> Any:
        subject = _scope(request)
        if request.flag("defaultToGlobal"):
            return {"mode": self._scopes.mode_in_scope(subject)}
        mode = self._scopes.mode(subject)
        if mode is None:
            raise answers.no_subject_mode(str(subject))
        return {"mode": mode}

    @route("PUT", "/mode")
    @route("PUT", "/mode/{subject}")
    def _put_mode(self, request: Request) -> Any:
        """The answer repeats the request."""
        mode = request.body(_Mode).mode
        subject = _scope(request)
        if subject is not None and not is_valid(subject):
            raise answers.invalid_subject(subject)
        if mode is None:
            raise answers.internal_error()
        if mode.upper() not in MODES:
            raise answers.invalid_mode()
        self._scopes.set_mode(subject, mode.upper(), force=request.flag("force"))
        return {"mode": mode}

    @route("DELETE", "/mode/{subject}")
    def _delete_mode(self, request: Request) -> Any:
        """The answer is what was set."""
        return {"mode": self._scopes.delete_mode(normalize(request.params["subject"]))}

    @route("POST", "/compatibility/subjects/{subject}/versions/{version}")
    def _compare_with_one(self, request: Request) -> Any:
        schema = request.body(SchemaRequest)
        subject = self.subject(request)
        number = request.version()
        row = self._store.get(subject, number, deleted=False)
        if row is None and number != LATEST:
            raise answers.version_not_found(number)
        return self._verdict(request, subject, schema, [row] if row else [])

    @route("POST", "/compatibility/subjects/{subject}/versions")
    def _compare_with_all(self, request: Request) -> Any:
        """Compare as registering would."""
        schema = request.body(SchemaRequest)
        subject = self.subject(request)
        rows = [row for row in self._store.versions(subject) if not row.deleted]
        return self._verdict(request, subject, schema, rows)

    @route("GET", "/contexts")
    def _list_contexts(self, request: Request) -> Any:
        contexts = [DEFAULT_CONTEXT, *self._store.contexts()]
        return request.page(contexts, _CONTEXT_LIMIT)

    @route("DELETE", "/contexts/{context}")
    def _delete_context(self, request: Request) -> Any:
        """Forget an empty context."""
        prefix = normalize(request.params["context"])
        if self._store.has(prefix, deleted=True):
            raise answers.context_not_empty(prefix)
        self._store.forget_context(QualifiedSubject.parse(prefix).context)
        return NoContent()

    def _verdict(
        self, request: Request, subject: str, schema: SchemaRequest, rows: list[SchemaVersion]
    ) -> dict[str, Any]:
        verbose = request.flag("verbose")
        try:
            found = self._registration.compare(
                subject, schema.document, rows, normalize=self.normalizes(request, subject)
            )
        except answers.RestError as error:
            if not verbose:
                raise
            found = [error.message]
        verdict: dict[str, Any] = {"is_compatible": not found}
        return verdict | ({"messages": found} if verbose else {})

    @route("GET", "/")
    @route("POST", "/")
    def _root(self, _: Request) -> Any:
        """Answer an empty object."""
        return {}

    @route("GET", "/v1/metadata/id")
    def _identity(self, _: Request) -> Any:
        """Return the cluster's id."""
        return _IDENTITY

    @route("GET", "/v1/metadata/version")
    def _version(self, _: Request) -> Any:
        """Return the release."""
        return {"version": VERSION, "commitId": ""}


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
