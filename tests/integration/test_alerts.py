"""Alerts and the dashboard: on a real Prometheus that scrapes a real run with failures in it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from attrs import evolve
from confluent_kafka import Producer as RawProducer
from contracts.orders.order_created.v2 import OrderCreated

import sdk
from sdk.errors import QueueFullError
from sdk.messaging import Messaging
from sdk.observability.metrics import PrometheusMetrics
from sdk.settings import DeadLetterOptions
from tests.integration.wiring import order, settings_for, wait_until
from tests.servers.process import free_port
from tests.servers.prometheus import PrometheusServer, promtool
from tests.servers.target import Target

DOCKER = Path(__file__).parents[2] / "docker"
RULES = DOCKER / "prometheus" / "alerts.yml"
WITHIN = 60.0
"""Seconds in which each failure must have its alert; half of it is usually enough."""

EXPECTED = {
    ("SdkHandlerSlow", "slow"),
    ("SdkHandlerStuck", "stuck"),
    ("SdkPartitionStuck", "stuck"),
    ("SdkPartitionStuck", "outage"),
    ("SdkPoison", "poison"),
    ("SdkDeadLetters", "poison"),
    ("SdkRegistryUnavailable", None),
    ("SdkDependencyDown", "outage"),
    ("SdkProducerQueueFull", None),
    ("SdkSendFailed", None),
    ("SdkMemberFenced", "fenced"),
    ("SdkConsumerStopped", "fenced"),
}
"""Alerts, each with the group that it names."""

Seen = set[tuple[str, str | None]]


@pytest.fixture(scope="module")
def scripts() -> Iterator[Callable[[str], Any]]:
    """Imports modules of the folder ``docker`` by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCKER)
        yield importlib.import_module


class Run:
    """A run with every failure: connections, each with its own problem, and their meter."""

    def __init__(self, kafka: str, registry: str, topic: Callable[[str], str]) -> None:
        self.metrics = PrometheusMetrics()
        self._kafka, self._registry, self._topic = kafka, registry, topic
        self._opened = ExitStack()
        self._release = threading.Event()
        self.port = 0

    def connect(
        self, name: str, *, kafka: str = "", registry: str = "", **options: Any
    ) -> Messaging:
        """Return a connection with its own topic."""
        settings = settings_for(
            kafka or self._kafka, registry or self._registry, self._topic(name), **options
        )
        consumer = evolve(settings.consumer, dead_letter=DeadLetterOptions())
        messaging = sdk.connect(
            settings=evolve(settings, consumer=consumer),
            contracts="contracts",
            observers=[self.metrics],
        )
        self._opened.enter_context(messaging)
        return messaging

    def consume(self, messaging: Messaging, group: str, handle: Callable[[Any], Any]) -> None:
        """Start a consumer."""
        messaging.consumer(group).handle(OrderCreated, handle).start()

    def begin(self) -> None:
        """Bring about every failure."""
        slow = self.connect("slow")
        self.port = slow.serve(port=0).port
        self.consume(slow, "slow", lambda event: time.sleep(1.5))
        stuck = self.connect("stuck")
        self.consume(stuck, "stuck", lambda event: self._release.wait(600))
        poison = self.connect("poison")
        self.consume(poison, "poison", lambda event: None)
        for messaging in (slow, stuck, poison):
            for number in range(200):
                messaging.producer.produce(order(number))
            messaging.producer.flush(30)
        raw = RawProducer({"bootstrap.servers": self._kafka})
        raw.produce(self._topic("poison"), b"\xff not an event")
        raw.flush(30)
        self._outage(raw)
        for _ in range(2):  # the second one replaces the first
            fenced = self.connect(
                "fenced", consumer={"librdkafka": {"group.instance.id": "one-of-a-kind"}}
            )
            self.consume(fenced, "fenced", lambda event: None)
            fenced.producer.produce(order(1)).result(30)
            wait_until(fenced.ready)
        self._full_queue()

    def _outage(self, raw: RawProducer) -> None:
        """Consume a record whose schema is only in a registry that does not answer."""
        away = self.connect(
            "outage",
            registry=f"http://127.0.0.1:{free_port()}",
        )
        self.consume(away, "outage", lambda event: None)
        raw.produce(self._topic("outage"), b"\x00\x00\x00\x00\x01 some body")
        raw.flush(30)

    def _full_queue(self) -> None:
        """Produce to brokers that do not answer, through a queue for ten records."""
        full = self.connect(
            "full",
            kafka=f"127.0.0.1:{free_port()}",
            provision="none",
            producer={
                "queue_full_timeout_ms": 500,
                "close_timeout_ms": 1_000,
                "librdkafka": {"queue.buffering.max.messages": 10},
            },
        )
        for number in range(10):
            full.producer.produce(order(number))
        with pytest.raises(QueueFullError):
            full.producer.produce(order(10))

    def end(self) -> None:
        """Let the handlers go, and close everything."""
        self._release.set()
        with suppress(sdk.SdkError):  # what could not be delivered
            self._opened.close()


@pytest.fixture(scope="module")
def prometheus(
    kafka: Target, registry: Target, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PrometheusServer, Seen]]:
    """A Prometheus that has scraped every failure, and the alerts of its first minute."""
    mark = f"{time.time_ns():x}"
    run = Run(kafka.address, registry.address, lambda name: f"alerts-{name}-{mark}")
    try:
        run.begin()
        with PrometheusServer(tmp_path_factory.mktemp("prometheus"), RULES, run.port) as server:
            seen: Seen = set()
            deadline = time.monotonic() + WITHIN
            while EXPECTED - seen and time.monotonic() < deadline:
                time.sleep(0.5)
                seen.update(server.firing())
            yield server, seen
    finally:
        run.end()


def test_rules_are_tested() -> None:
    """Prometheus's own tool accepts the rules, and their tests pass."""
    promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", DOCKER / "prometheus" / "alerts.test.yml")


def test_files_are_those_of_the_definitions() -> None:
    """The committed files match the definitions of the metrics."""
    command = [sys.executable, str(DOCKER / "dashboards.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(500)
def test_each_failure_is_told_within_a_minute(prometheus: tuple[PrometheusServer, Seen]) -> None:
    """Each failure makes its alert fire, which names the group that is concerned."""
    _, seen = prometheus
    assert seen >= EXPECTED
    # Nothing but its poison is wrong with this one.
    assert {name for name, group in seen if group == "poison"} == {"SdkPoison", "SdkDeadLetters"}


@pytest.mark.timeout(500)
def test_every_query_is_answered(
    prometheus: tuple[PrometheusServer, Seen], scripts: Callable[[str], Any]
) -> None:
    """Prometheus takes every query, and most of them show something of this run."""
    server, _ = prometheus
    empty = [query for query in scripts("dashboards").queries() if not server.query(query)]
    for alert in scripts("alerts").ALERTS:
        server.query(alert.expression)
    # Nothing of an outbox, of transactions, of skips, retries or commits, and no statistics.
    assert len(empty) <= 18, empty
    for metric in ("sdk_records_sent_total", "sdk_end_to_end_seconds_bucket"):
        assert not [query for query in empty if metric in query]


@pytest.mark.timeout(500)
def test_dashboard_can_be_drawn(
    prometheus: tuple[PrometheusServer, Seen], scripts: Callable[[str], Any], tmp_path: Path
) -> None:
    """The script behind the picture in the documents draws every panel, and lines in most."""
    server, _ = prometheus
    file = tmp_path / "dashboard.svg"
    script = [sys.executable, str(DOCKER / "picture.py"), str(file), "--minutes", "1"]
    subprocess.run([*script, "--prometheus", server.url], check=True, timeout=120)
    texts = [text.text for text in ElementTree.parse(file).iter() if text.tag.endswith("}text")]
    titles = [panel.title for row in scripts("panels").ROWS.values() for panel in row]
    assert set(titles) <= set(texts)
    assert texts.count("No data") < len(titles) / 2
    assert "slow" in texts
