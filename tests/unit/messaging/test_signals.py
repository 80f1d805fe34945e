"""SIGTERM and SIGINT: what is under way is delivered, and handlers of the host are left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from sdk.embedded import EmbeddedBroker
from sdk.signals import exit_on_sigterm, stop_on_signals
from sdk.topics import TopicDefinition

ROOT = Path(__file__).parents[3]
COUNT = 5_001
TOPIC = "orders.created"

CONNECT = """
    import asyncio, signal, sys, time
    import sdk
    from sdk.settings import (
        KafkaOptions, ProducerOptions, RegistryOptions, Settings, TopicOptions
    )
    from tests.unit.messaging.story import new_order

    # Shells have what they start in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    settings = Settings(
        environment="test",
        kafka=KafkaOptions(bootstrap_servers=(sys.argv[1],)),
        registry=RegistryOptions(url=("http://127.0.0.1:1",)),
        # Nothing is sent until somebody flushes.
        producer=ProducerOptions(format="json", linger_ms=100_000),
        topics=(TopicOptions(event="OrderCreated", name="orders.created"),),
        contracts="contracts",
    )

    def publish(messaging):
        for number in range(5_001):
            messaging.producer.produce(new_order(number))
        print("ready", flush=True)

    def wait():
        # In short turns: a signal that comes just before a system call does not interrupt it.
        for _ in range(1200):
            time.sleep(0.05)
"""

WITH_BLOCK = """
    with sdk.connect(settings=settings) as messaging:
        publish(messaging)
        wait()
"""

NO_BLOCK = """
    messaging = sdk.connect(settings=settings)
    publish(messaging)
    wait()
"""

EVENT_LOOP = """
    async def main():
        async with sdk.connect(settings=settings) as messaging:
            publish(messaging)
            for _ in range(1200):
                await asyncio.sleep(0.05)

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """Host a broker outside the processes that are ended."""
    with EmbeddedBroker(topics=[TopicDefinition(name=TOPIC, partitions=1)]) as broker:
        yield broker


def stored(broker: EmbeddedBroker) -> int:
    """Return how many records the topic has."""
    config = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "count"}
    consumer = Consumer(config)
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=30)
        return int(end)
    finally:
        consumer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("script", [WITH_BLOCK, NO_BLOCK, EVENT_LOOP], ids=["with", "bare", "loop"])
def test_what_was_produced_is_stored(
    broker: EmbeddedBroker, script: str, number: signal.Signals
) -> None:
    """A process that is asked to end delivers everything that it has produced."""
    before = stored(broker)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CONNECT + script), broker.bootstrap_servers],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'samples'}"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert stored(broker) - before == COUNT, errors
    if number is signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.usefixtures("default_signals")
def test_sigterm_is_ours_until_the_last_connection_is_closed() -> None:
    """Each connection relies on the handler, and the last one to close removes it."""
    first, second = exit_on_sigterm(), exit_on_sigterm()
    first()
    with pytest.raises(SystemExit) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    second()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("default_signals")
def test_a_handler_of_the_host_is_left_alone() -> None:
    """Where somebody else handles SIGTERM, no connection and no consumer replaces the handler."""
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    end = exit_on_sigterm()
    with stop_on_signals(lambda number: came.append(-1)):
        signal.raise_signal(signal.SIGTERM)
    end()
    signal.raise_signal(signal.SIGTERM)
    assert came == [signal.SIGTERM, signal.SIGTERM]


@pytest.mark.usefixtures("default_signals")
def test_other_threads_change_no_handler() -> None:
    """Handlers can only be set in the main thread; elsewhere nothing happens."""
    ended: list[bool] = []

    def elsewhere() -> None:
        end = exit_on_sigterm()
        with stop_on_signals(lambda number: None):
            ended.append(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        end()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert ended == [True]


@pytest.mark.usefixtures("default_signals")
def test_a_handler_closed_elsewhere_lets_the_default_happen() -> None:
    """A connection that another thread has closed no longer turns SIGTERM into SystemExit."""
    script = """
        import signal, threading
        from sdk.signals import exit_on_sigterm

        thread = threading.Thread(target=exit_on_sigterm())
        thread.start()
        thread.join()
        signal.raise_signal(signal.SIGTERM)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGTERM


@pytest.mark.usefixtures("default_signals")
@pytest.mark.parametrize(
    ("number", "interruption"),
    [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)],
)
def test_the_second_signal_interrupts(
    number: signal.Signals, interruption: type[BaseException]
) -> None:
    """The first signal asks to stop, the second one does not ask; afterwards all is as before."""
    before = signal.getsignal(number)
    came: list[int] = []
    with stop_on_signals(came.append):
        signal.raise_signal(number)
        assert came == [number]
        with pytest.raises(interruption):
            signal.raise_signal(number)
    assert came == [number]
    assert signal.getsignal(number) is before


def test_the_interpreter_waits_for_a_thread_that_closes_the_producer() -> None:
    """A daemon thread that waits for acknowledgements is not cut off at the end of the process."""
    script = """
        import threading, time
        from tests.unit.messaging.shop import Shop
        from sdk.publishing.producer import Producer

        closing = threading.Event()

        class Slow:
            def after_deliveries(self, call): ...
            def produce(self, record, on_delivery): ...
            def connection_error(self): ...
            def close(self, timeout):
                closing.set()
                time.sleep(1)
                print("released", flush=True)

        producer = Producer(Slow(), Shop().encoder())
        threading.Thread(target=producer.close, daemon=True).start()
        closing.wait(10)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "released\n"
