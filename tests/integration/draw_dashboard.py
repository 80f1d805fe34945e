"""``python -m tests.integration.draw_dashboard FILE`` draws the dashboard shown in the documents.

Four minutes of a service with steady traffic, an outbox and transactions on real servers, scraped
by a real Prometheus. After two minutes, every failure that the alert tests cause happens as well.
"""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from attrs import evolve
from contracts.orders.order_created.v2 import OrderCreated
from sqlalchemy import create_engine

import sdk
from sdk.messaging import Messaging
from sdk.outbox import Outbox, Relay, Tables
from sdk.settings import DeadLetterOptions, MetricsOptions
from tests.integration.test_alerts import DOCKER, RULES, Run
from tests.integration.wiring import number_of, order, settings_for
from tests.servers.kafka import KafkaCluster
from tests.servers.prometheus import PrometheusServer
from tests.servers.registry import ApicurioRegistry

SECONDS = 240


def main(file: str) -> None:
    """Run the service and draw what Prometheus recorded."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(KafkaCluster(folder / "kafka"))
        registry = stack.enter_context(ApicurioRegistry(folder / "registry"))
        run = Run(kafka.bootstrap_servers, registry.url, str)
        stack.callback(run.end)
        settings = settings_for(
            kafka.bootstrap_servers,
            registry.url,
            "orders",
            producer={"transactional_id": "orders-1"},
            consumer={"concurrency": 8, "dead_letter": DeadLetterOptions()},
        )
        messaging = stack.enter_context(
            sdk.connect(
                settings=evolve(settings, metrics=MetricsOptions(statistics_interval_ms=1000)),
                contracts="contracts",
                observers=[run.metrics],
            )
        )
        port = messaging.serve(port=0).port
        server = stack.enter_context(PrometheusServer(folder, RULES, port))
        messaging.consumer("billing").handle(OrderCreated, bill).start()
        publish(messaging, run, stack, folder)
        script = str(DOCKER / "picture.py")
        minutes = str(SECONDS / 60)
        command = [sys.executable, script, file, "--prometheus", server.url, "--minutes", minutes]
        subprocess.run(command, check=True)


def bill(event: OrderCreated) -> None:
    """Handle an order in a few milliseconds; one in a thousand fails."""
    number = number_of(event)
    time.sleep(0.002 + 0.01 * (number % 17 == 0))
    if number % 1000 == 0:
        raise ValueError("an order without a customer")


def publish(messaging: Messaging, run: Run, stack: ExitStack, folder: Path) -> None:
    """Publish more and fewer orders a second, by the producer, an outbox and transactions."""
    engine, tables = create_engine(f"sqlite:///{folder / 'outbox.db'}"), Tables()
    tables.metadata.create_all(engine)
    outbox = Outbox(messaging.encoder, tables)
    stack.enter_context(Relay(engine, messaging.producer, tables, observers=[run.metrics]))
    failures = threading.Timer(SECONDS / 2, run.begin)
    failures.start()
    numbers = itertools.count(1)
    begin = time.monotonic()
    while (elapsed := time.monotonic() - begin) < SECONDS:
        for _ in range(int(40 + 30 * math.sin(elapsed / 15))):
            messaging.producer.produce(order(next(numbers)))
        with messaging.transaction() as transaction:
            transaction.produce(order(next(numbers)))
        with engine.begin() as connection:
            outbox.add(connection, order(next(numbers)))
        time.sleep(0.25)
    failures.join()


if __name__ == "__main__":
    main(sys.argv[1])
