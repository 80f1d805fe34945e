"""The schema registry without HTTP: its state and its routes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from sdk.embedded.registry import answers
from sdk.embedded.registry.resources import SchemaResources, SubjectResources
from sdk.embedded.registry.routing import Request, Route, Router, routes_of
from sdk.embedded.registry.scope_resources import ScopeResources
from sdk.embedded.registry.scopes import Scopes
from sdk.embedded.registry.store import Store


class RegistryService:
    """Answers requests as Confluent's registry 7.9 does, from memory.

    Requests are answered one at a time, so that each sees a consistent state.

    Args:
        more: Further routes to serve, which do not wait for the registry's lock.

    Attributes:
        available: False lets every request of the registry end in HTTP 503, for tests.
    """

    def __init__(self, more: Iterable[Route] = ()) -> None:
        store = Store()
        scopes = Scopes(store)
        kinds = (SubjectResources, SchemaResources, ScopeResources)
        self.available = True
        self._lock = threading.Lock()
        self._own = Router(route for kind in kinds for route in routes_of(kind(store, scopes)))
        self._more = Router(more)

    def answer(self, request: Request) -> Any:
        """Answer one request."""
        if self._more.methods(request.path):
            return self._more.answer(request)
        if not self.available:
            raise answers.unavailable()
        with self._lock:
            return self._own.answer(request)

    def methods(self, path: Sequence[str]) -> list[str]:
        """Return the methods that a path supports."""
        return [*self._own.methods(path), *self._more.methods(path)]
