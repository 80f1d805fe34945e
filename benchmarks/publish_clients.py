"""One publishing process of the benchmark; `publish.py` starts it and reads its last line.

It is a separate process, so that CPU time and start-up time are those of one client alone.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import asyncio  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Awaitable, Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "samples")]

IN_FLIGHT = 1_000
HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"orders.OrderCreated"),
    ("ce_source", b"/benchmark"),
    ("ce_dataschema", b"urn:avro:orders.OrderCreated:2"),
    ("ce_eventversion", b"2"),
    ("content-type", b"application/avro"),
    ("ce_id", b"01a210a9-81f2-7ede-acf1-d39281863202"),
    ("ce_time", b"2026-11-25T03:04:34.034154Z"),
    ("ce_subject", b"303406cf-fc07-49c6-b173-99bb9ff17dcf"),
]
"""Headers of the number and size of the standard ones; peers send them ready-made."""

Send = Callable[[Any], Awaitable[Any]]


def events(count: int) -> list[Any]:
    """Return distinct orders, as an application would hold them."""
    from datetime import UTC, datetime, timedelta
    from decimal import Decimal
    from uuid import UUID

    from contracts.common.currency.v1 import Currency
    from contracts.orders.order_created.v2 import OrderCreated, OrderLine

    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    line = OrderLine(sku="TEA-100", quantity=2, unit_price=Decimal("4.90"))
    return [
        OrderCreated(
            order_id=UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) & ((1 << 128) - 1)),
            created_at=epoch + timedelta(milliseconds=number),
            total_amount=Decimal(number % 100_000) / 100,
            customer_id=f"c-{number}",
            currency=Currency.EUR,
            lines=(line,),
        )
        for number in range(count)
    ]


def to_dict(event: Any, _context: Any = None) -> dict[str, Any]:
    """Return the dict for Confluent's serializer, as an application's code makes it."""
    return {
        "order_id": event.order_id,
        "created_at": event.created_at,
        "total_amount": event.total_amount,
        "customer_id": event.customer_id,
        "currency": event.currency.value,
        "lines": [
            {"sku": line.sku, "quantity": line.quantity, "unit_price": line.unit_price}
            for line in event.lines
        ],
        "note": event.note,
    }


def kafka_config(options: argparse.Namespace) -> dict[str, Any]:
    """Return librdkafka's configuration, the same for every client that is built on it."""
    return {
        "bootstrap.servers": options.bootstrap_servers,
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": options.linger,
        "partitioner": "murmur2_random",
    }


def sdk(options: argparse.Namespace, **producer: Any) -> Any:
    """Return our connection."""
    import sdk as ours
    from sdk.settings import (
        KafkaOptions,
        ProducerOptions,
        RegistryOptions,
        Settings,
        TopicOptions,
    )

    settings = Settings(
        environment="benchmark",
        kafka=KafkaOptions(bootstrap_servers=tuple(options.bootstrap_servers.split(","))),
        registry=RegistryOptions(url=(options.registry,)),
        producer=ProducerOptions(linger_ms=options.linger, **producer),
        topics=(TopicOptions(event="orders.OrderCreated", name=options.topic),),
        contracts="contracts",
        source="/benchmark",
    )
    return ours.connect(settings=settings)


def avro_serializer(options: argparse.Namespace) -> Any:
    """Return Confluent's serializer, with the record's name as subject, as in the SDK."""
    from confluent_kafka.schema_registry import (
        Schema,
        SchemaReference,
        SchemaRegistryClient,
        record_subject_name_strategy,
    )
    from confluent_kafka.schema_registry.avro import AvroSerializer
    from contracts.orders.order_created.v2 import OrderCreated

    references = [SchemaReference("common.Currency", "common.Currency", 1)]
    return AvroSerializer(
        SchemaRegistryClient({"url": options.registry}),
        Schema(OrderCreated.__event__.schema, "AVRO", references),
        to_dict,
        {
            "auto.register.schemas": False,
            "subject.name.strategy": record_subject_name_strategy,
        },
    )


def context(options: argparse.Namespace) -> Any:
    """Return the context of a message for Confluent's serializers."""
    from confluent_kafka.serialization import MessageField, SerializationContext

    return SerializationContext(options.topic, MessageField.VALUE)


class Clock:
    """Wall and CPU time since `begin`."""

    def begin(self) -> None:
        # The prepared events are the benchmark's, not the client's: the collector ignores them.
        gc.collect()
        gc.freeze()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def told(self, count: int) -> dict[str, float]:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"rate": count / wall, "cpu": cpu / count * 100_000}


# --- one after the other, acknowledged in the end


def bulk_raw(
    options: argparse.Namespace, headers: list[tuple[str, bytes]] | None = None
) -> dict[str, float]:
    from confluent_kafka import Producer

    serialize, where = avro_serializer(options), context(options)
    ready = [(str(each.order_id), serialize(each, where)) for each in events(options.count)]
    producer, clock = Producer(kafka_config(options)), Clock()
    clock.begin()
    for key, value in ready:
        while True:
            try:
                producer.produce(options.topic, value, key, -1, _ignore, None, 0, headers)
                break
            except BufferError:
                producer.poll(0.01)
    producer.flush()
    return clock.told(options.count)


def bulk_raw_headers(options: argparse.Namespace) -> dict[str, float]:
    return bulk_raw(options, HEADERS)


def bulk_confluent(options: argparse.Namespace) -> dict[str, float]:
    from confluent_kafka import SerializingProducer
    from confluent_kafka.serialization import StringSerializer

    config = kafka_config(options) | {
        "key.serializer": StringSerializer(),
        "value.serializer": avro_serializer(options),
    }
    producer, clock, ready = SerializingProducer(config), Clock(), events(options.count)
    producer.produce(options.topic, key="warm", value=ready[0], on_delivery=_ignore)
    producer.flush()
    clock.begin()
    for event in ready:
        while True:
            try:
                key = str(event.order_id)
                producer.produce(options.topic, key=key, value=event, on_delivery=_ignore)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    producer.flush()
    return clock.told(options.count)


def bulk_sdk(options: argparse.Namespace, *, headers: bool = False) -> dict[str, float]:
    with sdk(options, cloud_events=headers) as messaging:
        messaging.warm_up(type(events(1)[0]))
        producer, clock, ready = messaging.producer, Clock(), events(options.count)
        producer.produce(ready[0]).result(30)
        clock.begin()
        for event in ready:
            producer.produce(event)
        producer.flush()
        return clock.told(options.count)


def bulk_sdk_headers(options: argparse.Namespace) -> dict[str, float]:
    return bulk_sdk(options, headers=True)


# --- in transactions, one after the other


def transactions(
    options: argparse.Namespace, ready: list[Any], do: Callable[[list[Any]], None]
) -> dict[str, float]:
    """Time transactions of ``options.size`` each, after one that warms up."""
    do(ready[: options.size])
    clock, times = Clock(), []
    clock.begin()
    for first in range(options.size, len(ready), options.size):
        began = time.perf_counter()
        do(ready[first : first + options.size])
        times.append(time.perf_counter() - began)
    return clock.told(len(ready) - options.size) | {"p50": sorted(times)[len(times) // 2] * 1000}


def transactions_raw(options: argparse.Namespace) -> dict[str, float]:
    from confluent_kafka import Producer

    serialize, where = avro_serializer(options), context(options)
    ready = [(str(each.order_id), serialize(each, where)) for each in events(options.count)]
    producer = Producer(kafka_config(options) | {"transactional.id": f"raw-{time.time_ns()}"})
    producer.init_transactions(30)

    def do(some: list[Any]) -> None:
        producer.begin_transaction()
        for key, value in some:
            producer.produce(options.topic, value, key, headers=HEADERS, on_delivery=_ignore)
        producer.commit_transaction(30)

    return transactions(options, ready, do)


def transactions_sdk(options: argparse.Namespace) -> dict[str, float]:
    with sdk(options, transactional_id=f"sdk-{time.time_ns()}") as messaging:

        def do(some: list[Any]) -> None:
            with messaging.transaction() as transaction:
                for event in some:
                    transaction.produce(event)

        return transactions(options, events(options.count), do)


def transactions_none(options: argparse.Namespace) -> dict[str, float]:
    """The same events in the same groups, each waited for, without transactions."""
    with sdk(options) as messaging:
        producer = messaging.producer

        def do(some: list[Any]) -> None:
            for event in some:
                producer.produce(event)
            producer.flush()

        return transactions(options, events(options.count), do)


# --- awaited, a thousand in flight


async def in_flight(send: Send, ready: list[Any]) -> dict[str, float]:
    """Let a thousand tasks await one event after the other."""
    rest: Iterator[Any] = iter(ready)

    async def work() -> None:
        for event in rest:
            await send(event)

    clock = Clock()
    clock.begin()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return clock.told(len(ready))


async def flight_sdk(options: argparse.Namespace) -> dict[str, float]:
    async with sdk(options) as messaging:
        messaging.warm_up(type(events(1)[0]))
        producer, ready = messaging.producer, events(options.count)
        await producer.produce(ready[0])

        async def send(event: Any) -> None:
            await producer.produce(event)

        return await in_flight(send, ready)


@contextmanager
def acknowledged(producer: Any, wake: Callable[[list[Any]], None]) -> Iterator[list[Any]]:
    """Poll in a thread; yield the list of what is acknowledged, which ``wake`` gets in batches."""
    loop, stop = asyncio.get_running_loop(), threading.Event()
    done: list[Any] = []

    def poll() -> None:
        while not stop.is_set():
            producer.poll(0.1)
            if done:
                batch, done[:] = list(done), []
                loop.call_soon_threadsafe(wake, batch)

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        yield done
    finally:
        stop.set()
        poller.join()


async def flight_raw(options: argparse.Namespace) -> dict[str, float]:
    from confluent_kafka import Producer

    serialize, where = avro_serializer(options), context(options)
    ready = [(str(each.order_id), serialize(each, where)) for each in events(options.count)]
    producer, loop = Producer(kafka_config(options)), asyncio.get_running_loop()

    def wake(batch: list[Any]) -> None:
        for future in batch:
            future.set_result(None)

    async def send(each: Any) -> None:
        key, value = each
        future = loop.create_future()
        producer.produce(
            options.topic, value, key, -1, lambda e, m: done.append(future), None, 0, HEADERS
        )
        await future

    with acknowledged(producer, wake) as done:
        return await in_flight(send, ready)


async def flight_by_hand(options: argparse.Namespace) -> dict[str, float]:
    """The SDK's steps for an event without errors, without layers and options."""
    from types import MethodType

    from confluent_kafka import Producer
    from contracts.orders.order_created.v2 import OrderCreated

    from sdk.avro import encoder_for
    from sdk.cloud_events import CloudEventHeaders
    from sdk.records import DeliveryReport, ProducerRecord

    encode, topic, prefix = encoder_for(OrderCreated), options.topic, b"\0\0\0\0\1"
    headers = CloudEventHeaders("/benchmark", "application/avro")
    producer, loop = Producer(kafka_config(options)), asyncio.get_running_loop()

    class Delivery:
        __slots__ = ("event", "future", "record", "report")

    def settle(delivery: Any, error: Any, message: Any) -> None:
        place = message.topic(), message.partition(), message.offset(), message.timestamp()[1]
        delivery.report = DeliveryReport(*place)
        done.append(delivery)

    def wake(batch: list[Any]) -> None:
        for delivery in batch:
            delivery.future.set_result(delivery.report)

    async def send(event: Any) -> None:
        delivery = Delivery()
        key = str(event.order_id)
        made = headers(OrderCreated, key)
        value = encode(event, prefix)
        delivery.event = event
        delivery.record = ProducerRecord(topic, value, key.encode(), tuple(made))
        delivery.future = loop.create_future()
        producer.produce(topic, value, key, -1, MethodType(settle, delivery), None, 0, made)
        await delivery.future

    with acknowledged(producer, wake) as done:
        return await in_flight(send, events(options.count))


async def flight_aio(options: argparse.Namespace) -> dict[str, float]:
    """AIOProducer, tuned; it cannot send headers, so it sends none."""
    from confluent_kafka.aio import AIOProducer

    serialize, where, ready = avro_serializer(options), context(options), events(options.count)
    producer = AIOProducer(
        kafka_config(options), max_workers=2, batch_size=500, buffer_timeout=0.005
    )

    async def send(event: Any) -> None:
        future = await producer.produce(
            options.topic, value=serialize(event, where), key=str(event.order_id)
        )
        await future

    await send(ready[0])
    told = await in_flight(send, ready)
    await producer.close()
    return told


async def flight_aiokafka(options: argparse.Namespace) -> dict[str, float]:
    from aiokafka import AIOKafkaProducer

    serialize, where, ready = avro_serializer(options), context(options), events(options.count)
    producer = AIOKafkaProducer(
        bootstrap_servers=options.bootstrap_servers,
        acks="all",
        enable_idempotence=options.idempotent,
        linger_ms=options.linger,
    )
    await producer.start()

    async def send(event: Any) -> None:
        future = await producer.send(
            options.topic, serialize(event, where), str(event.order_id).encode(), headers=HEADERS
        )
        await future

    await send(ready[0])
    told = await in_flight(send, ready)
    await producer.stop()
    return told


# --- awaited one by one, without lingering


def quantiles(times: list[float]) -> dict[str, float]:
    times.sort()
    return {
        "p50": times[len(times) // 2] * 1000,
        "p99": times[int(len(times) * 0.99)] * 1000,
    }


async def single(send: Send, ready: list[Any]) -> dict[str, float]:
    times = []
    for event in ready:
        begun = time.perf_counter()
        await send(event)
        times.append(time.perf_counter() - begun)
    return quantiles(times[len(times) // 10 :])


async def single_raw(options: argparse.Namespace) -> dict[str, float]:
    """The raw client with a poll thread and one wake-up an event."""
    from confluent_kafka import Producer

    serialize, where = avro_serializer(options), context(options)
    ready = [(str(each.order_id), serialize(each, where)) for each in events(options.count)]
    producer, loop = Producer(kafka_config(options)), asyncio.get_running_loop()
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            producer.poll(0.1)

    async def send(each: Any) -> None:
        key, value = each
        future = loop.create_future()
        wake = loop.call_soon_threadsafe
        producer.produce(options.topic, value, key, -1, lambda e, m: wake(future.set_result, None))
        await future

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        return await single(send, ready)
    finally:
        stop.set()
        poller.join()


async def single_sdk(options: argparse.Namespace) -> dict[str, float]:
    async with sdk(options) as messaging:
        messaging.warm_up(type(events(1)[0]))
        producer = messaging.producer

        async def send(event: Any) -> None:
            await producer.produce(event)

        return await single(send, events(options.count))


def single_confluent(options: argparse.Namespace) -> dict[str, float]:
    """SerializingProducer with `flush`, which is how it waits for one message."""
    from confluent_kafka import SerializingProducer
    from confluent_kafka.serialization import StringSerializer

    config = kafka_config(options) | {
        "key.serializer": StringSerializer(),
        "value.serializer": avro_serializer(options),
    }
    producer, times = SerializingProducer(config), []
    for event in events(options.count):
        begun = time.perf_counter()
        producer.produce(options.topic, key=str(event.order_id), value=event)
        producer.flush()
        times.append(time.perf_counter() - begun)
    return quantiles(times[len(times) // 10 :])


# --- from the start of the process's code to the first acknowledged event


def start_sdk(options: argparse.Namespace) -> dict[str, float]:
    with sdk(options) as messaging:
        messaging.producer.produce(events(1)[0]).result(30)
        return {"seconds": time.perf_counter() - STARTED}


def start_confluent(options: argparse.Namespace) -> dict[str, float]:
    from confluent_kafka import SerializingProducer
    from confluent_kafka.serialization import StringSerializer

    config = kafka_config(options) | {
        "key.serializer": StringSerializer(),
        "value.serializer": avro_serializer(options),
    }
    producer = SerializingProducer(config)
    event = events(1)[0]
    producer.produce(options.topic, key=str(event.order_id), value=event, on_delivery=_ignore)
    producer.flush()
    return {"seconds": time.perf_counter() - STARTED}


def start_raw(options: argparse.Namespace) -> dict[str, float]:
    from confluent_kafka import Producer

    producer = Producer(kafka_config(options))
    producer.produce(options.topic, b"x" * 88, "key", on_delivery=_ignore)
    producer.flush()
    return {"seconds": time.perf_counter() - STARTED}


def _ignore(error: Any, message: Any) -> None:
    if error is not None:
        raise RuntimeError(str(error))


CLIENTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    name: value
    for name, value in globals().items()
    if name.partition("_")[0] in {"bulk", "flight", "single", "start", "transactions"}
    and callable(value)
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=sorted(set(CLIENTS) - {"single", "transactions"}))
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--size", type=int, help="events in a transaction", default=1)
    parser.add_argument("--linger", type=float, default=5)
    parser.add_argument("--topic", default="benchmark")
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--not-idempotent", dest="idempotent", action="store_false")
    options = parser.parse_args()
    result = CLIENTS[options.client](options)
    if asyncio.iscoroutine(result):
        result = asyncio.run(result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
