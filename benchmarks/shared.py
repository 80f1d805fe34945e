"""Shared by the benchmarks: servers, clients in separate processes, tables in the README."""

from __future__ import annotations

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

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
sys.path[:0] = [str(ROOT), str(ROOT / "samples")]

Figures = dict[str, float]
"""The measurements of a client, by name."""

Told = dict[str, list[Figures]]
"""Client → its measurements, by round."""


@contextlib.contextmanager
def servers(*, embedded: bool) -> Iterator[tuple[str, str]]:
    """Start a broker with the topic ``benchmark`` and a registry; yield their addresses."""
    with contextlib.ExitStack() as opened:
        if embedded:
            addresses = opened.enter_context(_embedded())
        else:
            from tests.servers.kafka import KafkaCluster
            from tests.servers.registry import ApicurioRegistry

            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            registry = opened.enter_context(ApicurioRegistry(folder / "registry"))
            kafka = opened.enter_context(KafkaCluster(folder / "kafka"))
            addresses = kafka.bootstrap_servers, registry.url
        _register(*addresses)
        yield addresses


@contextlib.contextmanager
def _embedded() -> Iterator[tuple[str, str]]:
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


def _register(kafka: str, url: str) -> None:
    """Register the schema and create the topic, so that no client has to."""
    from contracts.orders import OrderCreated

    import sdk
    from sdk.settings import KafkaOptions, RegistryOptions, RoutingOptions, Settings, TopicOptions

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


def create_topics(kafka: str, names: Iterable[str]) -> None:
    """Create topics, six partitions each."""
    from sdk.kafka.admin import ConfluentAdmin
    from sdk.settings import KafkaOptions
    from sdk.topics import TopicDefinition

    admin = ConfluentAdmin(KafkaOptions(bootstrap_servers=tuple(kafka.split(","))))
    admin.create([TopicDefinition(name=name, partitions=6) for name in names])
    admin.close()


def run(script: str, *arguments: str) -> Figures:
    """Run a client once, in a new process, and return its measurements.

    Its bytecode is cached, like that of an installed package.
    """
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={name: each for name, each in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    )
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def median(rounds: Iterable[Figures], what: str) -> float:
    """Return the median of a figure."""
    return statistics.median(each[what] for each in rounds)


def ratio(told: Told, what: str, one: str, other: str) -> float:
    """Return the median, over the rounds, of one client's figure against another's."""
    pairs = zip(told[one], told[other], strict=True)
    return statistics.median(mine[what] / theirs[what] for mine, theirs in pairs)


def bar_table(bars: Iterable[tuple[str, str, float]]) -> list[str]:
    """Return the lines of a table of (promise, limit, result)."""
    lines = ["", "| bar | required | reached |", "|---|---:|---:|"]
    return lines + [f"| {text} | {required} | {reached:.2f} |" for text, required, reached in bars]


def write(section: str, text: str) -> None:
    """Put tables between the marks of a section of benchmarks/README.md."""
    readme = FOLDER / "README.md"
    before, begin, rest = readme.read_text("utf-8").partition(f"<!-- {section} -->\n")
    _, end, after = rest.partition(f"<!-- /{section} -->")
    if not end:
        raise SystemExit(f"{readme} has no section {section}")
    readme.write_text(f"{before}{begin}{text}\n{end}{after}", "utf-8")
