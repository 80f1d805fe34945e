"""Consumer groups of the in-memory broker: the assignment of partitions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from sdk.consuming.offsets import Place
from sdk.errors import ConfigurationError


@frozen
class Subscription:
    """The topics of a member.

    Attributes:
        topics: Topic names.
        pattern: Matches further topic names from their start; None matches none.
    """

    topics: frozenset[str]
    pattern: re.Pattern[str] | None = None

    def covers(self, topic: str) -> bool:
        """Whether a topic is read."""
        return topic in self.topics or (
            self.pattern is not None and self.pattern.match(topic) is not None
        )


class Group:
    """One consumer group.

    With the cooperative protocol a partition moves in two steps, as in Kafka: it is revoked when
    its member next polls, and only then assigned to the other member. With the eager protocol, all
    partitions are revoked first.

    Args:
        group_id: Its name.

    Attributes:
        committed: Next offset to be read, by (topic, partition).
        pending: Partitions with an offset in an open transaction → that transaction; they are not
            assigned before it has ended.
        generation: Increases when all members lose their partitions.
        protocol: ``cooperative`` or ``eager``; may be set while there are no members.
    """

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.committed: dict[Place, int] = {}
        self.pending: dict[Place, object] = {}
        self.generation = 0
        self.protocol = "cooperative"
        self._members: dict[Any, Subscription] = {}
        self._revoking: set[Any] = set()
        self._target: dict[Place, Any] = {}
        self._owners: dict[Place, Any] = {}
        self._balanced_for: object = None

    def join(self, member: Any, subscription: Subscription) -> None:
        """Add a member or change its subscription."""
        if self.protocol not in {"cooperative", "eager"}:
            raise ConfigurationError(f"no such rebalance protocol: {self.protocol!r}")
        self._members[member] = subscription

    def leave(self, member: Any) -> None:
        """Remove a member and release its partitions."""
        self._members.pop(member, None)
        self._revoking.discard(member)
        for place in self.owned(member):
            del self._owners[place]

    def lose_all(self) -> None:
        """Make every member lose its partitions, as when their sessions time out."""
        self._owners.clear()
        self._balanced_for = None
        self.generation += 1

    def revoke_all(self) -> None:
        """Revoke the partitions of every member and assign them again."""
        self._revoking = {member for member in self._members if self.owned(member)}

    def covers(self, topic: str) -> bool:
        """Whether any member reads a topic."""
        return any(subscription.covers(topic) for subscription in self._members.values())

    def members(self) -> int:
        """Return how many members there are."""
        return len(self._members)

    def balance(self, counts: Mapping[str, int]) -> None:
        """Assign the partitions to the members, if members or partition counts have changed.

        Args:
            counts: Partition count of each topic.
        """
        state = (tuple(self._members.items()), tuple(sorted(counts.items())))
        if state == self._balanced_for:
            return
        self._balanced_for = state
        if self.protocol == "eager":
            self._revoking = {member for member in self._members if self.owned(member)}
        self._target = {}
        for topic, count in sorted(counts.items()):
            members = [member for member, read in self._members.items() if read.covers(topic)]
            for partition in range(count if members else 0):
                self._target[topic, partition] = members[partition % len(members)]

    def excess(self, member: Any) -> list[Place]:
        """Return the partitions that a member must give up."""
        owned = self.owned(member)
        if member in self._revoking:
            return owned
        return [place for place in owned if self._target.get(place) is not member]

    def acquire(self, member: Any) -> list[Place]:
        """Assign a member its free target partitions; return the new ones."""
        self._revoking.discard(member)
        if self._revoking:
            return []
        gained = [
            place
            for place, target in self._target.items()
            if target is member and place not in self._owners and place not in self.pending
        ]
        for place in gained:
            self._owners[place] = member
        return gained

    def release(self, place: Place) -> None:
        """Free a partition."""
        self._owners.pop(place, None)

    def owner(self, place: Place) -> Any:
        """Return the member that owns a partition, or None."""
        return self._owners.get(place)

    def owned(self, member: Any) -> list[Place]:
        """Return the partitions of a member."""
        return [place for place, owner in self._owners.items() if owner is member]
