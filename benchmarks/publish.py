"""How fast events are published, beside the clients that others would use, in one run.

    python benchmarks/publish.py                 # against real Kafka, started for the run
    python benchmarks/publish.py --embedded      # against the embedded broker, in another process
    python benchmarks/publish.py --write         # and put the table into benchmarks/README.md

Every client runs in a process of its own, on the same broker and with the same distinct events;
rounds are interleaved, and medians are told. CPU seconds count the client's process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "samples")]

CLIENTS = Path(__file__).with_name("publish_clients.py")
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- publish -->", "<!-- /publish -->"
Told = dict[str, list[dict[str, float]]]

BULK = {
    "bulk_raw": "raw `produce` of ready bytes",
    "bulk_sdk": "**SDK**, without standard headers",
    "bulk_sdk_headers": "**SDK**, with standard headers",
    "bulk_confluent": "SerializingProducer + AvroSerializer",
}
FLIGHT = {
    "flight_raw": "raw, ready bytes, batched wake-ups, headers",
    "flight_sdk": "**SDK**, with standard headers",
    "flight_aio": "AIOProducer, tuned (cannot send headers)",
    "flight_aiokafka": "aiokafka, headers",
}
SINGLE = {
    "single_raw": "raw, awaited, ready bytes",
    "single_sdk": "**SDK**, awaited, with standard headers",
    "single_confluent": "SerializingProducer, `flush` each",
}
TRANSACTIONS = {
    "transactions_raw": "raw, ready bytes, headers, in transactions",
    "transactions_sdk": "**SDK**, in transactions",
    "transactions_none": "**SDK**, flushed as often, without transactions",
}
SIZES = {"small": (1, 100), "large": (1_000, 50)}
"""Name → events in a transaction, and how many transactions."""
START = {
    "start_raw": "raw, ready bytes",
    "start_sdk": "**SDK**",
    "start_confluent": "SerializingProducer + AvroSerializer",
}


def _environment() -> dict[str, str]:
    """Return the variables for clients, whose own bytecode is kept as an installed package's is."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, servers(options, Path(folder)) as (kafka, url):
        register(kafka, url)
        arguments = ("--bootstrap-servers", kafka, "--registry", url)
        told: Told = {}
        for _ in range(options.rounds):
            measure(told, BULK, *arguments, "--count", str(options.count))
            extra = ("--not-idempotent",) if options.embedded else ()
            measure(told, FLIGHT, *arguments, "--count", str(options.count // 2), *extra)
            measure(told, SINGLE, *arguments, "--count", "3000", "--linger", "0")
            measure(told, START, *arguments)
            for name, (size, times) in SIZES.items():
                if not options.embedded:
                    count = str(size * (times + 1))
                    sizes = ("--size", str(size), "--count", count)
                    measure(told, TRANSACTIONS, *arguments, *sizes, suffix=f" {name}")
    text = report(told, "the embedded broker" if options.embedded else "Apache Kafka", options)
    print(text)
    if options.write:
        write(text)
    return 0


@contextlib.contextmanager
def servers(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str]]:
    """Start a broker and a registry in other processes; yield their addresses."""
    if options.embedded:
        command = [sys.executable, "-m", "sdk.embedded", "--topic", "benchmark:6"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as host:
            try:
                found: dict[str, str] = {}
                while "SDK_REGISTRY__URL" not in found:
                    line = host.stdout.readline()  # type: ignore[union-attr]
                    if match := re.match(r"export (\w+)=(\S+)", line):
                        found[match[1]] = match[2]
                yield found["SDK_KAFKA__BOOTSTRAP_SERVERS"], found["SDK_REGISTRY__URL"]
            finally:
                host.terminate()
        return
    from tests.servers.kafka import KafkaCluster
    from tests.servers.registry import ApicurioRegistry

    with ApicurioRegistry(folder / "registry") as registry, KafkaCluster(folder / "kafka") as kafka:
        yield kafka.bootstrap_servers, registry.url


def register(kafka: str, url: str) -> None:
    """Register the schema and create the topic, which no client then has to do."""
    from contracts.orders import OrderCreated

    import sdk
    from sdk.settings import (
        KafkaOptions,
        RegistryOptions,
        RoutingOptions,
        Settings,
        TopicOptions,
    )

    settings = Settings(
        environment="benchmark",
        kafka=KafkaOptions(bootstrap_servers=tuple(kafka.split(","))),
        registry=RegistryOptions(url=(url,), auto_register=True),
        topics=(TopicOptions(event="orders.OrderCreated", name="benchmark", partitions=6),),
        routing=RoutingOptions(provision="create"),
        contracts="contracts",
    )
    with sdk.connect(settings=settings) as messaging:
        messaging.warm_up(OrderCreated)


def measure(told: Told, clients: Iterable[str], *arguments: str, suffix: str = "") -> None:
    """Run each client once and note what it tells, under its name with a suffix."""
    for client in clients:
        done = subprocess.run(
            [sys.executable, str(CLIENTS), client, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=_environment(),
        )
        if done.returncode:
            raise SystemExit(f"{client} failed:\n{done.stderr}")
        told.setdefault(client + suffix, []).append(json.loads(done.stdout.splitlines()[-1]))


def median(told: Told, client: str, what: str) -> float:
    return statistics.median(round_[what] for round_ in told[client])


def report(told: Told, broker: str, options: argparse.Namespace) -> str:
    """Return the tables and the bars."""
    import confluent_kafka

    lines = [
        f"Against {broker} in another process on the same machine; confluent-kafka"
        f" {confluent_kafka.version()}, acks=all, idempotent, keyed; OrderCreated version 2 with"
        f" one line; medians of {options.rounds} interleaved rounds.",
        "",
    ]
    for title, clients in (("one after the other", BULK), ("awaited, 1,000 in flight", FLIGHT)):
        lines += [f"| {title} | events/s | CPU s / 100k |", "|---|---:|---:|"]
        for client, name in clients.items():
            rate, cpu = median(told, client, "rate"), median(told, client, "cpu")
            lines.append(f"| {name} | {rate:,.0f} | {cpu:.2f} |")
        lines.append("")
    lines += ["| awaited one by one, linger 0 | p50 ms | p99 ms |", "|---|---:|---:|"]
    for client, name in SINGLE.items():
        p50, p99 = median(told, client, "p50"), median(told, client, "p99")
        lines.append(f"| {name} | {p50:.3f} | {p99:.3f} |")
    for name, (size, _) in SIZES.items() if not options.embedded else ():
        lines += ["", f"| {size:,} an end | events/s | p50 ms |", "|---|---:|---:|"]
        for client, label in TRANSACTIONS.items():
            rate, p50 = (median(told, f"{client} {name}", what) for what in ("rate", "p50"))
            lines.append(f"| {label} | {rate:,.0f} | {p50:.1f} |")
    lines += ["", "| start to first acknowledged event | s |", "|---|---:|"]
    for client, name in START.items():
        lines.append(f"| {name} | {median(told, client, 'seconds'):.2f} |")
    lines += ["", "| bar | required | reached |", "|---|---:|---:|"]
    for text, required, reached in bars(told):
        lines.append(f"| {text} | {required} | {reached:.2f} |")
    return "\n".join(lines)


def bars(told: Told) -> list[tuple[str, str, float]]:
    """Return what is promised and what this run has shown, as ratios."""

    def ratio(what: str, ours: str, theirs: str) -> float:
        return statistics.median(
            mine[what] / other[what] for mine, other in zip(told[ours], told[theirs], strict=True)
        )

    in_transactions = [
        (
            f"p50 of a transaction of {size:,} against raw",
            "≤ 2",
            ratio("p50", f"transactions_sdk {name}", f"transactions_raw {name}"),
        )
        for name, (size, _) in SIZES.items()
        if f"transactions_sdk {name}" in told
    ]
    return [
        *in_transactions,
        (
            "rate against SerializingProducer",
            "≥ 2",
            ratio("rate", "bulk_sdk", "bulk_confluent"),
        ),
        (
            "CPU of SerializingProducer against ours",
            "≥ 2",
            ratio("cpu", "bulk_confluent", "bulk_sdk"),
        ),
        ("rate against AIOProducer, tuned", "≥ 3", ratio("rate", "flight_sdk", "flight_aio")),
        ("rate against aiokafka", "≥ 5", ratio("rate", "flight_sdk", "flight_aiokafka")),
        ("p50 against the raw client, awaited", "≤ 2", ratio("p50", "single_sdk", "single_raw")),
        (
            "start against Confluent's own",
            "≤ 1",
            ratio("seconds", "start_sdk", "start_confluent"),
        ),
    ]


def write(text: str) -> None:
    """Put the tables between the marks of benchmarks/README.md, adding the section if need be."""
    page = README.read_text() if README.exists() else "# Benchmarks\n"
    section = f"{BEGIN}\n{text}\n{END}"
    if BEGIN in page:
        page = re.sub(f"{BEGIN}.*{END}", lambda _: section, page, flags=re.DOTALL)
    else:
        page += (
            "\n## Publishing\n\n"
            "`python benchmarks/publish.py --write` measures this anew. Peers that cannot send"
            " headers send none; of the others, the headers are ready beforehand, while ours are"
            " made for each event.\n\n"
            f"{section}\n"
        )
    README.write_text(page)


if __name__ == "__main__":
    sys.exit(main())
