"""Ctrl-C while the client is at work: it is heard, and no outcome of a record is lost by it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

import pytest

from sdk.embedded import EmbeddedBroker
from sdk.errors import SdkError
from sdk.kafka.producer import ConfluentProducer
from sdk.kafka.signals import deferred_signals
from sdk.records import DeliveryReport, ProducerRecord
from sdk.settings import KafkaOptions, ProducerOptions

RECORD = ProducerRecord("orders", b"value")


@pytest.fixture
def producer() -> Iterator[ConfluentProducer]:
    """Give a client of an embedded broker."""
    with EmbeddedBroker() as broker:
        kafka = KafkaOptions(bootstrap_servers=(broker.bootstrap_servers,))
        producer = ConfluentProducer(kafka, ProducerOptions())
        yield producer
        producer.close(10)


def test_ctrl_c_inside_a_callback_is_heard_after_it(producer: ConfluentProducer) -> None:
    """What a signal handler raises reaches the producing thread, and every record is told of."""
    told: list[DeliveryReport | None] = []
    pressed = threading.Event()

    def on_delivery(report: DeliveryReport | None, error: SdkError | None) -> None:
        if not pressed.is_set() and threading.current_thread() is threading.main_thread():
            pressed.set()
            signal.raise_signal(signal.SIGINT)
        told.append(report)

    produced: list[ProducerRecord] = []

    def produce_and_flush() -> None:
        # Which thread takes an acknowledgement is chance, until it is this one.
        while not pressed.is_set():
            for _ in range(5_000):
                produced.append(RECORD)
                producer.produce(RECORD, on_delivery)
            producer.flush(10)

    with pytest.raises(KeyboardInterrupt):
        produce_and_flush()
    assert producer.flush(10) == 0
    assert len(told) == len(produced)
    assert None not in told


def test_ctrl_c_is_not_taken_for_a_bad_header(producer: ConfluentProducer) -> None:
    """The client answers an interruption while it reads headers with an error of its own."""

    class Name(str):
        __slots__ = ()

        def __str__(self) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        producer.produce(RECORD._replace(headers=((Name("a"), b""),)), lambda *_: None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_deferred_signals_are_heard_once_afterwards(number: signal.Signals) -> None:
    """A handler is called after the block, and is in its place again."""
    heard: list[int] = []

    def handler(number: int, _frame: object) -> None:
        heard.append(number)

    before = signal.signal(number, handler)
    try:
        with deferred_signals():
            signal.raise_signal(number)
            assert heard == []
        assert heard == [number]
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_other_threads_hold_nothing() -> None:
    """Signals are the main thread's affair: elsewhere the block changes no handler."""
    seen: list[object] = []

    def look() -> None:
        with deferred_signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
