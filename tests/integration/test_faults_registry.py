"""The registry killed, frozen and restarted: only work that needs it waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from contracts.orders.order_created.v2 import OrderCreated

from sdk.errors import RegistryUnavailableError, SdkError
from tests.integration.wiring import (
    connected,
    meanwhile,
    number_of,
    order,
    settings_for,
    stopping_after,
    stored,
    wait_until,
)
from tests.servers.registry import ApicurioRegistry
from tests.servers.target import Target


@pytest.fixture(scope="module")
def durable(
    own_registry: Callable[..., ApicurioRegistry], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApicurioRegistry]:
    """A registry that keeps its schemas on disk, for tests to kill."""
    with own_registry(tmp_path_factory.mktemp("durable"), durable=True) as registry:
        yield registry


@pytest.fixture
def fragile(durable: ApicurioRegistry) -> Iterator[ApicurioRegistry]:
    """The durable registry, alive again after the test."""
    yield durable
    durable.process.thaw()
    if not durable.process.running:
        durable.process.start()


def test_warmed_producers_and_consumers_go_on_without_the_registry(
    kafka: Target, fragile: ApicurioRegistry, unique: Callable[[str], str]
) -> None:
    """Once ids are known, a dead registry is not noticed."""
    topic = unique("warmed")
    settings = settings_for(kafka.address, fragile.url, topic)
    handled: list[int] = []
    with connected(settings) as messaging:
        messaging.warm_up()
        messaging.producer.produce(order(0)).result(30)
        consumer = messaging.consumer(unique("group"))

        def handle(event: OrderCreated) -> None:
            handled.append(number_of(event))
            if len(handled) == 1:
                fragile.process.kill()
                for number in range(1, 200):
                    messaging.producer.produce(order(number))
                assert messaging.producer.flush(30) == 0
            if len(handled) == 200:
                consumer.stop()

        consumer.handle(OrderCreated, handle)
        with stopping_after(consumer, 90):
            consumer.run()
    assert sorted(handled) == list(range(200))


def test_a_consumer_that_meets_an_unknown_id_waits_and_resumes(
    kafka: Target, fragile: ApicurioRegistry, unique: Callable[[str], str]
) -> None:
    """Nothing is skipped and nothing is dead-lettered while the registry is away."""
    topic = unique("unknown-id")
    settings = settings_for(kafka.address, fragile.url, topic)
    with connected(settings) as messaging:
        for number in range(50):
            messaging.producer.produce(order(number))
        assert messaging.producer.flush(30) == 0
    fragile.process.kill()
    handled: list[int] = []
    with connected(settings) as messaging:
        consumer = messaging.consumer(unique("group"))

        def handle(event: OrderCreated) -> None:
            handled.append(number_of(event))
            if len(handled) == 50:
                consumer.stop()

        def restart() -> None:
            time.sleep(4)
            assert handled == []
            fragile.process.start()

        consumer.handle(OrderCreated, handle)
        with meanwhile(restart), stopping_after(consumer, 150):
            consumer.run()
    assert sorted(handled) == list(range(50))
    in_order = [record.number for record in stored(kafka.address, topic) if record.partition == 0]
    assert [number for number in handled if number in in_order] == in_order


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_cold_producer_without_a_registry_is_told_so(
    kafka: Target, fragile: ApicurioRegistry, unique: Callable[[str], str], fault: str
) -> None:
    """Warming up and producing end in an outage error in time, and work when it is over."""
    settings = settings_for(
        kafka.address, fragile.url, unique("cold"), registry={"timeout_ms": 1_000}
    )
    if fault == "killed":
        fragile.process.kill()
    else:
        fragile.process.freeze()
    with connected(settings) as messaging:
        for attempt in (messaging.warm_up, lambda: messaging.producer.produce(order(1))):
            started = time.monotonic()
            with pytest.raises(RegistryUnavailableError):
                attempt()
            assert time.monotonic() - started < 60, "many times its time-outs and waits"
        if fault == "killed":
            fragile.process.start()
        else:
            fragile.process.thaw()

        def warmed_up() -> bool:
            try:
                messaging.warm_up()
            except RegistryUnavailableError:  # its first answers may take longer than a second
                return False
            return True

        wait_until(warmed_up)
        messaging.producer.produce(order(1)).result(30)


def test_header_mode_needs_a_registry_with_guids(
    kafka: Target, registry: Target, unique: Callable[[str], str]
) -> None:
    """With GUIDs the id is in a header; a registry without them is an error at start."""
    topic = unique("guid")
    settings = settings_for(
        kafka.address, registry.address, topic, producer={"schema_id_location": "header"}
    )
    with connected(settings) as messaging:
        if "/apis/ccompat" in registry.address:  # Apicurio has none
            with pytest.raises(SdkError, match=r"(?i)guid"):
                messaging.warm_up()
            return
        messaging.warm_up()
        messaging.producer.produce(order(1)).result(30)
    (record,) = stored(kafka.address, topic)
    assert len(dict(record.headers)["__value_schema_id"] or b"") == 17
