"""Shared by the tests of serializers and of the registry client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from sdk.registry.lookup import Registry
from sdk.retry import RetryPolicy
from sdk.serialization.avro import AvroFormat
from sdk.serialization.framed import FramedSerializer
from sdk.settings import RegistryOptions, RetryOptions
from sdk.topics import SubjectNameStrategy, record_name
from tests.unit.serialization.registry_server import RegistryServer

_OWN = ("catalog", "clock", "observers", "uses_guids")

Connect = Callable[..., Registry]


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    """A registry without schemas."""
    with RegistryServer() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """Seconds that retries have waited."""
    return []


def avro(
    registry: Registry, strategy: SubjectNameStrategy = record_name, **options: Any
) -> FramedSerializer:
    """Return a serializer of Avro values over a registry."""
    return FramedSerializer(registry, AvroFormat(), strategy, **options)


@pytest.fixture
def connect(server: RegistryServer, waits: list[float]) -> Iterator[Connect]:
    """Makes registry clients, of the running server unless a URL is given."""
    with ExitStack() as stack:

        def make(*urls: str, retries: int = 0, **options: Any) -> Registry:
            own = {name: options.pop(name) for name in _OWN if name in options}
            retry = RetryPolicy(
                options=RetryOptions(retry_count=retries, base_delay_ms=10, jitter=0.0),
                sleep=waits.append,
            )
            registry = Registry(
                RegistryOptions(url=urls or (server.url,), **{"timeout_ms": 30_000, **options}),
                retry,
                **own,
            )
            stack.callback(registry.close)
            return registry

        yield make
