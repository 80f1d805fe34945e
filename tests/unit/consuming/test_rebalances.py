"""Rebalances: what is finished, committed and dropped as partitions come and go."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from sdk.happenings import Happening, PartitionsAssigned, PartitionsLost, PartitionsRevoked
from sdk.observers import Observers
from sdk.testing import InMemoryBroker
from sdk.topics import TopicDefinition
from tests.unit.consuming.story import PATIENCE, committed, orders, publish, running, wait_until
from tests.unit.messaging.shop import TOPIC, OrderCreated, Shop


def wide(partitions: int, protocol: str = "cooperative") -> Shop:
    """Return a shop whose topic has so many partitions."""
    shop = Shop(InMemoryBroker(partitions=partitions))
    shop.broker.define(TopicDefinition(name=TOPIC, partitions=partitions))
    shop.broker.group("billing").protocol = protocol
    return shop


class Member:
    """A consumer whose handler waits for permission at its first order.

    Attributes:
        seen: Ids of the orders that were begun.
    """

    def __init__(self, shop: Shop, **parts: Any) -> None:
        self.seen: list[str] = []
        self.began = threading.Event()
        self.release = threading.Event()
        self.consumer = shop.consumer(**parts).handle(OrderCreated, self._take)

    def _take(self, event: OrderCreated) -> None:
        self.seen.append(event.order_id)
        self.began.set()
        assert self.release.wait(PATIENCE)


@pytest.mark.parametrize("protocol", ["cooperative", "eager"])
def test_records_taken_before_a_revoke_are_not_handled_after_it(protocol: str) -> None:
    """Polled records of a revoked partition go to the new member and are handled only once."""
    shop = wide(2, protocol)
    for partition in range(2):
        publish(shop, *orders(*range(10 * partition, 10 * partition + 5)), partition=partition)
    first, second = Member(shop), Member(shop)
    second.release.set()
    with running(first.consumer):
        assert first.began.wait(PATIENCE)
        with running(second.consumer):
            # The first member gives one partition up as soon as its current record is done.
            time.sleep(0.3)
            first.release.set()
            wait_until(lambda: committed(shop) == 10)
    assert sorted(first.seen + second.seen) == sorted(f"o-{n}" for n in [*range(5), *range(10, 15)])


def test_what_is_done_is_committed_on_revoke() -> None:
    """The member that takes over goes on where the first one stopped, not at its last commit."""
    shop = wide(2)
    publish(shop, *orders(1, 2, 3), partition=1)
    first, second = Member(shop, commit_interval_ms=3_600_000), Member(shop)
    second.release.set()
    with running(first.consumer):
        assert first.began.wait(PATIENCE)
        with running(second.consumer):
            wait_until(lambda: shop.broker.group("billing").members() == 2)
            time.sleep(1)
            first.release.set()
            wait_until(lambda: committed(shop) == 3)
    assert (first.seen, second.seen) == (["o-1"], ["o-2", "o-3"])


def test_what_is_done_is_committed_on_close() -> None:
    """Closing commits without waiting for the interval."""
    shop = wide(1)
    publish(shop, *orders(1, 2, 3), partition=0)
    member = Member(shop, commit_interval_ms=3_600_000)
    member.release.set()
    with running(member.consumer):
        wait_until(lambda: len(member.seen) == 3)
    assert committed(shop) == 3
    assert shop.broker.group("billing").members() == 0


def test_revoked_partition_is_not_waited_for_longer_than_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler that does not return in time blocks no other member; its record is read again."""
    shop = wide(2)
    publish(shop, *orders(1), partition=1)
    slow = Member(shop, drain_timeout_ms=100)
    quick = Member(shop)
    quick.release.set()
    with running(slow.consumer):
        assert slow.began.wait(PATIENCE)
        with running(quick.consumer):
            wait_until(lambda: quick.seen == ["o-1"])
            wait_until(lambda: committed(shop) == 1)
            slow.release.set()
            time.sleep(0.1)
        assert committed(shop) == 1
    assert any("offset 0 was revoked" in line for line in caplog.messages)


def test_late_completion_of_a_revoked_partition_commits_nothing() -> None:
    """Records finished after the revocation are not committed by the old member."""
    shop = wide(1)
    publish(shop, *orders(1, 2), partition=0)
    member = Member(shop, drain_timeout_ms=50)
    with running(member.consumer):
        assert member.began.wait(PATIENCE)
        group = shop.broker.group("billing")
        group.lose_all()
        wait_until(lambda: len(group.owned(next(iter(_members(group))))) == 1)
        member.release.set()
        wait_until(lambda: member.seen == ["o-1", "o-1", "o-2"])
    assert committed(shop) == 2


def _members(group: Any) -> Any:
    return group._members


def test_lost_partitions_are_dropped_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """Records of a lost partition are dropped, nothing is committed, and the log says why."""
    shop = wide(1)
    publish(shop, *orders(*range(5)), partition=0)
    happened: list[Happening] = []
    member = Member(shop, commit_interval_ms=3_600_000, observers=Observers([happened.append]))
    with running(member.consumer):
        assert member.began.wait(PATIENCE)
        shop.broker.group("billing").lose_all()
        wait_until(lambda: any(isinstance(each, PartitionsLost) for each in happened))
        assert committed(shop) == 0
        member.release.set()
        wait_until(lambda: member.seen.count("o-4") == 1)
    # The current record was finished in vain; the queued ones were read again, once each.
    assert member.seen == ["o-0", "o-0", "o-1", "o-2", "o-3", "o-4"]
    (line,) = [each for each in caplog.messages if "lost" in each]
    assert f"{TOPIC} [0]" in line
    assert "session timeout" in line
    assert "handled again" in line


def test_two_members_share_the_work() -> None:
    """A second member takes partitions over, without an event lost or handled in both."""
    shop = wide(4)
    taken: list[str] = []

    def take(event: OrderCreated) -> None:
        time.sleep(0.001)
        taken.append(event.order_id)

    members = [shop.consumer(concurrency=3).handle(OrderCreated, take) for _ in range(2)]
    with running(members[0]):
        publish(shop, *orders(*range(50)))
        with running(members[1]):
            publish(shop, *orders(*range(50, 100)))
            wait_until(lambda: committed(shop) == 100)
    assert sorted(taken) == sorted(f"o-{number}" for number in range(100))


def test_rebalances_are_reported_to_observers() -> None:
    """Observers learn what was assigned and revoked, with the group's name."""
    shop = wide(2)
    happened: list[Happening] = []
    consumer = shop.consumer(observers=Observers([happened.append])).handle(OrderCreated, print)
    with running(consumer):
        wait_until(consumer.ready)
        wait_until(lambda: len(consumer.health().partitions) == 2)
    told = [each for each in happened if isinstance(each, PartitionsAssigned | PartitionsRevoked)]
    assert [(type(each), each.group, len(each.partitions)) for each in told] == [
        (PartitionsAssigned, "billing", 2),
        (PartitionsRevoked, "billing", 2),
    ]
