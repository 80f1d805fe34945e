"""Schemas: what is valid, how it is printed, what it refers to and carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.unit.embedded.battery.vocabulary import (
    CONFLICT,
    EMPTY,
    INVALID,
    V1,
    V2,
    A,
    compatible,
    no_schema,
    record,
    reference,
    schema,
    version,
)
from tests.unit.embedded.steps import Has, Raw, Refused, Step, delete, get, post, put


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
    used = [reference("shop.Money", "money", 1)]
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
        {"schema": order, "references": [reference("whatever", "money", 1)]},
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
    yield get("/schemas/ids/4", {"schema": root, "references": [reference(*each) for each in both]})
    yield get("/subjects/currency/versions/1/referencedby", [2, 3])
    yield get("/subjects/up/versions/1/referencedby", [4])
    yield post("/compatibility/subjects/root/versions/latest", schema(root, *both), compatible())
    yield post("/subjects/root/versions", schema('["m.Down"]', both[0]), CONFLICT)
    yield post("/subjects/root/versions", schema('["null","m.Down","m.Up"]', *both), {"id": 5})
    yield post("/subjects/root/versions", schema(root, ("m.Down", "down", 7)), INVALID)
    yield post(
        "/subjects/root/versions", {"schema": root, "references": [{"name": "m.Down"}]}, INVALID
    )


def compatible_references() -> Iterator[Step]:
    """Types of references count when versions are compared."""
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


def sizes() -> Iterator[Step]:
    """Large schemas: Kafka's limit of a record is the registry's limit of a schema."""
    yield post("/subjects/s/versions", schema(record("R", doc="x" * 900_000)), {"id": 1})
    yield post(
        "/subjects/s/versions",
        schema(record("R", doc="x" * 1_048_576)),
        Refused(422, 42209, "Register operation failed because schema is too large"),
    )
    yield get("/subjects/s/versions", [1])


SCENARIOS = (
    bad_schemas,
    good_schemas,
    documentation,
    normalization,
    references,
    nested_references,
    compatible_references,
    metadata,
    version_notes,
    sizes,
)
