"""The state of a connection, as probes and meters see it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest

from sdk.errors import ConfigurationError
from sdk.happenings import OutboxMeasured
from sdk.observability.metrics import PrometheusMetrics
from sdk.testing import InMemoryBroker, InMemoryMessaging, connect
from tests.unit.messaging.shop import CATALOG, OrderCreated

TOPIC = "shop.order-created"


def until(messaging: InMemoryMessaging, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if condition():
            return
        with messaging.broker.changed:
            messaging.broker.changed.wait(0.01)
    raise AssertionError(json.dumps(messaging.status(), indent=2))


def sample(metrics: PrometheusMetrics, name: str, **labels: str) -> float | None:
    """Return a value of a metric."""
    return metrics.registry.get_sample_value(name, labels)


def test_status_follows_the_consumer() -> None:
    """A consumer is ready while it runs in its group; one that an error stopped is not live."""

    def fail(event: OrderCreated) -> None:
        raise ValueError("no such customer")

    with connect(CATALOG, broker=InMemoryBroker()) as messaging:
        assert messaging.ready()
        consumer = messaging.consumer("billing").handle(OrderCreated, fail)
        assert (messaging.live(), messaging.ready()) == (True, False)
        assert messaging.status()["reasons"] == ["group billing: the consumer is not running"]
        messaging.producer.produce(OrderCreated(order_id="o1")).result(5)
        consumer.start()
        until(messaging, lambda: not messaging.live())
        found = messaging.status()
        assert "no such customer" in found["consumers"][0]["error"]
        assert "no such customer" in found["reasons"][0]
    assert not messaging.live()


def test_meters_see_what_happens() -> None:
    """Records are counted for a meter, which reads lag, ages and queues when it is asked."""
    metrics, started, go_on = PrometheusMetrics(), threading.Event(), threading.Event()
    # The clock of the machine, by which handlers are timed.
    broker = InMemoryBroker(partitions=1)

    def handle(event: OrderCreated) -> None:
        started.set()
        assert go_on.wait(90)

    with connect(CATALOG, broker=broker, observers=[metrics]) as messaging:
        assert messaging.metrics is metrics
        broker.hold()
        for number in range(3):
            messaging.producer.produce(OrderCreated(order_id=f"o{number}"))
        assert sample(metrics, "sdk_producer_queue_records") == 3
        broker.release()
        (topic,) = {record.topic for record in broker.everything()}
        where = {"group": "billing", "topic": topic}
        place = {**where, "partition": "0"}
        messaging.consumer("billing").handle(OrderCreated, handle).start()
        assert started.wait(60)
        until(messaging, lambda: sample(metrics, "sdk_consumer_lag_records", **place) == 3)
        until(
            messaging,
            lambda: (sample(metrics, "sdk_oldest_in_work_seconds", group="billing") or 0) > 0,
        )
        assert sample(metrics, "sdk_consumer_in_flight_records", **place) == 3
        assert sample(metrics, "sdk_lanes_busy", group="billing") == 1
        assert (sample(metrics, "sdk_oldest_unhandled_seconds", **place) or 0) > 0
        (consumer,) = messaging.status()["consumers"]
        assert "offset 0" in consumer["in_work"]
        assert consumer["partitions"][0]["in_flight"] == 3
        go_on.set()
        event = {"event": OrderCreated.__event__.full_name}
        for each in (
            "sdk_records_handled_total",
            "sdk_handler_seconds_count",
            "sdk_end_to_end_seconds_count",
        ):
            until(messaging, lambda each=each: sample(metrics, each, **where, **event) == 3)
        assert sample(metrics, "sdk_records_received_total", **where) == 3
        assert sample(metrics, "sdk_records_sent_total", topic=topic) == 3
        assert (sample(metrics, "sdk_sent_bytes_total", topic=topic) or 0) > 15
        assert sample(metrics, "sdk_send_seconds_count", topic=topic) == 3


def test_paused_partitions_say_why() -> None:
    """The health of a paused partition gives the reason."""
    broker = InMemoryBroker(partitions=1)
    with connect(CATALOG, broker=broker) as messaging:
        consumer = messaging.consumer("billing").handle(OrderCreated, lambda event: None).start()
        until(messaging, messaging.ready)
        consumer.pause()

        def paused() -> list[str]:
            return [each.paused or "" for each in consumer.health().partitions]

        until(messaging, lambda: paused() == ["paused by the application"])
        consumer.resume()
        until(messaging, lambda: paused() == [""])


def test_outboxes_are_reported() -> None:
    """The status has a relay's last measurement, and failed rows are a reason."""
    with connect(CATALOG) as messaging:
        measured = OutboxMeasured("sdk_outbox", 4, 2.5, 1)
        messaging.producer.observers.outboxes["sdk_outbox"] = measured
        found = messaging.status()
    assert found["outboxes"]["sdk_outbox"]["rows"] == 4
    assert found["reasons"] == ["outbox sdk_outbox: 1 rows can never be published"]


def test_a_connection_serves_itself() -> None:
    """The server of a connection ends with it, so that its port is free again."""
    with connect(CATALOG) as messaging:
        port = messaging.serve(port=0).port
        with pytest.raises(ConfigurationError, match="cannot listen"):
            messaging.serve(port=port)
    with connect(CATALOG) as messaging:
        messaging.serve(port=port)
