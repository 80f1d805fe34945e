"""Shared by the integration tests: settings for given servers, events by number, reading back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from attrs import frozen
from confluent_kafka import Consumer as RawConsumer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place
from contracts.orders.order_created.v2 import OrderCreated

import sdk
from sdk.abstractions import TokenSource
from sdk.events import Catalog, find_catalog
from sdk.messaging import Messaging
from sdk.settings import (
    ConsumerOptions,
    KafkaOptions,
    ProducerOptions,
    RegistryOptions,
    RetryOptions,
    RoutingOptions,
    Settings,
    TopicOptions,
)

ROOT = Path(__file__).parents[2]

DELIVERED_WITHIN = 90
"""Seconds in which every fault must be over for a producer."""

_MOST = 50_000
"""Events of `produce_through`: its client's queue holds them all, however long a fault lasts."""

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def settings_for(
    bootstrap_servers: str,
    registry_url: str,
    topic: str,
    *,
    event: str = "orders.OrderCreated",
    partitions: int | None = 3,
    provision: str = "create",
    kafka: Mapping[str, Any] | None = None,
    producer: Mapping[str, Any] | None = None,
    consumer: Mapping[str, Any] | None = None,
    registry: Mapping[str, Any] | None = None,
    config: Mapping[str, str] | None = None,
) -> Settings:
    """Return settings that route one event to one topic of these servers.

    Args:
        bootstrap_servers: ``host:port``, separated by commas.
        registry_url: Of the registry.
        topic: Topic of the event.
        event: Full name of the event.
        partitions: Of the topic.
        provision: ``create``, ``verify`` or ``none``.
        kafka: Further options of that table.
        producer: Further options of that table.
        consumer: Further options of that table.
        registry: Further options of that table.
        config: Of the topic.
    """
    route = TopicOptions(event=event, name=topic, partitions=partitions, config=config or {})
    return Settings(
        environment="integration",
        kafka=KafkaOptions(bootstrap_servers=tuple(bootstrap_servers.split(",")), **(kafka or {})),
        registry=RegistryOptions(
            url=(registry_url,), **{"auto_register": True, "timeout_ms": 15_000, **(registry or {})}
        ),
        producer=ProducerOptions(**(producer or {})),
        consumer=ConsumerOptions(**(consumer or {})),
        retry=RetryOptions(retry_count=3, base_delay_ms=50),
        routing=RoutingOptions(provision=provision),
        topics=(route,),
        contracts="contracts",
        source="/integration",
    )


def connected(settings: Settings, token: TokenSource | None = None) -> Messaging:
    """Connect with the routed event alone, so that no topics of other events are made."""
    routed = {topic.event for topic in settings.topics}
    entries = [entry for entry in find_catalog(settings.contracts) if entry.full_name in routed]
    return sdk.connect(settings=settings, contracts=Catalog(entries), token=token)


def order(number: int) -> OrderCreated:
    """Return the order with this number, which is in its id and thus in its key."""
    return OrderCreated(
        order_id=UUID(int=number),
        created_at=_EPOCH + timedelta(seconds=number),
        total_amount=Decimal(number % 1_000_000) / 100,
        note=f"order {number}",
    )


def number_of(event: OrderCreated) -> int:
    """Return the number that `order` made an event from."""
    return event.order_id.int


@frozen
class Stored:
    """A record on the broker.

    Attributes:
        partition: Its partition.
        offset: Its offset.
        key: Its key.
        value: Its value.
        headers: Its headers.
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]

    @property
    def number(self) -> int:
        """Number of the order, from its key."""
        assert self.key is not None
        return UUID(self.key.decode()).int


def stored(
    bootstrap_servers: str, topic: str, seconds: float = 60, isolation: str = "read_committed"
) -> list[Stored]:
    """Return every record of a topic, read by a client that knows nothing of ours.

    Args:
        bootstrap_servers: Of the cluster.
        topic: To be read from its beginning to the end that it has now.
        seconds: Longest wait.
        isolation: Its isolation level.
    """
    consumer = RawConsumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "reads-back",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "log_level": 0,
        }
    )
    try:
        partitions = consumer.list_topics(topic, 30).topics[topic].partitions
        ends = {}
        for number in partitions:
            ends[number] = consumer.get_watermark_offsets(Place(topic, number), 30)[1]
        consumer.assign([Place(topic, number, 0) for number in partitions])
        open_ends = {number for number, end in ends.items() if end > 0}
        records: list[Stored] = []
        deadline = time.monotonic() + seconds
        while open_ends and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.2):
                number, offset = message.partition(), message.offset()
                if message.error() is not None:
                    # Behind the last record there may be the marker of a transaction.
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        open_ends.discard(number)
                    continue
                if offset + 1 >= ends[number]:
                    open_ends.discard(number)
                records.append(
                    Stored(
                        partition=number,
                        offset=offset,
                        key=message.key(),
                        value=message.value(),
                        headers=message.headers() or [],
                    )
                )
        assert not open_ends, f"{topic} could not be read to its end"
        return records
    finally:
        consumer.close()


def committed(bootstrap_servers: str, group: str, topic: str) -> int:
    """Return how many records of a topic a group has committed; 0 if no broker answers."""
    config = {"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0}
    consumer = RawConsumer(config)
    try:
        partitions = consumer.list_topics(topic, 30).topics[topic].partitions
        places = consumer.committed([Place(topic, number) for number in partitions], 30)
        return sum(max(0, place.offset) for place in places)
    except KafkaException:
        return 0
    finally:
        consumer.close()


def launched(script: str, output: Path, **names: object) -> subprocess.Popen[bytes]:
    """Start a Python process whose standard output goes to a file.

    Args:
        script: Its code, with braces for the names.
        output: The file.
        **names: Values for the braces.
    """
    path = os.pathsep.join((str(ROOT), str(ROOT / "samples")))
    with output.open("wb") as told:
        return subprocess.Popen(
            [sys.executable, "-c", script.format(**names)],
            stdout=told,
            env={**os.environ, "PYTHONPATH": path},
            cwd=ROOT,
        )


@contextmanager
def meanwhile(function: Callable[[], None]) -> Iterator[threading.Event]:
    """Run a function in a thread; yield an event that is set when it has returned."""
    done = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield done
    thread.join(120)
    if raised:
        raise raised[0]


@contextmanager
def stopping_after(consumer: Any, seconds: float) -> Iterator[None]:
    """Stop a consumer that has not ended by itself after some seconds."""
    timer = threading.Timer(seconds, consumer.stop)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Return as soon as a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def produce_through(settings: Settings, fault: Callable[[], None]) -> set[int]:
    """Produce about 5,000 events a second until a fault is over; return those acknowledged.

    Args:
        settings: Of the producer.
        fault: Causes a fault and ends it; runs meanwhile.
    """
    acknowledged = set()
    deliveries = []
    with connected(settings) as messaging:
        messaging.producer.produce(order(0)).result(30)
        with meanwhile(fault) as over:
            number = 1
            while not over.is_set() or number < 1_000:
                for _ in range(50 if number < _MOST else 0):
                    deliveries.append((number, messaging.producer.produce(order(number))))
                    number += 1
                time.sleep(0.01)
        for number, delivery in deliveries:
            delivery.result(DELIVERED_WITHIN)
            acknowledged.add(number)
    return acknowledged | {0}


def all_stored_once_in_order(servers: str, topic: str, acknowledged: set[int]) -> None:
    """Assert that a topic holds just these orders, each once, in order within its partition."""
    records = stored(servers, topic)
    numbers = [record.number for record in records]
    assert len(numbers) == len(set(numbers)), "some events are stored twice"
    assert set(numbers) == acknowledged
    for partition in {record.partition for record in records}:
        there = [record.number for record in records if record.partition == partition]
        assert there == sorted(there), "a partition is out of order"
