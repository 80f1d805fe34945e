"""Paths, methods, media types and bodies."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.embedded.battery.vocabulary import (
    INT,
    NOT_ALLOWED,
    NOT_FOUND,
    schema,
)
from tests.unit.embedded.steps import Has, Refused, Step, delete, get, post, put


def protocol() -> Iterator[Step]:
    """Paths, methods, media types and bodies that do not fit."""
    yield get("/", {})
    yield get("/nope", NOT_FOUND)
    yield get("/subjects/s", NOT_ALLOWED)
    yield put("/subjects/s", {}, NOT_ALLOWED)
    yield put("/subjects", {}, NOT_ALLOWED)
    yield get("/subjects/s/nope", NOT_FOUND)
    yield get("/schemas/ids", NOT_FOUND)
    yield get("/schemas/ids/abc", NOT_FOUND)
    yield get("/schemas/ids/1.5", NOT_FOUND)
    yield get("/schemas/ids/99999999999", NOT_FOUND)
    yield delete("/schemas/ids/1", NOT_ALLOWED)
    yield get("/compatibility/subjects/s/versions/1", NOT_ALLOWED)
    yield get("/associations/resources/-/t?resourceType=topic", NOT_FOUND)
    yield get("/subjects?deleted=TRUE", [])
    yield get("/subjects?deleted=yes", [])
    yield get("/subjects?deleted=", [])
    yield get("/subjects/", [])
    yield get("/v1/metadata/id", Has({"id": "", "scope": _IDENTITY}))
    yield post("/subjects/s/versions", b"", Refused(422, 422))
    yield post("/subjects/s/versions", b"null", Refused(422, 422))
    for body in (b"{", b"[1]", b'"text"', b'{"schema":}', b"{'schema':1}", b"\xff", b"NaN"):
        yield post("/subjects/s/versions", body, Refused(400, 400))
    yield post("/subjects/s/versions", {"schema": {"type": "int"}}, Refused(400, 400))
    yield post("/subjects/s/versions", {"schema": "1", "references": {}}, Refused(400, 400))
    yield post("/subjects/s/versions", {"schema": INT, "id": "x"}, Refused(400, 400))
    yield post("/subjects/s/versions", {"schema": INT, "more": [1]}, {"id": 1})
    yield post("/subjects/s/versions", schema(INT), {"id": 1}, Content_Type="application/json")
    yield post(
        "/subjects/s/versions",
        schema(INT),
        {"id": 1},
        Content_Type="application/vnd.schemaregistry+json; charset=utf-8",
    )
    yield post(
        "/subjects/s/versions", schema(INT), {"id": 1}, Content_Type="application/octet-stream"
    )
    unsupported = Refused(415, 415, "HTTP 415 Unsupported Media Type")
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/avro"):
        yield post("/subjects/s/versions", schema(INT), unsupported, Content_Type=media_type)
    yield get("/subjects", Refused(406, 406, "HTTP 406 Not Acceptable"), Accept="text/html")
    yield get("/subjects", ["s"], Accept="application/json")
    yield get("/subjects", ["s"], Accept="text/html, */*;q=0.1")
    yield post("/subjects/a%2Fb/versions", schema(INT), {"id": 1})
    yield get("/subjects/a%2Fb/versions", [1])
    yield post("/subjects/%C3%BC%20%2B/versions", schema(INT), {"id": 1})
    yield get("/subjects", ["a/b", "s", "ü +"])
    for subject in ("%0Abad", "a%09", "__GLOBAL"):
        yield post(f"/subjects/{subject}/versions", schema(INT), Refused(422, 42208))


_IDENTITY = {
    "path": [],
    "clusters": {"kafka-cluster": "embedded", "schema-registry-cluster": "schema-registry"},
}


SCENARIOS = (protocol,)
