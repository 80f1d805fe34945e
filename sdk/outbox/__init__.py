"""Events in the service's own database transaction, and handlers that run once per event.

    outbox = Outbox(messaging.encoder)

    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.add(session, OrderCreated(...))      # committed with the order, or not at all

A `Relay` publishes what was committed, in order for each key and at least once. An `Inbox` makes
the other side's handlers idempotent. Tables are SQLAlchemy's; PostgreSQL and SQLite are supported.
Needs the extra ``outbox``.
"""

from sdk.outbox.inbox import Inbox
from sdk.outbox.outbox import Outbox
from sdk.outbox.relay import Relay
from sdk.outbox.tables import Tables, ddl

__all__ = ["Inbox", "Outbox", "Relay", "Tables", "ddl"]
