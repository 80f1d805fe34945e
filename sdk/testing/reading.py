"""Published records as events again, for assertions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from sdk.abstractions import E, MessageSerializer, TopicResolver
from sdk.errors import SdkError
from sdk.events import Event
from sdk.records import ConsumerRecord


class EventReader:
    """Decodes records as the consumers of a connection do.

    Args:
        serializer: Returns the serializer of the connection.
        resolver: Event classes → topics.
    """

    def __init__(
        self, serializer: Callable[[], MessageSerializer], resolver: TopicResolver
    ) -> None:
        self._serializer = serializer
        self._resolver = resolver

    def topics(self, event_class: type[Event]) -> tuple[str, ...]:
        """Return the topics that events of a class are read from."""
        return tuple(topic.name for topic in self._resolver.readable(event_class))

    def remember(self, records: Iterable[ConsumerRecord]) -> None:
        """Look up the writers of records, so that these can be read without the registry."""
        serializer = self._serializer()
        for record in records:
            if record.value is not None:
                with suppress(SdkError):
                    serializer.open(record)

    def read(self, event_class: type[E], records: Iterable[ConsumerRecord]) -> list[E]:
        """Return those records that carry the event, whichever version wrote them.

        Raises:
            DeserializationError: A record is not an event.
        """
        serializer = self._serializer()
        wanted = event_class.__event__.full_name
        opened = (serializer.open(each) for each in records if each.value is not None)
        return [each.read(event_class) for each in opened if each.full_name == wanted]
