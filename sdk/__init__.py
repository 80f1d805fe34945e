"""Schema-registry-driven Avro events for Python services on Kafka.

    import sdk

    with sdk.connect() as messaging:
        messaging.producer.produce(OrderCreated(...)).result(timeout=10)

Names are resolved on first use, so that importing a generated contract loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdk.errors import SdkError as SdkError
    from sdk.events import Catalog as Catalog
    from sdk.events import Event as Event
    from sdk.events import EventInfo as EventInfo

_HOMES = {
    "Catalog": "sdk.events",
    "Event": "sdk.events",
    "EventInfo": "sdk.events",
    "SdkError": "sdk.errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
