"""Traces through what stands between a caller and the broker: outbox, transaction, replay."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sdk.outbox import Outbox, Relay, Tables
from sdk.replay import Selection
from sdk.settings import ConsumerOptions, DeadLetterOptions, InPlaceRetryOptions, ProducerOptions
from sdk.testing import run_until_idle
from tests.unit.messaging.shop import OrderCancelled, OrderCreated
from tests.unit.observability.spans import Spans, connect, links, parent_id, span_id, trace_id

CREATED = "orders.order-created"


def order(number: int = 1) -> OrderCreated:
    """Return an order."""
    return OrderCreated(order_id=f"o-{number}")


def test_a_row_of_an_outbox_belongs_to_its_request(tmp_path: Path) -> None:
    """The request's context is stored in the row, and is the record's however late it is sent."""
    spans, engine = Spans(), create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    tables = Tables()
    tables.metadata.create_all(engine)
    with connect(spans) as messaging:
        with spans.around("request"), Session(engine) as session, session.begin():
            Outbox(messaging.encoder, tables).add(session, order())
        with Relay(engine, messaging.producer, tables, poll_seconds=0.01):
            while not messaging.broker.records(CREATED):
                pass
        (record,) = messaging.broker.records(CREATED)
        consumer = messaging.consumer().handle(OrderCreated, lambda event: None)
        run_until_idle(consumer, messaging.broker, "billing")
    engine.dispose()
    request = spans.one("request")
    assert f"{span_id(request):016x}".encode() in (record.header("traceparent") or b"")
    assert parent_id(spans.one(f"send {CREATED}")) == span_id(request)
    assert trace_id(spans.one(f"process {CREATED}")) == trace_id(request)


def test_records_of_a_transaction_are_traced() -> None:
    """Records of a transaction have send spans below its caller's, aborted or not."""
    spans = Spans()
    producer = ProducerOptions(transactional_id="shop-{instance}")
    with connect(spans, producer=producer) as messaging:
        with spans.around("kept"), messaging.transaction() as transaction:
            transaction.produce(order())
        aborted = spans.around("aborted"), messaging.transaction()
        with suppress(ZeroDivisionError), aborted[0], aborted[1] as transaction:
            transaction.produce(order(2))
            raise ZeroDivisionError
    sent = spans.named(f"send {CREATED}")
    wanted = [span_id(spans.one("kept")), span_id(spans.one("aborted"))]
    assert [parent_id(span) for span in sent] == wanted


def test_a_replayed_dead_letter_goes_on_in_its_trace() -> None:
    """A dead letter that is replayed is handled in the trace in which it failed."""
    spans, accepted = Spans(), [False]
    options = ConsumerOptions(
        group_id="billing",
        retry=InPlaceRetryOptions(retry_count=0),
        dead_letter=DeadLetterOptions(),
    )

    def take(event: OrderCreated) -> None:
        if not accepted[0]:
            raise ValueError("not yet")

    with connect(spans, consumer=options) as messaging:
        messaging.producer.produce(order())
        run_until_idle(messaging.consumer().handle(OrderCreated, take), messaging.broker, "billing")
        accepted[0] = True
        messaging.dead_letters(CREATED).replay(Selection())
        run_until_idle(messaging.consumer().handle(OrderCreated, take), messaging.broker, "billing")
    failed, handled = spans.named(f"process {CREATED}")
    sent = spans.named(f"send {CREATED}")[0]
    assert trace_id(handled) == trace_id(failed) == trace_id(sent)
    assert links(handled) == [span_id(sent)]


def test_exactly_once_is_one_trace() -> None:
    """Records that a handler publishes in its consumer's transaction have spans below its own."""
    spans = Spans()
    producer = ProducerOptions(transactional_id="shop-{instance}")
    with connect(spans, producer=producer) as messaging:

        def cancel(event: OrderCreated) -> None:
            messaging.producer.produce(OrderCancelled(order_id=event.order_id), key=None)

        messaging.producer.produce(order()).result(5)
        consumer = messaging.consumer(exactly_once=True).handle(OrderCreated, cancel)
        run_until_idle(consumer, messaging.broker, "billing")
    process = spans.one(f"process {CREATED}")
    assert parent_id(spans.one("send orders.order-cancelled")) == span_id(process)
    assert parent_id(process) == span_id(spans.one(f"send {CREATED}"))
    assert spans.named(f"commit {CREATED}")
