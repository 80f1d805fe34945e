"""Requests, and the table of paths with their handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from attrs import evolve, field, frozen

from sdk.embedded.registry import answers
from sdk.embedded.registry.bodies import A, read_body
from sdk.embedded.registry.store import LATEST
from sdk.embedded.registry.subjects import EVERY_CONTEXT, normalize_context

MEDIA_TYPES: Final = (
    "application/vnd.schemaregistry.v1+json",
    "application/vnd.schemaregistry+json",
    "application/json",
)
"""The media types of answers, best first."""

_READABLE: Final = (*MEDIA_TYPES, "application/octet-stream")
_INT_RANGE = range(-(2**31), 2**31)


@frozen(kw_only=True)
class Request:
    """One HTTP request."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, Sequence[str]] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    content: bytes = b""
    params: Mapping[str, str] = field(factory=dict)

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """Return whether a query parameter is ``true``, in any case."""
        return (self.text(name) or "").lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Return a query parameter as an int of 32 bits."""
        return _number(self.text(name, str(default)) or "")

    def path_number(self, name: str) -> int:
        """Return a placeholder of the path as an int of 32 bits."""
        return _number(self.params[name])

    def version(self) -> int:
        """Return the version that the path names; `LATEST` for ``latest`` and ``-1``."""
        text = self.params["version"]
        stripped = text.strip()
        if stripped.lower() == "latest":
            return LATEST
        digits = stripped.removeprefix("+")
        if not digits.removeprefix("-").isdecimal():
            raise answers.invalid_version(text)
        number = int(digits[:20])
        if number not in _INT_RANGE:
            raise answers.invalid_version(text)
        if number <= 0 and number != LATEST:
            raise answers.invalid_version(number)
        return number

    def page(self, items: Iterable[Any], most: int) -> list[Any]:
        """Return the part of a listing given by ``offset`` and ``limit``."""
        offset, limit = self.number("offset", 0), self.number("limit", -1)
        if offset < 0:
            raise answers.internal_error()
        size = limit if 0 < limit <= most else most
        return list(items)[offset : offset + size]

    def body(self, cls: type[A]) -> A:
        """Return the JSON object of the body as a class."""
        media_type = self.headers.get("content-type", _READABLE[-1]).partition(";")[0]
        if media_type.strip().lower() not in _READABLE:
            raise answers.unsupported_media_type()
        return read_body(self.content, cls)

    @property
    def knows_more(self) -> bool:
        """Whether the client accepts fields that releases before 8.0 did not send."""
        return self.headers.get("confluent-accept-unknown-properties", "").lower() == "true"


@frozen
class RawText:
    """An answer that is sent verbatim, not as a JSON string."""

    text: str


@frozen
class NoContent:
    """An answer without a body (HTTP 204)."""


H = TypeVar("H", bound=Callable[..., Any])
Handler = Callable[[Request], Any]
"""Answers a request with a JSON value, `RawText` or `NoContent`."""


@frozen
class Route:
    """A path and its handler."""

    method: str
    template: str
    handler: Handler

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        """Return the values of the placeholders, or None if the path does not match."""
        parts = self.template.strip("/").split("/") if self.template != "/" else []
        if len(parts) != len(path):
            return None
        params: dict[str, str] = {}
        for part, segment in zip(parts, path, strict=True):
            if part.startswith("{"):
                if not segment:
                    return None
                params[part[1:-1]] = segment
            elif part != segment:
                return None
        return params


def route(method: str, template: str) -> Callable[[H], H]:
    """Mark a method as the handler of a path; it may be marked several times."""

    def mark(handler: H) -> H:
        marks = [*getattr(handler, "__routes__", ()), (method, template)]
        handler.__routes__ = marks  # type: ignore[attr-defined]
        return handler

    return mark


def routes_of(resource: object) -> list[Route]:
    """Return the routes of an object's marked methods."""
    methods = (getattr(resource, name) for name in dir(resource))
    return [
        Route(method, template, handler)
        for handler in methods
        for method, template in getattr(handler, "__routes__", ())
    ]


class Router:
    """Finds the handler of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)

    def answer(self, request: Request) -> Any:
        """Return the handler's answer."""
        request = in_context(request)
        method = "GET" if request.method == "HEAD" else request.method
        allowed = self.methods(request.path)
        if not allowed:
            raise answers.no_such_path()
        for route in self._routes:
            params = route.match(request.path)
            if params is not None and route.method == method:
                return route.handler(evolve(request, params=params))
        raise answers.method_not_allowed()

    def methods(self, path: Sequence[str]) -> list[str]:
        """Return the methods that a path answers to."""
        return [route.method for route in self._routes if route.match(path) is not None]


def in_context(request: Request) -> Request:
    """Turn ``/contexts/NAME/subjects/S/…`` into ``/subjects/:.NAME:S/…``."""
    if len(request.path) < 2 or request.path[0] != "contexts":
        return request
    try:
        prefix = normalize_context(request.path[1])
    except ValueError as error:
        raise answers.bad_request(str(error)) from None
    path = _with_context(request.path[2:], prefix)
    if not path:
        path = ("contexts", prefix) if prefix else ("contexts",)
    query = dict(request.query)
    if path[:2] == ("schemas", "ids"):
        query["subject"] = [_inside(prefix, (query.get("subject") or [""])[0])]
    elif path in (("schemas",), ("subjects",)):
        prefixes = query.get("subjectPrefix") or [""]
        query["subjectPrefix"] = [_inside(prefix, each) for each in prefixes]
    return evolve(request, path=path, query=query)


def _with_context(path: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Put a context before the subject in a path; ``/config`` and ``/mode`` become its own."""
    has_scope = path[:1] in (("config",), ("mode",))
    if not has_scope and "subjects" not in path:
        return path
    place = 1 if has_scope else path.index("subjects") + 1
    subject = tuple(_inside(prefix, each) for each in path[place : place + 1])
    if has_scope and prefix and not subject:
        subject = (prefix,)
    return (*path[:place], *subject, *path[place + 1 :])


def _inside(prefix: str, subject: str) -> str:
    return subject if subject.startswith((":.", EVERY_CONTEXT)) else prefix + subject


def negotiate(accept: str | None) -> str:
    """Return the media type of an answer."""
    if not accept or not accept.strip():
        return MEDIA_TYPES[0]
    best: tuple[float, int] | None = None
    for part in accept.split(","):
        wanted, _, parameters = part.strip().partition(";")
        quality = _quality(parameters)
        for rank, media_type in enumerate(MEDIA_TYPES):
            if quality > 0 and wanted.strip().lower() in (media_type, "application/*", "*/*"):
                best = max(best or (0.0, -9), (quality, -rank))
    if best is None:
        raise answers.not_acceptable()
    return MEDIA_TYPES[-best[1]]


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise answers.no_such_path() from None
    if number not in _INT_RANGE:
        raise answers.no_such_path()
    return number
