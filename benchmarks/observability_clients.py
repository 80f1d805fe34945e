"""One process of the benchmark of observability; `observability.py` starts it, reads its last line.

Settings are those of a service: standard headers, keyed, one event after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "samples"), str(Path(__file__).parent)]

from consume_clients import Meter  # noqa: E402
from publish_clients import Clock, events  # noqa: E402


def traces(ratio: float = 1.0) -> dict[str, Any]:
    """Spans by OpenTelemetry's SDK, exported in batches to nowhere."""
    return {"tracer_provider": tracer_provider(ratio)}


def tracer_provider(ratio: float = 1.0) -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    sampler = ALWAYS_ON if ratio == 1.0 else ParentBased(TraceIdRatioBased(ratio))
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return provider


def empty_spans(mode: str) -> Callable[[Any], None]:
    """Return a function that makes an empty span per event in the mode ``bare``, else nothing."""
    if mode != "bare":
        return lambda event: None
    tracer = tracer_provider().get_tracer("benchmark")
    return lambda event: tracer.start_span("empty").end()


def no_sdk() -> dict[str, Any]:
    """Traces are on, but OpenTelemetry's SDK is not installed."""
    from opentelemetry.trace import NoOpTracerProvider

    return {"tracer_provider": NoOpTracerProvider()}


def metrics(output: str) -> dict[str, Any]:
    """A meter, as the settings make it."""
    from sdk.observability.metrics import meter

    return {"observers": [meter(output)]}


MODES: dict[str, Callable[[], dict[str, Any]]] = {
    "off": dict,
    "off_again": dict,
    "bare": dict,
    "metrics": lambda: metrics("prometheus"),
    "metrics_otel": lambda: metrics("opentelemetry"),
    "traces": traces,
    "traces_api": no_sdk,
    "traces_sampled": lambda: traces(0.01),
}
"""Name → arguments of `sdk.connect`."""


def connect(options: argparse.Namespace, mode: str) -> Any:
    """Return a connection in a mode."""
    import sdk
    from sdk.settings import KafkaOptions, RegistryOptions, Settings, TopicOptions

    settings = Settings(
        environment="benchmark",
        kafka=KafkaOptions(bootstrap_servers=tuple(options.bootstrap_servers.split(","))),
        registry=RegistryOptions(url=(options.registry,)),
        topics=(TopicOptions(event="orders.OrderCreated", name=options.topic),),
        contracts="contracts",
        source="/benchmark",
    )
    return sdk.connect(settings=settings, **MODES[mode]())


def publish(options: argparse.Namespace) -> dict[str, float]:
    """Produce distinct orders and wait for all of them."""
    with connect(options, options.mode) as messaging:
        messaging.warm_up(type(events(1)[0]))
        producer, clock, ready = messaging.producer, Clock(), events(options.count)
        producer.produce(ready[0]).result(30)
        beside = empty_spans(options.mode)
        clock.begin()
        for event in ready:
            producer.produce(event)
            beside(event)
        producer.flush()
        return clock.told(options.count)


def consume(options: argparse.Namespace) -> dict[str, float]:
    """Hand every order to a handler that counts."""
    from contracts.orders import OrderCreated

    meter = Meter(options.count)
    messaging = connect(options, options.mode)
    consumer = messaging.consumer(f"benchmark-{uuid.uuid4().hex}")
    beside = empty_spans(options.mode)

    def handle(event: OrderCreated) -> None:
        beside(event)
        meter.tick(event)

    consumer.handle(OrderCreated, handle).start()
    if not meter.ended.wait(300):
        raise SystemExit("not everything came")
    told = meter.told()
    messaging.close()
    return told


def main() -> None:
    """Run one client and print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("client", choices=("publish", "consume"))
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--bootstrap-servers")
    parser.add_argument("--registry")
    parser.add_argument("--topic")
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    print(json.dumps({"publish": publish, "consume": consume}[options.client](options)))


if __name__ == "__main__":
    main()
