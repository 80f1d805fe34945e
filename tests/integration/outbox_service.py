"""A service that places orders through its outbox, some of which it rolls back; killed by its test.

    python -m tests.integration.outbox_service URL ORDERS SEED

It goes on where an earlier run was killed: the table ``placed`` has the orders that committed.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from contracts.orders import OrderCreated
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, func, insert, select

import sdk
from sdk.outbox import Outbox, Tables

KEYS = 50

metadata = MetaData()
placed = Table(
    "placed",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", Integer, nullable=False),
)
tables = Tables(metadata)


def key_of(number: int) -> UUID:
    """The order id, which is the key: fifty of them take turns."""
    return UUID(int=number % KEYS + 1)


def order(number: int) -> OrderCreated:
    """An order; its amount tells its number."""
    return OrderCreated(
        order_id=key_of(number), created_at=datetime.now(UTC), total_amount=Decimal(number)
    )


def main(url: str, orders: int, seed: int) -> None:
    """Place orders until there are enough."""
    chance, engine = random.Random(seed), create_engine(url)
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
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
