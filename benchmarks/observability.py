"""Measures the cost of metrics and traces against publishing and consuming without them.

    python benchmarks/observability.py                 # against real Kafka, started for the run
    python benchmarks/observability.py --embedded      # against the embedded broker
    python benchmarks/observability.py --write         # and put the table into the README

Every mode runs in its own process, on the same broker and the same events; rounds are
interleaved. A cost is the share of the throughput of a process that does nothing else: 1 - CPU time
without anything / CPU time of the mode, each the median of the rounds. "off, again" shows the noise
in the differences, "empty spans" the least that traces can cost.
"""

from __future__ import annotations

import argparse
import sys

from shared import Figures, create_topics, median, run, servers, write

CLIENTS = "observability_clients.py"

MODES = {
    "off": "off",
    "off_again": "off, again",
    "bare": "empty spans, made by the benchmark itself",
    "metrics": "metrics, Prometheus",
    "metrics_otel": "metrics, OpenTelemetry's API",
    "traces": "traces, every one",
    "traces_api": "traces, without OpenTelemetry's SDK",
    "traces_sampled": "traces, one in 100",
}
BARS = {"metrics": 5.0, "traces": 25.0}
"""Mode → the most that it may cost, per cent of the rate."""

Told = dict[tuple[str, str], list[Figures]]


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
    with servers(embedded=options.embedded) as (kafka, url):
        if not options.embedded:  # where topics are created automatically
            create_topics(kafka, sorted({consumed(mode) for mode in MODES}))
        arguments = ("--bootstrap-servers", kafka, "--registry", url)
        arguments += ("--count", str(options.count))
        for mode in ("traces", "traces_sampled"):  # the consumed topic: its publisher samples
            run(CLIENTS, "publish", mode, *arguments, "--topic", consumed(mode))
        for _ in range(options.rounds):
            for client in ("publish", "consume"):
                for mode in options.modes:
                    topic = "benchmark" if client == "publish" else consumed(mode)
                    result = run(CLIENTS, client, mode, *arguments, "--topic", topic)
                    told.setdefault((client, mode), []).append(result)
    text = report(told, options)
    print(text)
    if options.write:
        write("observability", text)
    return 0


def consumed(mode: str) -> str:
    """Return the topic that a mode consumes."""
    return "observed-sampled" if mode == "traces_sampled" else "observed"


def cost(told: Told, client: str, mode: str) -> float:
    """Return how many per cent of the throughput a mode costs."""
    return 100 * (1 - median(told[client, "off"], "cpu") / median(told[client, mode], "cpu"))


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
            rounds = told[client, mode]
            rate, cpu = median(rounds, "rate"), median(rounds, "cpu")
            bar = f"≤ {BARS[mode]:.0f} %" if mode in BARS else ""
            lines.append(
                f"| {client} | {MODES[mode]} | {rate:,.0f} | {cpu:.2f}"
                f" | {cost(told, client, mode):.1f} % | {bar} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
