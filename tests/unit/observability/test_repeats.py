"""Floods of warnings are counted, and stack traces written once."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog
from attrs import define, field

from sdk.errors import HandlerError
from sdk.observability.logging import configure_logging
from sdk.observability.repeats import RepeatFilter
from sdk.settings import LoggingOptions
from sdk.testing import VirtualClock
from tests.unit.consuming.story import publish_keyed
from tests.unit.messaging.shop import OrderCreated, Shop, within
from tests.unit.observability.test_context import RECORD

MOST, SECONDS = 3, 60.0


class Kept(logging.Handler):
    """Keeps the texts of its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.texts.append(record.getMessage())


@define
class Logged:
    """A logger whose lines go through the filter, on a virtual clock."""

    clock: VirtualClock = field(factory=VirtualClock)
    handler: Kept = field(factory=Kept)
    logger: logging.Logger = field(factory=lambda: logging.Logger("shop"))

    def __attrs_post_init__(self) -> None:
        self.filter = RepeatFilter(self.handler, most=MOST, seconds=SECONDS, clock=self.clock)
        self.handler.addFilter(self.filter)
        self.logger.addHandler(self.handler)

    filter: RepeatFilter = field(init=False)

    @property
    def texts(self) -> list[str]:
        """The written lines."""
        return self.handler.texts


def test_a_flood_is_counted() -> None:
    """The first few warnings are written, and once the time is over one line for all others."""
    log = Logged()
    for number in range(217):
        log.logger.warning("row %d is late", number)
    assert log.texts == ["row 0 is late", "row 1 is late", "row 2 is late"]
    log.clock.advance(SECONDS)
    log.logger.info("next")
    assert log.texts[3:] == ["row 216 is late … repeated 214 times", "next"]


def test_a_message_may_log_while_it_is_counted() -> None:
    """A line that comes from within another one, in the same thread, waits for nothing."""
    log = Logged()

    class Chatty:
        def __str__(self) -> str:
            log.logger.warning("within")
            return "around"

    log.logger.warning(Chatty())
    assert set(log.texts) == {"within", "around"}


def test_after_its_time_a_warning_passes_again() -> None:
    """A warning that comes now and then is written each time."""
    log = Logged()
    for number in range(2 * MOST):
        log.logger.warning("row %d is late", number)
        log.clock.advance(SECONDS / MOST)
    assert len(log.texts) == 2 * MOST


def test_only_the_same_warning_is_counted() -> None:
    """Another text, level or logger is another warning, and what is no warning passes."""
    log = Logged()
    other = logging.Logger("other")
    other.addHandler(log.handler)
    for _ in range(MOST):
        for logger in (log.logger, other):
            logger.warning("a")
            logger.error("a")
            logger.warning("b")
    for _ in range(2 * MOST):
        log.logger.info("a")
    assert len(log.texts) == 6 * MOST + 2 * MOST


def test_no_count_is_lost_at_the_end() -> None:
    """Flushing writes what is still being counted, once."""
    log = Logged()
    for _ in range(MOST + 2):
        log.logger.warning("late")
    log.filter.flush()
    log.filter.flush()
    assert log.texts[MOST:] == ["late … repeated 2 times"]


def test_texts_without_end_do_not_fill_memory() -> None:
    """The oldest of warnings without repeats are forgotten, and their counts written."""
    log = Logged()
    for _ in range(MOST + 1):
        log.logger.warning("first")
    for number in range(1_001):
        log.logger.warning(f"text {number}")
    log.logger.info("end")
    assert "first … repeated 1 times" in log.texts


def configured(**options: Any) -> io.StringIO:
    """Configure the logging of everything and return where its lines go."""
    stream = io.StringIO()
    wanted = LoggingOptions(scope="everything", format="json", **options)
    configure_logging(wanted, stream, service="orders", environment="test")
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Parse what was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("own_logging")
def test_our_logging_counts_both_kinds_of_loggers() -> None:
    """Loggers of structlog and of the standard library are counted by the configured logging."""
    stream = configured(repeats=2)
    for _ in range(5):
        logging.getLogger("shop").warning("row %d", 1)
        structlog.get_logger("host").warning("late", row=1)
    configure_logging(LoggingOptions(), io.StringIO())
    told = [line["event"] for line in lines(stream)]
    assert told == ["row 1", "late"] * 2 + ["row 1 … repeated 3 times", "late … repeated 3 times"]
    assert lines(stream)[-1]["repeated"] == 3


@pytest.mark.usefixtures("own_logging")
def test_nothing_is_counted_unless_asked() -> None:
    """With ``repeats = 0`` every line is written."""
    stream = configured(repeats=0)
    for _ in range(50):
        logging.getLogger("shop").warning("late")
    assert len(lines(stream)) == 50


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("logger", [logging.getLogger("shop"), structlog.get_logger("shop")])
def test_lines_carry_record_service_and_environment(logger: Any) -> None:
    """Inside a handler, lines of any logger say what is handled, where, and by whom."""
    stream = configured()
    with within(RECORD):
        logger.info("billed")
    logger.info("idle")
    inside, outside = lines(stream)
    wanted = {
        "event": "billed",
        "event_type": "orders.OrderCreated",
        "topic": "orders",
        "partition": 3,
        "offset": 7,
        "attempt": 1,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "service": "orders",
        "environment": "test",
    }
    assert wanted.items() <= inside.items()
    assert "4711" not in json.dumps(inside)
    assert not {"topic", "trace_id"} & set(outside)
    assert outside["service"] == "orders"


@pytest.mark.usefixtures("own_logging")
def test_a_stack_trace_is_written_once() -> None:
    """An exception that a handler logs and raises is not shown again when the consumer stops."""
    stream = configured()
    shop = Shop()
    publish_keyed(shop, ("a", 0))

    def bill(event: OrderCreated) -> None:
        try:
            raise ValueError("no stock")
        except ValueError:
            logging.getLogger("shop").exception("cannot be billed")
            raise

    with pytest.raises(HandlerError):
        shop.consumer().handle(OrderCreated, bill).run()
    told = [line for line in lines(stream) if line["level"] == "error"]
    assert [("exception" in line) for line in told] == [True, False]
    assert "the stack trace is above" in told[1]["event"]
    assert stream.getvalue().count("Traceback") == 1
