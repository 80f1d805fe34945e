"""The embedded registry repeats what was recorded from a real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.embedded import EmbeddedRegistry
from tests.unit.embedded.steps import Client, Raw, Refused, Step

DATA = Path(__file__).parents[2] / "data" / "confluent-registry"


def recorded(name: str) -> Any:
    """Read a recording."""
    return json.loads((DATA / f"{name}.json").read_text())


@pytest.fixture
def client() -> Iterator[Client]:
    """A connection to an empty registry."""
    with EmbeddedRegistry() as registry:
        client = Client(registry.url)
        yield client
        client.close()


@pytest.mark.parametrize("name", ["admin", "protocol", "references"])
def test_recorded_answers(client: Client, name: str) -> None:
    """Status and body are those of the recording, to the letter."""
    for each in recorded(name):
        body, answer = each["body"], each["body"]
        if each["status"] != 200:
            answer = Refused(each["status"], body["error_code"], body["message"])
        client.check(Step(each["method"], each["path"], each.get("request"), answer))


def test_recorded_verdicts(client: Client) -> None:
    """Verdicts on pairs of schemas are those of the recording."""
    for number, case in enumerate(recorded("avro_matrix")):
        subject, level = f"s{number}", {"compatibility": case["level"]}
        client.check(Step("PUT", f"/config/{subject}", level, level))
        client.send(Step("POST", f"/subjects/{subject}/versions", {"schema": case["writer"]}, None))
        path = f"/compatibility/subjects/{subject}/versions/latest"
        verdict = {"is_compatible": case["is_compatible"]}
        client.check(Step("POST", path, {"schema": case["reader"]}, verdict))


def test_recorded_normal_forms(client: Client) -> None:
    """Schemas are printed and normalized as Confluent's library does it."""
    for number, case in enumerate(recorded("normal_forms")):
        for subject, query, text in (
            (f"printed{number}", "", case["printed"]),
            (f"normal{number}", "?normalize=true", case["normal"]),
        ):
            path = f"/subjects/{subject}/versions"
            client.send(Step("POST", path + query, {"schema": case["schema"]}, None))
            client.check(Step("GET", path + "/1/schema", None, Raw(text)))
