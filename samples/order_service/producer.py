"""Publish OrderCreated events of both versions and print what Kafka acknowledged.

python samples/order_service/producer.py --count 10
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from order_service.orders import first_order, grown_order, open_messaging, stop_printing
from sdk import Delivery, Event, Messaging, SdkError

_KINDS: dict[int | None, tuple[Callable[[], Event], ...]] = {
    1: (first_order,),
    2: (grown_order,),
    None: (first_order, grown_order),
}


def publish(messaging: Messaging, count: int, version: int | None = None) -> Iterator[Delivery]:
    """Publish random orders and yield each acknowledged delivery in order.

    Args:
        messaging: The connection.
        count: How many.
        version: Of the event; None takes turns.
    """
    kinds = _KINDS[version]
    deliveries = [
        messaging.producer.produce(kinds[number % len(kinds)]()) for number in range(count)
    ]
    for delivery in deliveries:
        delivery.result(timeout=30)
        yield delivery


def main() -> int:
    """Run the command; exit code 0, or 1 for errors of Kafka, the registry or the settings."""
    parser = argparse.ArgumentParser(description="Publish OrderCreated events.")
    parser.add_argument("--count", type=int, default=10, help="how many events (default 10)")
    parser.add_argument(
        "--version", type=int, choices=(1, 2), help="version to publish (default: both in turn)"
    )
    parser.add_argument("--env", help="environment of the settings (default SDK_ENV or embedded)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    options = parser.parse_args()
    try:
        with open_messaging(options.env) as messaging:
            for delivery in publish(messaging, options.count, options.version):
                _print(delivery, as_json=options.json)
    except SdkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        stop_printing()
    except KeyboardInterrupt:
        return 130
    return 0


def _print(delivery: Delivery, *, as_json: bool) -> None:
    contract = delivery.event.__event__
    told = {
        "event": contract.full_name,
        "version": contract.version,
        "topic": delivery.topic,
        "partition": delivery.partition,
        "offset": delivery.offset,
        "key": str(delivery.event.order_id),
    }
    line = (
        json.dumps(told)
        if as_json
        else "{event} v{version} → {topic} [{partition}] offset {offset}, key {key}".format(**told)
    )
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
