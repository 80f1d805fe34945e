"""Levels, modes, aliases and groups."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.embedded.battery.vocabulary import (
    BAD_LEVEL,
    CONFLICT,
    NOT_ALLOWED,
    V1,
    V2,
    V3,
    WRONG,
    A,
    B,
    C,
    compatible,
    no_subject,
    not_permitted,
    schema,
    version,
)
from tests.unit.embedded.steps import Refused, Step, delete, get, post, put


def configuration() -> Iterator[Step]:
    """Levels: global, of a subject, unset."""
    not_set = Refused(
        404, 40408, "Subject 's' does not have subject-level compatibility configured"
    )
    yield get("/config", {"compatibilityLevel": "BACKWARD"})
    yield get("/config/s", not_set)
    yield get("/config/s?defaultToGlobal=true", {"compatibilityLevel": "BACKWARD"})
    yield get("/config/s?defaultToGlobal=True", {"compatibilityLevel": "BACKWARD"})
    yield get("/config/s?defaultToGlobal=false", not_set)
    yield delete("/config/s", no_subject("s"))
    for level in (
        "NONE",
        "BACKWARD",
        "BACKWARD_TRANSITIVE",
        "FORWARD",
        "FORWARD_TRANSITIVE",
        "FULL",
        "FULL_TRANSITIVE",
    ):
        yield put("/config/s", {"compatibility": level}, {"compatibility": level})
        yield get("/config/s", {"compatibilityLevel": level})
        yield put("/config", {"compatibility": level}, {"compatibility": level})
        yield get("/config", {"compatibilityLevel": level})
        yield get("/config/other?defaultToGlobal=true", {"compatibilityLevel": level})
    yield put("/config/s", {"compatibility": "forward"}, {"compatibility": "forward"})
    yield get("/config/s", {"compatibilityLevel": "FORWARD"})
    for wrong in ("SIDEWAYS", "", "FULL ", "BACKWARDS"):
        yield put("/config/s", {"compatibility": wrong}, BAD_LEVEL)
        yield put("/config", {"compatibility": wrong}, BAD_LEVEL)
    yield delete("/config/s", {"compatibilityLevel": "FORWARD"})
    yield delete("/config/s", no_subject("s"))
    yield get("/config/s", not_set)
    yield delete("/config", {"compatibilityLevel": "FULL_TRANSITIVE"})
    yield get("/config", {"compatibilityLevel": "BACKWARD"})
    yield delete("/config", {"compatibilityLevel": "BACKWARD"})
    yield put("/config/s", {"compatibilityGroup": "major"}, {"compatibilityGroup": "major"})
    yield get("/config/s", {"compatibilityGroup": "major"})
    yield put("/config/s", {"compatibility": "FULL"}, {"compatibility": "FULL"})
    yield get("/config/s", {"compatibilityLevel": "FULL", "compatibilityGroup": "major"})
    yield get(
        "/config/s?defaultToGlobal=true",
        {"compatibilityLevel": "FULL", "compatibilityGroup": "major"},
    )
    yield put("/config/s", {"normalize": True, "unknown": 1}, {"normalize": True})
    yield put("/config", b"", Refused(422, 422))
    yield put("/config/%0A", {"compatibility": "FULL"}, Refused(422, 42208))
    yield post("/config", {"compatibility": "FULL"}, NOT_ALLOWED)


def modes() -> Iterator[Step]:
    """READWRITE, READONLY and the override."""
    not_set = Refused(404, 40409, "Subject 's' does not have subject-level mode configured")
    read_only = not_permitted("Subject s is in read-only mode")
    yield get("/mode", {"mode": "READWRITE"})
    yield get("/mode/s", not_set)
    yield get("/mode/s?defaultToGlobal=true", {"mode": "READWRITE"})
    yield delete("/mode/s", no_subject("s"))
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield put("/mode/s", {"mode": "READONLY"}, {"mode": "READONLY"})
    yield get("/mode/s", {"mode": "READONLY"})
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s/versions", schema(V2), read_only)
    yield post("/subjects/s", schema(V1), version("s", 1, 1, V1))
    yield delete("/subjects/s/versions/1", read_only)
    yield delete("/subjects/s", read_only)
    yield put("/config/s", {"compatibility": "NONE"}, read_only)
    yield post("/subjects/other/versions", schema(V2), {"id": 2})
    yield post("/compatibility/subjects/s/versions/latest", schema(V2), compatible())
    yield delete("/mode/s", {"mode": "READONLY"})
    yield get("/mode/s", not_set)
    yield put("/mode", {"mode": "READONLY"}, {"mode": "READONLY"})
    yield get("/mode", {"mode": "READONLY"})
    yield get("/mode/s?defaultToGlobal=true", {"mode": "READONLY"})
    yield post("/subjects/s/versions", schema(V2), read_only)
    yield put("/config", {"compatibility": "NONE"}, not_permitted())
    yield put("/mode/s", {"mode": "READWRITE"}, {"mode": "READWRITE"})
    yield post("/subjects/s/versions", schema(V2), {"id": 2})
    yield put("/mode", {"mode": "READONLY_OVERRIDE"}, {"mode": "READONLY_OVERRIDE"})
    yield get("/mode/s", {"mode": "READONLY_OVERRIDE"})
    yield post("/subjects/s/versions", schema(V3), read_only)
    yield put("/mode", {"mode": "readwrite"}, {"mode": "readwrite"})
    yield get("/mode", {"mode": "READWRITE"})
    wrong = Refused(422, 42204, "Invalid mode. Valid values are READWRITE, READONLY, and IMPORT.")
    for mode in ("", "OFF", "READ_ONLY"):
        yield put("/mode", {"mode": mode}, wrong)
        yield put("/mode/s", {"mode": mode}, wrong)
    yield put("/mode", b"", Refused(422, 422))
    yield put("/mode/%0A", {"mode": "READONLY"}, Refused(422, 42208))
    yield delete("/subjects/s", [1, 2])
    yield get("/mode/s", not_set)
    yield delete("/mode", NOT_ALLOWED)


def importing() -> Iterator[Step]:
    """IMPORT: ids and versions of the client's choice."""
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    found = not_permitted("Cannot import since found existing subjects")
    yield put("/mode/s", {"mode": "IMPORT"}, found)
    yield put("/mode", {"mode": "IMPORT"}, found)
    yield post(
        "/subjects/i/versions",
        schema(C, id=42, version=5),
        not_permitted("Subject i is not in import mode"),
    )
    yield put("/mode/i", {"mode": "IMPORT"}, {"mode": "IMPORT"})
    yield post(
        "/subjects/i/versions", schema(C), not_permitted("Subject i is not in read-write mode")
    )
    yield post("/subjects/i/versions", schema(C, id=42, version=5), {"id": 42})
    yield get("/subjects/i/versions", [5])
    yield get("/subjects/i/versions/5", version("i", 5, 42, C))
    yield post("/subjects/i/versions", schema(C, id=42, version=5), {"id": 42})
    yield post(
        "/subjects/i/versions",
        schema(B, id=42, version=6),
        not_permitted("Overwrite new schema with id 42 is not permitted."),
    )
    yield post("/subjects/i/versions", schema(WRONG, id=43), {"id": 43})
    yield get("/subjects/i/versions", [5, 6])
    yield post("/subjects/i/versions", schema(V1, id=44, version=2), {"id": 44})
    yield get("/subjects/i/versions", [2, 5, 6])
    yield put("/mode/i", {"mode": "READWRITE"}, {"mode": "READWRITE"})
    yield post("/subjects/i2/versions", schema(A), {"id": 45})
    yield put("/mode/s?force=true", {"mode": "IMPORT"}, {"mode": "IMPORT"})
    yield post("/subjects/s/versions", schema(WRONG, id=43, version=9), {"id": 43})
    yield get("/subjects/s/versions", [1, 9])
    yield delete("/mode/s", {"mode": "IMPORT"})
    yield delete("/subjects/s", [1, 9])
    yield put("/mode/s", {"mode": "IMPORT"}, {"mode": "IMPORT"})
    yield get("/subjects?deleted=true", ["i", "i2"])


def aliases() -> Iterator[Step]:
    """A subject that is another name of a subject."""
    yield post("/subjects/real/versions", schema(V1), {"id": 1})
    yield put("/config/nick", {"alias": "real"}, {"alias": "real"})
    yield get("/subjects/nick/versions/1", version("real", 1, 1, V1))
    yield get("/subjects/nick/versions", [1])
    yield post("/subjects/nick", schema(V1), version("real", 1, 1, V1))
    yield post("/subjects/nick/versions", schema(V2), {"id": 2})
    yield get("/subjects", ["real"])
    yield get(
        "/schemas?aliases=true&latestOnly=true", [version("real", 2, 2, V2, aliases=["nick"])]
    )


def groups() -> Iterator[Step]:
    """A compatibility group: only schemas of the same group are compared."""
    yield put("/config/s", {"compatibilityGroup": "major"}, {"compatibilityGroup": "major"})
    one, two = ({"properties": {"major": number}} for number in "12")
    yield post("/subjects/s/versions", schema(V1, metadata=one), {"id": 1})
    yield post("/subjects/s/versions", schema(WRONG, metadata=one), CONFLICT)
    yield post("/subjects/s/versions", schema(WRONG, metadata=two), {"id": 2})
    yield post("/subjects/s/versions", schema(V2, metadata=two), CONFLICT)
    yield post("/subjects/s/versions", schema(V2, metadata=one), {"id": 3})


SCENARIOS = (
    configuration,
    modes,
    importing,
    aliases,
    groups,
)
