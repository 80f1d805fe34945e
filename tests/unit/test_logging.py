"""Logging: levels, enrichment, both forms, and the stdlib and structlog loggers alike."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from sdk.errors import ConfigurationError
from sdk.observability.logging import configure_logging
from sdk.settings import LoggingOptions

pytestmark = pytest.mark.usefixtures("own_logging")

ROOT = Path(__file__).parents[2]


def configured(**options: Any) -> io.StringIO:
    """Configure the logging of everything with these options and return where its lines go."""
    stream = io.StringIO()
    configure_logging(LoggingOptions(**{"scope": "everything", **options}), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Parse what was logged as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_json_object_a_line() -> None:
    """A record becomes one line of JSON, with level, logger and time."""
    stream = configured(format="json")
    logging.getLogger("sdk.publishing.producer").warning("queue of %s is full", "orders")
    (line,) = lines(stream)
    assert line["event"] == "queue of orders is full"
    assert (line["level"], line["logger"]) == ("warning", "sdk.publishing.producer")
    assert line["timestamp"].endswith("+00:00")


def test_console_line() -> None:
    """A record becomes one readable line, without colours unless on a terminal."""
    stream = configured(format="console")
    logging.getLogger("sdk.publishing.producer").warning("queue full")
    (line,) = stream.getvalue().splitlines()
    assert "queue full" in line
    assert "sdk.publishing.producer" in line
    assert "\x1b" not in line
    assert not line.startswith("{")


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        """Claim to be a terminal."""
        return True


def test_colours_on_a_terminal() -> None:
    """On a terminal, lines are coloured, unless NO_COLOR asks for none."""
    terminal = Terminal()
    configure_logging(LoggingOptions(), terminal)
    logging.getLogger("sdk.a").warning("x")
    assert ("\x1b" in terminal.getvalue()) == ("NO_COLOR" not in os.environ)


def test_minimum_level_and_overrides() -> None:
    """Loggers obey the minimum level, or their own or their parent's override."""
    stream = configured(
        format="json", level="WARNING", overrides={"sdk.retry": "DEBUG", "host": "ERROR"}
    )
    logging.getLogger("sdk").info("no")
    logging.getLogger("sdk").warning("yes 1")
    logging.getLogger("sdk.retry").debug("yes 2")
    logging.getLogger("host.web").warning("no")
    structlog.get_logger("host.web").warning("no")
    structlog.get_logger("sdk.retry").debug("yes 3")
    assert [line["event"] for line in lines(stream)] == ["yes 1", "yes 2", "yes 3"]


def test_librdkafka_lines() -> None:
    """The client library's logger takes the same way and can be quietened by name."""
    stream = configured(format="json", overrides={"sdk.librdkafka": "ERROR"})
    logging.getLogger("sdk.librdkafka").warning("FAIL connection refused")
    logging.getLogger("sdk.librdkafka").error("FAIL authentication")
    assert [line["event"] for line in lines(stream)] == ["FAIL authentication"]


def test_enrichment() -> None:
    """Lines have thread and machine if configured."""
    stream = configured(format="json")
    logging.getLogger("a").info("x")
    (line,) = lines(stream)
    assert line["thread_id"] == threading.get_ident()
    assert line["machine_name"]


def test_enrichment_switched_off() -> None:
    """Lines have no thread and machine if not configured."""
    stream = configured(format="json", thread_id=False, machine_name=False)
    logging.getLogger("a").info("x")
    assert not {"thread_id", "machine_name"} & set(lines(stream)[0])


def test_context_variables() -> None:
    """Values bound to the context are on the lines of stdlib and structlog loggers."""
    stream = configured(format="json")
    with structlog.contextvars.bound_contextvars(order_id="o-1"):
        logging.getLogger("sdk").info("x")
        structlog.get_logger("host").info("y")
    logging.getLogger("sdk").info("z")
    assert [line.get("order_id") for line in lines(stream)] == ["o-1", "o-1", None]


def test_extra() -> None:
    """The extra of a stdlib call is added, and never hides the message."""
    stream = configured(format="json")
    logging.getLogger("sdk").info("sent", extra={"topic": "orders", "event": "OrderCreated"})
    (line,) = lines(stream)
    assert (line["event"], line["topic"]) == ("sent", "orders")
    assert line["event_type"] == "OrderCreated"


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("logger", [logging.getLogger("a"), structlog.get_logger("a")])
def test_exceptions_are_kept(form: str, logger: Any) -> None:
    """An exception shows with its traceback and its cause, in both forms and from both sides."""
    stream = configured(format=form)
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError:
        logger.exception("failed")
    text = stream.getvalue()
    assert text.count("failed") == 1
    assert text.count("KeyError: 'inner'") == 1
    assert text.count("ValueError: outer") == 1
    assert __file__ in text


def test_local_variables_are_not_shown() -> None:
    """A traceback does not print local variables, which may be secrets."""
    stream = configured(format="console")
    hidden = "s3cret"
    try:
        raise ValueError(len(hidden))
    except ValueError:
        logging.getLogger("a").exception("failed")
    text = stream.getvalue()
    assert "hidden)" in text
    assert "= 's3cret'\n" not in text.replace('hidden = "s3cret"', "")


def test_odd_values() -> None:
    """Values that JSON does not know do not lose the line."""
    stream = configured(format="json")
    structlog.get_logger("a").info("x", value=object(), text="\ud800")
    (line,) = lines(stream)
    assert line["value"].startswith("<object object")
    assert line["text"] == "\ud800"


def test_values() -> None:
    """Identifiers, amounts and times are written as values, wherever they stand."""
    stream = configured(format="json")
    number = UUID("12345678-1234-5678-1234-567812345678")
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    extra = {"order": number, "lines": [{"total": Decimal("12.50")}], "when": when, "raw": b"k"}
    logging.getLogger("sdk").info("x", extra=extra)
    (line,) = lines(stream)
    assert (line["order"], line["lines"], line["raw"]) == (str(number), [{"total": "12.50"}], "k")
    assert datetime.fromisoformat(line["when"]) == when


def test_keys_of_other_types() -> None:
    """A mapping whose keys are no texts, or that holds itself, does not lose the line."""
    stream = configured(format="json")
    circle: dict[str, Any] = {}
    circle["self"] = circle
    logging.getLogger("sdk").info("x", extra={"by_order": {UUID(int=1): 1}})
    logging.getLogger("sdk").info("y", extra={"circle": circle})
    first, second = lines(stream)
    assert first["by_order"] == {"00000000-0000-0000-0000-000000000001": 1}
    assert second["event"] == "y"


def test_only_the_sdk() -> None:
    """By default, loggers of the application, the root level and structlog stay as they were."""
    root, before = logging.getLogger(), structlog.get_config()
    level, handlers = root.level, list(root.handlers)
    stream = configured(scope="sdk", format="json", level="DEBUG")
    logging.getLogger("sdk.x").debug("ours")
    logging.getLogger("application").warning("theirs")
    assert [line["event"] for line in lines(stream)] == ["ours"]
    assert (root.level, root.handlers) == (level, handlers)
    assert structlog.get_config() == before


@pytest.mark.parametrize("scope", ["sdk", "everything"])
def test_beside_basic_config(scope: str) -> None:
    """With `logging.basicConfig`, every line of the SDK is printed once."""
    done = run(
        "import logging\n"
        "from sdk.observability.logging import configure_logging\n"
        "from sdk.settings import LoggingOptions\n"
        "logging.basicConfig(level='INFO')\n"
        f"configure_logging(LoggingOptions(scope={scope!r}))\n"
        "logging.getLogger('sdk').info('hello')\n"
        "logging.getLogger('application').info('hello')\n"
    )
    assert done.stderr.count("hello") == 2


def test_structlog_of_the_application() -> None:
    """A configuration of structlog that the application has made stays, whatever the scope."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    before = structlog.get_config()
    configured(scope="everything")
    assert structlog.get_config() == before


def test_from_everything_to_the_sdk() -> None:
    """Configuring again with the smaller scope takes the larger one back."""
    former = configured(scope="everything", format="json")
    stream = configured(scope="sdk", format="json")
    logging.getLogger("sdk").info("ours")
    logging.getLogger("application").info("theirs")
    assert [line["event"] for line in lines(stream)] == ["ours"]
    assert former.getvalue() == ""


def test_twice_is_once() -> None:
    """Configuring again replaces the former handler, its form and its overrides."""
    former = configured(format="console", overrides={"sdk.retry": "ERROR"})
    stream = configured(format="json")
    logging.getLogger("sdk.retry").info("once")
    assert [line["event"] for line in lines(stream)] == ["once"]
    assert former.getvalue() == ""


def test_other_handlers_stay() -> None:
    """Handlers that the host has installed go on seeing records, as they are."""
    seen: list[logging.LogRecord] = []

    class Host(logging.Handler):
        """Keeps records."""

        def emit(self, record: logging.LogRecord) -> None:
            """Keep a record."""
            seen.append(record)

    host = Host()
    logging.getLogger().addHandler(host)
    try:
        configured(format="json")
        logging.getLogger("a").info("x %d", 1)
    finally:
        logging.getLogger().removeHandler(host)
    assert [record.getMessage() for record in seen] == ["x 1"]


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_standard_error_is_the_default() -> None:
    """Lines go to standard error, so that a program's output stays its own."""
    done = run(
        "import logging\n"
        "from sdk.observability.logging import configure_logging\n"
        "from sdk.settings import LoggingOptions\n"
        "configure_logging(LoggingOptions())\n"
        "logging.getLogger('sdk').info('hello')\n"
    )
    assert done.stdout == ""
    assert "hello" in done.stderr


def test_missing_structlog() -> None:
    """Without structlog the error names the extra that brings it."""
    done = run(
        "import sys\n"
        "sys.modules['structlog'] = None\n"
        "from sdk.errors import ConfigurationError\n"
        "from sdk.observability.logging import configure_logging\n"
        "from sdk.settings import LoggingOptions\n"
        "try:\n"
        "    configure_logging(LoggingOptions())\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )
    assert "needs structlog" in done.stdout
    assert "avro-messaging-sdk[logging]" in done.stdout


def test_unknown_level() -> None:
    """A level that does not exist is refused by the options."""
    with pytest.raises(ConfigurationError, match="must be one of DEBUG"):
        LoggingOptions(level="verbose")
