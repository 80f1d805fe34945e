"""How fast events are consumed, beside the clients that others would use, in one run.

    python benchmarks/consume.py                 # against real Kafka, started for the run
    python benchmarks/consume.py --write         # and put the tables into benchmarks/README.md

Every client runs in a process of its own, on the same broker and the same events; rounds are
interleaved, and medians are told. CPU seconds count the client's process alone.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "samples"), str(Path(__file__).parent)]

from publish import register, servers  # noqa: E402

CLIENTS = Path(__file__).with_name("consume_clients.py")
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- consume -->", "<!-- /consume -->"
Told = dict[str, list[dict[str, float]]]

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
    with tempfile.TemporaryDirectory() as folder, servers(options, Path(folder)) as (kafka, url):
        register(kafka, url)
        arguments = ("--bootstrap-servers", kafka, "--registry", url)
        create(kafka)
        run(told, "fill", *arguments, "--count", str(options.count))
        for _ in range(options.rounds):
            for client in (*TRIVIAL, *PASSING_ON):
                run(told, client, *arguments, "--count", str(options.count))
            for client in SKEW:
                run(told, client, *arguments, "--count", "10000")
            for client in WAITING:
                run(told, client, *arguments)
            run(told, "costs")
    text = report(told, options)
    print(text)
    if options.write:
        write(text)
    return 0


def create(kafka: str) -> None:
    """Create the topics, six partitions each."""
    from sdk.kafka.admin import ConfluentAdmin
    from sdk.settings import KafkaOptions
    from sdk.topics import TopicDefinition

    admin = ConfluentAdmin(KafkaOptions(bootstrap_servers=tuple(kafka.split(","))))
    admin.create(
        [
            TopicDefinition(name=name, partitions=6)
            for name in ("consumed", "consumed-skew", "consumed-results")
        ]
    )
    admin.close()


def run(told: Told, client: str, *arguments: str) -> None:
    """Run a client once and note what it tells."""
    done = subprocess.run(
        [sys.executable, str(CLIENTS), client, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    if done.returncode:
        raise SystemExit(f"{client} failed:\n{done.stderr}")
    told.setdefault(client, []).append(json.loads(done.stdout.splitlines()[-1]))


def median(told: Told, client: str, what: str) -> float:
    return statistics.median(round_[what] for round_ in told[client])


def report(told: Told, options: argparse.Namespace) -> str:
    """Return the tables."""
    import confluent_kafka

    lines = [
        f"Against Apache Kafka in another process on the same machine; confluent-kafka"
        f" {confluent_kafka.version()}; {options.count:,} OrderCreated of version 2 with one line,"
        f" six partitions; medians of {options.rounds} interleaved rounds.",
        "",
        "| to a trivial typed handler | events/s | CPU s / 100k |",
        "|---|---:|---:|",
    ]
    for client, name in TRIVIAL.items():
        rate, cpu = median(told, client, "rate"), median(told, client, "cpu")
        lines.append(f"| {name} | {rate:,.0f} | {cpu:.2f} |")
    lines += [
        "",
        "| each event published to another topic | events/s | of at least once | CPU s / 100k |",
        "|---|---:|---:|---:|",
    ]
    plain = median(told, "sdk_passing_on", "rate")
    for client, name in PASSING_ON.items():
        rate, cpu = median(told, client, "rate"), median(told, client, "cpu")
        lines.append(f"| {name} | {rate:,.0f} | {rate / plain:.2f} | {cpu:.2f} |")
    lines += [
        "",
        "| 10,000 events, 64 keys, one in 100 takes 250 ms, 64 lanes | s | order breaks |",
        "|---|---:|---:|",
    ]
    for client, name in SKEW.items():
        breaks = sum(round_["breaks"] for round_ in told[client])
        lines.append(f"| {name} | {median(told, client, 'seconds'):.2f} | {breaks:.0f} |")
    lines += ["", "| a handler that waits 5 ms | events/s |", "|---|---:|"]
    for client, name in WAITING.items():
        lines.append(f"| {name} | {median(told, client, 'rate'):,.0f} |")
    lines += ["", "| cost of a step by itself | µs a record |", "|---|---:|"]
    for step, name in COSTS.items():
        lines.append(f"| {name} | {median(told, 'costs', step):.2f} |")
    lines += ["", "| bar | required | reached |", "|---|---:|---:|"]
    for text, required, reached in bars(told):
        lines.append(f"| {text} | {required} | {reached:.2f} |")
    return "\n".join(lines)


def bars(told: Told) -> list[tuple[str, str, float]]:
    """Return what is promised and what this run has shown."""

    def ratio(what: str, one: str, other: str) -> float:
        return median(told, one, what) / median(told, other, what)

    return [
        (
            "rate against DeserializingConsumer",
            "≥ 4",
            ratio("rate", "sdk_trivial", "deserializing"),
        ),
        (
            "CPU of DeserializingConsumer against ours",
            "≥ 4",
            ratio("cpu", "deserializing", "sdk_trivial"),
        ),
        ("skewed events, threads, s", "≤ 2.8", median(told, "sdk_skew", "seconds")),
        ("skewed events, coroutines, s", "≤ 2.8", median(told, "sdk_skew_loop", "seconds")),
        ("16 lanes against one", "≥ 14", ratio("rate", "sdk_wait_16", "sdk_wait_1")),
    ]


def write(text: str) -> None:
    """Put the tables between the marks of benchmarks/README.md, adding the section if need be."""
    page = README.read_text() if README.exists() else "# Benchmarks\n"
    section = f"{BEGIN}\n{text}\n{END}"
    if BEGIN in page:
        page = re.sub(f"{BEGIN}.*{END}", lambda _: section, page, flags=re.DOTALL)
    else:
        page += (
            "\n## Consuming\n\n`python benchmarks/consume.py --write` measures this anew.\n\n"
            f"{section}\n"
        )
    README.write_text(page)


if __name__ == "__main__":
    sys.exit(main())
