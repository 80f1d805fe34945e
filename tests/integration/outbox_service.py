"""Two services, killed by their test: one places orders through its outbox, one handles them once.

    python -m tests.integration.outbox_service place URL ORDERS SEED
    python -m tests.integration.outbox_service apply URL

Each goes on where an earlier run was killed. Of what is placed, one transaction in five is rolled
back; the table ``placed`` has the orders that committed, ``applied`` what was done about them.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from contracts.orders import OrderCreated
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    func,
    insert,
    select,
)

import sdk
from sdk.outbox import Inbox, Outbox, Tables

KEYS = 50

metadata = MetaData()
placed = Table(
    "placed",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", Integer, nullable=False),
)
applied = Table(
    "applied",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("number", Integer, nullable=False),
)
tables = Tables(metadata)


def key_of(number: int) -> UUID:
    """The order id, which is the key: fifty of them take turns."""
    return UUID(int=number % KEYS + 1)


def order(number: int) -> OrderCreated:
    """An order; its amount is its number."""
    return OrderCreated(
        order_id=key_of(number), created_at=datetime.now(UTC), total_amount=Decimal(number)
    )


def place(engine: Engine, orders: int, seed: int) -> None:
    """Place orders until there are enough."""
    chance = random.Random(seed)
    with sdk.connect() as messaging, engine.connect() as connection:
        messaging.warm_up(OrderCreated)
        outbox = Outbox(messaging.encoder, tables)
        with connection.begin():
            number = (connection.scalar(select(func.max(placed.c.number))) or 0) + 1
        while number <= orders:
            with connection.begin() as transaction:
                for _ in range(chance.randint(1, 3)):
                    connection.execute(insert(placed).values(number=number, key=number % KEYS))
                    outbox.add(connection, order(number))
                    number += 1
                if chance.random() < 0.2:
                    transaction.rollback()


def apply(engine: Engine) -> None:
    """Note each order, once, until stopped."""
    with sdk.connect() as messaging:
        consumer = messaging.consumer("applying", concurrency=4)

        @consumer.handle(OrderCreated, once=Inbox("applying", engine, tables=tables))
        def note(event: OrderCreated, connection: Connection) -> None:
            connection.execute(insert(applied).values(number=int(event.total_amount)))

        consumer.run()


if __name__ == "__main__":
    opened = create_engine(sys.argv[2])
    if sys.argv[1] == "place":
        place(opened, int(sys.argv[3]), int(sys.argv[4]))
    else:
        apply(opened)
