"""Measures how fast a relay publishes committed rows, against a naive loop, in one run.

    python benchmarks/outbox.py [--rows N] [--old N] [--write]

Starts PostgreSQL (fsync on), Apache Kafka and the embedded registry on this machine. Throughput: a
backlog of committed orders is published until none waits. The naive loop, as it stands in many
services, reads one row, publishes it, waits, marks it, commits. Two relays side by side, each with
half of the keys and ``FOR UPDATE SKIP LOCKED``, stand for the other way to share the work. Latency:
orders are committed one at a time, a few milliseconds apart, from the end of the commit to the
acknowledgement. All of it again beside ``--old`` rows that were sent long ago; the plan of the
relay's query is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "samples")]

from contracts.orders import OrderCreated  # noqa: E402
from contracts.orders.order_created import OrderLine  # noqa: E402
from shared import write  # noqa: E402
from sqlalchemy import Engine, create_engine, func, insert, select, text, update  # noqa: E402

import sdk  # noqa: E402
from sdk.happenings import Happening, RecordDelivered  # noqa: E402
from sdk.outbox import Outbox, Relay, Tables  # noqa: E402
from sdk.outbox.queue import backlog, mark_sent  # noqa: E402
from sdk.outbox.rows import RECORD_COLUMNS, record_of, row_of  # noqa: E402
from sdk.outbox.sending import Sender  # noqa: E402
from sdk.settings import KafkaOptions, RegistryOptions, Settings  # noqa: E402
from tests.servers.kafka import KafkaCluster  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402

NAIVE_ROWS, ROUNDS = 200, 3


def order(number: int) -> OrderCreated:
    """An order; a thousand keys take turns."""
    return OrderCreated(
        order_id=UUID(int=number % 1000),
        created_at=datetime.now(UTC).replace(microsecond=0),
        total_amount=Decimal(number % 100_000) / 100,
        lines=[OrderLine(sku="tea", quantity=1, unit_price=Decimal("1.00"))],
    )


@contextlib.contextmanager
def servers() -> Iterator[tuple[Engine, str]]:
    """Start PostgreSQL and Kafka."""
    with tempfile.TemporaryDirectory(prefix="outbox-") as folder, contextlib.ExitStack() as stack:
        postgres = stack.enter_context(
            PostgresServer(Path(folder) / "postgres", "max_wal_size=4GB")
        )
        properties = {"auto.create.topics.enable": "true", "num.partitions": "6"}
        kafka = stack.enter_context(KafkaCluster(Path(folder) / "kafka", properties=properties))
        engine = create_engine(postgres.url)
        stack.callback(engine.dispose)
        yield engine, kafka.bootstrap_servers


@contextlib.contextmanager
def connected(bootstrap: str, observers: list[Any]) -> Iterator[sdk.Messaging]:
    """Connect, and publish once so that everything is there."""
    settings = Settings(
        environment="benchmark",
        kafka=KafkaOptions(bootstrap_servers=tuple(bootstrap.split(","))),
        registry=RegistryOptions(url=("embedded",)),
    )
    with sdk.connect(settings=settings, contracts="contracts", observers=observers) as messaging:
        messaging.producer.produce(order(0)).result(30)
        yield messaging


def fill(engine: Engine, tables: Tables, messaging: sdk.Messaging, rows: int) -> None:
    """Commit orders, many at a time: writing them is not measured."""
    for start in range(0, rows, 5_000):
        batch = [
            row_of(messaging.encoder.record(order(n)), "orders.OrderCreated")
            for n in range(start, min(rows, start + 5_000))
        ]
        with engine.begin() as connection:
            connection.execute(insert(tables.outbox), batch)


def fill_old(engine: Engine, rows: int) -> None:
    """Add rows to the table that were sent long ago."""
    for start in range(0, rows, 500_000):
        with engine.begin() as connection:
            connection.execute(
                text(
                    "insert into sdk_outbox (id, aggregatetype, aggregateid, type, payload, key,"
                    " headers, created_at, sent_at) select gen_random_uuid(), 'orders.created',"
                    " n::text, 'orders.OrderCreated', decode(repeat('ab', 100), 'hex'), '\\x00',"
                    " '[]', now(), now() from generate_series(1, :rows) n"
                ),
                {"rows": min(500_000, rows - start)},
            )
    tidy(engine)


def tidy(engine: Engine) -> None:
    """Do what autovacuum would have done by now."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze sdk_outbox"))


def relayed(
    engine: Engine, tables: Tables, messaging: sdk.Messaging, rows: int
) -> tuple[float, float]:
    """Return how many rows a second the relay publishes, and its processor seconds for 100,000."""
    fill(engine, tables, messaging, rows)
    relay = Relay(engine, messaging.producer, tables)
    started, processor = time.perf_counter(), time.process_time()
    with engine.connect() as connection:
        while relay.publish_batch(connection):
            pass
        seconds = time.perf_counter() - started
        used = time.process_time() - processor
        with connection.begin():
            assert backlog(connection, tables).rows == 0
    return rows / seconds, used / rows * 100_000


def naive(engine: Engine, tables: Tables, messaging: sdk.Messaging) -> int:
    """Publish pending rows as a naive loop does; return their number."""
    table, published = tables.outbox, 0
    while True:
        with engine.begin() as connection:
            wanted = select(table).where(tables.waiting).order_by(table.c.position)
            row = connection.execute(wanted.limit(1)).mappings().first()
            if row is None:
                return published
            record = record_of([row[name] for name in RECORD_COLUMNS])
            messaging.producer.send(record).result(30)
            marked = update(table).where(table.c.position == row["position"])
            connection.execute(marked.values(sent_at=datetime.now(UTC)))
            published += 1


def share(url: str, servers: str, part: int) -> None:
    """Publish the rows of half of the keys, as one of two relays that lock what they publish."""
    engine, tables = create_engine(url), Tables()
    half = func.abs(func.hashtext(tables.outbox.c.aggregateid)) % 2 == part
    wanted = select(
        tables.outbox.c.position, *(tables.outbox.c[name] for name in RECORD_COLUMNS)
    ).where(tables.waiting, half)
    wanted = (
        wanted.order_by(tables.outbox.c.position).limit(5_000).with_for_update(skip_locked=True)
    )
    with connected(servers, []) as messaging, engine.connect() as connection:
        sender = Sender(messaging.producer, threading.Event())
        print("ready", flush=True)
        sys.stdin.readline()
        while True:
            with connection.begin():
                rows = connection.execute(wanted).all()
                if not rows:
                    return
                done = sender.send(rows, lambda: None).acknowledged
                mark_sent(connection, tables, done)


def shared(engine: Engine, tables: Tables, messaging: sdk.Messaging, rows: int) -> float:
    """Return how many rows a second two relays publish that share the keys."""
    fill(engine, tables, messaging, rows)
    url = engine.url.render_as_string(hide_password=False)
    servers = ",".join(messaging.settings.kafka.bootstrap_servers)
    command = [sys.executable, __file__, "--share", url, servers]
    with contextlib.ExitStack() as stack:
        relays = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, str(part)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for part in range(2)
        ]
        for relay in relays:
            assert relay.stdout is not None
            assert relay.stdout.readline() == "ready\n"
        started = time.perf_counter()
        for relay in relays:
            relay.communicate("go\n")
        return rows / (time.perf_counter() - started)


class Watch:
    """An observer that notes when records were acknowledged."""

    def __init__(self) -> None:
        self.at: dict[bytes, float] = {}
        self.arrived = threading.Condition()

    def __call__(self, happening: Happening) -> None:
        """Note the time."""
        if isinstance(happening, RecordDelivered):
            found = [value for name, value in happening.record.headers if name == "ce_id"]
            with self.arrived:
                self.at[found[0] or b""] = time.perf_counter()
                self.arrived.notify_all()


def latencies(
    engine: Engine, tables: Tables, messaging: sdk.Messaging, watch: Watch, count: int
) -> list[float]:
    """Return milliseconds from the end of each commit to the acknowledgement."""
    outbox, found = Outbox(messaging.encoder, tables), []
    for number in range(count + 5):
        with engine.begin() as connection:
            event_id = outbox.add(connection, order(number))
        committed = time.perf_counter()
        key = str(event_id).encode()
        with watch.arrived:
            watch.arrived.wait_for(lambda key=key: key in watch.at, 10)
        if number >= 5:  # the relay has settled in
            found.append((watch.at[key] - committed) * 1000)
        time.sleep(0.003)
    return found


def poll(
    engine: Engine, tables: Tables, messaging: sdk.Messaging, stopped: threading.Event
) -> None:
    """Publish as a naive loop that looks ten times a second."""
    while not stopped.wait(0.1):
        naive(engine, tables, messaging)


def by_time(
    engine: Engine, tables: Tables, messaging: sdk.Messaging, watch: Watch, beside: str
) -> list[str]:
    """Measure latencies; return rows of a table."""
    with Relay(engine, messaging.producer, tables):
        ours = latencies(engine, tables, messaging, watch, 300)
    stopped = threading.Event()
    loop = threading.Thread(target=poll, args=(engine, tables, messaging, stopped))
    loop.start()
    theirs = latencies(engine, tables, messaging, watch, 50)
    stopped.set()
    loop.join()
    return [
        f"| {name}{beside} | {statistics.median(each):.1f} |"
        f" {statistics.quantiles(each, n=100)[98]:.1f} |"
        for name, each in (
            ("naive loop, looking ten times a second", theirs),
            ("**relay**, woken by NOTIFY", ours),
        )
    ]


def by_count(
    engine: Engine, tables: Tables, messaging: sdk.Messaging, rows: int, beside: str
) -> list[str]:
    """Measure throughput, in turns; return rows of a table."""
    rates: dict[str, list[float]] = {"naive": [], "relay": [], "shared": []}
    costs = []
    for _ in range(ROUNDS):
        fill(engine, tables, messaging, NAIVE_ROWS)
        started = time.perf_counter()
        rates["naive"].append(naive(engine, tables, messaging) / (time.perf_counter() - started))
        rate, cost = relayed(engine, tables, messaging, rows)
        rates["relay"].append(rate)
        costs.append(cost)
        rates["shared"].append(shared(engine, tables, messaging, rows))
        tidy(engine)
    slow, fast, both = (statistics.median(each) for each in rates.values())
    return [
        f"| naive loop, one row a transaction{beside} | {slow:,.0f} | | |",
        f"| **relay**{beside} | {fast:,.0f} | **{fast / slow:.0f}** |"
        f" {statistics.median(costs):.1f} |",
        f"| two relays, half of the keys each, SKIP LOCKED{beside} | {both:,.0f} |"
        f" {both / slow:.0f} | |",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--old", type=int, default=0, help="rows sent long ago, put in after")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--share", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.share:
        url, bootstrap, part = options.share
        share(url, bootstrap, int(part))
        return
    watch, tables = Watch(), Tables()
    counts = ["| rows a second, medians | | ÷ naive | CPU s / 100k |", "|---|---:|---:|---:|"]
    times = ["| from commit to acknowledged | p50 ms | p99 ms |", "|---|---:|---:|"]
    with servers() as (engine, bootstrap):
        tables.metadata.create_all(engine)
        for old in dict.fromkeys((0, options.old)):
            beside = f", beside {old:,} old rows" if old else ""
            if old:
                fill_old(engine, old)
            with connected(bootstrap, []) as messaging:
                counts += by_count(engine, tables, messaging, options.rows, beside)
            with connected(bootstrap, [watch]) as messaging:
                times += by_time(engine, tables, messaging, watch, beside)
        plan = explained(engine)
    table = "\n".join([*counts, "", *times, "", "```", *plan, "```"])
    print(table)
    if options.write:
        write("outbox", table)


def explained(engine: Engine) -> list[str]:
    """Return the plan of the relay's query."""
    with engine.connect() as connection:
        return list(
            connection.scalars(
                text(
                    "explain select position, payload from sdk_outbox where sent_at is null"
                    " and error is null order by position limit 5000"
                )
            )
        )


if __name__ == "__main__":
    main()
