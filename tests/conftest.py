"""Shared by all tests: codecs' executors, signal handlers, Hypothesis's profiles, no proxy.

``HYPOTHESIS_PROFILE=explore`` tries many new ones.
"""

from __future__ import annotations

import io
import logging
import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from sdk.avro.codec.codecs import running_on
from sdk.observability.logging import configure_logging
from sdk.settings import LoggingOptions
from tests.unit.avro.running import EXECUTORS

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Servers of the tests are on this machine; a proxy of the environment must not be used.
for name in ("NO_PROXY", "no_proxy"):
    others = os.environ.get(name)
    os.environ[name] = "localhost,127.0.0.1" + (f",{others}" if others else "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes ``-n auto`` means: many tests wait for another process."""
    return max(4, os.cpu_count() or 1)


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test on each executor: modules in which codecs run use it for all their tests."""
    with running_on(EXECUTORS[request.param]):
        yield request.param


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Give SIGTERM and SIGINT Python's own handlers, and restore the former ones afterwards.

    A shell that starts a run in the background makes it ignore SIGINT.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Leave the process's logging as it was found."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    structlog.reset_defaults()
    yield
    configure_logging(LoggingOptions(), io.StringIO())  # takes the former levels back
    own = logging.getLogger("sdk")
    own.handlers.clear()
    own.setLevel(logging.NOTSET)
    own.propagate = True
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
