"""Subjects and versions: registering, looking up, deleting, listing, contexts."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.embedded.battery.vocabulary import (
    CONFLICT,
    FAILURE,
    INVALID,
    NOT_FOUND,
    V1,
    V2,
    V3,
    WRONG,
    A,
    B,
    C,
    bad_version,
    no_schema,
    no_subject,
    no_version,
    not_permitted,
    record,
    schema,
    version,
)
from tests.unit.embedded.steps import Raw, Refused, Step, delete, get, post, put


def registering() -> Iterator[Step]:
    """Ids, versions, and schemas that are there already."""
    yield get("/subjects", [])
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s/versions", schema(V2), {"id": 2})
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/other/versions", schema(V1), {"id": 1})
    yield post("/subjects/other/versions", schema(V3), {"id": 3})
    yield get("/subjects", ["other", "s"])
    yield get("/subjects/s/versions", [1, 2])
    yield get("/subjects/other/versions", [1, 2])
    yield get("/subjects/s/versions/1", version("s", 1, 1, V1))
    yield get("/subjects/s/versions/2", version("s", 2, 2, V2))
    yield get("/subjects/s/versions/latest", version("s", 2, 2, V2))
    yield get("/subjects/other/versions/latest", version("other", 2, 3, V3))
    yield get("/subjects/s/versions/1/schema", Raw(V1))
    yield get("/subjects/s/versions/latest/schema", Raw(V2))
    yield get("/schemas/ids/1", {"schema": V1})
    yield get("/schemas/ids/3", {"schema": V3})
    yield get("/schemas/ids/2/schema", Raw(V2))
    yield get("/schemas/ids/1/subjects", ["other", "s"])
    yield get("/schemas/ids/2/subjects", ["s"])
    yield get(
        "/schemas/ids/1/versions",
        [{"subject": "other", "version": 1}, {"subject": "s", "version": 1}],
    )
    yield get("/schemas/ids/1?fetchMaxId=true", {"schema": V1, "maxId": 3})
    yield get("/schemas/types", ["AVRO"])


def looking_up() -> Iterator[Step]:
    """POST /subjects/S."""
    yield post("/subjects/s", schema(V1), no_subject("s"))
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s", schema(V1), version("s", 1, 1, V1))
    yield post("/subjects/s?normalize=False&deleted=False", schema(V1), version("s", 1, 1, V1))
    yield post("/subjects/s", schema(V2), no_schema())
    yield post("/subjects/other", schema(V1), no_subject("other"))
    yield post("/subjects/s", schema("{"), INVALID)
    yield post("/subjects/nowhere", schema("{"), INVALID)
    yield post("/subjects/s", {}, no_schema())
    yield post("/subjects/s", {"schema": ""}, no_schema())
    yield post("/subjects/nowhere", {}, no_subject("nowhere"))
    yield post("/subjects/s/versions", schema(V2), {"id": 2})
    yield delete("/subjects/s/versions/1", 1)
    yield post("/subjects/s", schema(V1), no_schema())
    yield post("/subjects/s?deleted=true", schema(V1), version("s", 1, 1, V1))
    yield post("/subjects/s?deleted=True", schema(V1), version("s", 1, 1, V1))
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    for flag in ("true", "false"):
        yield post(f"/subjects/s?deleted={flag}", schema(V1), version("s", 3, 1, V1))
    yield delete("/subjects/s", [2, 3])
    yield post("/subjects/s", schema(V1), no_subject("s"))
    yield post("/subjects/s?deleted=true", schema(V1), version("s", 3, 1, V1))
    yield post("/subjects/s?deleted=true", schema(V3), no_schema())


def missing_things() -> Iterator[Step]:
    """Missing parts, and the order in which they are noticed."""
    yield get("/subjects/s/versions", no_subject("s"))
    yield get("/subjects/s/versions?deleted=true", no_subject("s"))
    yield get("/subjects/s/versions/1", no_subject("s"))
    yield get("/subjects/s/versions/latest", no_subject("s"))
    yield get("/subjects/s/versions/1/schema", no_subject("s"))
    yield get("/subjects/s/versions/1/referencedby", no_subject("s"))
    yield get("/subjects/s/metadata?key=a&value=b", no_subject("s"))
    yield delete("/subjects/s", no_subject("s"))
    yield delete("/subjects/s?permanent=true", no_subject("s"))
    yield delete("/subjects/s/versions/1", no_subject("s"))
    yield delete("/subjects/s/versions/1?permanent=true", no_subject("s"))
    yield delete("/subjects/s/versions/latest", no_subject("s"))
    yield get("/schemas/ids/1", no_schema(1))
    yield get("/schemas/ids/1/schema", FAILURE)
    yield get("/schemas/ids/1/subjects", no_schema())
    yield get("/schemas/ids/1/versions", no_schema())
    yield get("/schemas/guids/nothing", no_schema("nothing"))
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield get("/subjects/s/versions/2", no_version(2))
    yield get("/subjects/s/versions/2/schema", no_version(2))
    yield get("/subjects/s/versions/2/referencedby", no_version(2))
    yield delete("/subjects/s/versions/2", no_version(2))
    yield delete("/subjects/s/versions/2?permanent=true", no_version(2))
    yield get("/subjects/s/metadata?key=a&value=b", no_schema())
    yield get("/schemas/ids/2", no_schema(2))
    yield get("/schemas/ids/2?subject=s", no_schema(2))
    yield get("/schemas/ids/0", no_schema(0))
    yield get("/schemas/ids/-1", no_schema(-1))


def version_numbers() -> Iterator[Step]:
    """Valid names of versions, checked before the subject."""
    for subject in ("s", "s"):
        for text in ("0", "-2", "earliest", "1.5", "1a", "2147483648", "99999999999999999999"):
            yield get(f"/subjects/{subject}/versions/{text}", bad_version(text))
            yield delete(f"/subjects/{subject}/versions/{text}", bad_version(text))
            yield get(f"/subjects/{subject}/versions/{text}/schema", bad_version(text))
            yield get(f"/subjects/{subject}/versions/{text}/referencedby", bad_version(text))
            yield post(
                f"/compatibility/subjects/{subject}/versions/{text}", schema(V1), bad_version(text)
            )
        yield post(f"/subjects/{subject}/versions", schema(V1), {"id": 1})
    for text in ("1", "-1", "latest", "LATEST", "Latest", "%20latest", "%201", "+1", "01"):
        yield get(f"/subjects/s/versions/{text}", version("s", 1, 1, V1))
    yield get("/subjects/s/versions/2147483647", no_version(2147483647))


def soft_deletes() -> Iterator[Step]:
    """Deleted versions, and how they come back."""
    yield put("/config/s", {"compatibility": "NONE"}, {"compatibility": "NONE"})
    for number, text in enumerate((A, B, C), 1):
        yield post("/subjects/s/versions", schema(text), {"id": number})
    yield delete("/subjects/s/versions/2", 2)
    yield delete(
        "/subjects/s/versions/2",
        Refused(
            404,
            40406,
            "Subject 's' Version 2 was soft deleted.Set permanent=true to delete permanently",
        ),
    )
    yield get("/subjects/s/versions", [1, 3])
    yield get("/subjects/s/versions?deleted=true", [1, 2, 3])
    yield get("/subjects/s/versions?deletedOnly=true", [2])
    yield get("/subjects/s/versions?deleted=true&deletedOnly=true", [2])
    yield get("/subjects/s/versions/2", no_version(2))
    yield get("/subjects/s/versions/2/schema", no_version(2))
    yield get("/subjects/s/versions/2?deleted=true", version("s", 2, 2, B))
    yield get("/subjects/s/versions/2/schema?deleted=true", Raw(B))
    yield get("/schemas/ids/2", {"schema": B})
    yield get("/schemas/ids/2/subjects", [])
    yield get("/schemas/ids/2/subjects?deleted=true", ["s"])
    yield get("/schemas/ids/2/versions", [])
    yield get("/schemas/ids/2/versions?deleted=true", [{"subject": "s", "version": 2}])
    yield get("/config/s", {"compatibilityLevel": "NONE"})
    yield delete("/subjects/s/versions/latest", 3)
    yield get("/subjects/s/versions/latest", version("s", 1, 1, A))
    yield post("/subjects/s/versions", schema(B), {"id": 2})
    yield get("/subjects/s/versions", [1, 4])
    yield get("/subjects/s/versions?deleted=true", [1, 3, 4])
    yield get("/subjects/s/versions/2?deleted=true", no_version(2))
    yield get("/subjects/s/versions/4", version("s", 4, 2, B))
    yield delete("/subjects/s/versions/1", 1)
    yield delete("/subjects/s/versions/4", 4)
    yield get("/subjects/s/versions", no_subject("s"))
    yield get("/subjects/s/versions?deleted=true", [1, 3, 4])
    yield get("/subjects/s/versions?deletedOnly=true", [1, 3, 4])
    yield get("/subjects/s/versions/latest", no_subject("s"))
    yield get("/subjects/s/versions/latest?deleted=true", no_version(-1))
    yield get("/subjects", [])
    yield get("/subjects?deleted=true", ["s"])
    yield get("/subjects?deletedOnly=true", ["s"])
    yield get(
        "/config/s",
        Refused(404, 40408, "Subject 's' does not have subject-level compatibility configured"),
    )
    yield delete(
        "/subjects/s",
        Refused(
            404,
            40404,
            "Subject 's' was soft deleted.Set permanent=true to delete permanently",
        ),
    )
    yield delete("/subjects/s?permanent=true", [1, 3, 4])
    yield get("/subjects?deleted=true", [])


def hard_deletes() -> Iterator[Step]:
    """Versions that are gone for good, and numbers that are used again."""
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s/versions", schema(V2), {"id": 2})
    yield delete(
        "/subjects/s/versions/2?permanent=true",
        Refused(
            404,
            40407,
            "Subject 's' Version 2 was not deleted first before being permanently deleted",
        ),
    )
    yield delete(
        "/subjects/s?permanent=true",
        Refused(404, 40405, "Subject 's' was not deleted first before being permanently deleted"),
    )
    yield delete("/subjects/s/versions/2", 2)
    yield delete("/subjects/s/versions/2?permanent=true", 2)
    yield get("/subjects/s/versions/2?deleted=true", no_version(2))
    yield delete("/subjects/s/versions/2?permanent=true", no_version(2))
    yield get("/schemas/ids/2", no_schema(2))
    yield post("/subjects/s/versions", schema(V2), {"id": 3})
    yield get("/subjects/s/versions/2", version("s", 2, 3, V2))
    yield post("/subjects/other/versions", schema(V1), {"id": 1})
    yield delete("/subjects/s/versions/1", 1)
    yield delete("/subjects/s/versions/1?permanent=true", 1)
    yield get("/schemas/ids/1", {"schema": V1})
    yield get("/schemas/ids/1/subjects?deleted=true", ["other"])
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield get("/subjects/s/versions", [2, 3])
    yield delete("/subjects/s", [2, 3])
    yield delete("/subjects/s?permanent=true", [2, 3])
    yield get("/subjects/s/versions?deleted=true", no_subject("s"))
    yield delete("/subjects/s?permanent=true", no_subject("s"))
    yield post("/subjects/s/versions", schema(V3), {"id": 4})
    yield get("/subjects/s/versions", [1])


def partly_deleted() -> Iterator[Step]:
    """Deleting a subject of which some versions are deleted already."""
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s/versions", schema(V2), {"id": 2})
    yield post("/subjects/s/versions", schema(V3), {"id": 3})
    yield delete("/subjects/s/versions/2", 2)
    yield delete("/subjects/s?permanent=true", Refused(404, 40405))
    yield delete("/subjects/s", [1, 3])
    yield delete("/subjects/s?permanent=true", [1, 2, 3])
    yield get("/subjects?deleted=true", [])
    yield post("/subjects/s/versions", schema(V1), {"id": 4})
    yield delete("/subjects/s", [1])
    yield post("/subjects/s/versions", schema(V1), {"id": 4})
    yield get("/subjects/s/versions?deleted=true", [2])


def deleted_and_registered_again() -> Iterator[Step]:
    """A deleted subject goes on counting, and what comes back keeps its id."""
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s/versions", schema(V2), {"id": 2})
    yield get("/subjects/s/versions?deletedOnly=true", [])
    yield delete("/subjects/s", [1, 2])
    # Nothing is left to compare with.
    yield post("/subjects/s/versions", schema(WRONG), {"id": 3})
    yield put("/config/s", {"compatibility": "NONE"}, {"compatibility": "NONE"})
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/s/versions", schema(V2), {"id": 2})
    yield get("/subjects/s/versions", [3, 4, 5])
    yield get("/subjects/s/versions?deleted=true", [3, 4, 5])
    yield get("/subjects/s/versions/1", no_version(1))
    yield get("/subjects/s/versions/1?deleted=true", no_version(1))
    yield delete("/subjects/s/versions/3", 3)
    yield delete("/subjects/s/versions/3?permanent=true", 3)
    yield post("/subjects/s/versions", schema(V3), {"id": 4})
    yield get("/subjects/s/versions", [4, 5, 6])
    yield delete("/subjects/s/versions/6", 6)
    yield post("/subjects/s/versions", schema(A), {"id": 5})
    yield get("/subjects/s/versions?deleted=true", [4, 5, 6, 7])


def listings() -> Iterator[Step]:
    """Prefixes, pages and filters."""
    for number, subject in enumerate(("a1", "a2", "b1", "b2", "c"), 1):
        yield post(f"/subjects/{subject}/versions", schema(record(f"T{number}")), {"id": number})
    yield get("/subjects", ["a1", "a2", "b1", "b2", "c"])
    yield get("/subjects?offset=0&limit=-1", ["a1", "a2", "b1", "b2", "c"])
    yield get("/subjects?offset=1&limit=2", ["a2", "b1"])
    yield get("/subjects?offset=4&limit=2", ["c"])
    yield get("/subjects?offset=9", [])
    yield get("/subjects?limit=0", ["a1", "a2", "b1", "b2", "c"])
    yield get("/subjects?limit=x", NOT_FOUND)
    yield get("/subjects?subjectPrefix=a", ["a1", "a2"])
    yield get("/subjects?subjectPrefix=b2", ["b2"])
    yield get("/subjects?subjectPrefix=zz", [])
    yield get("/subjects?subjectPrefix=a&offset=1", ["a2"])
    yield get("/schemas?subjectPrefix=c", [version("c", 1, 5, record("T5"))])
    yield get("/schemas?offset=3&limit=1", [version("b2", 1, 4, record("T4"))])
    yield get("/contexts?offset=0&limit=-1", ["."])
    yield get("/contexts?offset=1", [])
    yield delete("/subjects/b1", [1])
    yield get("/subjects", ["a1", "a2", "b2", "c"])
    yield get("/subjects?deleted=true", ["a1", "a2", "b1", "b2", "c"])
    yield get("/subjects?deletedOnly=true", ["b1"])
    # The Python client sends deleted_only, which the registry does not know.
    yield get("/subjects?deleted=false&deleted_only=true", ["a1", "a2", "b2", "c"])
    yield get("/schemas?subjectPrefix=b", [version("b2", 1, 4, record("T4"))])
    yield get(
        "/schemas?subjectPrefix=b&deleted=true",
        [version("b1", 1, 3, record("T3")), version("b2", 1, 4, record("T4"))],
    )
    yield put("/config", {"compatibility": "NONE"}, {"compatibility": "NONE"})
    yield post("/subjects/c/versions", schema(A), {"id": 6})
    yield get("/schemas?subjectPrefix=c&latestOnly=true", [version("c", 2, 6, A)])
    yield get("/schemas?subjectPrefix=c", [version("c", 1, 5, record("T5")), version("c", 2, 6, A)])
    yield get("/subjects/c/versions?offset=1", [2])
    yield get("/subjects/c/versions?limit=1", [1])


def contexts() -> Iterator[Step]:
    """Subjects in contexts."""
    yield get("/contexts", ["."])
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/subjects/:.ctx:s/versions", schema(V2), {"id": 1})
    yield post("/subjects/:.ctx:t/versions", schema(V1), {"id": 2})
    yield get("/contexts", [".", ".ctx"])
    yield get("/subjects", [":.ctx:s", ":.ctx:t", "s"])
    yield get("/subjects?subjectPrefix=", ["s"])
    yield get("/subjects?subjectPrefix=:.ctx:", [":.ctx:s", ":.ctx:t"])
    yield get("/subjects?subjectPrefix=:.ctx:t", [":.ctx:t"])
    yield get("/subjects?subjectPrefix=:*:", [":.ctx:s", ":.ctx:t", "s"])
    yield get("/subjects?subjectPrefix=:*:s", [":.ctx:s", "s"])
    yield get("/subjects/:.ctx:s/versions", [1])
    yield get("/subjects/:.ctx:s/versions/1", version(":.ctx:s", 1, 1, V2))
    yield get("/subjects/:.:s/versions/1", version("s", 1, 1, V1))
    yield get("/subjects/t/versions/1", version(":.ctx:t", 1, 2, V1))
    yield post("/subjects/t", schema(V1), version(":.ctx:t", 1, 2, V1))
    yield get("/schemas/ids/1", {"schema": V1})
    yield get("/schemas/ids/2", no_schema(2))
    yield get("/schemas/ids/1?subject=:.ctx:", {"schema": V2})
    yield get("/schemas/ids/2?subject=:.ctx:t", {"schema": V1})
    yield get("/schemas/ids/2?subject=:.ctx:s", no_schema(2))
    yield get("/schemas/ids/2?subject=t", {"schema": V1})
    yield get("/schemas/ids/1?subject=unknown", {"schema": V1})
    yield get("/schemas/ids/1/subjects?subject=:.ctx:", [":.ctx:s"])
    yield get("/schemas", [version("s", 1, 1, V1)])
    yield get("/schemas?subjectPrefix=:.ctx:s", [version(":.ctx:s", 1, 1, V2)])
    yield get("/contexts/.ctx/subjects", [":.ctx:s", ":.ctx:t"])
    yield get("/contexts/ctx/subjects/s/versions/1", version(":.ctx:s", 1, 1, V2))
    yield get("/contexts/:.ctx:/subjects/s/versions", [1])
    yield get("/contexts/.ctx/schemas/ids/1", {"schema": V2})
    yield get(
        "/contexts/.ctx/schemas", [version(":.ctx:s", 1, 1, V2), version(":.ctx:t", 1, 2, V1)]
    )
    yield post("/contexts/.new/subjects/n/versions", schema(V3), {"id": 1})
    yield get("/contexts", [".", ".ctx", ".new"])
    yield get("/contexts/a:b/subjects", Refused(400, 400, "Context name cannot contain a colon"))
    yield put("/config/:.ctx:", {"compatibility": "NONE"}, {"compatibility": "NONE"})
    yield get("/config/:.ctx:s?defaultToGlobal=true", {"compatibilityLevel": "NONE"})
    yield get("/contexts/.ctx/config", {"compatibilityLevel": "NONE"})
    yield get("/contexts/.ctx/config/s?defaultToGlobal=true", {"compatibilityLevel": "NONE"})
    yield post("/subjects/:.ctx:s/versions", schema(WRONG), {"id": 3})
    yield post("/subjects/s/versions", schema(WRONG), CONFLICT)
    yield put("/mode/:.ctx:", {"mode": "READONLY"}, {"mode": "READONLY"})
    yield post("/subjects/:.ctx:s/versions", schema(A), not_permitted())
    yield put("/mode/:.ctx:", {"mode": "READWRITE"}, {"mode": "READWRITE"})
    yield put("/config/:.:", {"compatibility": "FULL"}, {"compatibility": "FULL"})
    yield get("/config", {"compatibilityLevel": "FULL"})
    yield get("/config/:.new:n?defaultToGlobal=true", {"compatibilityLevel": "BACKWARD"})


SCENARIOS = (
    registering,
    looking_up,
    missing_things,
    version_numbers,
    soft_deletes,
    hard_deletes,
    partly_deleted,
    deleted_and_registered_again,
    listings,
    contexts,
)
