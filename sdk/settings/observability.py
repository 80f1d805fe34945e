"""The options of logs, traces and metrics."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from sdk.settings import checking as checks


def _upper(level: str) -> str:
    return level.upper()


def _upper_values(levels: Mapping[str, str]) -> Mapping[str, str]:
    return {name: level.upper() for name, level in levels.items()}


@frozen(kw_only=True)
class LoggingOptions:
    """The ``[logging]`` table.

    Attributes:
        configure: Set up logging in `connect`; False leaves it to the application.
        scope: ``sdk`` sets up the SDK's own loggers only, ``everything`` the root logger and
            structlog too.
        level: Minimum level.
        overrides: Logger name → level.
        format: ``console`` or ``json``.
        thread_id: Add the thread id to each line.
        machine_name: Add the host name to each line.
        service: Name of the service on each line; by default the last part of ``source``.
        environment: Add the name of the environment to each line.
        repeats: How many times the same warning is written within ``repeat_seconds``; further ones
            are counted, and one line reports the count. 0 writes all.
        repeat_seconds: See ``repeats``.
    """

    configure: bool = False
    scope: str = field(default="sdk", validator=checks.one_of("sdk", "everything"))
    level: str = field(default="INFO", converter=_upper, validator=checks.log_levels)
    overrides: Mapping[str, str] = field(
        factory=dict, converter=_upper_values, validator=checks.log_levels
    )
    format: str = field(default="console", validator=checks.one_of("console", "json"))
    thread_id: bool = True
    machine_name: bool = True
    service: str | None = field(default=None, validator=checks.filled)
    environment: bool = True
    repeats: int = field(default=10, validator=checks.at_least(0))
    repeat_seconds: float = field(default=60.0, validator=checks.between(1, 86_400))


@frozen(kw_only=True)
class TracingOptions:
    """The ``[tracing]`` table: spans by the OpenTelemetry API (extra ``otel``).

    Attributes:
        enabled: Create spans and propagate their context in headers; by default if `connect` is
            given a tracer provider.
        continue_trace: Let the span of a handler continue the publisher's trace; False begins a new
            one that links to it.
        commits: Create spans for commits, too.
        message_key: Record the keys of records, which may be personal data.
    """

    enabled: bool | None = None
    continue_trace: bool = True
    commits: bool = True
    message_key: bool = False


@frozen(kw_only=True)
class MetricsOptions:
    """The ``[metrics]`` table.

    Attributes:
        enabled: Whether `connect` collects metrics.
        output: ``prometheus`` or ``opentelemetry``, whose exporters are the application's.
        port: Where ``/metrics``, ``/live``, ``/ready`` and ``/status`` are served; None serves
            nothing, and 0 takes a free port.
        host: Address to listen at; ``0.0.0.0`` for probes from other machines.
        statistics_interval_ms: How often librdkafka reports its statistics; 0 is never.
    """

    enabled: bool = False
    output: str = field(
        default="prometheus", validator=checks.one_of("prometheus", "opentelemetry")
    )
    port: int | None = field(default=None, validator=checks.between(0, 65_535))
    host: str = field(default="127.0.0.1", validator=checks.filled)
    statistics_interval_ms: int = field(default=0, validator=checks.between(0, 86_400_000))
