"""Consumer groups of the in-memory broker: who reads which partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Place = tuple[str, int]
"""(topic, partition)"""


class Group:
    """One consumer group, rebalanced cooperatively.

    A partition moves in two steps, as in Kafka's cooperative protocol: its member gives it up
    when it next polls, and only then may the member that it is meant for take it.

    Args:
        group_id: Its name.

    Attributes:
        committed: Next offset to be read, by (topic, partition).
    """

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.committed: dict[Place, int] = {}
        self._members: dict[Any, tuple[str, ...]] = {}
        self._target: dict[Place, Any] = {}
        self._owners: dict[Place, Any] = {}
        self._balanced_for: object = None

    def join(self, member: Any, topics: tuple[str, ...]) -> None:
        """Add a member, or change what it subscribes to."""
        self._members[member] = topics

    def leave(self, member: Any) -> None:
        """Remove a member; what it owned is free."""
        self._members.pop(member, None)
        for place in self.owned(member):
            del self._owners[place]

    def topics(self) -> set[str]:
        """Return the topics that any member subscribes to."""
        return {topic for topics in self._members.values() for topic in topics}

    def balance(self, counts: Mapping[str, int]) -> None:
        """Deal the partitions out to the members, if members or partition counts have changed.

        Args:
            counts: Partition count of each topic.
        """
        situation = (tuple(self._members.items()), tuple(sorted(counts.items())))
        if situation == self._balanced_for:
            return
        self._balanced_for = situation
        self._target = {}
        for topic, count in sorted(counts.items()):
            members = [member for member, topics in self._members.items() if topic in topics]
            for partition in range(count if members else 0):
                self._target[topic, partition] = members[partition % len(members)]

    def excess(self, member: Any) -> list[Place]:
        """Return what a member owns and must give up."""
        return [place for place in self.owned(member) if self._target.get(place) is not member]

    def acquire(self, member: Any) -> list[Place]:
        """Give a member what is meant for it and free; return what it gained."""
        gained = [
            place
            for place, meant in self._target.items()
            if meant is member and place not in self._owners
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
        """Return what a member owns."""
        return [place for place, owner in self._owners.items() if owner is member]
