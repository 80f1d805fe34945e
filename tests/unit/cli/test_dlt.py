"""``sdk dlt``: what people and scripts see of it, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sdk.cli.command import sdk
from sdk.errors import BrokerUnavailableError, ConfigurationError, SdkError
from sdk.messaging import Messaging
from sdk.records import ConsumerRecord, ProducerRecord
from sdk.testing import InMemoryBroker
from tests.unit.replay.letters import DLT, TOPIC, NoStock, connected, fail

Run = Callable[..., Result]


@pytest.fixture
def broker() -> InMemoryBroker:
    """A broker in memory."""
    return InMemoryBroker()


@pytest.fixture
def messaging(broker: InMemoryBroker) -> Iterator[Messaging]:
    """A connection to it."""
    with connected(broker) as messaging:
        yield messaging


@pytest.fixture
def run(messaging: Messaging) -> Run:
    """Runs the command with that connection."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(
            sdk, ["dlt", *arguments], obj=lambda *_, **__: nullcontext(messaging)
        )

    return run


def test_nothing_is_fine(run: Run) -> None:
    """Without dead letters the list is empty and the exit code 0."""
    result = run("list", TOPIC)
    assert (result.exit_code, result.stdout) == (0, "")


def test_the_list_says_which_and_why(
    run: Run, messaging: Messaging, broker: InMemoryBroker
) -> None:
    """One line each, and exit code 1, because dead letters are findings."""
    fail(messaging, broker, "o-1", timestamp=1)
    result = run("list", TOPIC)
    assert result.exit_code == 1
    assert "1970-01-01T00:00:00Z  orders.OrderCreated  key=o-1  group=billing" in result.stdout
    assert "BadOrder: no lines" in result.stdout


def test_without_a_topic_every_topic_of_the_contracts_is_looked_at(
    run: Run, messaging: Messaging, broker: InMemoryBroker
) -> None:
    """The dead-letter topic itself may be named too."""
    fail(messaging, broker, "o-1")
    assert run("list").stdout == run("list", DLT).stdout == run("list", TOPIC).stdout != ""


def test_filters_reach_the_list(run: Run, messaging: Messaging, broker: InMemoryBroker) -> None:
    """Each filter is an option; JSON is one object a line."""
    fail(messaging, broker, "o-1", timestamp=1_000)
    fail(messaging, broker, "o-2", error=NoStock("none left"), group="stock")

    def listed(*filters: str) -> list[str]:
        lines = run("list", TOPIC, "--json", *filters).stdout.splitlines()
        return [json.loads(line)["key"] for line in lines]

    assert sorted(listed()) == ["o-1", "o-2"]
    assert listed("--error", "NoStock") == ["o-2"]
    assert listed("--key", "o-1") == ["o-1"]
    assert listed("--event", "OrderCancelled") == []
    assert listed("--since", "1h") == ["o-2"]
    assert listed("--until", "1970-01-02") == ["o-1"]


def test_json_holds_the_origin_and_the_reason(
    run: Run, messaging: Messaging, broker: InMemoryBroker
) -> None:
    """Scripts find everything by name."""
    (original,) = fail(messaging, broker, "o-1")
    found = json.loads(run("list", TOPIC, "--json").stdout)
    assert found["source"] == {
        "topic": TOPIC,
        "partition": original.partition,
        "offset": original.offset,
    }
    assert found["error"] == "tests.unit.replay.letters.BadOrder"
    assert (found["state"], found["replays"], found["group"]) == ("open", 0, "billing")


def test_show_has_the_event_beside_the_reason(
    run: Run, messaging: Messaging, broker: InMemoryBroker
) -> None:
    """The decoded event, the headers and the stack trace of one dead letter."""
    fail(messaging, broker, "o-1", "o-2")
    one = json.loads(run("list", TOPIC, "--json", "--key", "o-2").stdout)["id"]
    shown = json.loads(run("show", TOPIC, one, "--json").stdout)
    assert shown["value"]["order_id"] == "o-2"
    assert "BadOrder: no lines" in shown["stack_trace"]
    page = run("show", TOPIC, one)
    assert page.exit_code == 0
    assert '"order_id": "o-2"' in page.stdout
    assert "BadOrder: no lines" in page.stdout


def test_show_says_why_bytes_cannot_be_read(run: Run, messaging: Messaging) -> None:
    """Poison is shown as bytes; control characters never reach the terminal."""
    headers = (("kafka_dlt-exception-message", b"\x1b[2Jgone"),)
    messaging.producer.send(ProducerRecord(DLT, b"\x07", b"o-1", headers)).result(5)
    shown = json.loads(run("show", TOPIC, "--json").stdout)
    assert shown["bytes"] == "07"
    assert "\x1b" not in run("show", TOPIC).stdout
    assert "\x1b" not in run("list", TOPIC).stdout


def test_show_of_nothing_is_a_finding(run: Run) -> None:
    """An id that does not exist is said so."""
    assert run("show", TOPIC, "0:99").exit_code == 1


def test_a_dry_run_prints_a_histogram(
    run: Run, messaging: Messaging, broker: InMemoryBroker
) -> None:
    """A dry run prints a histogram and sends nothing."""
    fail(messaging, broker, "o-1", "o-2")
    result = run("replay", TOPIC, "--dry-run")
    assert result.exit_code == 0
    assert "2  orders.OrderCreated  tests.unit.replay.letters.BadOrder  ####" in result.stdout
    assert len(broker.records(TOPIC)) == 2


def test_a_replay_is_counted(run: Run, messaging: Messaging, broker: InMemoryBroker) -> None:
    """The second run has nothing left to do."""
    fail(messaging, broker, "o-1", "o-2")
    first = json.loads(run("replay", TOPIC, "--json", "--rate", "1000").stdout)
    assert first["replayed"] == 2
    assert json.loads(run("replay", TOPIC, "--json").stdout)["replayed"] == 0
    assert len(broker.records(TOPIC)) == 4
    assert run("list", TOPIC).exit_code == 0
    assert "(replayed)" in run("list", TOPIC, "--all").stdout


def test_what_has_to_be_left_is_a_finding(run: Run, messaging: Messaging) -> None:
    """Exit code 1, and why."""
    messaging.producer.send(ProducerRecord(DLT, b"?")).result(5)
    result = run("replay", TOPIC)
    assert result.exit_code == 1
    assert "no header names their source topic" in result.stdout


def test_parking_moves(run: Run, messaging: Messaging, broker: InMemoryBroker) -> None:
    """Parked dead letters are listed under the parked topic."""
    fail(messaging, broker, "o-1")
    assert run("park", TOPIC).exit_code == 0
    assert run("list", TOPIC).exit_code == 0
    assert "o-1" in run("list", f"{TOPIC}-parked").stdout


def repaired(record: ConsumerRecord) -> bytes:
    """Repair a dead letter: what the test names as module:function."""
    return b"repaired"


def test_a_function_repairs(run: Run, messaging: Messaging, broker: InMemoryBroker) -> None:
    """A repair function is named as module:function."""
    fail(messaging, broker, "o-1")
    assert run("replay", TOPIC, "--repair", f"{__name__}:repaired").exit_code == 0
    assert broker.records(TOPIC)[-1].value == b"repaired"


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", TOPIC, "--repair", "nowhere:function"),
        ("replay", TOPIC, "--repair", "json:nothing"),
        ("replay", TOPIC, "--rate", "0"),
        ("list", TOPIC, "--since", "yesterday"),
        ("replay",),
        ("explode",),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    """Exit code 2."""
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"), [(BrokerUnavailableError("gone"), 4), (ConfigurationError("wrong"), 2)]
)
def test_errors_have_codes_of_their_own(error: SdkError, code: int) -> None:
    """Outages and wrong usage have different exit codes; one line, no traceback."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    result = CliRunner().invoke(sdk, ["dlt", "list", TOPIC], obj=refuse)
    assert result.exit_code == code
    assert result.stderr == f"sdk: {error}\n"
