"""Fields of the record that is handled, on log lines."""

from __future__ import annotations

import logging

from sdk.observability.context import MessageContextFilter, add_message_context, message_context
from sdk.records import ConsumerRecord
from tests.unit.messaging.shop import within

RECORD = ConsumerRecord(
    "orders",
    3,
    7,
    b"",
    b"customer-4711",
    (
        ("ce_type", b"orders.OrderCreated"),
        ("ce_id", b"1"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ),
)


def line() -> logging.LogRecord:
    """A record of the standard library's logging."""
    return logging.LogRecord("shop", logging.INFO, "shop.py", 1, "billed", (), None)


def test_lines_in_a_handler_carry_the_record() -> None:
    """Event, topic, partition, offset, trace id and a hash of the key stand on the line."""
    with within(RECORD):
        found = line()
        assert MessageContextFilter().filter(found)
    shown = vars(found)
    assert (shown["topic"], shown["partition"], shown["offset"]) == ("orders", 3, 7)
    assert shown["event"] == "orders.OrderCreated"
    assert shown["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "4711" not in str(shown["key_hash"])


def test_lines_outside_carry_nothing() -> None:
    """Outside a handler nothing is added."""
    found = line()
    MessageContextFilter().filter(found)
    assert not hasattr(found, "topic")
    assert message_context() == {}


def test_own_fields_stay() -> None:
    """Fields that a call passes are not overwritten."""
    with within(RECORD):
        found = line()
        found.topic = "mine"
        MessageContextFilter().filter(found)
        assert found.topic == "mine"
        fields = add_message_context(None, "info", {"topic": "mine"})
    assert (fields["topic"], fields["offset"]) == ("mine", 7)


def test_broken_headers_do_no_harm() -> None:
    """Headers that are not text, or not a trace context, are left out."""
    headers = (("ce_type", b"\xff"), ("traceparent", b"nonsense"), ("ce_id", None))
    with within(RECORD._replace(headers=headers, key=None)):
        found = message_context()
    place = {"topic": "orders", "partition": 3, "offset": 7}
    assert found == {"event": "orders.OrderCreated", **place, "attempt": 1}
