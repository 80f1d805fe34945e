"""Words that the scenarios of the battery share: schemas, bodies and refusals."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.embedded.steps import Refused

INT = '"int"'


def record(name: str = "R", *fields: str, **more: Any) -> str:
    """Return a record schema as the registry prints it; fields are ``name:type[=default]``."""
    made = []
    for field in fields:
        head, _, default = field.partition("=")
        label, _, kind = head.partition(":")
        each: dict[str, Any] = {
            "name": label,
            "type": json.loads(kind) if kind[0] in '[{"' else kind,
        }
        made.append(each | ({"default": json.loads(default)} if default else {}))
    return compact({"type": "record", "name": name, **more, "fields": made})


def compact(value: Any) -> str:
    """Return JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def schema(text: str, *references: tuple[str, str, int], **more: Any) -> dict[str, Any]:
    """Return a request body; a reference is (name, subject, version)."""
    body: dict[str, Any] = {"schema": text, **more}
    if references:
        body["references"] = [reference(*each) for each in references]
    return body


def version(subject: str, number: int, schema_id: int, text: str, **more: Any) -> dict[str, Any]:
    """Return a version as it stands in answers."""
    return {"subject": subject, "version": number, "id": schema_id, "schema": text, **more}


def reference(name: str, subject: str, number: int) -> dict[str, Any]:
    """Return a reference as it stands in requests and answers."""
    return {"name": name, "subject": subject, "version": number}


def no_subject(subject: str) -> Refused:
    """40401."""
    return Refused(404, 40401, f"Subject '{subject}' not found.")


def no_version(number: int) -> Refused:
    """40402."""
    return Refused(404, 40402, f"Version {number} not found.")


def no_schema(which: object = None) -> Refused:
    """40403."""
    return Refused(404, 40403, "Schema not found" if which is None else f"Schema {which} not found")


def bad_version(text: str) -> Refused:
    """42202."""
    return Refused(
        422,
        42202,
        f"The specified version '{text}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )


def not_permitted(message: str | None = None) -> Refused:
    """42205."""
    return Refused(422, 42205, message)


INVALID = Refused(422, 42201)
EMPTY = Refused(422, 42201, "Empty schema")
CONFLICT = Refused(409, 409)
NOT_FOUND = Refused(404, 404, "HTTP 404 Not Found")
NOT_ALLOWED = Refused(405, 405, "HTTP 405 Method Not Allowed")
FAILURE = Refused(500, 500, "Internal Server Error")
BAD_LEVEL = Refused(
    422,
    42203,
    "Invalid compatibility level. Valid values are none, backward, forward, full, "
    "backward_transitive, forward_transitive, and full_transitive",
)

A, B, C = record("A"), record("B"), record("C")
V1 = record("R", "a:int")
V2 = record("R", "a:int", "b:int=0")
V3 = record("R", "a:int", "b:int=0", "c:int=0")
WRONG = record("R", "a:string")


def compatible() -> dict[str, Any]:
    """The answer to a schema that fits."""
    return {"is_compatible": True}
