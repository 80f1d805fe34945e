"""Retries, dead letters and the way back on Apache Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contracts.orders.order_created.v2 import OrderCreated

from sdk.consuming.dead_letters import origin_of
from sdk.replay import Selection
from sdk.settings import (
    DeadLetterOptions,
    InPlaceRetryOptions,
    RetryTopicsOptions,
    Settings,
)
from tests.integration.wiring import (
    connected,
    number_of,
    order,
    settings_for,
    stored,
    wait_until,
)
from tests.servers.target import Target

Unique = Callable[[str], str]
ONCE = InPlaceRetryOptions(retry_count=0)
KEYS = 20


class Handler:
    """Fails for some orders, a number of times each.

    Attributes:
        failures: Order → how often it still fails.
        handled: How often each order was handled.
        times: Order → when it was tried, seconds since the epoch.
    """

    def __init__(self, failures: dict[int, int]) -> None:
        self.failures = failures
        self.handled: Counter[int] = Counter()
        self.times: dict[int, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def __call__(self, event: OrderCreated) -> None:
        """Handle an order, or fail."""
        number = number_of(event)
        with self._lock:
            self.times[number].append(time.time())
            if self.failures.get(number, 0) > 0:
                self.failures[number] -= 1
                raise ValueError(f"order {number} is not accepted")
            self.handled[number] += 1


def configured(kafka: Target, registry: Target, topic: str, **consumer: Any) -> Settings:
    """Return settings with retry topics and dead letters."""
    return settings_for(
        kafka.address, registry.address, topic, consumer={"retry": ONCE, **consumer}
    )


def test_none_is_lost_none_is_early_and_all_come_back(
    kafka: Target, registry: Target, unique: Unique
) -> None:
    """Failed events pass the stages, never early, end as dead letters, and return by a replay."""
    topic, group = unique("orders"), unique("billing")
    stages = RetryTopicsOptions(delays_ms=(300, 700))
    settings = configured(kafka, registry, topic, retry_topics=stages, concurrency=8)
    handler = Handler({number: 9 if number % 10 == 0 else 2 for number in range(0, 200, 5)})
    for_good = {number for number, times in handler.failures.items() if times == 9}
    with connected(settings) as messaging:
        for number in range(200):
            messaging.producer.produce(order(number))
        messaging.producer.flush()
        consumer = messaging.consumer(group).handle(OrderCreated, handler).start()
        wait_until(lambda: len(handler.handled) == 200 - len(for_good))
        letters = messaging.dead_letters(topic)
        wait_until(lambda: sum(1 for _ in letters.find()) == len(for_good))
        for number in for_good:
            first, second, third = handler.times[number][:3]
            assert second - first >= 0.299
            assert third - second >= 0.699
        found = list(letters.find())
        originals = {
            (record.partition, record.offset): record for record in stored(kafka.address, topic)
        }
        for letter in found:
            origin = origin_of(letter.record)
            assert origin is not None
            original = originals[origin.partition, origin.offset]
            assert (letter.record.key, letter.record.value) == (original.key, original.value)
            assert letter.record.partition == original.partition
            assert list(letter.record.headers)[: len(original.headers)] == original.headers
        handler.failures.clear()
        assert letters.replay(Selection()).sent == len(for_good)
        wait_until(lambda: len(handler.handled) == 200)
        assert letters.replay(Selection()).sent == 0
        consumer.close()
    assert set(handler.handled.values()) == {1}


def test_the_order_of_keys_holds_while_members_come_and_go(
    kafka: Target, registry: Target, unique: Unique
) -> None:
    """With ordered retries each key is handled in order, through a rebalance and a restart."""
    topic, group = unique("orders"), unique("billing")
    stages = RetryTopicsOptions(delays_ms=(200, 400), ordered=True)
    settings = configured(kafka, registry, topic, retry_topics=stages, concurrency=4)
    seen: dict[int, list[int]] = defaultdict(list)
    failures = {number: 1 + number % 2 for number in range(0, 400, 7)}
    lock = threading.Lock()

    def handle(event: OrderCreated) -> None:
        number = int((event.note or "order 0").split()[1])
        with lock:
            if failures.get(number, 0) > 0:
                failures[number] -= 1
                raise ValueError("not yet")
            seen[number_of(event)].append(number)

    with connected(settings) as messaging:
        first = messaging.consumer(group).handle(OrderCreated, handle).start()
        for number in range(400):
            event = order(number % KEYS)
            messaging.producer.produce(
                OrderCreated(
                    order_id=event.order_id,
                    created_at=event.created_at,
                    total_amount=event.total_amount,
                    note=f"order {number}",
                )
            )
            if number == 150:
                messaging.producer.flush()
                second = messaging.consumer(group).handle(OrderCreated, handle).start()
            if number % 20 == 0:
                time.sleep(0.1)
        messaging.producer.flush()
        time.sleep(1)
        first.close()
        wait_until(lambda: sum(len(set(found)) for found in seen.values()) == 400, 90)
        second.close()
    for key in range(KEYS):
        assert list(dict.fromkeys(seen[key])) == list(range(key, 400, KEYS))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_no_retry_is_missed_by_a_group_that_starts_at_the_end(
    kafka: Target, registry: Target, unique: Unique, protocol: str
) -> None:
    """Records forwarded before a restart are retried, though nothing was committed there yet."""
    topic, group = unique("orders"), unique("billing")
    settings = configured(
        kafka,
        registry,
        topic,
        retry_topics=RetryTopicsOptions(delays_ms=(3000, 4000)),
        auto_offset_reset="latest",
        group_protocol=protocol,
    )
    handler = Handler({7: 1})
    with connected(settings) as messaging:

        def reads(partition: int) -> bool:
            """Send an order to a partition; return whether any sent order has been handled."""
            number = 100 + partition
            messaging.producer.produce(order(number), partition=partition).result(30)
            return handler.handled[number] > 0

        consumer = messaging.consumer(group).handle(OrderCreated, handler).start()
        wait_until(lambda: all(reads(partition) for partition in range(3)))
        messaging.producer.produce(order(7)).result(30)
        wait_until(lambda: stored(kafka.address, f"{topic}-retry-3000") != [])
        consumer.close()
        consumer = messaging.consumer(group).handle(OrderCreated, handler).start()
        wait_until(lambda: handler.handled[7] == 1)
        consumer.close()


@pytest.mark.timeout(400)
def test_the_command(kafka: Target, registry: Target, unique: Unique, tmp_path: Path) -> None:
    """`python -m sdk dlt` and `doctor` as processes, against real servers."""
    topic, group = unique("orders"), unique("billing")
    settings = configured(kafka, registry, topic, dead_letter=DeadLetterOptions())
    with connected(settings) as messaging:
        messaging.producer.produce(order(7)).result(30)
        consumer = messaging.consumer(group).handle(OrderCreated, Handler({7: 9})).start()
        letters = messaging.dead_letters(topic)
        wait_until(lambda: any(letters.find()))
        consumer.close()
    written = tmp_path / "settings.toml"
    written.write_text(
        f"""
        [test]
        [default]
        contracts = "contracts"
        [default.kafka]
        bootstrap_servers = "{kafka.address}"
        [default.registry]
        url = "{registry.address}"
        [default.consumer]
        dead_letter = {{ enabled = true }}
        [[default.topics]]
        event = "OrderCreated"
        name = "{topic}"
        """
    )

    def run(*arguments: str) -> tuple[int, list[Any]]:
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-m", "sdk", *arguments, "--settings", str(written), "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "SDK_ENV": "test",
                "PYTHONPATH": f"{root}:{root}/samples",
            },
        )
        assert not done.stderr.count("Traceback"), done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    code, (listed,) = run("dlt", "list", topic)
    assert (code, listed["message"], listed["group"]) == (1, "order 7 is not accepted", group)
    code, (shown,) = run("dlt", "show", topic, listed["id"])
    assert (code, shown["value"]["note"]) == (0, "order 7")
    assert run("dlt", "replay", topic, "--dry-run")[1][0]["would_replay"] == 1
    assert run("dlt", "replay", topic)[1][0]["replayed"] == 1
    assert run("dlt", "list", topic) == (0, [])
    assert len(stored(kafka.address, topic)) == 2
    states = {each["name"]: each["state"] for each in run("doctor")[1]}
    assert states["kafka"] != "failed"
    assert states["schema registry"] != "failed"


@pytest.mark.parametrize("address", ["127.0.0.1:1"])
def test_what_cannot_be_reached_could_not_be_asked(address: str, tmp_path: Path) -> None:
    """Exit code 4, one line, no traceback."""
    written = tmp_path / "settings.toml"
    written.write_text(
        f"""
        [test]
        [default]
        contracts = "contracts"
        [default.kafka]
        bootstrap_servers = "{address}"
        [default.registry]
        url = "http://{address}"
        """
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "sdk", "dlt", "list", "orders", "--settings", str(written)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SDK_ENV": "test", "PYTHONPATH": f"{root}:{root}/samples"},
    )
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
