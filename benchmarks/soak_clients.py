"""One producing or consuming process of the soak; `soak.py` starts it and reads its last line.

It is a separate process, so that CPU time and peak memory are those of one client alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "samples")]

from soak_events import READ_AS, event, from_dict, number_of, to_dict  # noqa: E402

PARTITIONS = 6
CHUNK = 1_000
GIVE_UP_SECONDS = 300.0


class Meter:
    """CPU seconds, memory now and then, and the time, of this process."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._resident: list[float] = []
        self._started = time.perf_counter()
        self._cpu = _cpu_seconds()

    def begin(self) -> None:
        """Start the clocks again, after start-up."""
        self._started = time.perf_counter()
        self._cpu = _cpu_seconds()

    def step(self, done: int) -> None:
        """Record the memory at each tenth of the run, and print the progress."""
        while done * 10 >= self._expected * (len(self._resident) + 1):
            self._resident.append(_status("VmRSS"))
            _tell(done=done)

    def result(self, **more: Any) -> None:
        """Print the last line."""
        seconds = time.perf_counter() - self._started
        _tell(
            seconds=round(seconds, 3),
            cpu=round(_cpu_seconds() - self._cpu, 3),
            resident=self._resident,
            peak=_status("VmHWM"),
            **more,
        )


class Tally:
    """Which numbers have been seen, in one byte each, so that memory stays flat."""

    def __init__(self, expected: int) -> None:
        self._seen = bytearray(expected)
        self.distinct = 0
        self.repeated = 0
        self.names: Counter[str] = Counter()

    def add(self, number: int, name: str) -> int:
        """Count an event; return how many different ones there were."""
        if self._seen[number]:
            self.repeated += 1
        else:
            self._seen[number] = 1
            self.distinct += 1
            self.names[name] += 1
        return self.distinct


def produce_sdk(options: argparse.Namespace, meter: Meter) -> int:
    """Publish through the SDK; a window of deliveries is waited for, as a service would."""
    with _connect(options) as messaging:
        messaging.warm_up()
        producer = messaging.producer
        meter.begin()
        window: deque[list[Any]] = deque()
        acknowledged = 0
        for chunk in _chunks(options.events):
            window.append([producer.produce(event(number)) for number in chunk])
            if len(window) > 4:
                acknowledged += _await_all(window.popleft())
                meter.step(acknowledged)
        while window:
            acknowledged += _await_all(window.popleft())
            meter.step(acknowledged)
        return acknowledged


def consume_sdk(options: argparse.Namespace, meter: Meter, tally: Tally) -> None:
    """Consume through the SDK into typed handlers."""
    with _connect(options) as messaging:
        consumer = messaging.consumer(options.group)

        def handle(read: Any) -> None:
            if not tally.distinct:
                meter.begin()
            done = tally.add(number_of(read), type(read).__name__)
            if done % CHUNK == 0:
                meter.step(done)
            if done == options.events:
                consumer.stop()

        for event_class in READ_AS:
            consumer.handle(event_class, handle)
        consumer.run()


def make_events(options: argparse.Namespace, meter: Meter) -> int:
    """Make the events and send none: a part of every figure of publishing."""
    meter.begin()
    for number in range(options.events):
        event(number)
    return int(options.events)


def produce_raw(options: argparse.Namespace, meter: Meter) -> int:
    """Produce prepared bytes: the cost of the client itself."""
    from confluent_kafka import Producer

    from sdk.avro import encode

    values = [bytes(5) + encode(event(number)) for number in range(10_000)]
    producer = Producer(_producer_config(options))
    topic = f"{options.prefix}.raw"
    counts = Counter()

    def delivered(error: Any, message: Any) -> None:
        counts["failed" if error else "acknowledged"] += 1

    meter.begin()
    for number in range(options.events):
        value, key = values[number % 10_000], str(number)
        _with_room(
            producer,
            lambda value=value, key=key: producer.produce(topic, value, key, -1, delivered),
        )
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush(60)
    return counts["acknowledged"]


def consume_raw(options: argparse.Namespace, meter: Meter, tally: Tally) -> None:
    """Consume bytes in batches and look at the key."""
    from confluent_kafka import Consumer

    consumer = Consumer(_consumer_config(options))
    consumer.subscribe([f"{options.prefix}.raw"])
    while tally.distinct < options.events:
        for message in consumer.consume(500, 0.2):
            if message.error() is None:
                if not tally.distinct:
                    meter.begin()
                tally.add(int(message.key()), "raw")
    consumer.close()


def produce_confluent(options: argparse.Namespace, meter: Meter) -> int:
    """Publish through SerializingProducer and AvroSerializer."""
    from confluent_kafka import SerializingProducer
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroSerializer

    counts = Counter()

    def delivered(error: Any, message: Any) -> None:
        counts["failed" if error else "acknowledged"] += 1

    with SchemaRegistryClient({"url": options.registry, "timeout": 30}) as registry:
        serializers = {
            event_class: AvroSerializer(
                registry,
                _schema(registry, event_class),
                lambda each, context: to_dict(each),
                {"auto.register.schemas": False, "subject.name.strategy": _record_subject},
            )
            for event_class in dict.fromkeys(type(event(number)) for number in range(10))
        }
        config = {
            **_producer_config(options),
            "value.serializer": lambda each, context: serializers[type(each)](each, context),
        }
        producer = SerializingProducer(config)
        topics = {cls: _topic(options, cls.__event__.full_name) for cls in serializers}
        for number in range(10):
            each = event(number)  # once, so that no schema is looked up while the clocks run
            serializers[type(each)](each, _context(topics[type(each)]))
        meter.begin()
        for number in range(options.events):
            each = event(number)
            topic, key = topics[type(each)], str(each.order_id)
            _with_room(
                producer,
                lambda topic=topic, key=key, each=each: producer.produce(
                    topic, key, each, on_delivery=delivered
                ),
            )
            if number % 1000 == 0:
                producer.poll(0)
        producer.flush(60)
    return counts["acknowledged"]


def consume_confluent(options: argparse.Namespace, meter: Meter, tally: Tally) -> None:
    """Consume through DeserializingConsumer and AvroDeserializer into the same classes."""
    from confluent_kafka import DeserializingConsumer
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer

    with SchemaRegistryClient({"url": options.registry, "timeout": 30}) as registry:
        deserializers = {}
        for event_class in READ_AS:
            name = event_class.__event__.full_name
            deserializers[_topic(options, name)] = AvroDeserializer(
                registry,
                _schema(registry, event_class),
                lambda data, context, name=name: from_dict(name, data),
                conf={"subject.name.strategy": _record_subject},
            )
        consumer = DeserializingConsumer(
            {
                **_consumer_config(options),
                "value.deserializer": lambda data, context: deserializers[context.topic](
                    data, context
                ),
            }
        )
        consumer.subscribe(list(deserializers))
        while tally.distinct < options.events:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                if not tally.distinct:
                    meter.begin()
                read = message.value()
                tally.add(number_of(read), type(read).__name__)
        consumer.close()


PRODUCERS = {
    "sdk": produce_sdk,
    "raw": produce_raw,
    "confluent": produce_confluent,
    "none": make_events,
}
CONSUMERS = {"sdk": consume_sdk, "raw": consume_raw, "confluent": consume_confluent}


def main() -> None:
    """Run one client and print its measurements as the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["produce", "consume"])
    parser.add_argument("client", choices=list(PRODUCERS))
    parser.add_argument("--servers", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--group", default="soak")
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--plain", action="store_true", help="without the standard headers")
    options = parser.parse_args()
    meter = Meter(options.events)
    if options.role == "produce":
        meter.result(acknowledged=PRODUCERS[options.client](options, meter))
        return
    tally = Tally(options.events)
    CONSUMERS[options.client](options, meter, tally)
    meter.result(distinct=tally.distinct, repeated=tally.repeated, names=dict(tally.names))


def _connect(options: argparse.Namespace) -> Any:
    from contracts import CATALOG

    import sdk
    from sdk.events import Catalog
    from sdk.settings import (
        KafkaOptions,
        ProducerOptions,
        RegistryOptions,
        RoutingOptions,
        Settings,
    )

    names = {event_class.__event__.full_name for event_class in READ_AS}
    settings = Settings(
        environment="soak",
        kafka=KafkaOptions(bootstrap_servers=tuple(options.servers.split(","))),
        registry=RegistryOptions(url=(options.registry,), auto_register=True),
        producer=ProducerOptions(cloud_events=not options.plain),
        routing=RoutingOptions(
            template=f"{options.prefix}.{{domain}}.{{event_kebab}}",
            partitions=PARTITIONS,
            provision="create",
        ),
        source="/soak",
    )
    catalog = Catalog(entry for entry in CATALOG if entry.full_name in names)
    return sdk.connect(settings=settings, contracts=catalog)


def _topic(options: argparse.Namespace, full_name: str) -> str:
    """Return the topic of a name by the SDK's template."""
    domain, _, name = full_name.partition(".")
    kebab = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    return f"{options.prefix}.{domain}.{kebab.lstrip('-')}"


def _producer_config(options: argparse.Namespace) -> dict[str, Any]:
    return {"bootstrap.servers": options.servers, "acks": "all", "enable.idempotence": True}


def _consumer_config(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "bootstrap.servers": options.servers,
        "group.id": options.group,
        "auto.offset.reset": "earliest",
    }


def _record_subject(context: Any, record_name: str) -> str:
    return record_name


def _context(topic: str) -> Any:
    from confluent_kafka.serialization import MessageField, SerializationContext

    return SerializationContext(topic, MessageField.VALUE)


def _schema(registry: Any, event_class: Any) -> Any:
    from confluent_kafka.schema_registry import Schema, SchemaReference

    info = event_class.__event__
    references = [
        SchemaReference(
            shared.full_name,
            shared.full_name,
            registry.lookup_schema(shared.full_name, Schema(shared.schema, "AVRO")).version,
        )
        for shared in info.references
    ]
    return Schema(info.schema, "AVRO", references)


def _with_room(producer: Any, send: Callable[[], None]) -> None:
    while True:
        try:
            send()
        except BufferError:
            producer.poll(0.05)
        else:
            return


def _chunks(count: int) -> Iterator[list[int]]:
    numbers = iter(range(count))
    while chunk := list(islice(numbers, CHUNK)):
        yield chunk


def _await_all(deliveries: list[Any]) -> int:
    for delivery in deliveries:
        delivery.result(GIVE_UP_SECONDS)
    return len(deliveries)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _status(name: str) -> float:
    """Return a value of /proc/self/status in MB; 0 where there is none (macOS).

    `ru_maxrss` would not do: it inherits the parent's peak across exec.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return round(int(line.split()[1]) / 1024, 1)


def _tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
