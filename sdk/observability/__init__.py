"""Logging, metrics, tracing and health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names

if TYPE_CHECKING:
    from sdk.observability.health import State as State
    from sdk.observability.server import StatusApp as StatusApp
    from sdk.observability.server import StatusServer as StatusServer
else:
    __getattr__ = lazy_names(
        __name__, {"State": ".health", "StatusApp": ".server", "StatusServer": ".server"}
    )
