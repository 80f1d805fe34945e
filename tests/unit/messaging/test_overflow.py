"""Event loops that publish: nothing blocks them, nothing is overtaken, and everybody is woken."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from sdk.abstractions import OnDelivery
from sdk.errors import (
    ClosedError,
    MessageTooLargeError,
    QueueFullError,
    RegistryUnavailableError,
    SerializationError,
    UndeliveredError,
)
from sdk.happenings import DeliveryFailed, Happening, QueueWaited, RecordDelivered, RecordQueued
from sdk.observers import Observers
from sdk.publishing.delivery import Delivery, DeliveryTracker
from sdk.publishing.overflow import Overflow
from sdk.records import ConsumerRecord, DeliveryReport, Header, ProducerRecord
from sdk.serialization import JsonMessageSerializer
from sdk.testing import InMemoryBroker
from tests.unit.consuming.story import wait_until
from tests.unit.messaging.shop import TOPIC, OrderCancelled, OrderCreated, Shop, within

PATIENCE = 60.0


class SlowSerializer(JsonMessageSerializer):
    """A serializer whose registry answers when a test says so.

    Args:
        slow: The class whose schema id is looked up at its first event.
        answer: Called when the registry answers; may raise.

    Attributes:
        answered: Set by the test.
        asked: Set when the registry is being asked.
    """

    def __init__(self, slow: type[Any], answer: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.answered = threading.Event()
        self.asked = threading.Event()
        self._slow = slow
        self._answer = answer

    def ready(self, event_class: type[Any], topic: str) -> bool:
        """Whether the registry need not be asked any more."""
        return event_class is not self._slow or self.answered.is_set()

    def encode(self, event: Any, topic: str, headers: list[Header]) -> bytes:
        """Wait for the registry, then serialize."""
        if type(event) is self._slow:
            self.asked.set()
            assert self.answered.wait(PATIENCE), "whoever waits here has been blocked"
            self._answer()
        return super().encode(event, topic, headers)


def order(number: int, note: str = "none") -> OrderCreated:
    """Return an order whose key is its number."""
    return OrderCreated(order_id=f"{number}", note=note)


def keys(shop: Shop, topic: str = TOPIC) -> list[int]:
    """Return the keys of a topic's only partition with records, in order."""
    return [int(record.key or b"-1") for record in shop.broker.records(topic)]


def in_loop(publish: Callable[[], Any]) -> Any:
    """Run a coroutine function in an event loop; fail when it does not end."""

    async def bounded() -> Any:
        return await asyncio.wait_for(publish(), PATIENCE)

    return asyncio.run(bounded())


def test_looking_up_a_schema_blocks_no_event_loop() -> None:
    """The first event of a class is serialized elsewhere; the loop goes on meanwhile."""
    shop = Shop()
    serializer = SlowSerializer(OrderCreated)

    async def publish() -> DeliveryReport:
        async with shop.producer(encoder=shop.encoder(serializer=serializer)) as producer:
            delivery = producer.produce(order(1))
            assert (delivery.topic, delivery.done()) == (TOPIC, False)
            serializer.answered.set()  # by this loop, which therefore was not blocked
            report = await delivery
            assert delivery.record.key == b"1"
            return report

    assert in_loop(publish).offset == 0


def test_nothing_overtakes_an_event_whose_schema_is_looked_up() -> None:
    """Events of one topic stay in order, also those that could be serialized at once."""
    shop = Shop()
    serializer = SlowSerializer(OrderCancelled)

    async def publish() -> None:
        async with shop.producer(encoder=shop.encoder(serializer=serializer)) as producer:
            first = producer.produce(
                OrderCancelled(order_id="x"), topic=TOPIC, key="0", partition=0
            )
            others = [producer.produce(order(number), partition=0) for number in range(1, 5)]
            from_thread = await asyncio.to_thread(producer.produce, order(5), partition=0)
            raw = producer.send(ProducerRecord(TOPIC, b"raw", b"6", partition=0))
            assert shop.broker.records(TOPIC) == []
            serializer.answered.set()
            await asyncio.gather(first, *others, from_thread, raw)

    in_loop(publish)
    assert keys(shop) == list(range(7))


def test_topics_do_not_wait_for_each_other() -> None:
    """While one event's schema is looked up, those of other topics are delivered."""
    shop = Shop()
    serializer = SlowSerializer(OrderCancelled)

    async def publish() -> None:
        async with shop.producer(encoder=shop.encoder(serializer=serializer)) as producer:
            slow = producer.produce(OrderCancelled(order_id="x"), key=None)
            assert (await producer.produce(order(1))).offset == 0
            assert not slow.done()
            serializer.answered.set()
            await slow

    in_loop(publish)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RegistryUnavailableError("the registry is gone"), RegistryUnavailableError),
        (KeyError("a defect"), SerializationError),
    ],
    ids=repr,
)
def test_a_failed_lookup_fails_its_event_alone(
    error: Exception, raised: type[BaseException]
) -> None:
    """Errors in the background reach the `await`, and later records are sent."""
    shop = Shop()

    def answer() -> None:
        raise error

    serializer = SlowSerializer(OrderCancelled, answer)

    async def publish() -> None:
        async with shop.producer(encoder=shop.encoder(serializer=serializer)) as producer:
            failing = producer.produce(OrderCancelled(order_id="x"), topic=TOPIC, key=None)
            behind = producer.produce(order(1))
            serializer.answered.set()
            with pytest.raises(raised) as caught:
                await failing
            assert error in (caught.value, caught.value.__cause__)
            await behind

    in_loop(publish)
    assert keys(shop) == [1]


def test_what_is_no_event_is_refused_at_once_in_a_loop_too() -> None:
    """A mistake that can be seen without the registry is raised by `produce`."""

    async def publish() -> None:
        async with Shop().producer() as producer:
            with pytest.raises(SerializationError, match="generated event class"):
                producer.produce({"order_id": "o-1"})

    in_loop(publish)


def test_serializing_elsewhere_keeps_the_context() -> None:
    """An event that a handler publishes names its cause, wherever it is serialized."""
    shop = Shop()
    serializer = SlowSerializer(OrderCreated)
    encoder = shop.encoder(serializer=serializer)
    cause = ConsumerRecord("t", 0, 0, b"", headers=(("ce_id", b"cause"),))

    async def publish() -> None:
        async with shop.producer(encoder=encoder) as producer:
            with within(cause):
                delivery = producer.produce(order(1))
            serializer.answered.set()
            await delivery

    in_loop(publish)
    assert shop.broker.records(TOPIC)[0].header("ce_causationid") == b"cause"


def test_a_full_queue_is_overtaken_by_nobody() -> None:
    """Records that wait for room are sent before later ones of any loop or thread."""
    shop = Shop(InMemoryBroker(queue_limit=1))

    async def publish() -> None:
        async with shop.producer() as producer:
            shop.broker.hold()
            deliveries = [producer.produce(order(number), partition=0) for number in range(3)]
            shop.broker.release(1)  # there is room again, and two wait for it
            deliveries.append(await asyncio.to_thread(producer.produce, order(3), partition=0))
            deliveries.append(producer.produce(order(4), partition=0))
            shop.broker.release()
            await asyncio.gather(*deliveries)

    in_loop(publish)
    assert keys(shop) == [0, 1, 2, 3, 4]


def test_a_queue_may_be_full_again_and_again() -> None:
    """The overflow works the second time as it does the first, in this loop and in others."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    numbers = iter(range(100))

    with shop.producer() as producer:

        async def publish() -> None:
            for _ in range(3):
                shop.broker.hold()
                deliveries = [producer.produce(order(next(numbers)), partition=0) for _ in range(5)]
                shop.broker.release()
                await asyncio.gather(*deliveries)

        in_loop(publish)
        in_loop(publish)
    assert keys(shop) == list(range(30))


def test_closing_gives_up_what_waits_for_room() -> None:
    """Nothing that has not been sent by the end of closing is left without an outcome."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    producer = shop.producer(close_timeout=0.01)

    async def publish() -> list[Delivery]:
        shop.broker.hold()
        deliveries = [producer.produce(order(number)) for number in range(3)]
        waiting = asyncio.gather(*deliveries, return_exceptions=True)
        with suppress(UndeliveredError):  # which is raised unless all failures were seen by then
            await asyncio.to_thread(producer.close)
        outcomes = await waiting
        assert [type(outcome) for outcome in outcomes[1:]] == [ClosedError, ClosedError]
        return deliveries

    assert all(delivery.done() for delivery in in_loop(publish))


def test_closing_gives_up_an_event_whose_schema_is_looked_up() -> None:
    """A registry that never answers does not keep a producer from closing, nor sends later."""
    shop = Shop()
    serializer = SlowSerializer(OrderCreated)
    producer = shop.producer(encoder=shop.encoder(serializer=serializer), close_timeout=0.01)

    async def publish() -> Delivery:
        delivery = producer.produce(order(1))
        await asyncio.to_thread(serializer.asked.wait, PATIENCE)
        with pytest.raises(UndeliveredError):
            await asyncio.to_thread(producer.close)
        return delivery

    delivery = in_loop(publish)
    assert isinstance(delivery.error, ClosedError)
    serializer.answered.set()
    for thread in threading.enumerate():
        if thread.name.startswith("sdk-overflow"):
            thread.join(PATIENCE)
    assert isinstance(delivery.error, ClosedError)
    assert shop.broker.records(TOPIC) == []


def test_what_was_given_up_is_not_sent_after_all() -> None:
    """An event that is serialized only after it was given up has one outcome, and is not sent."""
    broker = InMemoryBroker()
    overflow = Overflow(broker.producer().produce, lambda: None, timeout=1.0)
    delivery = Delivery(None, ProducerRecord(TOPIC, None), DeliveryTracker(lambda: None))
    answered, asked = threading.Event(), threading.Event()

    def encode() -> ProducerRecord:
        asked.set()
        answered.wait(PATIENCE)
        return ProducerRecord(TOPIC, b"late")

    overflow.add(delivery, delivery, encode)
    (thread,) = (each for each in threading.enumerate() if each.name == f"sdk-overflow {TOPIC}")
    assert asked.wait(PATIENCE)
    overflow.give_up(ClosedError("closed"))
    answered.set()
    thread.join(PATIENCE)
    assert isinstance(delivery.error, ClosedError)
    assert broker.records(TOPIC) == []


def test_flush_counts_what_waits_for_room() -> None:
    """Records that have not reached the client yet count as queued."""
    shop = Shop(InMemoryBroker(queue_limit=1))

    async def publish() -> None:
        async with shop.producer() as producer:
            shop.broker.hold()
            deliveries = [producer.produce(order(number)) for number in range(3)]
            assert await asyncio.to_thread(producer.flush, 0.01) == 3
            shop.broker.release()
            assert await asyncio.to_thread(producer.flush, PATIENCE) == 0
            assert all(delivery.done() for delivery in deliveries)

    in_loop(publish)


def test_records_behind_a_lookup_wait_for_room_together() -> None:
    """With a full queue all fail after the time that one may wait, not one after the other."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    serializer = SlowSerializer(OrderCreated)
    encoder = shop.encoder(serializer=serializer)

    async def publish() -> float:
        async with shop.producer(encoder=encoder, queue_full_timeout=0.5) as producer:
            shop.broker.hold()
            deliveries = [producer.produce(order(number)) for number in range(21)]
            serializer.answered.set()
            began = time.monotonic()
            outcomes = await asyncio.gather(*deliveries[1:], return_exceptions=True)
            seconds = time.monotonic() - began
            shop.broker.release()
            assert {type(outcome) for outcome in outcomes} == {QueueFullError}
            return seconds

    assert in_loop(publish) < 5


def test_an_event_that_was_not_encoded_is_not_said_to_have_a_key() -> None:
    """Its description does not name a key that reads like one of its own."""
    shop = Shop()

    def answer() -> None:
        raise RegistryUnavailableError("no answer")

    serializer = SlowSerializer(OrderCreated, answer)

    async def publish() -> None:
        async with shop.producer(encoder=shop.encoder(serializer=serializer)) as producer:
            producer.produce(order(1))
            serializer.answered.set()

    with pytest.raises(UndeliveredError) as caught:
        in_loop(publish)
    assert "orders.OrderCreated: no answer" in str(caught.value)


def test_a_refusal_wakes_those_that_wait_for_it() -> None:
    """A record that the client refuses when its turn comes ends its `await`, and no other."""
    shop = Shop(InMemoryBroker(queue_limit=1, max_message_bytes=200))

    async def publish() -> None:
        async with shop.producer() as producer:
            shop.broker.hold()
            first, second = producer.produce(order(1)), producer.produce(order(2))
            refused = producer.produce(order(3, note="x" * 500))
            shop.broker.release(1)  # room for the second, and then it is the third's turn
            with pytest.raises(MessageTooLargeError):
                await refused
            assert not second.done()
            shop.broker.release()
            await asyncio.gather(first, second)

    in_loop(publish)


def test_observers_see_how_long_records_wait() -> None:
    """A record that met a full queue is announced once, and so is its wait."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    seen: list[Happening] = []

    async def publish() -> None:
        async with shop.producer(observers=Observers([seen.append])) as producer:
            shop.broker.hold()
            deliveries = [producer.produce(order(number)) for number in range(2)]
            threading.Timer(0.5, shop.broker.release).start()
            await asyncio.gather(*deliveries)

    in_loop(publish)
    # The thread that releases the records notifies observers after it has woken the tasks.
    wait_until(lambda: [type(each) for each in seen].count(RecordDelivered) == 2)
    assert [type(each) for each in seen].count(RecordQueued) == 2
    (waited,) = [happening for happening in seen if isinstance(happening, QueueWaited)]
    assert waited.topic == TOPIC
    assert waited.seconds > 0


def test_an_error_that_cannot_be_shown_fails_its_event_alone() -> None:
    """A defective exception of a serializer ends no thread: later events of the topic are sent."""
    shop = Shop()

    class Defective(Exception):
        def __str__(self) -> str:
            raise ValueError

    failures = [Defective()]

    def answer() -> None:
        if failures:
            raise failures.pop()

    serializer = SlowSerializer(OrderCreated, answer)

    async def publish() -> None:
        async with shop.producer(encoder=shop.encoder(serializer=serializer)) as producer:
            first, second = producer.produce(order(1)), producer.produce(order(2))
            serializer.answered.set()
            with pytest.raises(SerializationError, match=r"Defective: .*cannot be shown"):
                await first
            await second

    in_loop(publish)


def test_observers_see_what_fails_in_the_background() -> None:
    """An event that cannot be serialized after all is a failed delivery."""
    shop = Shop()
    seen: list[Happening] = []

    def answer() -> None:
        raise RegistryUnavailableError("gone")

    serializer = SlowSerializer(OrderCreated, answer)
    serializer.answered.set()
    encoder = shop.encoder(serializer=serializer)

    async def publish() -> None:
        serializer.answered.clear()
        async with shop.producer(encoder=encoder, observers=Observers([seen.append])) as producer:
            delivery = producer.produce(order(1))
            serializer.answered.set()
            with pytest.raises(RegistryUnavailableError):
                await delivery

    in_loop(publish)
    assert [type(happening) for happening in seen] == [DeliveryFailed]


def test_observers_see_how_long_threads_wait() -> None:
    """Observers are notified of a thread's wait for room."""
    shop = Shop(InMemoryBroker(queue_limit=1))
    seen: list[Happening] = []
    with shop.producer(observers=Observers([seen.append])) as producer:
        shop.broker.hold()
        producer.produce(order(1))
        threading.Timer(0.5, shop.broker.release).start()
        producer.produce(order(2))
    assert [type(happening) for happening in seen].count(QueueWaited) == 1


def test_a_cancelled_task_does_not_keep_others_asleep() -> None:
    """If the first of two tasks that wait for one batch is cancelled, the second is woken."""
    shop = Shop()

    async def publish() -> None:
        async with shop.producer() as producer:
            shop.broker.hold()
            tasks = [asyncio.ensure_future(wait(producer.produce(order(n)))) for n in range(3)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            threading.Thread(target=shop.broker.release).start()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(outcomes[0], asyncio.CancelledError)
            assert all(isinstance(outcome, DeliveryReport) for outcome in outcomes[1:])

    in_loop(publish)


async def wait(delivery: Delivery) -> DeliveryReport:
    """Wait for a delivery in a task."""
    return await delivery


class SettlingLock:
    """A lock during whose acquisition the outcome of a delivery comes."""

    def __init__(self) -> None:
        self.delivery: Delivery | None = None

    def __enter__(self) -> None:
        if self.delivery is not None:
            self.delivery(DeliveryReport(TOPIC, 0, 5), None)

    def __exit__(self, *_: object) -> None:
        pass


def settling_delivery() -> Delivery:
    """Return a delivery whose outcome comes between the first look at it and the wait."""
    tracker = DeliveryTracker(lambda: None)
    tracker.lock = lock = SettlingLock()  # type: ignore[assignment]
    delivery = Delivery(None, ProducerRecord(TOPIC, b""), tracker)
    lock.delivery = delivery
    return delivery


def test_an_outcome_that_comes_just_before_a_thread_waits_is_seen() -> None:
    """A thread that is about to wait finds the outcome that came meanwhile."""
    assert settling_delivery().result(timeout=0).offset == 5


def test_an_outcome_that_comes_just_before_a_task_waits_is_seen() -> None:
    """A task that is about to wait finds the outcome that came meanwhile."""

    async def publish() -> DeliveryReport:
        return await settling_delivery()

    assert in_loop(publish).offset == 5


def test_a_topic_recovers_when_no_thread_could_be_started() -> None:
    """The record is refused, and later ones do not wait behind a thread that does not exist."""
    sent, settled = list[ProducerRecord](), threading.Event()

    def enqueue(record: ProducerRecord, on_delivery: OnDelivery) -> None:
        sent.append(record)
        settled.set()

    overflow = Overflow(enqueue, lambda: None, PATIENCE)
    tracker = DeliveryTracker(lambda: None)
    record = ProducerRecord(TOPIC, b"v")
    delivery = Delivery(None, record, tracker)
    before = threading.stack_size(2**46)  # more than there is
    try:
        with pytest.raises(RuntimeError):
            overflow.add(delivery, delivery)
    finally:
        threading.stack_size(before)
    overflow.add(delivery, delivery)
    assert settled.wait(PATIENCE)
    assert sent == [record]
