"""Measures consuming, with the SDK and with alternative clients, in one run.

    python benchmarks/consume.py                 # against real Kafka, started for the run
    python benchmarks/consume.py --write         # and put the tables into benchmarks/README.md

Every client runs in its own process, on the same broker and the same events; rounds are
interleaved, and medians are reported. CPU seconds count the client's process alone.
"""

from __future__ import annotations

import argparse
import sys

from shared import Told, bar_table, create_topics, median, ratio, run, servers, write

from sdk.avro.codec.executors import executor

TRIVIAL = {
    "raw": "raw client, nothing decoded",
    "sdk_trivial": "**SDK**, one after the other",
    "sdk_lanes": "**SDK**, 64 lanes by key",
    "deserializing": "DeserializingConsumer + AvroDeserializer",
}
PASSING_ON = {
    "sdk_passing_on": "at least once",
    "sdk_exactly_once": "exactly once, transactions of 100 ms",
    "sdk_exactly_once_longer": "exactly once, transactions of 1 s",
}
SKEW = {"sdk_skew": "**SDK**, threads", "sdk_skew_loop": "**SDK**, coroutines"}
WAITING = {"sdk_wait_1": "one lane", "sdk_wait_16": "16 lanes"}
COSTS = {
    "watermark": "watermark: taken and done",
    "lanes_partition": "lanes by partition",
    "lanes_key": "lanes by key, 64 keys",
    "lanes_none": "lanes without order",
    "retry_header": "retry header of a record without headers",
}


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    told: Told = {}
    with servers(embedded=options.embedded) as (kafka, url):
        arguments = ("--bootstrap-servers", kafka, "--registry", url)
        create_topics(kafka, ("consumed", "consumed-skew", "consumed-results"))
        run("consume_clients.py", "fill", *arguments, "--count", str(options.count))
        for _ in range(options.rounds):
            for client in (*TRIVIAL, *PASSING_ON):
                measure(told, client, *arguments, "--count", str(options.count))
            for client in SKEW:
                measure(told, client, *arguments, "--count", "10000")
            for client in WAITING:
                measure(told, client, *arguments)
            measure(told, "costs")
    text = report(told, options)
    print(text)
    if options.write:
        write("consume", text)
    return 0


def measure(told: Told, client: str, *arguments: str) -> None:
    """Run a client once and record its measurements."""
    told.setdefault(client, []).append(run("consume_clients.py", client, *arguments))


def report(told: Told, options: argparse.Namespace) -> str:
    """Return the tables."""
    import confluent_kafka

    lines = [
        f"Against Apache Kafka in another process on the same machine; confluent-kafka"
        f" {confluent_kafka.version()}; {options.count:,} OrderCreated of version 2 with one line,"
        f" six partitions; the {executor().name} executor; medians of {options.rounds} interleaved"
        " rounds.",
        "",
        "| to a trivial typed handler | events/s | CPU s / 100k |",
        "|---|---:|---:|",
    ]
    for client, name in TRIVIAL.items():
        rate, cpu = median(told[client], "rate"), median(told[client], "cpu")
        lines.append(f"| {name} | {rate:,.0f} | {cpu:.2f} |")
    lines += [
        "",
        "| each event published to another topic | events/s | of at least once | CPU s / 100k |",
        "|---|---:|---:|---:|",
    ]
    plain = median(told["sdk_passing_on"], "rate")
    for client, name in PASSING_ON.items():
        rate, cpu = median(told[client], "rate"), median(told[client], "cpu")
        lines.append(f"| {name} | {rate:,.0f} | {rate / plain:.2f} | {cpu:.2f} |")
    lines += [
        "",
        "| 10,000 events, 64 keys, one in 100 takes 250 ms, 64 lanes | s | order breaks |",
        "|---|---:|---:|",
    ]
    for client, name in SKEW.items():
        breaks = sum(round_["breaks"] for round_ in told[client])
        lines.append(f"| {name} | {median(told[client], 'seconds'):.2f} | {breaks:.0f} |")
    lines += ["", "| a handler that waits 5 ms | events/s |", "|---|---:|"]
    for client, name in WAITING.items():
        lines.append(f"| {name} | {median(told[client], 'rate'):,.0f} |")
    lines += ["", "| cost of a step by itself | µs a record |", "|---|---:|"]
    for step, name in COSTS.items():
        lines.append(f"| {name} | {median(told['costs'], step):.2f} |")
    return "\n".join(lines + bar_table(bars(told)))


def bars(told: Told) -> list[tuple[str, str, float]]:
    """Return the promised figures and those of this run."""
    required = "≥ 8" if executor().name == "native" else "≥ 4"
    return [
        (
            "rate against DeserializingConsumer",
            required,
            ratio(told, "rate", "sdk_trivial", "deserializing"),
        ),
        (
            "CPU of DeserializingConsumer against ours",
            required,
            ratio(told, "cpu", "deserializing", "sdk_trivial"),
        ),
        ("skewed events, threads, s", "≤ 2.8", median(told["sdk_skew"], "seconds")),
        ("skewed events, coroutines, s", "≤ 2.8", median(told["sdk_skew_loop"], "seconds")),
        ("16 lanes against one", "≥ 14", ratio(told, "rate", "sdk_wait_16", "sdk_wait_1")),
    ]


if __name__ == "__main__":
    sys.exit(main())
