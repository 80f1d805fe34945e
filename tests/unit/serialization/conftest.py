"""What the tests of serializers and of the registry client share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from sdk.registry.lookup import SchemaRegistry
from sdk.retry import RetryPolicy
from sdk.settings import RegistryOptions, RetryOptions
from tests.unit.serialization.registry_server import RegistryServer

Connect = Callable[..., SchemaRegistry]


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    """A registry without schemas."""
    with RegistryServer() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """Seconds that retries have waited."""
    return []


@pytest.fixture
def connect(server: RegistryServer, waits: list[float]) -> Iterator[Connect]:
    """Makes registry clients, of the running server unless a URL is given."""
    with ExitStack() as stack:

        def make(*urls: str, retries: int = 0, **options: Any) -> SchemaRegistry:
            retry = RetryPolicy(
                options=RetryOptions(retry_count=retries, base_delay_ms=10, jitter=0.0),
                sleep=waits.append,
            )
            registry = SchemaRegistry(
                RegistryOptions(url=urls or (server.url,), **{"timeout_ms": 2000, **options}), retry
            )
            stack.callback(registry.close)
            return registry

        yield make
