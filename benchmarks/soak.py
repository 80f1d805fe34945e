"""A soak over real Kafka and a real registry, both of which are killed on the way.

    python benchmarks/soak.py [--events 1000000] [--peer-events 100000]

A million events of mixed types and versions go through the SDK. At a third of them the broker is
killed (``kill -9``) and restarted; at two thirds the registry, and while it is away a second
consumer group starts that knows no schema yet. Both groups must see every event. Beside it, in
the same run and without faults, stand the raw client and Confluent's serializing clients.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers.kafka import KafkaCluster  # noqa: E402
from tests.servers.registry import ApicurioRegistry  # noqa: E402

CLIENTS = Path(__file__).with_name("soak_clients.py")
FLAT_MB = 25
"""Growth of the resident memory, from three tenths of the run to its end, that counts as flat."""


class Client:
    """A child process of `soak_clients`; a thread follows what it prints.

    Args:
        role: ``produce`` or ``consume``.
        client: ``sdk``, ``raw`` or ``confluent``.
        arguments: Further arguments.
        on_progress: Called with the number of events done, now and then.
    """

    def __init__(
        self,
        role: str,
        client: str,
        *arguments: str,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._last: dict[str, Any] = {}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, str(CLIENTS), role, client, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._thread = threading.Thread(target=self._follow, args=(on_progress,), daemon=True)
        self._thread.start()

    def result(self, seconds: float = 1800) -> dict[str, Any]:
        """Wait for the end and return the measurements."""
        if self._process.wait(seconds) != 0:
            self._errors.seek(0)
            raise SystemExit(f"a client of the soak failed:\n{self._errors.read()[-4000:]}")
        self._thread.join()
        return self._last

    def kill(self) -> None:
        """End it, if it still runs."""
        self._process.kill()
        self._process.wait()

    def _follow(self, on_progress: Callable[[int], None]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._last = json.loads(line)
                if "done" in self._last:
                    on_progress(self._last["done"])


def main() -> int:
    """Run peers and soak, print the tables; 1 if anything was lost or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--peer-events", type=int, default=100_000)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        registry = stack.enter_context(ApicurioRegistry(folder / "registry", durable=True))
        kafka = stack.enter_context(
            KafkaCluster(
                folder / "kafka",
                properties={"auto.create.topics.enable": "true", "num.partitions": "6"},
            )
        )
        servers = ["--servers", kafka.bootstrap_servers, "--registry", registry.url]
        peers(servers, options.peer_events)
        failures = soak(kafka, registry, servers, options.events, stack)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


def peers(servers: list[str], events: int) -> None:
    """Publish and consume without faults, one client after the other."""
    made = Client("produce", "none", *servers, "--events", str(events), "--prefix", "-").result()
    print(f"\n{events:,} events each, no faults; making them costs {_cpu(made, events)}:\n")
    print("| client | publish/s | CPU s / 100k | consume/s | CPU s / 100k | peak MB |")
    print("|---|---|---|---|---|---|")
    rows = [
        ("the SDK", "sdk", []),
        ("the SDK, without CloudEvents headers", "sdk", ["--plain"]),
        ("Confluent's serializing clients", "confluent", []),
        ("raw client, ready-made bytes", "raw", []),
    ]
    for number, (name, client, more) in enumerate(rows):
        common = [*servers, "--events", str(events), "--prefix", f"peer-{number}", *more]
        sent = Client("produce", client, *common).result()
        read = Client("consume", client, *common).result()
        assert sent["acknowledged"] == read["distinct"] == events
        print(
            f"| {name} | {_rate(sent, events)} | {_cpu(sent, events)} "
            f"| {_rate(read, events)} | {_cpu(read, events)} "
            f"| {sent['peak']:.0f} / {read['peak']:.0f} |",
            flush=True,
        )


def soak(
    kafka: KafkaCluster,
    registry: ApicurioRegistry,
    servers: list[str],
    events: int,
    stack: contextlib.ExitStack,
) -> list[str]:
    """Send all events through both faults; return what went wrong."""
    common = [*servers, "--events", str(events), "--prefix", "soak"]
    reached: list[int] = [0]

    def progress(done: int) -> None:
        reached[0] = done

    print(f"\n{events:,} events through the SDK, broker and registry killed on the way:\n")
    producer = Client("produce", "sdk", *common, on_progress=progress)
    stack.callback(producer.kill)
    live = Client("consume", "sdk", *common, "--group", "live")
    stack.callback(live.kill)
    _wait(lambda: reached[0] >= events // 3)
    broker = kafka.brokers[0].process
    broker.kill()
    print(f"* at {reached[0]:,}: broker killed", flush=True)
    broker.start()
    _wait(lambda: reached[0] >= events * 2 // 3)
    registry.process.kill()
    print(f"* at {reached[0]:,}: registry killed; a second group starts", flush=True)
    cold = Client("consume", "sdk", *common, "--group", "cold")
    stack.callback(cold.kill)
    time.sleep(5)
    registry.process.start()
    results = {"produce": producer.result(), "consume": live.result(), "cold start": cold.result()}
    print("\n| client | events | seconds | CPU s / 100k | memory at 30 % → end, peak (MB) |")
    print("|---|---|---|---|---|")
    failures = []
    for name, result in results.items():
        count = result.get("acknowledged", result.get("distinct"))
        resident = result["resident"]
        print(
            f"| {name} | {count:,} | {result['seconds']:.1f} | {_cpu(result, events)} "
            f"| {resident[2]:.0f} → {resident[-1]:.0f}, {result['peak']:.0f} |"
        )
        if count != events:
            failures.append(f"{name}: {count:,} of {events:,} events")
        if resident[-1] - resident[2] > FLAT_MB:
            failures.append(f"{name}: memory grew from {resident[2]} to {resident[-1]} MB")
    repeated = {
        name: result["repeated"] for name, result in results.items() if "repeated" in result
    }
    print(f"\nhandled again after the broker's restart: {repeated}")
    return failures


def _wait(condition: Callable[[], bool], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the soak does not get on")
        time.sleep(0.05)


def _rate(result: dict[str, Any], events: int) -> str:
    return f"{events / result['seconds']:,.0f}"


def _cpu(result: dict[str, Any], events: int) -> str:
    return f"{result['cpu'] / events * 100_000:.2f}"


if __name__ == "__main__":
    sys.exit(main())
