"""How a service uses outbox and inbox; ``refused`` marks what checkers must refuse."""

from __future__ import annotations

from typing import Any, assert_type
from uuid import UUID

from contracts.orders import OrderCancelled, OrderCreated
from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

import sdk
from sdk.consuming.context import Context
from sdk.outbox import Inbox, Outbox


def bill(order: OrderCreated, session: Session) -> None:
    """Handle an event in a session's transaction."""


def bill_in_context(order: OrderCreated, context: Context, session: Session) -> None:
    """Handle an event in a session's transaction, knowing its record."""


def bill_many(orders: list[OrderCreated], session: Session) -> None:
    """Handle several events in a session's transaction."""


async def bill_awaited(order: OrderCreated, session: AsyncSession) -> None:
    """Handle an event in a coroutine, in an asynchronous session's transaction."""


def bill_by_core(order: OrderCreated, connection: Connection) -> None:
    """Handle an event in a connection's transaction."""


def alone(order: OrderCreated) -> None:
    """Handle an event without a session."""


async def add(event: OrderCreated, session: Session, awaited: AsyncSession) -> None:
    """Write into the outbox, rightly and wrongly."""
    with sdk.connect() as messaging:
        outbox = Outbox(messaging.encoder)
        assert_type(outbox.add(session, event), UUID)
        assert_type(await outbox.add(awaited, event), UUID)
        record = messaging.encoder.record(event)
        assert_type(outbox.add_record(session, record), UUID)
        assert_type(await outbox.add_record(awaited, record), UUID)

        outbox.add(event, session)  # refused
        outbox.add(session, {"order_id": 1})  # refused
        await outbox.add(session, event)  # refused


def handle(
    engine: Engine,
    twin: AsyncEngine,
    sessions: sessionmaker[Session],
    awaited: async_sessionmaker[AsyncSession],
) -> None:
    """Handle once, rightly and wrongly."""
    inbox, core = Inbox("billing", sessions), Inbox("billing", engine)
    assert_type(inbox, Inbox[Session])
    assert_type(core, Inbox[Connection])
    with sdk.connect() as messaging:
        consumer = messaging.consumer("billing")
        consumer.handle(OrderCreated, bill, once=inbox)
        consumer.handle(OrderCreated, bill_in_context, once=inbox)
        consumer.handle(OrderCreated, bill_many, once=inbox, batch_size=10)
        consumer.handle(OrderCreated, bill_awaited, once=Inbox("billing", awaited))
        consumer.handle(OrderCreated, bill_by_core, once=core)

        consumer.handle(OrderCreated, bill, once=core)  # refused
        consumer.handle(OrderCreated, bill_by_core, once=inbox)  # refused
        consumer.handle(OrderCreated, bill_awaited, once=Inbox("billing", twin))  # refused
        consumer.handle(OrderCreated, alone, once=inbox)  # refused
        consumer.handle(OrderCancelled, bill, once=inbox)  # refused
        consumer.handle(OrderCreated, bill_many, once=inbox)  # refused
        consumer.handle(OrderCreated, bill)  # refused
        consumer.handle(OrderCreated, bill, once=engine)  # refused


def decorate(sessions: sessionmaker[Session], awaited: async_sessionmaker[AsyncSession]) -> None:
    """Handle once by decorators, rightly and wrongly."""
    inbox, twin = Inbox("billing", sessions), Inbox("billing", awaited)
    with sdk.connect() as messaging:
        consumer = messaging.consumer("billing")

        @consumer.handle(OrderCreated, once=inbox)
        def on_created(order: OrderCreated, session: Session) -> int:
            return 1

        on_created(1, sessions())  # refused

        @consumer.handle(OrderCreated, once=twin)
        async def in_coroutine(
            order: OrderCreated, context: Context, session: AsyncSession
        ) -> None: ...

        @consumer.handle(OrderCreated, once=inbox, batch_size=5)
        def many(orders: list[OrderCreated], contexts: list[Context], session: Session) -> Any: ...

        @consumer.handle(OrderCreated, once=twin)  # refused
        async def other_session(order: OrderCreated, session: Session) -> None: ...

        @consumer.handle(OrderCancelled, once=inbox)  # refused
        def other_event(order: OrderCreated, session: Session) -> None: ...
