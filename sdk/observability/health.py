"""What probes ask of a service with consumers, and why the answer is what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sdk.consuming.consumer import Consumer, Health


def status_of(**consumers: Consumer) -> Callable[[], dict[str, Any]]:
    """Return the function that a `StatusServer` asks for the state of some consumers.

        with StatusServer(status_of(billing=consumer), port=9100):
            consumer.run()

    The service lives as long as no consumer was stopped by an error; it is ready when each runs,
    its group has answered, and no record is in work for too long.

    Args:
        **consumers: By the names under which they are shown.
    """

    def status() -> dict[str, Any]:
        found = {name: consumer.health() for name, consumer in consumers.items()}
        return {
            "live": all(health.error is None for health in found.values()),
            "ready": all(health.ready for health in found.values()),
            "consumers": {name: _described(health) for name, health in found.items()},
        }

    return status


def _described(health: Health) -> dict[str, Any]:
    return {
        "ready": health.ready,
        "running": health.running,
        "joined": health.joined,
        "partitions": [f"{each.topic} [{each.partition}]" for each in health.partitions],
        "overdue": list(health.overdue),
        "error": None if health.error is None else str(health.error),
    }
