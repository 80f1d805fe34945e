"""The processes of the rebalance tests: members that are killed, joined and counted.

``python -m tests.integration.rebalanced sdk …`` runs one of our consumers and ``plain`` a bare
client; both append a line for each event to a file, which survives a `kill -9`.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from sdk.publishing.delivery import Delivery

ROOT = Path(__file__).parents[2]


@frozen
class Line:
    """One event, as a member began to handle it.

    Attributes:
        at: When, on the clock that all processes of a machine share.
        key: Of the event.
        number: Of the event, ascending within its key.
    """

    at: float
    key: str
    number: int


class Member:
    """A member of a group in a separate process.

    Args:
        kind: ``sdk`` or ``plain``.
        file: Receives a line for each event that it handles.
        **options: Given to the process.
    """

    def __init__(self, kind: str, file: Path, **options: Any) -> None:
        self.file = file
        self._log = file.with_suffix(".log").open("wb")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.integration.rebalanced",
                kind,
                json.dumps({**options, "file": str(file)}),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "samples")},
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def began(self) -> bool:
        """Whether it has handled anything yet."""
        assert self.process.poll() in {None, 0, -9}, self.file.with_suffix(".log").read_text()
        return self.file.exists() and self.file.stat().st_size > 0

    def lines(self) -> list[Line]:
        """Return the events handled so far; a line that a kill cut off does not count."""
        if not self.began:
            return []
        whole = self.file.read_text().rpartition("\n")[0]
        fields = (line.split() for line in whole.splitlines())
        return [Line(float(at), key, int(number)) for at, key, number in fields]

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()

    def leave(self) -> int:
        """End it by SIGTERM; return its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.report()) from None

    def report(self) -> str:
        """Return its log, with what its threads do at this moment."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(1)
        return self.file.with_suffix(".log").read_text()

    def close(self) -> None:
        """End it in any case."""
        self.kill()
        self._log.close()


def run_sdk(options: dict[str, Any]) -> None:
    """Handle events with several lanes, noting each as it begins."""
    from contracts.orders.order_created.v2 import OrderCreated

    from tests.integration.wiring import connected, settings_for

    file = os.open(options["file"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    settings = settings_for(
        options["servers"], options["registry"], options["topic"], consumer=options["consumer"]
    )

    def handle(event: OrderCreated) -> None:
        note(file, event.customer_id or "", event.note or "")
        if options.get("seconds"):
            time.sleep(random.random() * 2 * options["seconds"])

    with connected(settings) as messaging:
        messaging.consumer(options["group"]).handle(OrderCreated, handle).run()


def run_exactly_once(options: dict[str, Any]) -> None:
    """Pass events on to another topic, exactly once."""
    from contracts.orders.order_created.v2 import OrderCreated

    from tests.integration.wiring import connected, settings_for

    settings = evolve(
        settings_for(
            options["servers"],
            options["registry"],
            options["topic"],
            provision="none",
            producer=options["producer"],
            consumer=options["consumer"],
        ),
        instance=options["instance"],
    )
    with connected(settings) as messaging:

        def publish(event: OrderCreated) -> Delivery:
            return messaging.producer.produce(
                event,
                key=event.customer_id,
                topic=options["results"],
                headers={"number": event.note or ""},
            )

        def pass_on(event: OrderCreated) -> None:
            publish(event)

        async def pass_on_in_loop(event: OrderCreated) -> None:
            await publish(event)

        consumer = messaging.consumer(options["group"], exactly_once=True)
        consumer.handle(OrderCreated, pass_on_in_loop if options["loop"] else pass_on).run()


def run_plain(options: dict[str, Any]) -> None:
    """Read with a bare client, which commits in the background."""
    from confluent_kafka import Consumer

    file = os.open(options["file"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    consumer = Consumer(
        {
            "bootstrap.servers": options["servers"],
            "group.id": options["group"],
            "auto.offset.reset": "earliest",
            "session.timeout.ms": options["session_timeout_ms"],
            "partition.assignment.strategy": "cooperative-sticky",
        }
    )
    consumer.subscribe([options["topic"]])
    while True:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            note(file, "-", "0")


def note(file: int, key: str, number: str) -> None:
    """Append a line at once, so that it survives a kill."""
    os.write(file, f"{time.monotonic()} {key} {number}\n".encode())


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    {"sdk": run_sdk, "plain": run_plain, "exactly_once": run_exactly_once}[sys.argv[1]](
        json.loads(sys.argv[2])
    )
