"""A request, and the answer that Confluent's registry gives to it."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@frozen
class Refused:
    """An error answer.

    Attributes:
        status: HTTP status.
        code: ``error_code``.
        message: The whole ``message``, or None where Confluent's words are not of our making.
    """

    status: int
    code: int
    message: str | None = None


@frozen
class Has:
    """An object with at least these fields, and without those that are None here."""

    fields: Mapping[str, Any]


@frozen
class Raw:
    """A body that is text and no JSON."""

    text: str


@frozen
class Step:
    """One request and its answer.

    Attributes:
        method: HTTP method.
        path: Path and query.
        body: JSON value of the body, or bytes, or None for no body.
        answer: The whole JSON value of the answer, or `Refused`, `Has` or `Raw`.
        headers: Further header fields.
    """

    method: str
    path: str
    body: Any
    answer: Any
    headers: Mapping[str, str] = field(factory=dict)


def get(path: str, answer: Any, **headers: str) -> Step:
    """Ask for something."""
    return Step("GET", path, None, answer, _fields(headers))


def post(path: str, body: Any, answer: Any, **headers: str) -> Step:
    """Send something."""
    return Step("POST", path, body, answer, _fields(headers))


def put(path: str, body: Any, answer: Any, **headers: str) -> Step:
    """Set something."""
    return Step("PUT", path, body, answer, _fields(headers))


def delete(path: str, answer: Any, **headers: str) -> Step:
    """Delete something."""
    return Step("DELETE", path, None, answer, _fields(headers))


def _fields(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class Client:
    """A connection to a registry that checks steps.

    Args:
        url: Base URL of the registry.
    """

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)

    def check(self, step: Step) -> None:
        """Send a step's request and compare the answer."""
        status, content = self.send(step)
        shown = f"{step.method} {step.path} {step.body!r} answered {status}: {content[:600]!r}"
        if isinstance(step.answer, Refused):
            refusal = json.loads(content)
            assert (status, refusal["error_code"]) == (step.answer.status, step.answer.code), shown
            if step.answer.message is not None:
                assert refusal["message"] == step.answer.message
            return
        assert status == 200, shown
        if isinstance(step.answer, Raw):
            assert content.decode() == step.answer.text
            return
        found = json.loads(content)
        if isinstance(step.answer, Has):
            found = {name: found.get(name) for name in step.answer.fields}
            assert found == step.answer.fields, shown
        else:
            assert _without_guid(found) == step.answer, shown

    def send(self, step: Step) -> tuple[int, bytes]:
        """Send a step's request; return status and body."""
        content = step.body
        if content is not None and not isinstance(content, bytes):
            content = json.dumps(content).encode()
        headers = {"Content-Type": CONTENT_TYPE} if content is not None else {}
        self._connection.request(step.method, step.path, content, headers | dict(step.headers))
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _without_guid(value: Any) -> Any:
    """Drop GUIDs, which have a separate test: releases before 8.0 have none."""
    if isinstance(value, dict):
        return {name: _without_guid(item) for name, item in value.items() if name != "guid"}
    if isinstance(value, list):
        return [_without_guid(item) for item in value]
    return value
