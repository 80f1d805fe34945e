"""The changes that levels accept, and the messages of refusals."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.embedded.battery.vocabulary import (
    CONFLICT,
    V1,
    V2,
    WRONG,
    compatible,
    no_version,
    record,
    schema,
)
from tests.unit.embedded.steps import Has, Refused, Step, delete, get, post, put


def compatibility_endpoint() -> Iterator[Step]:
    """/compatibility, with and without words."""
    yes, no = compatible(), {"is_compatible": False}
    yield post("/compatibility/subjects/s/versions/latest", schema(V1), yes)
    yield post("/compatibility/subjects/s/versions", schema(V1), yes)
    yield post("/compatibility/subjects/s/versions/1", schema(V1), no_version(1))
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post("/compatibility/subjects/s/versions/1", schema(V2), yes)
    yield post("/compatibility/subjects/s/versions/latest", schema(WRONG), no)
    yield post("/compatibility/subjects/s/versions/1", schema(WRONG), no)
    yield post("/compatibility/subjects/s/versions", schema(WRONG), no)
    yield post("/compatibility/subjects/s/versions/2", schema(WRONG), no_version(2))
    yield post(
        "/compatibility/subjects/s/versions/latest?verbose=true",
        schema(V2),
        {"is_compatible": True, "messages": []},
    )
    yield post(
        "/compatibility/subjects/s/versions/latest?normalize=False&verbose=False", schema(V2), yes
    )
    details = [
        "{errorType:'TYPE_MISMATCH', description:'The type (path '/fields/0/type') of a field in "
        "the new schema does not match with the old schema', additionalInfo:'reader type: STRING "
        "not compatible with writer type: INT'}",
        "{oldSchemaVersion: 1}",
        f"{{oldSchema: '{V1}'}}",
        "{validateFields: 'false', compatibility: 'BACKWARD'}",
    ]
    for path in ("/latest", "/1", ""):
        yield post(
            f"/compatibility/subjects/s/versions{path}?verbose=true",
            schema(WRONG),
            {"is_compatible": False, "messages": details},
        )
    yield post(
        "/subjects/s/versions",
        schema(WRONG),
        Refused(
            409,
            409,
            "Schema being registered is incompatible with an earlier schema for subject "
            f'"s", details: [{", ".join(details)}]',
        ),
    )
    yield delete("/subjects/s/versions/1", 1)
    yield post("/compatibility/subjects/s/versions/latest", schema(WRONG), yes)
    yield post("/compatibility/subjects/s/versions", schema(WRONG), yes)
    yield post("/compatibility/subjects/s/versions/1", schema(WRONG), no_version(1))
    yield post("/subjects/s/versions", schema(WRONG), {"id": 2})


def full_words() -> Iterator[Step]:
    """FULL reports the forward problems first, with one trailer."""
    yield put("/config/s", {"compatibility": "FULL"}, {"compatibility": "FULL"})
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    mismatch = (
        "{{errorType:'TYPE_MISMATCH', description:'The type (path '/fields/0/type') of a field in "
        "the {} schema does not match with the {} schema', additionalInfo:'reader type: {} not "
        "compatible with writer type: {}'}}"
    )
    yield post(
        "/compatibility/subjects/s/versions/latest?verbose=true",
        schema(WRONG),
        {
            "is_compatible": False,
            "messages": [
                mismatch.format("old", "new", "INT", "STRING"),
                mismatch.format("new", "old", "STRING", "INT"),
                "{oldSchemaVersion: 1}",
                f"{{oldSchema: '{V1}'}}",
                "{validateFields: 'false', compatibility: 'FULL'}",
            ],
        },
    )


def reserved_fields() -> Iterator[Step]:
    """``validateFields`` keeps names free that metadata reserve, at whatever level."""
    rules = {"compatibility": "NONE", "validateFields": True}
    keep = {"properties": {"confluent:reserved": "b, c"}}
    less = {"properties": {"confluent:reserved": "c"}}
    clash = "The new schema has field that conflicts with the reserved field b."
    removed = (
        "The new schema has reserved field {} removed from its metadata which is present in the "
        "old schema's metadata."
    )
    trailer = "{validateFields: 'true', compatibility: 'NONE'}"
    yield put("/config/s", rules, rules)
    yield post("/subjects/s/versions", schema(V1, metadata=keep), Has({"id": 1}))
    yield post("/subjects/s/versions", schema(V2), CONFLICT)
    yield post("/subjects/s/versions", schema(V2, metadata=keep), CONFLICT)
    yield post("/subjects/s/versions", schema(WRONG, metadata=less), CONFLICT)
    for body, problems in (
        (schema(V2, metadata=keep), [clash, trailer]),
        (schema(WRONG, metadata=less), [removed.format("b"), trailer]),
        (schema(WRONG), [removed.format("b"), removed.format("c"), trailer]),
        (schema(WRONG, metadata=keep), []),
        (schema('"int"', metadata=keep), []),
    ):
        yield post(
            "/compatibility/subjects/s/versions/latest?verbose=true",
            body,
            {"is_compatible": not problems, "messages": problems},
        )
    off = {"compatibility": "NONE", "validateFields": False}
    yield put("/config/s", off, off)
    yield post("/subjects/s/versions", schema(V2, metadata=less), Has({"id": 2}))


def transitive() -> Iterator[Step]:
    """Transitive levels look at every version, the others at the last."""
    first = record("R", "f1:string", "f2:string")
    second = record("R", "f1:string")
    third = record("R", "f1:string", "f3:string")
    yield post("/subjects/s/versions", schema(first), {"id": 1})
    yield post("/subjects/s/versions", schema(second), {"id": 2})
    yield put(
        "/config/s",
        {"compatibility": "FORWARD_TRANSITIVE"},
        {"compatibility": "FORWARD_TRANSITIVE"},
    )
    yield post("/compatibility/subjects/s/versions/latest", schema(third), compatible())
    yield post("/compatibility/subjects/s/versions/1", schema(third), {"is_compatible": False})
    yield post("/compatibility/subjects/s/versions", schema(third), {"is_compatible": False})
    yield post("/subjects/s/versions", schema(third), CONFLICT)
    yield put("/config/s", {"compatibility": "FORWARD"}, {"compatibility": "FORWARD"})
    yield post("/compatibility/subjects/s/versions", schema(third), compatible())
    yield post("/subjects/s/versions", schema(third), {"id": 3})


_CHANGES: list[tuple[str, str, str, bool, bool]] = [
    # what changes, old, new, new reads old, old reads new
    ("field with default added", V1, V2, True, True),
    ("field without default added", V1, record("R", "a:int", "b:int"), False, True),
    ("field with default removed", V2, V1, True, True),
    ("field without default removed", record("R", "a:int", "b:int"), V1, True, False),
    ("int becomes long", V1, record("R", "a:long"), True, False),
    ("long becomes int", record("R", "a:long"), V1, False, True),
    ("int becomes string", V1, WRONG, False, False),
    ("string becomes bytes", record("R", "a:string"), record("R", "a:bytes"), True, True),
    ("made optional", V1, record("R", 'a:["null","int"]'), True, False),
    ("record renamed", V1, record("Q", "a:int"), False, False),
    ("namespace changed", V1, record("R", "a:int", namespace="x"), True, True),
    ("doc changed", V1, record("R", "a:int", doc="d"), True, True),
    (
        "symbol added",
        '{"type":"enum","name":"E","symbols":["A"]}',
        '{"type":"enum","name":"E","symbols":["A","B"]}',
        True,
        False,
    ),
    (
        "symbol removed",
        '{"type":"enum","name":"E","symbols":["A","B"]}',
        '{"type":"enum","name":"E","symbols":["A"]}',
        False,
        True,
    ),
    (
        "symbol removed, default there",
        '{"type":"enum","name":"E","symbols":["A","B"]}',
        '{"type":"enum","name":"E","symbols":["A"],"default":"A"}',
        True,
        True,
    ),
    (
        "fixed grows",
        '{"type":"fixed","name":"F","size":4}',
        '{"type":"fixed","name":"F","size":8}',
        False,
        False,
    ),
    (
        "renamed with alias",
        V1,
        '{"type":"record","name":"Q","fields":[{"name":"a","type":"int"}],"aliases":["R"]}',
        True,
        False,
    ),
    (
        "unit of a timestamp changed",
        '{"type":"long","logicalType":"timestamp-millis"}',
        '{"type":"long","logicalType":"timestamp-micros"}',
        True,
        True,
    ),
]


def evolution(level: str) -> Iterator[Step]:
    """Every change under one level: asked about, then registered."""
    for number, (_, old, new, backward, forward) in enumerate(_CHANGES):
        subject = f"c{number}"
        checks = {"BACKWARD": backward, "FORWARD": forward, "FULL": backward and forward}
        fits = checks.get(level.removesuffix("_TRANSITIVE"), True)
        yield put(f"/config/{subject}", {"compatibility": level}, {"compatibility": level})
        yield post(f"/subjects/{subject}/versions", schema(old), Has({}))
        yield post(
            f"/compatibility/subjects/{subject}/versions/latest",
            schema(new),
            {"is_compatible": fits},
        )
        yield post(f"/subjects/{subject}/versions", schema(new), Has({}) if fits else CONFLICT)
        yield get(f"/subjects/{subject}/versions", [1, 2] if fits else [1])


SCENARIOS = (
    compatibility_endpoint,
    full_words,
    reserved_fields,
    transitive,
)
