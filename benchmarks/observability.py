"""What metrics and traces cost, beside publishing and consuming without them, in one run.

    python benchmarks/observability.py                 # against real Kafka, started for the run
    python benchmarks/observability.py --embedded      # against the embedded broker
    python benchmarks/observability.py --write         # and put the table into the README

Every mode runs in a process of its own, on the same broker and the same events; rounds are
interleaved. A cost is what the mode takes of the throughput of a process that has nothing else to
do: 1 - CPU time without anything / CPU time of the mode, each the median of the rounds. "off,
again" tells how much of a difference is noise, "empty spans" what no traces can cost less than.
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

CLIENTS = Path(__file__).with_name("observability_clients.py")
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- observability -->", "<!-- /observability -->"

MODES = {
    "off": "off",
    "off_again": "off, again",
    "bare": "empty spans, made by the benchmark itself",
    "traces": "traces, every one",
    "traces_api": "traces, without OpenTelemetry's SDK",
    "traces_sampled": "traces, one in 100",
}
BARS = {"traces": 25.0}
"""Mode → the most that it may cost, per cent of the rate."""

Told = dict[tuple[str, str], list[dict[str, float]]]


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    told: Told = {}
    with tempfile.TemporaryDirectory() as folder, servers(options, Path(folder)) as (kafka, url):
        register(kafka, url)
        if not options.embedded:  # where topics make themselves
            create(kafka)
        arguments = ("--bootstrap-servers", kafka, "--registry", url)
        arguments += ("--count", str(options.count))
        for mode in ("traces", "traces_sampled"):  # what is consumed: its publisher samples
            run("publish", mode, *arguments, "--topic", consumed(mode))
        for _ in range(options.rounds):
            for client in ("publish", "consume"):
                for mode in options.modes:
                    topic = "benchmark" if client == "publish" else consumed(mode)
                    result = run(client, mode, *arguments, "--topic", topic)
                    told.setdefault((client, mode), []).append(result)
    text = report(told, options)
    print(text)
    if options.write:
        write(text)
    return 0


def create(kafka: str) -> None:
    """Create the topic of what is consumed."""
    from sdk.kafka.admin import ConfluentAdmin
    from sdk.settings import KafkaOptions
    from sdk.topics import TopicDefinition

    admin = ConfluentAdmin(KafkaOptions(bootstrap_servers=tuple(kafka.split(","))))
    topics = {consumed(mode) for mode in MODES}
    admin.create([TopicDefinition(name=topic, partitions=6) for topic in sorted(topics)])
    admin.close()


def run(client: str, mode: str, *arguments: str) -> dict[str, float]:
    """Run a client once and return what it tells."""
    command = [sys.executable, str(CLIENTS), client, mode, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    if done.returncode:
        raise SystemExit(f"{client} {mode} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def consumed(mode: str) -> str:
    """Return the topic that a mode consumes."""
    return "observed-sampled" if mode == "traces_sampled" else "observed"


def median(told: Told, client: str, mode: str, what: str) -> float:
    return statistics.median(each[what] for each in told[client, mode])


def cost(told: Told, client: str, mode: str) -> float:
    """Return how many per cent of the throughput a mode costs."""
    return 100 * (1 - median(told, client, "off", "cpu") / median(told, client, mode, "cpu"))


def report(told: Told, options: argparse.Namespace) -> str:
    """Return the table."""
    broker = "the embedded broker" if options.embedded else "Apache Kafka"
    lines = [
        f"Against {broker} in another process on the same machine; {options.count:,} OrderCreated"
        f" of version 2 with one line and standard headers; medians of {options.rounds} interleaved"
        " rounds. The handler does nothing but count.",
        "",
        "|  |  | events/s | CPU s / 100k | cost | required |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for client in ("publish", "consume"):
        for mode in options.modes:
            rate, cpu = (median(told, client, mode, what) for what in ("rate", "cpu"))
            bar = f"≤ {BARS[mode]:.0f} %" if mode in BARS else ""
            lines.append(
                f"| {client} | {MODES[mode]} | {rate:,.0f} | {cpu:.2f}"
                f" | {cost(told, client, mode):.1f} % | {bar} |"
            )
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table between the marks of benchmarks/README.md, adding the section if need be."""
    page = README.read_text()
    section = f"{BEGIN}\n{text}\n{END}"
    if BEGIN in page:
        page = re.sub(f"{BEGIN}.*{END}", lambda _: section, page, flags=re.DOTALL)
    else:
        page += (
            "\n## Observability\n\n`python benchmarks/observability.py --write` measures this anew."
            f"\n\n{section}\n"
        )
    README.write_text(page)


if __name__ == "__main__":
    sys.exit(main())
