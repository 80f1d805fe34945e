"""The state of a connection, with reasons: for probes, ``/status`` and gauges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from sdk.errors import SdkError
from sdk.happenings import OutboxMeasured

if TYPE_CHECKING:
    from sdk.consuming.health import Health


@frozen(kw_only=True)
class State:
    """The state of a connection.

    Attributes:
        environment: Name of the environment.
        brokers: The bootstrap servers.
        kafka: Why the producer cannot reach Kafka now, if known.
        registry: URLs of the schema registry.
        registry_error: Why the last request to it was not answered.
        queued: Records that are published and not yet acknowledged; None without a producer.
        consumers: The states of its consumers.
        outboxes: The last measurement of each outbox with a relay in this process.
        closed: Why the connection cannot be used any more, or None.
    """

    environment: str
    brokers: tuple[str, ...]
    kafka: SdkError | None = None
    registry: tuple[str, ...]
    registry_error: SdkError | None = None
    queued: int | None = None
    consumers: tuple[Health, ...] = ()
    outboxes: Mapping[str, OutboxMeasured]
    closed: str | None = None

    @property
    def live(self) -> bool:
        """Whether it is open, and no error ended a consumer; otherwise a restart may help."""
        return self.closed is None and all(each.error is None for each in self.consumers)

    @property
    def ready(self) -> bool:
        """Whether it is live, Kafka is reachable as far as known, and each consumer is ready."""
        return self.live and self.kafka is None and all(each.ready for each in self.consumers)

    def described(self) -> dict[str, Any]:
        """Return the state for JSON, with the reasons in words."""
        return {
            "live": self.live,
            "ready": self.ready,
            "reasons": list(self._reasons()),
            "environment": self.environment,
            "kafka": {"brokers": list(self.brokers), "error": _text(self.kafka)},
            "registry": {"urls": list(self.registry), "error": _text(self.registry_error)},
            "producer": {"queued": self.queued},
            "consumers": [_consumer(each) for each in self.consumers],
            "outboxes": {
                name: asdict(measured) for name, measured in sorted(self.outboxes.items())
            },
        }

    def _reasons(self) -> list[str]:
        """Return why it is not ready, and other reasons why events are not handled."""
        found = [] if self.closed is None else [self.closed]
        for what, error in (("Kafka", self.kafka), ("the schema registry", self.registry_error)):
            if error is not None:
                found.append(f"{what}: {error}")
        for each in self.consumers:
            name = f"group {each.group}"
            if each.error is not None:
                found.append(f"{name}: the consumer was stopped by {each.error}")
            elif not each.running:
                found.append(f"{name}: the consumer is not running")
            elif not each.joined:
                found.append(f"{name}: the group has not answered yet")
            found += [f"{name}: {record} is in work for too long" for record in each.overdue]
            found += [f"{name}: {dependency} is down" for dependency in each.circuits]
        for name, outbox in self.outboxes.items():
            if outbox.failed:
                found.append(f"outbox {name}: {outbox.failed} rows can never be published")
        return found


def _consumer(health: Health) -> dict[str, Any]:
    return {
        **asdict(health, filter=lambda attribute, _: attribute.name != "error"),
        "ready": health.ready,
        "error": _text(health.error),
    }


def _text(error: BaseException | None) -> str | None:
    return None if error is None else str(error)
