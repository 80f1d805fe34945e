"""The service itself interrupted or killed: what it acknowledged, and what is handled after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts.orders.order_created.v2 import OrderCreated

from sdk.errors import FencedError
from tests.integration.wiring import (
    committed,
    connected,
    launched,
    meanwhile,
    number_of,
    order,
    settings_for,
    stopping_after,
    stored,
    wait_until,
)
from tests.servers.target import Target

PRODUCER = """
from tests.integration.wiring import connected, order, settings_for
with connected(settings_for({kafka!r}, {registry!r}, {topic!r})) as messaging:
    for number in range(1_000_000):
        messaging.producer.produce(order(number))
        print(number, flush=True)
"""
CONSUMER = """
import itertools, time
from contracts.orders.order_created.v2 import OrderCreated
from tests.integration.wiring import connected, number_of, settings_for
settings = settings_for(
    {kafka!r}, {registry!r}, {topic!r}, consumer={{"session_timeout_ms": 6_000}}
)
counter = itertools.count(1)
def handle(event):
    print(number_of(event), flush=True)
    time.sleep(600 if next(counter) == {last} else 0.002)
with connected(settings) as messaging:
    consumer = messaging.consumer({group!r})
    consumer.handle(OrderCreated, handle)
    consumer.run()
"""


@pytest.mark.parametrize("end", ["Ctrl-C", "sys.exit in the middle"])
def test_what_was_produced_before_the_end_is_delivered(
    kafka: Target, registry: Target, unique: Callable[[str], str], tmp_path: Path, end: str
) -> None:
    """Every event for which `produce` had returned is in the topic after an orderly end."""
    topic = unique("interrupted")
    script = PRODUCER
    if end != "Ctrl-C":
        script += "        if number == 3_000: raise SystemExit(3)\n"
    told = tmp_path / "told"
    process = launched(script, told, kafka=kafka.address, registry=registry.address, topic=topic)
    try:
        if end == "Ctrl-C":
            wait_until(lambda: len(_numbers(told)) > 2_000)
            process.send_signal(signal.SIGINT)
        process.wait(90)
    finally:
        process.kill()
        process.wait()
    produced = _numbers(told)
    assert len(produced) > 2_000
    numbers = [record.number for record in stored(kafka.address, topic)]
    assert set(produced) <= set(numbers)
    assert len(numbers) == len(set(numbers))


def test_a_killed_consumers_work_is_taken_over(
    kafka: Target, registry: Target, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """After ``kill -9`` another member handles the rest; only records in flight come twice."""
    topic, group, count = unique("orphaned"), unique("group"), 2_000
    settings = settings_for(
        kafka.address, registry.address, topic, consumer={"session_timeout_ms": 6_000}
    )
    with connected(settings) as messaging:
        for number in range(count):
            messaging.producer.produce(order(number))
        assert messaging.producer.flush(60) == 0
    told = tmp_path / "told"
    process = launched(
        CONSUMER,
        told,
        kafka=kafka.address,
        registry=registry.address,
        topic=topic,
        group=group,
        last=count * 3 // 5,
    )
    try:
        wait_until(lambda: len(_numbers(told)) >= count * 3 // 5)
        wait_until(lambda: committed(kafka.address, group, topic) > 0)
    finally:
        process.kill()
        process.wait()
    before = _numbers(told)
    after: list[int] = []
    with connected(settings) as messaging:
        consumer = messaging.consumer(group)

        def handle(event: OrderCreated) -> None:
            after.append(number_of(event))
            if len({*before, *after}) == count:
                consumer.stop()

        consumer.handle(OrderCreated, handle)
        with stopping_after(consumer, 90):
            consumer.run()
    assert {*before, *after} == set(range(count))
    assert len(set(before) & set(after)) < len(before), "nothing had been committed"


def test_a_member_whose_name_is_taken_stops(
    kafka: Target, registry: Target, unique: Callable[[str], str]
) -> None:
    """The older of two members with one ``group.instance.id`` ends with `FencedError`."""
    topic, group = unique("fenced"), unique("group")
    settings = settings_for(
        kafka.address,
        registry.address,
        topic,
        consumer={"librdkafka": {"group.instance.id": "one"}, "session_timeout_ms": 6_000},
    )
    with connected(settings) as older, connected(settings) as newer:
        older.producer.produce(order(1)).result(30)
        joined = threading.Event()
        first, second = older.consumer(group), newer.consumer(group)
        first.handle(OrderCreated, lambda event: joined.set())
        second.handle(OrderCreated, lambda event: None)

        def take_over() -> None:
            assert joined.wait(60)
            second.run()

        with meanwhile(take_over), stopping_after(second, 150):
            with stopping_after(first, 90), pytest.raises(FencedError):
                first.run()
            second.stop()


def _numbers(told: Path) -> list[int]:
    """Return the numbers in the whole lines that a process has printed."""
    lines = told.read_text().split("\n") if told.exists() else [""]
    return [int(line) for line in lines[:-1]]
