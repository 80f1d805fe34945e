"""The battery: scenarios of requests with the answers of Confluent's registry 7.9.

Every scenario begins with an empty registry. Answers are taken from the registry's documented
behaviour and from recorded answers (``tests/data/confluent-registry``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.unit.embedded.steps import Has, Raw, Refused, Step, delete, get, post, put

INT, LONG, STRING = '"int"', '"long"', '"string"'


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
        body["references"] = [_reference(*each) for each in references]
    return body


def version(subject: str, number: int, schema_id: int, text: str, **more: Any) -> dict[str, Any]:
    """Return a version as it stands in answers."""
    return {"subject": subject, "version": number, "id": schema_id, "schema": text, **more}


def _reference(name: str, subject: str, number: int) -> dict[str, Any]:
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
    """What is not there, and in which order that is noticed."""
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
    """What a version may be called; looked at before the subject is."""
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


def bad_schemas() -> Iterator[Step]:
    """Schemas that no Avro parser takes."""
    broken = [
        "{",
        "int",
        '"no_such_type"',
        '{"type":"no_such_type"}',
        "{}",
        "[]]",
        "1",
        "null",
        '{"type":"record","fields":[]}',
        '{"type":"record","name":"R"}',
        '{"type":"record","name":"1R","fields":[]}',
        '{"type":"record","name":"a b","fields":[]}',
        '{"type":"record","name":"R","fields":[{"name":"a"}]}',
        '{"type":"record","name":"R","fields":[{"type":"int"}]}',
        '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}',
        '{"type":"record","name":"R","fields":[{"name":"a","type":"S"}]}',
        '{"type":"record","name":"R","fields":{}}',
        '{"type":"enum","name":"E"}',
        '{"type":"enum","name":"E","symbols":["A","A"]}',
        '{"type":"enum","name":"E","symbols":["A-B"]}',
        '{"type":"enum","name":"E","symbols":["A"],"default":"B"}',
        '{"type":"fixed","name":"F"}',
        '{"type":"array"}',
        '{"type":"map"}',
        '["int","int"]',
        '["null",["int"]]',
        '[{"type":"array","items":"int"},{"type":"array","items":"string"}]',
    ]
    for text in broken:
        yield post("/subjects/s/versions", schema(text), INVALID)
        yield post("/compatibility/subjects/s/versions/latest", schema(text), INVALID)
        yield post(
            "/compatibility/subjects/s/versions?verbose=true",
            schema(text),
            Has({"is_compatible": False}),
        )
    for body in ({}, {"schema": None}, {"schema": ""}, {"schema": "  "}):
        yield post("/subjects/s/versions", body, EMPTY)
        yield post("/compatibility/subjects/s/versions/latest", body, EMPTY)
    yield post(
        "/compatibility/subjects/s/versions/latest?verbose=true",
        {},
        {"is_compatible": False, "messages": ["Empty schema"]},
    )
    for kind in ("JSON", "PROTOBUF", "avro", "FOO", ""):
        yield post(
            "/subjects/s/versions",
            schema("{}", schemaType=kind),
            Refused(422, 42201, f"Invalid schema type {kind}"),
        )
    yield get("/subjects", [])


def good_schemas() -> Iterator[Step]:
    """Schemas of every kind, printed as Java prints them."""
    cases = [
        ('"string"', '"string"'),
        ('{"type":"string"}', '"string"'),
        ('{   "type":   "string"}', '"string"'),
        ('{"type":"string","x":1}', '{"type":"string","x":1}'),
        ('["null","int"]', '["null","int"]'),
        ("[]", "[]"),
        ('{"items":"int","type":"array"}', '{"type":"array","items":"int"}'),
        ('{"values":"bytes","type":"map"}', '{"type":"map","values":"bytes"}'),
        (
            '{"name":"x.E","type":"enum","symbols":["A","B"],"default":"A","doc":"d"}',
            '{"type":"enum","name":"E","namespace":"x","doc":"d","symbols":["A","B"],"default":"A"}',
        ),
        (
            '{"size":4,"name":"F","type":"fixed","aliases":["G"]}',
            '{"type":"fixed","name":"F","size":4,"aliases":["G"]}',
        ),
        (
            '{"name":"a.b.R","type":"record","fields":[{"type":"a.b.R","name":"n"}]}',
            '{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"n","type":"R"}]}',
        ),
        (
            '{"type":"record","name":"R","namespace":"a","fields":[{"name":"e","type":'
            '{"type":"enum","name":"E","namespace":"a","symbols":["X"]}},{"name":"f","type":"a.E"}]}',
            '{"type":"record","name":"R","namespace":"a","fields":[{"name":"e","type":'
            '{"type":"enum","name":"E","symbols":["X"]}},{"name":"f","type":"E"}]}',
        ),
        (
            '{"type":"record","name":"L","fields":[{"name":"t","type":'
            '{"logicalType":"timestamp-micros","type":"long"}}]}',
            '{"type":"record","name":"L","fields":[{"name":"t","type":'
            '{"type":"long","logicalType":"timestamp-micros"}}]}',
        ),
        (
            '{"type":"record","name":"D","fields":[{"name":"x","order":"ignore","doc":"d",'
            '"type":"int","default":1,"aliases":["y"]}]}',
            '{"type":"record","name":"D","fields":[{"name":"x","type":"int","doc":"d",'
            '"default":1,"order":"ignore","aliases":["y"]}]}',
        ),
        (
            '{"type":"record","name":"N","fields":[{"name":"x","type":{"type":"N"}}]}',
            '{"type":"record","name":"N","fields":[{"name":"x","type":"N"}]}',
        ),
        (
            '{"type":"record","name":"Bad","fields":[{"name":"f","type":"string","default":null}]}',
            '{"type":"record","name":"Bad","fields":[{"name":"f","type":"string","default":null}]}',
        ),
    ]
    for number, (sent, printed) in enumerate(cases, 1):
        # The first three are one schema.
        schema_id = max(1, number - 2)
        yield post(f"/subjects/s{number}/versions", schema(sent), {"id": schema_id})
        yield get(f"/schemas/ids/{schema_id}", {"schema": printed})
        yield get(f"/subjects/s{number}/versions/1/schema", Raw(printed))
        yield post(
            f"/subjects/s{number}", schema(sent), version(f"s{number}", 1, schema_id, printed)
        )
        yield post(
            f"/subjects/s{number}", schema(printed), version(f"s{number}", 1, schema_id, printed)
        )


def documentation() -> Iterator[Step]:
    """Docs, aliases and properties are part of a schema's identity."""
    plain = record("R", "a:int")
    documented = record("R", "a:int", doc="said")
    tagged = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}],"owner":"us"}'
    aliased = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}],"aliases":["Q"]}'
    for number, text in enumerate((plain, documented, tagged, aliased), 1):
        yield post("/subjects/s/versions", schema(text), {"id": number})
        yield post("/subjects/s/versions?normalize=true", schema(text), {"id": number})
        yield get(f"/subjects/s/versions/{number}/schema", Raw(text))


def normalization() -> Iterator[Step]:
    """``normalize=true``: one order for what has no order, and defaults are checked."""
    one = (
        '{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"int"}}],'
        '"m":{"b":2,"a":1},"k":1}'
    )
    two = (
        '{"type":"record","name":"R","fields":[{"type":"int","name":"a"}],"k":1,"m":{"a":1,"b":2}}'
    )
    normal = (
        '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}],"k":1,"m":{"a":1,"b":2}}'
    )
    yield post("/subjects/s/versions?normalize=true", schema(one), {"id": 1})
    yield get("/schemas/ids/1", {"schema": normal})
    yield post("/subjects/s/versions?normalize=true", schema(two), {"id": 1})
    yield post("/subjects/s?normalize=true", schema(one), version("s", 1, 1, normal))
    yield post("/subjects/s?normalize=True", schema(two), version("s", 1, 1, normal))
    yield post("/subjects/s", schema(one), no_schema())
    yield post("/subjects/s/versions", schema(one), {"id": 2})
    wrong_default = (
        '{"type":"record","name":"D","fields":[{"name":"f","type":"string","default":null}]}'
    )
    yield post("/subjects/d/versions?normalize=true", schema(wrong_default), INVALID)
    yield post("/subjects/d/versions?normalize=false", schema(wrong_default), {"id": 3})
    yield put("/config/c", {"normalize": True}, {"normalize": True})
    yield post("/subjects/c/versions", schema(one), {"id": 1})
    yield post("/subjects/c", schema(two), version("c", 1, 1, normal))
    yield post("/subjects/c/versions", schema(wrong_default), INVALID)


def references() -> Iterator[Step]:
    """Schemas that use others."""
    money = record("Money", "cents:long").replace('"Money",', '"Money","namespace":"shop",')
    order = record("Order", "price:Money").replace('"Order",', '"Order","namespace":"shop",')
    resolved = (
        '{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"price","type":'
        '{"type":"record","name":"Money","fields":[{"name":"cents","type":"long"}]}}]}'
    )
    used = [_reference("shop.Money", "money", 1)]
    yield post("/subjects/money/versions", schema(money), {"id": 1})
    yield get("/subjects/money/versions/1/referencedby", [])
    yield post("/subjects/order/versions", schema(order), INVALID)
    yield post(
        "/subjects/order/versions",
        schema(order, ("shop.Money", "nowhere", 1)),
        Refused(
            422,
            42201,
            "Invalid schema {subject=order,version=0,id=-1,schemaType=AVRO,references="
            "[{name='shop.Money', subject='nowhere', version=1}],metadata=null,ruleSet=null,"
            f"schema={order}}} with refs [{{name='shop.Money', subject='nowhere', version=1}}] "
            'of type AVRO, details: No schema reference found for subject "nowhere" and version 1',
        ),
    )
    yield post("/subjects/order/versions", schema(order, ("shop.Money", "money", 2)), INVALID)
    yield post("/subjects/order/versions", schema(order, ("shop.Money", "money", 1)), {"id": 2})
    yield get("/schemas/ids/2", {"schema": order, "references": used})
    yield get("/schemas/ids/2?format=resolved", {"schema": resolved, "references": used})
    yield get("/schemas/ids/2/schema", Raw(order))
    yield get("/subjects/order/versions/1", version("order", 1, 2, order, references=used))
    yield get("/subjects/money/versions/1/referencedby", [2])
    yield get("/subjects/money/versions/latest/referencedby", [2])
    yield post(
        "/subjects/order",
        schema(order, ("shop.Money", "money", 1)),
        version("order", 1, 2, order, references=used),
    )
    yield post("/subjects/order", schema(resolved), version("order", 1, 2, order, references=used))
    yield post("/subjects/order/versions", schema(resolved), {"id": 2})
    yield post("/subjects/order/versions", schema(order, ("shop.Money", "money", -1)), {"id": 2})
    in_use = Refused(
        422,
        42206,
        "One or more references exist to the schema "
        "{magic=1,keytype=SCHEMA,subject=money,version=1}.",
    )
    yield delete("/subjects/money/versions/1", in_use)
    yield delete("/subjects/money", in_use)
    yield delete("/subjects/money/versions/1?permanent=true", in_use)
    yield post("/subjects/any-name/versions", schema(order, ("whatever", "money", 1)), {"id": 3})
    yield get(
        "/schemas/ids/3",
        {"schema": order, "references": [_reference("whatever", "money", 1)]},
    )
    yield post("/subjects/latest/versions", schema(order, ("shop.Money", "money", -1)), {"id": 2})
    yield get("/subjects/latest/versions/1", version("latest", 1, 2, order, references=used))
    yield get("/subjects/money/versions/1/referencedby", [2, 3])
    yield get("/subjects/money/versions/1/referencedby?offset=1", [3])
    for subject in ("order", "any-name"):
        yield delete(f"/subjects/{subject}", [1])
    yield get("/subjects/money/versions/1/referencedby", [])
    yield delete("/subjects/money/versions/1", 1)


def nested_references() -> Iterator[Step]:
    """References of references, and a union as root."""
    currency = '{"type":"enum","name":"Currency","namespace":"m.c","symbols":["EUR","USD"]}'
    down = (
        '{"type":"record","name":"Down","namespace":"m","fields":'
        '[{"name":"currency","type":{"type":"m.c.Currency"}}]}'
    )
    printed = down.replace('{"type":"m.c.Currency"}', '"m.c.Currency"')
    up = printed.replace("Down", "Up")
    root = '["m.Down","m.Up"]'
    yield post("/subjects/currency/versions", schema(currency), {"id": 1})
    yield post("/subjects/down/versions", schema(down, ("m.c.Currency", "currency", 1)), {"id": 2})
    yield post("/subjects/up/versions", schema(up, ("m.c.Currency", "currency", 1)), {"id": 3})
    yield get("/subjects/down/versions/1/schema", Raw(printed))
    both = (("m.Down", "down", 1), ("m.Up", "up", 1))
    yield post("/subjects/root/versions", schema(root, *both), {"id": 4})
    yield get(
        "/schemas/ids/4", {"schema": root, "references": [_reference(*each) for each in both]}
    )
    yield get("/subjects/currency/versions/1/referencedby", [2, 3])
    yield get("/subjects/up/versions/1/referencedby", [4])
    yield post("/compatibility/subjects/root/versions/latest", schema(root, *both), _compatible())
    yield post("/subjects/root/versions", schema('["m.Down"]', both[0]), CONFLICT)
    yield post("/subjects/root/versions", schema('["null","m.Down","m.Up"]', *both), {"id": 5})
    yield post("/subjects/root/versions", schema(root, ("m.Down", "down", 7)), INVALID)
    yield post(
        "/subjects/root/versions", {"schema": root, "references": [{"name": "m.Down"}]}, INVALID
    )


def compatible_references() -> Iterator[Step]:
    """What a reference brings in counts when versions are compared."""
    order = record("Order", "price:Money", 'note:string=""')
    older = record("Order", "price:Money")
    yield put("/config/money", {"compatibility": "NONE"}, {"compatibility": "NONE"})
    for number, kind in enumerate(("long", "string", "double"), 1):
        text = record("Money", f"cents:{kind}")
        yield post("/subjects/money/versions", schema(text), {"id": number})
    yield post("/subjects/order/versions", schema(older, ("Money", "money", 1)), {"id": 4})
    for number, fits in ((1, True), (2, False), (3, True)):
        body = schema(order, ("Money", "money", number))
        for path in ("/latest", "/1", ""):
            yield post(
                f"/compatibility/subjects/order/versions{path}", body, {"is_compatible": fits}
            )
    yield post("/subjects/order/versions", schema(order, ("Money", "money", 2)), CONFLICT)
    yield post("/subjects/order/versions", schema(older, ("Money", "money", 3)), {"id": 5})
    yield post("/subjects/order/versions", schema(older, ("Money", "money", 1)), {"id": 4})
    yield get("/subjects/order/versions", [1, 2])
    yield get("/subjects/money/versions/3/referencedby", [5])
    yield get("/subjects/money/versions/2/referencedby", [])
    yield delete("/subjects/money/versions/2", 2)
    yield delete("/subjects/money/versions/3", Refused(422, 42206))


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
    yield post("/compatibility/subjects/s/versions/latest", schema(V2), _compatible())
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


def contexts() -> Iterator[Step]:
    """Subjects in contexts of their own."""
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


def metadata() -> Iterator[Step]:
    """Metadata and rule sets belong to a schema's identity and are handed down."""
    own = {"properties": {"owner": "us"}, "tags": {"a": ["y", "x"]}, "sensitive": ["s"]}
    kept = {"properties": {"owner": "us"}, "tags": {"a": ["x", "y"]}, "sensitive": ["s"]}
    rule = {"name": "check", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "true"}
    rules = {"domainRules": [rule]}
    told = {"domainRules": [{**rule, "disabled": False}]}
    yield post("/subjects/s/versions", schema(V1), {"id": 1})
    yield post(
        "/subjects/s/versions",
        schema(V1, metadata=own),
        {"id": 2},
    )
    yield get("/subjects/s/versions/2", version("s", 2, 2, V1, metadata=kept))
    yield get("/schemas/ids/2", {"schema": V1, "metadata": kept})
    yield post("/subjects/s/versions", schema(V2), Has({"id": 3, "schema": V2, "metadata": kept}))
    yield get("/subjects/s/metadata?key=owner&value=us", version("s", 3, 3, V2, metadata=kept))
    yield get("/subjects/s/metadata?key=owner&value=them", no_schema())
    yield post("/subjects/r/versions", schema(V1, ruleSet=rules), {"id": 4})
    yield get("/subjects/r/versions/1", version("r", 1, 4, V1, ruleSet=told))
    yield get("/schemas?ruleType=CEL", [version("r", 1, 4, V1, ruleSet=told)])
    yield post("/subjects/r", schema(V1, ruleSet=rules), version("r", 1, 4, V1, ruleSet=told))
    yield post("/subjects/r", schema(V1), version("r", 1, 4, V1, ruleSet=told))
    broken: list[tuple[dict[str, Any], str]] = [
        ({"domainRules": [{"type": "CEL"}]}, "Missing rule name"),
        ({"domainRules": [{**rule, "name": ""}]}, "Empty rule name"),
        ({"domainRules": [{**rule, "name": "1"}]}, "Illegal initial character in rule name: 1"),
        ({"domainRules": [{**rule, "name": "a b"}]}, "Illegal character in rule name: a b"),
        ({"domainRules": [{"name": "n"}]}, "Missing rule type"),
        (
            {"domainRules": [{**rule, "mode": "UPGRADE"}]},
            "Domain rules can only be WRITE, READ, WRITEREAD",
        ),
        (
            {"migrationRules": [rule]},
            "Migration rules can only be UPGRADE, DOWNGRADE, UPDOWN",
        ),
        ({"domainRules": [rule, rule]}, "Found rule with duplicate name 'check'"),
    ]
    for rule_set, message in broken:
        yield post(
            "/subjects/b/versions", schema(V1, ruleSet=rule_set), Refused(422, 42210, message)
        )
        yield put("/config/b", {"defaultRuleSet": rule_set}, Refused(422, 42210, message))
    defaults = {"properties": {"team": "core"}}
    yield put("/config/d", {"defaultMetadata": defaults}, {"defaultMetadata": defaults})
    yield post(
        "/subjects/d/versions", schema(A), Has({"schema": A, "metadata": defaults, "version": 1})
    )
    yield put(
        "/config/d",
        {"overrideMetadata": {"properties": {"team": "edge"}}},
        {"overrideMetadata": {"properties": {"team": "edge"}}},
    )
    yield post(
        "/subjects/d/versions",
        schema(record("A", "x:int=0"), metadata={"properties": {"team": "mine", "n": "1"}}),
        Has({"metadata": {"properties": {"team": "edge", "n": "1"}}}),
    )


def version_notes() -> Iterator[Step]:
    """``version`` in a request, and the property in which the registry notes it."""
    noted = {"properties": {"confluent:version": "1"}}
    yield post(
        "/subjects/s/versions",
        schema(V1, version=-1),
        Has({"id": 1, "version": 1, "schema": V1, "metadata": noted}),
    )
    yield post("/subjects/s", schema(V1), version("s", 1, 1, V1, metadata=noted))
    yield post(
        "/subjects/s/versions",
        schema(V2, version=9),
        Refused(422, 42201, "Version is not one more than previous version"),
    )
    yield post("/subjects/s/versions", schema(V2, version=2), Has({"id": 2, "version": 2}))
    yield get("/subjects/s/versions", [1, 2])


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


def compatibility_endpoint() -> Iterator[Step]:
    """/compatibility, with and without words."""
    yes, no = _compatible(), {"is_compatible": False}
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
    """FULL tells the forward problems first, with one trailer."""
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
    yield post("/compatibility/subjects/s/versions/latest", schema(third), _compatible())
    yield post("/compatibility/subjects/s/versions/1", schema(third), {"is_compatible": False})
    yield post("/compatibility/subjects/s/versions", schema(third), {"is_compatible": False})
    yield post("/subjects/s/versions", schema(third), CONFLICT)
    yield put("/config/s", {"compatibility": "FORWARD"}, {"compatibility": "FORWARD"})
    yield post("/compatibility/subjects/s/versions", schema(third), _compatible())
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


def sizes() -> Iterator[Step]:
    """Large schemas: Kafka's limit of a record is the registry's limit of a schema."""
    yield post("/subjects/s/versions", schema(record("R", doc="x" * 900_000)), {"id": 1})
    yield post(
        "/subjects/s/versions",
        schema(record("R", doc="x" * 1_048_576)),
        Refused(422, 42209, "Register operation failed because schema is too large"),
    )
    yield get("/subjects/s/versions", [1])


def _compatible() -> dict[str, Any]:
    return {"is_compatible": True}


SCENARIOS = (
    registering,
    looking_up,
    missing_things,
    version_numbers,
    soft_deletes,
    hard_deletes,
    partly_deleted,
    deleted_and_registered_again,
    bad_schemas,
    good_schemas,
    documentation,
    normalization,
    references,
    nested_references,
    compatible_references,
    configuration,
    modes,
    importing,
    contexts,
    listings,
    metadata,
    version_notes,
    aliases,
    groups,
    protocol,
    compatibility_endpoint,
    full_words,
    transitive,
    sizes,
)
