"""Rebalances on Apache Kafka: members killed, joining and leaving, under each protocol."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from sdk.messaging import Messaging
from tests.integration.rebalanced import Line, Member
from tests.integration.wiring import connected, order, settings_for, wait_until
from tests.servers.kafka import NEVER_KILLED, KafkaCluster
from tests.servers.target import Target

PROTOCOLS = {
    "cooperative": {},
    "eager": {"librdkafka": {"partition.assignment.strategy": "range"}},
    "consumer": {"group_protocol": "consumer"},
}
SESSION_MS = 10_000
KEYS = 40


@pytest.fixture(scope="module")
def cluster(
    own_kafka: Callable[..., KafkaCluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A cluster that gives up a silent member after ten seconds under KIP-848 as well."""
    properties = {
        **NEVER_KILLED,
        "group.consumer.session.timeout.ms": str(SESSION_MS),
        "group.consumer.min.session.timeout.ms": "1000",
        "group.consumer.heartbeat.interval.ms": "500",
        "group.consumer.min.heartbeat.interval.ms": "500",
    }
    with own_kafka(tmp_path_factory.mktemp("rebalances"), properties=properties) as kafka:
        yield kafka.bootstrap_servers


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Callable[..., Member]]:
    """Makes members, which are gone after the test."""
    with contextlib.ExitStack() as stack:

        def make(kind: str, **options: Any) -> Member:
            number = len(list(tmp_path.glob("*.log")))
            member = Member(kind, tmp_path / f"member-{number}", **options)
            stack.callback(member.close)
            return member

        yield make


@contextlib.contextmanager
def load(messaging: Messaging, seconds: float) -> Iterator[list[tuple[str, int]]]:
    """Publish a numbered event for each key in turn, until the block ends; yield what was sent."""
    sent: list[tuple[str, int]] = []
    over = threading.Event()

    def publish() -> None:
        number = 0
        while not over.wait(seconds):
            key = f"k{number % KEYS}"
            event = evolve(order(number), customer_id=key, note=str(number))
            messaging.producer.produce(event, key=key)
            sent.append((key, number))
            number += 1
        messaging.producer.flush(60)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_lost_and_keys_keep_their_order_while_members_come_and_go(
    cluster: str,
    registry: Target,
    unique: Callable[[str], str],
    members: Callable[..., Member],
    protocol: str,
) -> None:
    """One member is killed, one leaves, two join: every event is handled, first in order by key.

    Records handled twice were in flight or done since the last commit of a killed member.
    """
    topic = unique("rebalanced")
    settings = settings_for(cluster, registry.address, topic)
    options = {
        "servers": cluster,
        "registry": registry.address,
        "topic": topic,
        "group": unique("group"),
        "consumer": {"session_timeout_ms": SESSION_MS, "concurrency": 8, **PROTOCOLS[protocol]},
        "seconds": 0.002,
    }
    with connected(settings) as messaging, load(messaging, 0.001) as sent:
        first, second = (members("sdk", **options) for _ in range(2))
        wait_until(lambda: first.began and second.began)
        third = members("sdk", **options)
        wait_until(lambda: third.began)
        second.kill()
        fourth = members("sdk", **options)
        wait_until(lambda: fourth.began)
        assert first.leave() == 0
        time.sleep(2)
    everyone = [first, second, third, fourth]

    def lines() -> list[Line]:
        return [line for member in everyone for line in member.lines()]

    wait_until(lambda: {(each.key, each.number) for each in lines()} == set(sent), 120)
    handled = sorted(lines(), key=lambda each: each.at)
    firsts: dict[str, list[int]] = defaultdict(list)
    seen: set[tuple[str, int]] = set()
    for each in handled:
        if (each.key, each.number) not in seen:
            seen.add((each.key, each.number))
            firsts[each.key].append(each.number)
    assert all(numbers == sorted(numbers) for numbers in firsts.values())
    killed = {(each.key, each.number) for each in second.lines()}
    again = [each for each in handled if (each.key, each.number) not in killed]
    assert len(again) == len({(each.key, each.number) for each in again}), "handled twice"


@pytest.mark.timeout(400)
def test_survivor_goes_on_as_a_plain_client_does(
    cluster: str,
    registry: Target,
    unique: Callable[[str], str],
    members: Callable[..., Member],
) -> None:
    """While the group waits for a dead member, the others go on, as with a plain client.

    Two groups read one topic; in each, a member is killed and another one joins, so that the join
    is pending until the session of the dead one has timed out: a member that waited would handle
    nothing for about a session.
    """
    topic = unique("survivor")
    settings = settings_for(cluster, registry.address, topic)
    common = {"servers": cluster, "topic": topic}
    session = 10_000

    def group(kind: str) -> tuple[Member, float]:
        """Return the survivor of a group, and when the other member was killed."""
        name = unique(kind)
        plain = {**common, "group": name, "session_timeout_ms": session}
        ours = {
            **common,
            "group": name,
            "registry": registry.address,
            "consumer": {"session_timeout_ms": session},
        }
        survivor = members(kind, **(ours if kind == "sdk" else plain))
        wait_until(lambda: survivor.began)
        victim = members("plain", **plain)
        wait_until(lambda: victim.began)
        victim.kill()
        killed = time.monotonic()
        members("plain", **plain)
        return survivor, killed

    with connected(settings) as messaging, load(messaging, 0.005):
        found = {kind: group(kind) for kind in ("sdk", "plain")}
        time.sleep(session / 1000 + 5)
    gaps = {kind: longest_gap(member, since) for kind, (member, since) in found.items()}
    print(f"longest gap in handled events, s: {gaps}")
    assert gaps["sdk"] < gaps["plain"] + session / 1000 / 2


def longest_gap(member: Member, since: float) -> float:
    """Return the longest time without an event, from a moment on."""
    times = [since, *(each.at for each in member.lines() if each.at > since)]
    return max(later - earlier for earlier, later in pairwise(times))
