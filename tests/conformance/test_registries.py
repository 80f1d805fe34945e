"""The registry suite on the registry that needs nothing installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdk.embedded import EmbeddedRegistry
from tests.conformance.registry_suite import RegistrySuite, RegistryUnderTest


class TestEmbeddedRegistry(RegistrySuite):
    """The registry of `sdk.embedded`."""

    @pytest.fixture
    def registry(self) -> Iterator[RegistryUnderTest]:
        """Give an empty registry to each test."""
        with EmbeddedRegistry() as embedded:
            yield RegistryUnderTest("embedded", embedded.url)
