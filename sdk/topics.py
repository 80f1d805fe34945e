"""Topics: definitions, subject name strategies, and the routing of events to topics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from sdk.errors import ConfigurationError, RoutingError
from sdk.events import Catalog, CatalogEntry, Event, EventInfo
from sdk.settings import RoutingOptions, TopicOptions
from sdk.settings.checking import TOPIC_NAME_RULE, is_topic_name

SubjectNameStrategy = Callable[[str, str], str]
"""(topic, record full name) → registry subject of the value schema."""


@frozen(kw_only=True)
class TopicDefinition:
    """The declaration of a topic.

    Attributes:
        name: Topic name.
        partitions: Partition count, or None for the broker's default.
        replication: Replication factor, or None for the broker's default.
        config: Topic configuration, such as ``{"retention.ms": "604800000"}``.
    """

    name: str
    partitions: int | None = None
    replication: int | None = None
    config: Mapping[str, str] = field(factory=dict)


def record_name(topic: str, full_name: str) -> str:
    """RecordNameStrategy: one subject for an event, whatever the topic."""
    return full_name


def topic_name(topic: str, full_name: str) -> str:
    """TopicNameStrategy: one subject for a topic."""
    return f"{topic}-value"


def topic_record_name(topic: str, full_name: str) -> str:
    """TopicRecordNameStrategy: one subject for each event of each topic."""
    return f"{topic}-{full_name}"


SUBJECT_STRATEGIES: Mapping[str, SubjectNameStrategy] = {
    "record": record_name,
    "topic": topic_name,
    "topic_record": topic_record_name,
}

RETRY_SUFFIX = "-retry"
DEAD_LETTER_SUFFIX = "-dlt"
PARKED_SUFFIX = "-parked"
SETTLED_SUFFIX = "-settled"
NEVER_BY_PATTERN = (DEAD_LETTER_SUFFIX, PARKED_SUFFIX, SETTLED_SUFFIX)
"""Suffixes of topics that a consumer reads only if it names the topic, not by a pattern."""


def is_retry_topic_name(name: str) -> bool:
    """Return whether a topic is a retry topic by its name, whichever group's and delay's."""
    return _RETRY_NAME.search(name) is not None


_RETRY_NAME = re.compile(rf"{RETRY_SUFFIX}(-[0-9]+)?\Z")


def retry_suffixes(delays_ms: Sequence[int], group: str | None = None) -> tuple[str, ...]:
    """Return the suffixes of the retry topics of each delay.

    The names are those of Spring for Apache Kafka: ``-retry-1000``, ``-retry-10000``; equal delays
    share a topic, and the suffix is ``-retry`` if there is only one delay.

    Args:
        delays_ms: Delay before each further attempt, milliseconds.
        group: Consumer group, if it has its own topics.
    """
    stem = f"{_group_part(group)}{RETRY_SUFFIX}"
    if len(set(delays_ms)) == 1:
        return (stem,) * len(delays_ms)
    return tuple(f"{stem}-{delay}" for delay in delays_ms)


def dead_letter_topic_name(topic: str, group: str | None = None) -> str:
    """Return the dead-letter topic of a topic, as Spring for Apache Kafka names it.

    Args:
        topic: Source topic.
        group: Consumer group, if it has its own dead-letter topic.
    """
    return f"{topic}{_group_part(group)}{DEAD_LETTER_SUFFIX}"


def _group_part(group: str | None) -> str:
    return "" if group is None else f"-{group}"


_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")


def words(name: str) -> list[str]:
    """Split a CamelCase or snake_case name into words in lower case."""
    return [word.lower() for word in _WORD.findall(name)]


_PLACEHOLDERS: Mapping[str, Callable[[EventInfo], str]] = {
    "domain": lambda info: info.domain or _namespace(info),
    "namespace": lambda info: _namespace(info),
    "event": lambda info: info.name,
    "event_kebab": lambda info: "-".join(words(info.name)),
    "event_snake": lambda info: "_".join(words(info.name)),
    "event_dotted": lambda info: ".".join(words(info.name)),
    "version": lambda info: str(info.version),
}


def _namespace(info: EventInfo) -> str:
    return info.full_name.rpartition(".")[0]


def templated_name(routing: RoutingOptions, info: EventInfo) -> str:
    """Return the topic name of an event by the template.

    Args:
        routing: The options with the template.
        info: The event.

    Raises:
        RoutingError: The event lacks a part of the template, or Kafka would reject the name.
    """
    values = {name: value(info) for name, value in _PLACEHOLDERS.items()}
    for name, value in values.items():
        if not value and f"{{{name}}}" in routing.template:
            raise RoutingError(
                f"routing.template {routing.template!r} needs a {name}, which the event lacks",
                event=info.full_name,
            )
    name = routing.template.format_map(values)
    if not is_topic_name(name):
        raise RoutingError(
            f"routing.template {routing.template!r} makes {name!r}, which is not a topic name",
            remedy=TOPIC_NAME_RULE,
            event=info.full_name,
        )
    return name


_Route = tuple[str, int | None]
"""(full name, version); the version is None for all others."""


class TopicRouter:
    """Finds the topic of an event: by its explicit route, or else by the template.

    Args:
        routing: Strategy, template and default partition count.
        topics: Explicit routes, which override the template.
        catalog: All events that this service knows; names in routes are resolved against it.
        origin: The place of the routes, for errors.
        uses: The classes of the events that this service uses; None means all of the catalog.

    Raises:
        RoutingError: A route names no event of the catalog or more than one, two routes share an
            event and version, definitions of one topic contradict each other, a name is illegal,
            or, with explicit routes only, an event has none.
    """

    def __init__(
        self,
        routing: RoutingOptions,
        topics: Iterable[TopicOptions],
        catalog: Catalog,
        *,
        origin: str = "[[topics]]",
        uses: Iterable[type[Event]] | None = None,
    ) -> None:
        self._routing = routing
        self._catalog = catalog
        self._origin = origin
        self._uses = None if uses is None else tuple(uses)
        self._definitions: dict[str, TopicDefinition] = {}
        self._routes: dict[_Route, str] = {}
        self._resolved: dict[type[Any], TopicDefinition] = {}
        for options in topics:
            self._add(options)
        if routing.strategy == "explicit":
            self._require_routes()

    def resolve(self, event_class: type[Any]) -> TopicDefinition:
        """Return the topic that events of this class are published to.

        Raises:
            RoutingError: The event has no topic.
        """
        found = self._resolved.get(event_class)
        if found is None:
            found = self._resolved[event_class] = self._find(_info(event_class))
        return found

    def readable(self, event_class: type[Any]) -> tuple[TopicDefinition, ...]:
        """Return the topics of every version of the event, its own first, without repeats.

        Raises:
            RoutingError: A version has no topic.
        """
        found = {self.resolve(event_class).name: self.resolve(event_class)}
        full_name = _info(event_class).full_name
        if any(entry.full_name == full_name for entry in self._catalog):
            for other in self._catalog.versions(full_name):
                definition = self.resolve(other)
                found.setdefault(definition.name, definition)
        return tuple(found.values())

    def definitions(self) -> tuple[TopicDefinition, ...]:
        """Return the topics of the events that are used; of all, and of all routes, by default.

        Raises:
            RoutingError: An event has no topic, or two names collide in Kafka's metrics.
        """
        found: dict[str, TopicDefinition] = {}
        if self._uses is None:
            found |= self._definitions
            found |= {each.name: each for each in map(self.resolve, self._classes())}
        for event_class in self._uses or ():
            found |= {each.name: each for each in self.readable(event_class)}
        _check_collisions(found)
        return tuple(found.values())

    def _add(self, options: TopicOptions) -> None:
        try:
            full_name = self._catalog.full_name(options.event)
        except ConfigurationError as error:
            raise RoutingError(
                f"{self._origin}: entry of {options.event!r}: {error.message}", remedy=error.remedy
            ) from error
        versions = [entry.version for entry in self._catalog if entry.full_name == full_name]
        if options.version is not None and options.version not in versions:
            raise RoutingError(
                f"{self._origin} routes version {options.version}, which the event does not have",
                event=full_name,
                remedy=f"known versions: {', '.join(map(str, versions))}",
            )
        route = (full_name, options.version)
        if route in self._routes:
            version = "" if options.version is None else f" for version {options.version}"
            raise RoutingError(
                f"{self._origin} has two routes{version}: {self._routes[route]} and {options.name}",
                event=full_name,
                remedy="keep one of them",
            )
        self._routes[route] = options.name
        self._define(options)

    def _define(self, options: TopicOptions) -> None:
        declared = TopicDefinition(
            name=options.name,
            partitions=options.partitions,
            replication=options.replication,
            config=options.config,
        )
        known = self._definitions.get(options.name)
        self._definitions[options.name] = (
            _joined(known, declared, self._origin) if known else declared
        )

    def _find(self, info: EventInfo) -> TopicDefinition:
        name = self._routes.get((info.full_name, info.version))
        name = name or self._routes.get((info.full_name, None))
        if name is None:
            if self._routing.strategy == "explicit":
                raise _no_route([info.full_name], self._origin)
            name = templated_name(self._routing, info)
            self._refuse_sharing(info, name)
        default = TopicDefinition(name=name, partitions=self._routing.partitions)
        return self._definitions.get(name, default)

    def _refuse_sharing(self, info: EventInfo, name: str) -> None:
        """Reject a topic that a template with the event's name also gives to another event.

        A template without the event's name, such as ``{domain}.events``, shares topics on purpose.
        Only names with the same words can collide, so that no other class is loaded.
        """
        if "{event" not in self._routing.template:
            return
        for entry in self._catalog:
            if entry.full_name == info.full_name or self._is_routed(entry):
                continue
            if words(entry.full_name.rpartition(".")[2]) != words(info.name):
                continue
            if templated_name(self._routing, _info(entry.load())) == name:
                raise RoutingError(
                    f"routing.template {self._routing.template!r} gives {info.full_name} and"
                    f" {entry.full_name} one topic",
                    event=info.full_name,
                    topic=name,
                    remedy="use {namespace} in the template, or give each its own route"
                    f" in {self._origin}",
                )

    def _classes(self) -> Iterator[type[Any]]:
        return (entry.load() for entry in self._catalog)

    def _is_routed(self, entry: CatalogEntry | EventInfo) -> bool:
        routes = ((entry.full_name, None), (entry.full_name, entry.version))
        return any(route in self._routes for route in routes)

    def _require_routes(self) -> None:
        used = self._catalog if self._uses is None else map(_info, self._uses)
        missing = sorted({each.full_name for each in used if not self._is_routed(each)})
        if missing:
            raise _no_route(missing, self._origin)


def _no_route(events: list[str], origin: str) -> RoutingError:
    return RoutingError(
        f"routing.strategy is 'explicit', and {origin} has no route for {', '.join(events)}",
        event=events[0] if len(events) == 1 else None,
        remedy="add an entry for each, or set routing.strategy = 'template'",
    )


def _info(event_class: type[Any]) -> EventInfo:
    info = getattr(event_class, "__event__", None)
    if not isinstance(info, EventInfo):
        raise RoutingError(
            f"{getattr(event_class, '__name__', event_class)} is not an event class",
            remedy="pass a generated class",
        )
    return info


def _joined(first: TopicDefinition, second: TopicDefinition, origin: str) -> TopicDefinition:
    """Merge the definitions of one topic by two routes; a contradiction is an error."""
    for name, mine, other in (
        ("partitions", first.partitions, second.partitions),
        ("replication", first.replication, second.replication),
        *((key, first.config[key], second.config.get(key)) for key in first.config),
    ):
        if mine is not None and other is not None and mine != other:
            raise RoutingError(
                f"{origin} gives the topic {name} {mine} and {other}",
                topic=first.name,
                remedy="write the same value in both, or remove one",
            )
    return TopicDefinition(
        name=first.name,
        partitions=first.partitions or second.partitions,
        replication=first.replication or second.replication,
        config={**first.config, **second.config},
    )


def _check_collisions(names: Iterable[str]) -> None:
    """Kafka rejects a topic whose name differs from another's only by ``.`` and ``_``."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.replace(".", "_"), name)
        if other != name:
            raise RoutingError(
                f"the topics {other} and {name} collide in Kafka",
                remedy="do not mix dots and underscores",
            )
