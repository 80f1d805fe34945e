"""The embedded registry answers as Confluent's 7.9 does: a battery of requests in scenarios.

Every scenario begins with an empty registry. Answers are taken from the registry's documented
behaviour; `test_recorded_answers` adds recorded ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sdk.embedded import EmbeddedRegistry
from tests.unit.embedded.battery import compatibility, protocol, schemas, scopes, subjects
from tests.unit.embedded.steps import Client, Step

SCENARIOS = [
    scenario
    for part in (subjects, schemas, scopes, compatibility, protocol)
    for scenario in part.SCENARIOS
]


@pytest.fixture
def client() -> Iterator[Client]:
    """A connection to an empty registry."""
    with EmbeddedRegistry() as registry:
        client = Client(registry.url)
        yield client
        client.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_scenario(client: Client, scenario: Callable[[], Iterator[Step]]) -> None:
    """Every request of a scenario gets the answer of Confluent's registry."""
    for step in scenario():
        client.check(step)


@pytest.mark.parametrize(
    "level",
    [
        "NONE",
        "BACKWARD",
        "BACKWARD_TRANSITIVE",
        "FORWARD",
        "FORWARD_TRANSITIVE",
        "FULL",
        "FULL_TRANSITIVE",
    ],
)
def test_evolution(client: Client, level: str) -> None:
    """Every level accepts the changes that it is meant to accept, and no others."""
    for step in compatibility.evolution(level):
        client.check(step)
