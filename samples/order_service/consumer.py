"""Read OrderCreated events of every version as the newest one.

python samples/order_service/consumer.py --count 10 --timeout 30
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contracts.orders import OrderCreated

from order_service.orders import open_messaging, stop_printing
from sdk import Consumer, Context, Messaging, SdkError
from sdk.serialization import JsonMessageSerializer

OnOrder = Callable[[OrderCreated, Context], None]


def order_consumer(
    messaging: Messaging, on_order: OnOrder, *, count: int | None = None, group: str | None = None
) -> Consumer:
    """Return a consumer that passes orders on and stops after ``count`` of them.

    Args:
        messaging: The connection.
        on_order: Called with each order and its context.
        count: None continues until it is stopped.
        group: Consumer group; by default that of the settings.
    """
    consumer = messaging.consumer(group)
    left = count

    def take(order: OrderCreated, context: Context) -> None:
        nonlocal left
        on_order(order, context)
        if left is not None:
            left -= 1
            if left <= 0:
                consumer.stop()

    return consumer.handle(OrderCreated, take)


def main() -> int:
    """Run the command.

    Returns:
        Exit code: 0; 1 for errors of Kafka, the registry or the settings, or if fewer than
        ``--count`` events arrived within ``--timeout``.
    """
    parser = argparse.ArgumentParser(description="Read OrderCreated events as the newest version.")
    parser.add_argument("--count", type=int, help="stop after so many events (default: never)")
    parser.add_argument("--timeout", type=float, help="stop after so many seconds (default: never)")
    parser.add_argument("--group", help="consumer group (default: that of the settings)")
    parser.add_argument("--env", help="environment of the settings (default SDK_ENV or embedded)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    options = parser.parse_args()
    read = 0

    def on_order(order: OrderCreated, context: Context) -> None:
        nonlocal read
        read += 1
        print(_json(order, context) if options.json else _line(order, context), flush=True)

    try:
        with open_messaging(options.env) as messaging:
            consumer = order_consumer(messaging, on_order, count=options.count, group=options.group)
            alarm = threading.Timer(options.timeout or 0, consumer.stop)
            if options.timeout is not None:
                alarm.start()
            try:
                consumer.run()
            finally:
                alarm.cancel()
    except SdkError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            stop_printing()
            return 0
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before there was a consumer to stop
        return 130
    return 1 if options.count is not None and read < options.count else 0


def _described(order: OrderCreated, context: Context) -> dict[str, object]:
    return {
        "event": order.__event__.full_name,
        "version": order.__event__.version,
        "written_version": context.writer_version,
        "topic": context.topic,
        "partition": context.partition,
        "offset": context.offset,
        "key": context.key,
    }


def _json(order: OrderCreated, context: Context) -> str:
    fields = json.loads(JsonMessageSerializer().encode(order, context.topic, []))
    return json.dumps({**_described(order, context), "fields": fields})


def _line(order: OrderCreated, context: Context) -> str:
    text = (
        "{event} v{version} (written as v{written_version}) ← {topic} [{partition}] offset"
        " {offset}, key {key}"
    ).format(**_described(order, context))
    return f"{text}\n    {order.total_amount} {order.currency.value}, {len(order.lines)} line(s)"


if __name__ == "__main__":
    sys.exit(main())
