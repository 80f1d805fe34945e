"""Measures publishing, with the SDK and with alternative clients, in one run.

    python benchmarks/publish.py                 # against real Kafka, started for the run
    python benchmarks/publish.py --embedded      # against the embedded broker, in another process
    python benchmarks/publish.py --write         # and put the table into benchmarks/README.md

Every client runs in its own process, on the same broker and with the same distinct events;
rounds are interleaved, and medians are reported. CPU seconds count the client's process alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from shared import Told, bar_table, median, ratio, run, servers, write

from sdk.avro.codec.executors import executor

BULK = {
    "bulk_raw": "raw `produce` of ready bytes",
    "bulk_raw_headers": "raw `produce` of ready bytes and headers",
    "bulk_sdk": "**SDK**, without standard headers",
    "bulk_sdk_headers": "**SDK**, with standard headers",
    "bulk_confluent": "SerializingProducer + AvroSerializer",
}
FLIGHT = {
    "flight_raw": "raw, ready bytes, plain futures, batched wake-ups, headers",
    "flight_by_hand": "the SDK's work by hand in one function, without its options and errors",
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


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with servers(embedded=options.embedded) as (kafka, url):
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
        write("publish", text)
    return 0


def measure(told: Told, clients: Iterable[str], *arguments: str, suffix: str = "") -> None:
    """Run each client once and record its measurements, under its name with a suffix."""
    for client in clients:
        result = run("publish_clients.py", client, *arguments)
        told.setdefault(client + suffix, []).append(result)


def report(told: Told, broker: str, options: argparse.Namespace) -> str:
    """Return the tables and the bars."""
    import confluent_kafka

    lines = [
        f"Against {broker} in another process on the same machine; confluent-kafka"
        f" {confluent_kafka.version()}, acks=all, idempotent, keyed; OrderCreated version 2 with"
        f" one line; the {executor().name} executor; medians of {options.rounds} interleaved"
        " rounds.",
        "",
    ]
    for title, clients in (("one after the other", BULK), ("awaited, 1,000 in flight", FLIGHT)):
        lines += [f"| {title} | events/s | CPU s / 100k |", "|---|---:|---:|"]
        for client, name in clients.items():
            rate, cpu = median(told[client], "rate"), median(told[client], "cpu")
            lines.append(f"| {name} | {rate:,.0f} | {cpu:.2f} |")
        lines.append("")
    lines += ["| awaited one by one, linger 0 | p50 ms | p99 ms |", "|---|---:|---:|"]
    for client, name in SINGLE.items():
        p50, p99 = median(told[client], "p50"), median(told[client], "p99")
        lines.append(f"| {name} | {p50:.3f} | {p99:.3f} |")
    for name, (size, _) in SIZES.items() if not options.embedded else ():
        lines += ["", f"| {size:,} an end | events/s | p50 ms |", "|---|---:|---:|"]
        for client, label in TRANSACTIONS.items():
            rate, p50 = (median(told[f"{client} {name}"], what) for what in ("rate", "p50"))
            lines.append(f"| {label} | {rate:,.0f} | {p50:.1f} |")
    lines += ["", "| start to first acknowledged event | s |", "|---|---:|"]
    for client, name in START.items():
        lines.append(f"| {name} | {median(told[client], 'seconds'):.2f} |")
    return "\n".join(lines + bar_table(bars(told)))


def bars(told: Told) -> list[tuple[str, str, float]]:
    """Return the promised figures of the running executor, and those of this run."""
    native = executor().name == "native"
    found = [
        (
            f"p50 of a transaction of {size:,} against raw",
            "≤ 2",
            ratio(told, "p50", f"transactions_sdk {name}", f"transactions_raw {name}"),
        )
        for name, (size, _) in SIZES.items()
        if f"transactions_sdk {name}" in told
    ]
    for ours, what, required in (
        ("bulk_sdk", "without headers", "≥ 4" if native else "≥ 2"),
        ("bulk_sdk_headers", "with headers", "≥ 2.5" if native else "-"),
    ):
        found += [
            (
                f"rate against SerializingProducer, {what}",
                required,
                ratio(told, "rate", ours, "bulk_confluent"),
            ),
            (
                f"CPU of SerializingProducer against ours, {what}",
                required,
                ratio(told, "cpu", "bulk_confluent", ours),
            ),
        ]
    for peer, name, required in (
        ("flight_aio", "AIOProducer, tuned", "≥ 3"),
        ("flight_aiokafka", "aiokafka", "≥ 5"),
    ):
        found += [
            (f"rate against {name}", required, ratio(told, "rate", "flight_sdk", peer)),
            (f"CPU of {name} against ours", "-", ratio(told, "cpu", peer, "flight_sdk")),
            (f"CPU of {name} against raw", "-", ratio(told, "cpu", peer, "flight_raw")),
            (f"CPU of {name} against by hand", "-", ratio(told, "cpu", peer, "flight_by_hand")),
        ]
    return [
        *found,
        (
            "p50 against the raw client, awaited",
            "≤ 2",
            ratio(told, "p50", "single_sdk", "single_raw"),
        ),
        (
            "start against Confluent's own",
            "≤ 1",
            ratio(told, "seconds", "start_sdk", "start_confluent"),
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
