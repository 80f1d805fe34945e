"""Topics by pattern: their retries are read, their dead letters are not."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import sdk
from sdk.errors import ConfigurationError
from sdk.settings import (
    DeadLetterOptions,
    RetryTopicsOptions,
    load_settings,
)
from sdk.testing import InMemoryBroker, run_until_idle
from tests.unit.consuming.test_whole_path import ONCE, BadOrder, Handler, connected
from tests.unit.messaging.shop import CATALOG, OrderCreated

PATTERN = "partner[.][a-z]+"


def test_the_retries_of_matched_topics_are_read() -> None:
    """A topic that only the pattern brings has retry topics too, which it does not match."""
    broker = InMemoryBroker()
    handler = Handler(BadOrder("x"), bad=2)
    stages = RetryTopicsOptions(delays_ms=(10, 20))
    with connected(broker, [], retry=ONCE, retry_topics=stages) as messaging:
        messaging.producer.produce(OrderCreated(order_id="bad"), topic="partner.north").result(60)
        consumer = messaging.consumer("billing").handle(
            OrderCreated, handler, pattern=f"{PATTERN}$"
        )
        consumer.start()
        while not handler.handled:
            threading.Event().wait(0.01)
        consumer.close()
    assert handler.attempts["bad"] == [1, 2, 3]


def test_dead_letters_are_not_read_by_pattern() -> None:
    """Patterns do not match dead-letter topics, or dead letters would fail again and again."""
    broker = InMemoryBroker()
    handler = Handler(BadOrder("x"), bad=99)
    with connected(broker, [], retry=ONCE, dead_letter=DeadLetterOptions()) as messaging:
        messaging.producer.produce(OrderCreated(order_id="bad"), topic="partner.north").result(60)
        consumer = messaging.consumer("billing").handle(OrderCreated, handler, pattern=PATTERN)
        consumer.start()
        while not broker.records("partner.north-dlt"):
            threading.Event().wait(0.01)
        messaging.producer.produce(OrderCreated(order_id="good"), topic="partner.north").result(60)
        while not handler.handled:
            threading.Event().wait(0.01)
        threading.Event().wait(0.3)
        consumer.close()
    assert handler.attempts["bad"] == [1]


@pytest.mark.parametrize("retry", ["partner.north-shipping-retry-10", "partner.north-retry"])
def test_retries_of_other_groups_are_not_handled(retry: str) -> None:
    """A pattern that matches another group's retry topics does not have events handled twice."""
    broker, handler = InMemoryBroker(), Handler(BadOrder("x"))
    copied = {"kafka_dlt-original-consumer-group": b"shipping"}
    with connected(broker, [], retry=ONCE) as messaging:
        send = messaging.producer.produce
        send(OrderCreated(order_id="copy"), topic=retry, headers=copied).result(60)
        send(OrderCreated(order_id="source"), topic="partner.north", headers=copied).result(60)
        consumer = messaging.consumer("billing")
        consumer.handle(OrderCreated, handler, pattern="partner[.].*").start()
        while sum(broker.committed("billing").values()) < 2:
            threading.Event().wait(0.01)
        consumer.close()
    assert handler.handled == ["source"]


def test_a_client_of_kafka_takes_the_pattern() -> None:
    """Librdkafka's patterns are POSIX; several handlers make one pattern."""
    seen: list[Any] = []
    with sdk.connect(settings=load_settings("embedded"), contracts=CATALOG) as messaging:
        messaging.producer.produce(OrderCreated(order_id="a"), topic="partner.north").result(30)
        consumer = messaging.consumer("billing").handle(
            OrderCreated, seen.append, pattern="partner[.].*"
        )
        consumer.start()
        for _ in range(2000):
            if seen:
                break
            threading.Event().wait(0.01)
        consumer.close()
    assert [order.order_id for order in seen] == ["a"]


def test_a_pattern_that_is_no_regular_expression_is_refused() -> None:
    """The error is raised where the pattern is given, not when the consumer runs."""
    with connected(InMemoryBroker(), []) as messaging:
        consumer = messaging.consumer("billing")
        with pytest.raises(ConfigurationError, match="regular expression"):
            consumer.handle(OrderCreated, Handler(BadOrder("x")), pattern="partner[")


def test_one_topic_may_be_given_as_text() -> None:
    """A text is one topic, not the topics named by its letters."""
    broker = InMemoryBroker()
    handler = Handler(BadOrder("x"), bad=0)
    with connected(broker, []) as messaging:
        messaging.producer.produce(OrderCreated(order_id="good"), topic="partner").result(60)
        consumer = messaging.consumer("billing").handle(OrderCreated, handler, topics="partner")
        run_until_idle(consumer, broker, "billing")
    assert handler.handled
