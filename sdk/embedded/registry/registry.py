"""The schema registry without its network: state, and the table of what it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sdk.embedded.registry.deletion import Deletion
from sdk.embedded.registry.reading import Reading
from sdk.embedded.registry.registration import Registration
from sdk.embedded.registry.resources import SchemaResources, SubjectResources
from sdk.embedded.registry.routing import Request, Route, Router
from sdk.embedded.registry.scope_resources import ScopeResources
from sdk.embedded.registry.scopes import Scopes
from sdk.embedded.registry.store import Store


class SchemaRegistry:
    """Answers requests as Confluent's registry 7.9 does, from memory.

    Requests are answered one at a time, so each sees the registry at rest.

    Args:
        more: Further routes to serve beside the registry's own.
    """

    def __init__(self, more: Iterable[Route] = ()) -> None:
        store = Store()
        scopes = Scopes(store)
        reading = Reading(store)
        registration = Registration(store, scopes, reading)
        deletion = Deletion(store, scopes, reading)
        subjects = SubjectResources(store, scopes, reading, registration, deletion)
        schemas = SchemaResources(store, scopes, reading, registration)
        settings = ScopeResources(store, scopes, reading, registration)
        self._lock = threading.Lock()
        self._router = Router(
            (*_locked(self._lock, (*subjects.routes, *schemas.routes, *settings.routes)), *more)
        )

    def answer(self, request: Request) -> Any:
        """Answer one request.

        Raises:
            RestError: The refusal to send.
        """
        return self._router.answer(request)

    def methods(self, path: Sequence[str]) -> list[str]:
        """Return the methods that a path answers to."""
        return self._router.methods(path)


def _locked(lock: threading.Lock, routes: Iterable[Route]) -> list[Route]:
    def guard(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        def guarded(request: Request) -> Any:
            with lock:
                return handler(request)

        return guarded

    return [Route(route.method, route.template, guard(route.handler)) for route in routes]
