"""The order service as a web service: it publishes orders, and reads them back in its event loop.

uvicorn --app-dir samples order_service.api:app
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import UUID, uuid4

from contracts.orders import OrderCreated
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel

from order_service.orders import new_order, open_messaging
from sdk import Consumer, Context, Messaging
from sdk.observability import StatusApp


class NewOrder(BaseModel):
    """The order form of a customer."""

    total_amount: Decimal


class Orders:
    """The orders that have come back from Kafka."""

    def __init__(self) -> None:
        self.seen: dict[UUID, OrderCreated] = {}

    async def remember(self, order: OrderCreated, context: Context) -> None:
        """Handle an order."""
        self.seen[order.order_id] = order


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect when the server starts; stop consuming and deliver queued records when it ends."""
    async with open_messaging(None) as messaging:
        await asyncio.to_thread(messaging.warm_up, OrderCreated)
        app.state.messaging = messaging
        # /ops/live, /ops/ready and /ops/status for Kubernetes, and /ops/metrics if enabled.
        app.mount("/ops", StatusApp(messaging.status, metrics=messaging.metrics).asgi)
        app.state.orders = Orders()
        app.state.consumer = messaging.consumer().handle(OrderCreated, app.state.orders.remember)
        task = asyncio.create_task(app.state.consumer.run_async())
        try:
            yield
        finally:
            app.state.consumer.stop()
            await task


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=201)
async def place(order: NewOrder) -> dict[str, str]:
    """Publish an order; answer when Kafka has acknowledged it."""
    messaging: Messaging = app.state.messaging
    event = new_order(uuid4(), order.total_amount)
    report = await messaging.producer.produce(event)
    return {"order_id": str(event.order_id), "stored": f"{report.topic}[{report.partition}]"}


@app.get("/orders/{order_id}")
async def show(order_id: UUID) -> dict[str, str]:
    """Return an order that has come back."""
    order: OrderCreated | None = app.state.orders.seen.get(order_id)
    if order is None:
        raise HTTPException(status_code=404, detail="no such order yet")
    return {"order_id": str(order.order_id), "total_amount": str(order.total_amount)}


@app.get("/ready")
async def ready(response: Response) -> dict[str, bool]:
    """Report to the load balancer whether the consumer is ready."""
    consumer: Consumer = app.state.consumer
    response.status_code = 200 if consumer.ready() else 503
    return {"ready": consumer.ready()}
