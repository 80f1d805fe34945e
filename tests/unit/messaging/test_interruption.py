"""Ctrl-C while the client is at work: it interrupts, and no outcome of a record is lost by it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from sdk.embedded import EmbeddedBroker
from sdk.errors import SdkError
from sdk.kafka.producer import ConfluentProducer
from sdk.kafka.signals import deferred_signals
from sdk.records import DeliveryReport, ProducerRecord
from sdk.settings import KafkaOptions, ProducerOptions
from sdk.signals import exit_on_sigterm

pytestmark = pytest.mark.usefixtures("default_signals")

RECORD = ProducerRecord("orders", b"value")


@pytest.fixture
def producer() -> Iterator[ConfluentProducer]:
    """Give a client of an embedded broker."""
    with EmbeddedBroker() as broker:
        kafka = KafkaOptions(bootstrap_servers=(broker.bootstrap_servers,))
        producer = ConfluentProducer(kafka, ProducerOptions())
        yield producer
        producer.close(60)


def test_ctrl_c_inside_a_callback_interrupts_after_it(producer: ConfluentProducer) -> None:
    """A signal handler's exception reaches the producing thread, and no outcome is lost."""
    outcomes: list[DeliveryReport | None] = []
    pressed = threading.Event()

    def on_delivery(report: DeliveryReport | None, error: SdkError | None) -> None:
        if not pressed.is_set() and threading.current_thread() is threading.main_thread():
            pressed.set()
            signal.raise_signal(signal.SIGINT)
        outcomes.append(report)

    produced: list[ProducerRecord] = []

    def produce_and_flush() -> None:
        # Which thread takes an acknowledgement is chance, until it is this one.
        while not pressed.is_set():
            for _ in range(5_000):
                produced.append(RECORD)
                producer.produce(RECORD, on_delivery)
            producer.flush(60)

    with pytest.raises(KeyboardInterrupt):
        produce_and_flush()
    assert producer.flush(60) == 0
    assert len(outcomes) == len(produced)
    assert None not in outcomes


def test_ctrl_c_is_not_taken_for_a_bad_header(producer: ConfluentProducer) -> None:
    """An interruption while the client reads headers is raised instead of the client's error."""
    interrupted = header_name(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        producer.produce(RECORD._replace(headers=((interrupted, b""),)), lambda *_: None)


def test_sigterm_is_not_taken_for_a_bad_header(producer: ConfluentProducer) -> None:
    """SIGTERM, which ends the process through SystemExit, is not mistaken for a bad header."""
    end = exit_on_sigterm()
    interrupted = header_name(signal.SIGTERM)
    with pytest.raises(SystemExit):
        producer.produce(RECORD._replace(headers=((interrupted, b""),)), lambda *_: None)
    end()


def header_name(number: signal.Signals) -> str:
    """Return a header name that is interrupted by a signal when the client reads it."""

    class Name(str):
        __slots__ = ()

        def __str__(self) -> str:
            signal.raise_signal(number)
            return "name"

    return Name("name")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_deferred_signals_are_handled_once_afterwards(number: signal.Signals) -> None:
    """A handler is called after the block, and is in its place again."""
    handled: list[int] = []

    def handler(number: int, _frame: object) -> None:
        handled.append(number)

    before = signal.signal(number, handler)
    try:
        with deferred_signals():
            signal.raise_signal(number)
            assert handled == []
        assert handled == [number]
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_other_threads_defer_nothing() -> None:
    """Python handles signals in the main thread: elsewhere the block changes no handler."""
    seen: list[object] = []

    def look() -> None:
        with deferred_signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
