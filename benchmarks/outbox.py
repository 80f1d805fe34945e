"""How fast a relay publishes what was committed, beside a naive loop, in one run.

    python benchmarks/outbox.py [--rows N] [--old N] [--write]

Starts PostgreSQL (fsync on), Apache Kafka and the embedded registry on this machine. Throughput: a
backlog of committed orders is published until none waits. The naive loop, as it stands in many
services, reads one row, publishes it, waits, marks it, commits. Latency: orders are committed one
at a time, a few milliseconds apart, from the end of the commit to the acknowledgement. ``--old``
puts rows that were sent long ago into the table first; the plan of the relay's query is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
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
from sqlalchemy import Engine, create_engine, insert, select, text, update  # noqa: E402

import sdk  # noqa: E402
from sdk.happenings import Happening, RecordDelivered  # noqa: E402
from sdk.outbox import Outbox, Relay, Tables  # noqa: E402
from sdk.outbox.queue import backlog  # noqa: E402
from sdk.outbox.rows import record_of, row_of  # noqa: E402
from sdk.settings import KafkaOptions, RegistryOptions, Settings  # noqa: E402
from tests.servers.kafka import KafkaCluster  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402

BEGIN, END = "<!-- outbox -->", "<!-- /outbox -->"
README = Path(__file__).with_name("README.md")
NAIVE_ROWS = 1_000


def order(number: int) -> OrderCreated:
    """An order; a thousand keys take turns."""
    return OrderCreated(
        order_id=UUID(int=number % 1000),
        created_at=datetime.now(UTC).replace(microsecond=0),
        total_amount=Decimal(number % 100_000) / 100,
        lines=[OrderLine(sku="tea", quantity=1, unit_price=Decimal("1.00"))],
    )


@contextlib.contextmanager
def servers(observers: list[Any]) -> Iterator[tuple[Engine, sdk.Messaging]]:
    """Start everything."""
    with tempfile.TemporaryDirectory(prefix="outbox-") as folder, contextlib.ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(Path(folder) / "postgres"))
        properties = {"auto.create.topics.enable": "true", "num.partitions": "6"}
        kafka = stack.enter_context(KafkaCluster(Path(folder) / "kafka", properties=properties))
        settings = Settings(
            environment="benchmark",
            kafka=KafkaOptions(bootstrap_servers=tuple(kafka.bootstrap_servers.split(","))),
            registry=RegistryOptions(url=("embedded",)),
        )
        messaging = stack.enter_context(
            sdk.connect(settings=settings, contracts="contracts", observers=observers)
        )
        messaging.producer.produce(order(0)).result(30)
        engine = create_engine(postgres.url)
        yield engine, messaging
        engine.dispose()


def fill(engine: Engine, tables: Tables, messaging: sdk.Messaging, rows: int) -> None:
    """Commit orders, many at a time: how they got there is not what is measured."""
    for start in range(0, rows, 5_000):
        batch = [
            row_of(messaging.encoder.record(order(n)), "orders.OrderCreated")
            for n in range(start, min(rows, start + 5_000))
        ]
        with engine.begin() as connection:
            connection.execute(insert(tables.outbox), batch)


def fill_old(engine: Engine, rows: int) -> None:
    """Put rows into the table that were sent long ago."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into sdk_outbox (id, aggregatetype, aggregateid, type, payload, key,"
                " headers, created_at, sent_at) select gen_random_uuid(), 'orders.created',"
                " n::text, 'orders.OrderCreated', decode(repeat('ab', 100), 'hex'), '\\x00',"
                " '[]', now(), now() from generate_series(1, :rows) n"
            ),
            {"rows": rows},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze sdk_outbox"))


def relayed(engine: Engine, tables: Tables, messaging: sdk.Messaging, rows: int) -> float:
    """Return how many rows a second the relay publishes."""
    fill(engine, tables, messaging, rows)
    relay = Relay(engine, messaging.producer, tables)
    started = time.perf_counter()
    with engine.connect() as connection:
        while relay.publish_batch(connection):
            pass
        seconds = time.perf_counter() - started
        with connection.begin():
            assert backlog(connection, tables).rows == 0
    return rows / seconds


def naive(engine: Engine, tables: Tables, messaging: sdk.Messaging, rows: int) -> float:
    """Return how many rows a second the naive loop publishes."""
    fill(engine, tables, messaging, rows)
    table, published = tables.outbox, 0
    started = time.perf_counter()
    while True:
        with engine.begin() as connection:
            wanted = select(table).where(table.c.sent_at.is_(None)).order_by(table.c.position)
            row = connection.execute(wanted.limit(1)).mappings().first()
            if row is None:
                return published / (time.perf_counter() - started)
            messaging.producer.send(record_of(row)).result(30)
            marked = update(table).where(table.c.position == row["position"])
            connection.execute(marked.values(sent_at=datetime.now(UTC)))
            published += 1


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
    engine: Engine, tables: Tables, messaging: sdk.Messaging, watch: Watch, poll: float, count: int
) -> list[float]:
    """Return milliseconds from the end of each commit to the acknowledgement."""
    outbox, found = Outbox(messaging.encoder, tables), []
    with Relay(engine, messaging.producer, tables, poll_seconds=poll):
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--old", type=int, default=0, help="rows sent long ago, put in first")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    watch, tables = Watch(), Tables()
    lines = ["| | rows/s |", "|---|---|"]
    with servers([]) as (engine, messaging):
        tables.metadata.create_all(engine)
        if options.old:
            fill_old(engine, options.old)
        slow = naive(engine, tables, messaging, NAIVE_ROWS)
        fast = relayed(engine, tables, messaging, options.rows)
        old = f", beside {options.old:,} old rows" if options.old else ""
        times = f"**{fast / slow:.0f}** times"
        lines += [
            f"| naive loop, one row a transaction | {slow:,.0f} |",
            f"| **relay**, {options.rows:,} rows{old} | {fast:,.0f} ({times}) |",
        ]
        with engine.connect() as connection:
            plan = connection.scalars(
                text(
                    "explain select position, payload from sdk_outbox where sent_at is null"
                    " and error is null order by position limit 1000"
                )
            ).all()
    with servers([watch]) as (engine, messaging):
        tables.metadata.create_all(engine)
        lines += ["", "| from commit to acknowledged | p50 ms | p99 ms |", "|---|---|---|"]
        each = latencies(engine, tables, messaging, watch, 1.0, 300)
        p99 = statistics.quantiles(each, n=100)[98]
        lines.append(f"| **relay**, woken by NOTIFY | {statistics.median(each):.1f} | {p99:.1f} |")
    table = "\n".join(lines)
    print(table)
    print("\n".join(["", "the relay's query:", *plan]))
    if options.write:
        before, _, rest = README.read_text().partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
