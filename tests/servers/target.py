"""The servers that a test runs against: those we start, or those that the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attrs import frozen

BOOTSTRAP_SERVERS = "SDK_KAFKA__BOOTSTRAP_SERVERS"
REGISTRY_URL = "SDK_REGISTRY__URL"


@frozen(kw_only=True)
class Target:
    """A Kafka cluster or a registry to be used by tests.

    Attributes:
        address: Bootstrap servers, or URL.
        owned: Whether it is ours to kill, freeze and reconfigure.
    """

    address: str
    owned: bool


def named(variable: str, environment: Mapping[str, str] = os.environ) -> Target | None:
    """Return the server that the environment names, or None.

    Args:
        variable: `BOOTSTRAP_SERVERS` or `REGISTRY_URL`.
        environment: Where to look.
    """
    address = environment.get(variable)
    if not address or address == "embedded":
        return None
    return Target(address=address, owned=False)
