"""Topics: names, subjects, templates and routes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.errors import ConfigurationError, RoutingError
from sdk.events import Catalog, CatalogEntry, EventInfo
from sdk.settings import RoutingOptions, TopicOptions
from sdk.topics import (
    SUBJECT_STRATEGIES,
    TopicDefinition,
    TopicRouter,
    dead_letter_topic_name,
    retry_suffixes,
    templated_name,
    words,
)

MODULE = "topics_test_contracts"


def event(full_name: str, version: int = 1, domain: str | None = None) -> type[Any]:
    """Make a class that carries a contract, as a generated one does."""
    namespace, _, name = full_name.rpartition(".")
    info = EventInfo(
        full_name=full_name,
        version=version,
        schema="{}",
        fingerprint="0" * 16,
        domain=namespace if domain is None else domain,
    )
    return type(name, (), {"__event__": info})


CREATED_1 = event("orders.OrderCreated", 1)
CREATED_2 = event("orders.OrderCreated", 2)
CANCELLED = event("orders.OrderCancelled")
ALL = (CREATED_1, CREATED_2, CANCELLED)


@pytest.fixture
def contracts() -> Iterator[ModuleType]:
    """An importable module for the classes of a catalog."""
    module = sys.modules[MODULE] = ModuleType(MODULE)
    yield module
    del sys.modules[MODULE]


def catalog(contracts: ModuleType, classes: Sequence[type[Any]] = ALL) -> Catalog:
    """Make a catalog of these classes."""
    entries = []
    for cls in classes:
        info: EventInfo = cls.__event__
        name = f"{info.full_name.replace('.', '_')}_{info.version}"
        setattr(contracts, name, cls)
        entries.append(CatalogEntry(info.full_name, info.version, MODULE, name))
    return Catalog(entries)


def router(contracts: ModuleType, *topics: TopicOptions, **routing: Any) -> TopicRouter:
    """Make a router over all events with these routes and this routing table."""
    return TopicRouter(RoutingOptions(**routing), topics, catalog(contracts))


def test_subject_strategies() -> None:
    """The three strategies compute the subjects that Confluent's clients compute."""
    subjects = {
        name: strategy("orders.created", "orders.OrderCreated")
        for name, strategy in SUBJECT_STRATEGIES.items()
    }
    assert subjects == {
        "record": "orders.OrderCreated",
        "topic": "orders.created-value",
        "topic_record": "orders.created-orders.OrderCreated",
    }


def test_retry_and_dead_letter_names() -> None:
    """Retry and dead-letter topics are named as Spring for Apache Kafka names them."""
    assert retry_suffixes([1000, 4000]) == ("-retry-1000", "-retry-4000")
    assert retry_suffixes([1000, 4000, 4000])[1:] == ("-retry-4000", "-retry-4000")
    assert retry_suffixes([500, 500]) == ("-retry", "-retry")
    assert retry_suffixes([500], "billing") == ("-billing-retry",)
    assert dead_letter_topic_name("orders") == "orders-dlt"
    assert dead_letter_topic_name("orders", "billing") == "orders-billing-dlt"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OrderCreated", ["order", "created"]),
        ("SKUChanged", ["sku", "changed"]),
        ("HTTPServerStarted", ["http", "server", "started"]),
        ("V2Created", ["v2", "created"]),
        ("Order2Created", ["order2", "created"]),
        ("order_created", ["order", "created"]),
        ("A", ["a"]),
    ],
)
def test_words(name: str, expected: list[str]) -> None:
    """Names are split where a reader would, acronyms and digits included."""
    assert words(name) == expected


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True))
def test_words_lose_nothing(name: str) -> None:
    """Splitting a name keeps each of its letters and digits, in order."""
    assert "".join(words(name)) == name.replace("_", "").lower()


@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("{domain}.{event_kebab}", "orders.order-created"),
        ("{domain}.{event_snake}", "orders.order_created"),
        ("{event_dotted}", "order.created"),
        ("{event}", "OrderCreated"),
        ("shop-{domain}-{event_kebab}.v{version}", "shop-orders-order-created.v2"),
        ("events", "events"),
    ],
)
def test_template(template: str, topic: str) -> None:
    """A template is filled with domain, event name and version."""
    assert templated_name(RoutingOptions(template=template), CREATED_2.__event__) == topic


@pytest.mark.parametrize(
    "template",
    [
        "{topic}",
        "{}",
        "{0}",
        "{domain.x}",
        "{domain!r}",
        "{domain[0]}",
        "{version:3}",
        "{event",
        "}",
    ],
)
def test_bad_template(template: str) -> None:
    """A template with anything but the known placeholders is refused with the settings."""
    with pytest.raises(ConfigurationError, match=r"unknown placeholder|malformed"):
        RoutingOptions(template=template)


@pytest.mark.parametrize("template", ["{domain} {event}", "{{{event}}}", "ä{event}", "x" * 250])
def test_template_with_an_illegal_result(template: str) -> None:
    """A name that Kafka would refuse is told with the event."""
    with pytest.raises(RoutingError, match="which is not a topic name") as caught:
        templated_name(RoutingOptions(template=template), CREATED_1.__event__)
    assert caught.value.event == "orders.OrderCreated"


def test_template_without_a_domain() -> None:
    """The namespace stands in for the domain, and an event without both is told."""
    routing = RoutingOptions(template="{domain}.{event_kebab}")
    assert templated_name(routing, event("a.b.Paid", domain="").__event__) == "a.b.paid"
    with pytest.raises(RoutingError, match="needs a domain"):
        templated_name(routing, event("Paid", domain="").__event__)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "ä", "x" * 250, "a\n"])
def test_illegal_topic_name(name: str) -> None:
    """Names outside Kafka's rules are refused with the settings."""
    with pytest.raises(ConfigurationError, match="must be a topic name"):
        TopicOptions(event="A", name=name)


@pytest.mark.parametrize("name", ["a", "orders.created", "A_b-C.9", "...", "x" * 249])
def test_legal_topic_name(name: str) -> None:
    """Names within Kafka's rules pass."""
    assert TopicOptions(event="A", name=name).name == name


def test_template_applies_without_a_route(contracts: ModuleType) -> None:
    """An event without a route goes where the template says, with the default partitions."""
    found = router(contracts, partitions=3).resolve(CREATED_2)
    assert found == TopicDefinition(name="orders.order-created", partitions=3)


@pytest.mark.parametrize("name", ["OrderCreated", "orders.OrderCreated"])
def test_route_overrides_the_template(contracts: ModuleType, name: str) -> None:
    """A route, by short or full name, decides for all versions, and carries the definition."""
    options = TopicOptions(
        event=name, name="orders.created", partitions=6, replication=3, config={"a": "b"}
    )
    routed = router(contracts, options, partitions=3)
    expected = TopicDefinition(
        name="orders.created", partitions=6, replication=3, config={"a": "b"}
    )
    assert routed.resolve(CREATED_1) == routed.resolve(CREATED_2) == expected
    assert routed.resolve(CANCELLED).name == "orders.order-cancelled"


def test_route_of_one_version(contracts: ModuleType) -> None:
    """A route for a version wins over the one for all others."""
    routed = router(
        contracts,
        TopicOptions(event="OrderCreated", name="orders.created"),
        TopicOptions(event="OrderCreated", version=1, name="orders.created.v1"),
    )
    assert routed.resolve(CREATED_1).name == "orders.created.v1"
    assert routed.resolve(CREATED_2).name == "orders.created"


def test_readable_topics(contracts: ModuleType) -> None:
    """A class reads from the topics of every version, its own first, each once."""
    routed = router(contracts, template="{event_kebab}.v{version}")
    names = [definition.name for definition in routed.readable(CREATED_2)]
    assert names == ["order-created.v2", "order-created.v1"]
    assert len(router(contracts).readable(CREATED_2)) == 1


def test_readable_topics_of_a_class_outside_the_catalog(contracts: ModuleType) -> None:
    """A class that the catalog does not know reads from its own topic."""
    other = event("billing.InvoiceSent")
    assert [d.name for d in router(contracts).readable(other)] == ["billing.invoice-sent"]


def test_definitions(contracts: ModuleType) -> None:
    """Every topic is declared once: those of the routes, then those of the template."""
    routed = router(
        contracts, TopicOptions(event="OrderCreated", name="orders.created", partitions=6)
    )
    assert routed.definitions() == (
        TopicDefinition(name="orders.created", partitions=6),
        TopicDefinition(name="orders.order-cancelled"),
    )


def test_one_topic_for_two_events(contracts: ModuleType) -> None:
    """Two events may share a topic, whose definition is what both routes say together."""
    routed = router(
        contracts,
        TopicOptions(event="OrderCreated", name="orders", partitions=6, config={"a": "1"}),
        TopicOptions(event="OrderCancelled", name="orders", replication=3, config={"b": "2"}),
    )
    expected = TopicDefinition(
        name="orders", partitions=6, replication=3, config={"a": "1", "b": "2"}
    )
    assert routed.definitions() == (expected,)
    assert routed.resolve(CANCELLED) == routed.resolve(CREATED_1) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [({"partitions": 6}, {"partitions": 3}), ({"config": {"a": "1"}}, {"config": {"a": "2"}})],
)
def test_contradicting_definitions(
    contracts: ModuleType, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Two routes that define one topic differently are refused."""
    with pytest.raises(RoutingError, match=r"gives the topic \w+ \d and \d") as caught:
        router(
            contracts,
            TopicOptions(event="OrderCreated", name="orders", **first),
            TopicOptions(event="OrderCancelled", name="orders", **second),
        )
    assert caught.value.topic == "orders"


@pytest.mark.parametrize("version", [None, 2])
def test_two_routes_for_one_event(contracts: ModuleType, version: int | None) -> None:
    """Two routes for the same event and version are refused, however the event is named."""
    with pytest.raises(RoutingError, match=r"two routes.*: a and b") as caught:
        router(
            contracts,
            TopicOptions(event="OrderCreated", version=version, name="a"),
            TopicOptions(event="orders.OrderCreated", version=version, name="b"),
        )
    assert caught.value.event == "orders.OrderCreated"


def test_name_that_fits_two_events(contracts: ModuleType) -> None:
    """A short name that two events share is refused; the full names are told."""
    both = catalog(contracts, [CREATED_1, event("legacy.OrderCreated")])
    with pytest.raises(RoutingError, match=r"legacy\.OrderCreated and orders\.OrderCreated"):
        TopicRouter(RoutingOptions(), [TopicOptions(event="OrderCreated", name="x")], both)


def test_unknown_event(contracts: ModuleType) -> None:
    """A route for an event that does not exist is refused, and the near name is offered."""
    with pytest.raises(RoutingError, match=r"\[\[topics\]\]: entry of 'OrderCraeted'") as caught:
        router(contracts, TopicOptions(event="OrderCraeted", name="x"))
    assert caught.value.remedy is not None
    assert "OrderCreated" in caught.value.remedy


def test_unknown_version(contracts: ModuleType) -> None:
    """A route for a version that does not exist is refused; the known ones are told."""
    with pytest.raises(RoutingError, match="routes version 3") as caught:
        router(contracts, TopicOptions(event="OrderCreated", version=3, name="x"))
    assert caught.value.remedy == "known versions: 1, 2"


def test_origin_of_the_routes(contracts: ModuleType) -> None:
    """An error about a route names its file or variable."""
    with pytest.raises(RoutingError, match=r"^settings\.toml \[\[docker\.topics\]\]: entry of 'X'"):
        TopicRouter(
            RoutingOptions(),
            [TopicOptions(event="X", name="x")],
            catalog(contracts),
            origin="settings.toml [[docker.topics]]",
        )


def test_missing_route_under_explicit_strategy(contracts: ModuleType) -> None:
    """With explicit routing, an event without a route is an error when connecting."""
    with pytest.raises(RoutingError, match=r"no route for orders\.OrderCancelled"):
        router(
            contracts,
            TopicOptions(event="OrderCreated", name="orders.created"),
            strategy="explicit",
        )


def test_missing_version_under_explicit_strategy(contracts: ModuleType) -> None:
    """A route for one version leaves the others without."""
    with pytest.raises(RoutingError, match=r"no route for orders\.OrderCreated"):
        router(
            contracts,
            TopicOptions(event="OrderCreated", version=1, name="a"),
            TopicOptions(event="OrderCancelled", name="b"),
            strategy="explicit",
        )


def test_foreign_event_under_explicit_strategy(contracts: ModuleType) -> None:
    """An event outside the catalog is told when it is asked for."""
    routed = router(
        contracts,
        TopicOptions(event="OrderCreated", name="a"),
        TopicOptions(event="OrderCancelled", name="b"),
        strategy="explicit",
    )
    with pytest.raises(RoutingError, match=r"no route for billing\.InvoiceSent"):
        routed.resolve(event("billing.InvoiceSent"))


def test_no_event_class(contracts: ModuleType) -> None:
    """A class that is not an event is named in the error."""
    with pytest.raises(RoutingError, match="int is not an event class"):
        router(contracts).resolve(int)


def test_names_that_collide_in_kafka(contracts: ModuleType) -> None:
    """Topics that differ by a dot and an underscore alone collide in Kafka."""
    routed = router(
        contracts,
        TopicOptions(event="OrderCreated", name="orders.all"),
        TopicOptions(event="OrderCancelled", name="orders_all"),
    )
    with pytest.raises(RoutingError, match=r"orders\.all and orders_all collide"):
        routed.definitions()


ORDERS_CREATED = event("com.acme.orders.Created", domain="com")
PAYMENTS_CREATED = event("com.acme.payments.Created", domain="com")


def same_named(contracts: ModuleType, *topics: TopicOptions, **routing: Any) -> TopicRouter:
    """Make a router over two events whose short names and domains are the same."""
    classes = (ORDERS_CREATED, PAYMENTS_CREATED)
    return TopicRouter(RoutingOptions(**routing), topics, catalog(contracts, classes))


@pytest.mark.parametrize("cls", [ORDERS_CREATED, PAYMENTS_CREATED])
def test_two_events_do_not_get_one_topic_by_accident(contracts: ModuleType, cls: type[Any]) -> None:
    """A template with one topic for two events is an error that names both and a remedy."""
    routes = same_named(contracts)
    with pytest.raises(RoutingError, match="namespace") as caught:
        routes.resolve(cls)
    assert "com.acme.orders.Created" in caught.value.message
    assert "com.acme.payments.Created" in caught.value.message
    assert caught.value.topic == "com.created"
    with pytest.raises(RoutingError):
        routes.definitions()


def test_namespaces_tell_events_apart(contracts: ModuleType) -> None:
    """The whole namespace makes different topics of same-named events."""
    routes = same_named(contracts, template="{namespace}.{event_kebab}")
    assert [topic.name for topic in routes.definitions()] == [
        "com.acme.orders.created",
        "com.acme.payments.created",
    ]


def test_a_route_for_one_of_two_is_enough(contracts: ModuleType) -> None:
    """If one event has its own route, the other may have the template's topic."""
    routes = same_named(contracts, TopicOptions(event="com.acme.orders.Created", name="orders"))
    assert routes.resolve(ORDERS_CREATED).name == "orders"
    assert routes.resolve(PAYMENTS_CREATED).name == "com.created"


def test_topics_are_shared_on_purpose(contracts: ModuleType) -> None:
    """A template without the event's name, and routes, may give one topic to several events."""
    shared = same_named(contracts, template="{domain}.events")
    assert shared.resolve(ORDERS_CREATED) == shared.resolve(PAYMENTS_CREATED)
    topics = [
        TopicOptions(event=name, name="created")
        for name in ("com.acme.orders.Created", "com.acme.payments.Created")
    ]
    routed = same_named(contracts, *topics)
    assert routed.resolve(ORDERS_CREATED) == routed.resolve(PAYMENTS_CREATED)


def test_an_event_without_key_has_routes(contracts: ModuleType) -> None:
    """Whether an event has a key makes no difference to where it goes."""
    assert ORDERS_CREATED.__event__.key_field is None
    route = TopicOptions(event="com.acme.orders.Created", name="orders", partitions=3)
    (definition,) = TopicRouter(
        RoutingOptions(), [route], catalog(contracts, [ORDERS_CREATED])
    ).definitions()
    assert (definition.name, definition.partitions) == ("orders", 3)
