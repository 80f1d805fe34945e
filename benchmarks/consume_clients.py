"""One consuming process of the benchmark; `consume.py` starts it and reads its last line.

It is a separate process, so that CPU time is that of one client alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "samples"), str(Path(__file__).parent)]

KEYS = 64
SLOW_SECONDS = 0.25
ONE_IN = 100


class Meter:
    """Counts events, and measures from the first one to the last, without joining the group.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self.ended = threading.Event()
        self._left = count
        self._count = count
        self._began = 0.0
        self._cpu = 0.0
        self._lock = threading.Lock()

    def tick(self, _event: Any) -> None:
        """Count an event of a client that handles one at a time; the first one starts the clock."""
        if self._left == self._count:
            self._began, self._cpu = time.perf_counter(), time.process_time()
        self._left -= 1
        if not self._left:
            self.ended.set()

    def safe_tick(self, event: Any) -> None:
        """Count an event of a client that handles several at a time."""
        with self._lock:
            self.tick(event)

    def told(self) -> dict[str, float]:
        """Return events a second, and CPU seconds per 100,000 events."""
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu
        return {
            "seconds": seconds,
            "rate": self._count / seconds,
            "cpu": cpu * 100_000 / self._count,
        }


def sdk_consumer(
    options: argparse.Namespace, topic: str, *, exactly_once: bool = False, **consumer: Any
) -> Any:
    """Return a connection and one of our consumers; nothing is handled yet."""
    import sdk
    from sdk.settings import (
        ConsumerOptions,
        KafkaOptions,
        RegistryOptions,
        Settings,
        TopicOptions,
    )

    settings = Settings(
        environment="benchmark",
        kafka=KafkaOptions(bootstrap_servers=tuple(options.bootstrap_servers.split(","))),
        registry=RegistryOptions(url=(options.registry,)),
        consumer=ConsumerOptions(**consumer),
        topics=(TopicOptions(event="orders.OrderCreated", name=topic),),
        contracts="contracts",
    )
    messaging = sdk.connect(settings=settings)
    group = f"benchmark-{uuid.uuid4().hex}"
    return messaging, messaging.consumer(group, exactly_once=exactly_once)


def sdk_trivial(options: argparse.Namespace, **consumer: Any) -> dict[str, float]:
    """Hand every event to a handler that counts."""
    from contracts.orders import OrderCreated

    meter = Meter(options.count)
    messaging, ours = sdk_consumer(options, options.topic, **consumer)
    many = consumer.get("concurrency", 1) > 1
    ours.handle(OrderCreated, meter.safe_tick if many else meter.tick)
    ours.start()
    meter.ended.wait(300)
    told = meter.told()
    messaging.close()
    return told


def sdk_lanes(options: argparse.Namespace) -> dict[str, float]:
    """The same with 64 lanes by key."""
    return sdk_trivial(options, concurrency=64)


def sdk_passing_on(options: argparse.Namespace, **consumer: Any) -> dict[str, float]:
    """Publish every event to another topic; counted where it is handled."""
    from contracts.orders import OrderCreated

    meter = Meter(options.count)
    messaging, ours = sdk_consumer(options, options.topic, **consumer)
    messaging.warm_up(OrderCreated)

    def pass_on(event: Any) -> None:
        messaging.producer.produce(event, topic=f"{options.topic}-results")
        meter.tick(event)

    ours.handle(OrderCreated, pass_on)
    ours.start()
    meter.ended.wait(300)
    told = meter.told()
    messaging.close()
    return told


def sdk_exactly_once(options: argparse.Namespace) -> dict[str, float]:
    """The same in transactions."""
    return sdk_passing_on(options, exactly_once=True)


def sdk_exactly_once_longer(options: argparse.Namespace) -> dict[str, float]:
    """The same in transactions of a second."""
    return sdk_passing_on(
        options, exactly_once=True, transaction_ms=1_000, transaction_records=100_000
    )


def sdk_skew(options: argparse.Namespace) -> dict[str, float]:
    """64 lanes in threads; one event in a hundred takes 250 ms."""
    return _skew(options, in_loop=False)


def sdk_skew_loop(options: argparse.Namespace) -> dict[str, float]:
    """The same with a coroutine handler."""
    return _skew(options, in_loop=True)


def _skew(options: argparse.Namespace, *, in_loop: bool) -> dict[str, float]:
    from contracts.orders import OrderCreated

    meter = Meter(options.count)
    last: dict[str, int] = {}
    breaks = 0

    def note(event: Any) -> bool:
        nonlocal breaks
        number = int(event.note)
        key = event.customer_id
        breaks += last.get(key, -1) >= number
        last[key] = number
        return number % ONE_IN == 0

    def take(event: Any) -> None:
        if note(event):
            time.sleep(SLOW_SECONDS)
        meter.safe_tick(event)

    async def take_in_loop(event: Any) -> None:
        if note(event):
            await asyncio.sleep(SLOW_SECONDS)
        meter.tick(event)

    messaging, ours = sdk_consumer(options, f"{options.topic}-skew", concurrency=64)
    ours.handle(OrderCreated, take_in_loop if in_loop else take)
    ours.start()
    meter.ended.wait(300)
    told = {**meter.told(), "breaks": breaks}
    messaging.close()
    return told


def sdk_wait_1(options: argparse.Namespace) -> dict[str, float]:
    """One lane, a handler that waits 5 ms."""
    return _waiting(options, 1)


def sdk_wait_16(options: argparse.Namespace) -> dict[str, float]:
    """16 lanes, a handler that waits 5 ms."""
    return _waiting(options, 16)


def _waiting(options: argparse.Namespace, lanes: int) -> dict[str, float]:
    from contracts.orders import OrderCreated

    count = 100 * lanes * 4
    meter = Meter(count)

    def take(event: Any) -> None:
        time.sleep(0.005)
        meter.safe_tick(event)

    messaging, ours = sdk_consumer(options, options.topic, concurrency=lanes)
    ours.handle(OrderCreated, take)
    ours.start()
    meter.ended.wait(300)
    told = meter.told()
    messaging.close()
    return told


def deserializing(options: argparse.Namespace) -> dict[str, float]:
    """Confluent's DeserializingConsumer with AvroDeserializer, to the same class."""
    from confluent_kafka import DeserializingConsumer
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from contracts.common.currency.v1 import Currency
    from contracts.orders import OrderCreated
    from contracts.orders.order_created import OrderLine

    def make(value: dict[str, Any], _context: Any) -> OrderCreated:
        lines = [OrderLine(**line) for line in value["lines"]]
        return OrderCreated(**{**value, "currency": Currency(value["currency"]), "lines": lines})

    meter = Meter(options.count)
    consumer = DeserializingConsumer(
        {
            **_client(options),
            "value.deserializer": AvroDeserializer(
                SchemaRegistryClient({"url": options.registry}),
                from_dict=make,
                conf={"subject.name.strategy.type": "RECORD"},
            ),
        }
    )
    consumer.subscribe([options.topic])
    while not meter.ended.is_set():
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            meter.tick(message.value())
    told = meter.told()
    consumer.close()
    return told


def raw(options: argparse.Namespace) -> dict[str, float]:
    """The bare client without decoding: the lower bound."""
    from confluent_kafka import Consumer

    meter = Meter(options.count)
    consumer = Consumer(_client(options))
    consumer.subscribe([options.topic])
    while not meter.ended.is_set():
        for message in consumer.consume(500, 0.1):
            if message.error() is None:
                meter.tick(message.value())
    told = meter.told()
    consumer.close()
    return told


def _client(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "bootstrap.servers": options.bootstrap_servers,
        "group.id": f"benchmark-{uuid.uuid4().hex}",
        "auto.offset.reset": "earliest",
        "fetch.queue.backoff.ms": 5,
    }


def costs(_options: argparse.Namespace) -> dict[str, float]:
    """Microseconds per record of each step alone, in batches of 500, without a broker."""
    from sdk.clock import SystemClock
    from sdk.consuming.lanes import Lanes
    from sdk.consuming.offsets import Watermark
    from sdk.consuming.partition import Partition
    from sdk.consuming.retry_topics import RetryTopics, attempt_of
    from sdk.records import ConsumerRecord

    size, rounds = 500, 200
    batch = [
        ConsumerRecord("orders", 0, offset, bytes(82), b"k-%d" % (offset % KEYS))
        for offset in range(size)
    ]

    def watermark() -> None:
        mark = Watermark()
        mark.add(batch)
        done = mark.done
        for record in batch:
            done(record.offset)

    def lanes(ordering: str) -> Callable[[], None]:
        def work() -> None:
            kept = Lanes(ordering, SystemClock())
            kept.add([(Partition("orders", 0), batch)])
            left = size
            while left:
                lane = kept.take()
                assert lane is not None
                left -= len(lane.run)
                kept.give_back(lane)

        return work

    def retry_check() -> None:
        RetryTopics((1000,)).is_retry("orders")
        for record in batch:
            attempt_of(record)

    steps = {
        "watermark": watermark,
        "lanes_partition": lanes("partition"),
        "lanes_key": lanes("key"),
        "lanes_none": lanes("none"),
        "retry_header": retry_check,
    }
    told: dict[str, float] = {}
    for name, step in steps.items():
        step()
        began = time.perf_counter()
        for _ in range(rounds):
            step()
        told[name] = (time.perf_counter() - began) / rounds / size * 1e6
    return told


def fill(options: argparse.Namespace) -> dict[str, float]:
    """Publish the records that the others read: distinct orders, and the skewed ones."""
    import publish_clients
    from attrs import evolve

    options.linger = 5
    with publish_clients.sdk(options, cloud_events=False) as messaging:
        for event in publish_clients.events(options.count):
            messaging.producer.produce(event)
        for number, event in enumerate(publish_clients.events(options.skewed)):
            key = f"c-{number * 7919 % KEYS}"
            skewed = evolve(event, customer_id=key, note=str(number))
            messaging.producer.produce(skewed, key=key, topic=f"{options.topic}-skew")
    return {}


CLIENTS: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    each.__name__: each
    for each in (
        fill,
        sdk_trivial,
        sdk_lanes,
        sdk_passing_on,
        sdk_exactly_once,
        sdk_exactly_once_longer,
        sdk_skew,
        sdk_skew_loop,
        sdk_wait_1,
        sdk_wait_16,
        deserializing,
        raw,
        costs,
    )
}


def main() -> None:
    """Run one client and print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("--bootstrap-servers")
    parser.add_argument("--registry")
    parser.add_argument("--topic", default="consumed")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--skewed", type=int, default=10_000)
    options = parser.parse_args()
    print(json.dumps(CLIENTS[options.client](options)))


if __name__ == "__main__":
    main()
