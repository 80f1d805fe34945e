"""Everything in one process: schema → class → registry → Kafka → consumer, nothing to install.

python samples/demo.py
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import attrs
from contracts.orders import OrderCreated
from order_service.consumer import order_consumer
from order_service.orders import open_messaging, stop_printing
from order_service.producer import publish

from sdk import Context, Messaging

COUNT = 6
_BOLD, _DIM, _GREEN, _PLAIN = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 4
)


def main() -> int:
    """Run the demo; exit code 0 when every event has come back."""
    # The demo prints what happens; only warnings and errors of the log are shown.
    os.environ.setdefault("SDK_LOGGING__LEVEL", "ERROR")
    started = time.monotonic()
    with open_messaging("embedded") as messaging:
        show_contracts(messaging)
        messaging.warm_up()
        show_registry(messaging)
        received = consume_in_background(messaging)
        show_published(messaging)
        complete = received.wait()
    seconds = time.monotonic() - started
    if not complete:
        print("\nnot every event came back")
        return 1
    print(
        f"\n{_GREEN}Done{_PLAIN} in {seconds:.1f} s: {COUNT} events of two versions, read as one"
        " class. Broker and registry ran in this process and have ended.\n"
        f"{_DIM}The same code works with your own cluster: see samples/settings.toml.{_PLAIN}"
    )
    return 0


def show_contracts(messaging: Messaging) -> None:
    """Print which classes were generated from which schema files."""
    _title("1  Contracts", "generated from schemas/ by codegen/generate.py")
    before: set[str] = set()
    for event_class in messaging.catalog.versions("OrderCreated"):
        contract = event_class.__event__
        names = [each.name for each in attrs.fields(event_class)]
        added = [name for name in names if name not in before]
        before |= set(names)
        print(f"   {contract.full_name} v{contract.version}: {', '.join(added)}")
    print(f"   {_DIM}version 2 keeps the fields of version 1; each new one has a default{_PLAIN}")


def show_registry(messaging: Messaging) -> None:
    """Print what the registry contains after `warm_up` has registered the schemas."""
    _title("2  Schema Registry", messaging.settings.registry.url[0])
    for subject in ("common.Currency", "orders.OrderCreated"):
        level = _ask(messaging, f"config/{subject}")["compatibilityLevel"]
        for number in _ask(messaging, f"subjects/{subject}/versions"):
            found = _ask(messaging, f"subjects/{subject}/versions/{number}")
            shared = [each["name"] for each in found.get("references", ())]
            refers = f", refers to {', '.join(shared)}" if shared else ""
            print(f"   {subject}: version {number} has id {found['id']} ({level}{refers})")


def show_published(messaging: Messaging) -> None:
    """Publish both versions in turn; print what Kafka has acknowledged."""
    _title("3  Published", f"to {', '.join(messaging.settings.kafka.bootstrap_servers)}")
    print(f"   {_DIM}{'written as':<12}{'topic':<17}{'partition':>9}{'offset':>8}  key{_PLAIN}")
    for delivery in publish(messaging, COUNT):
        contract = delivery.event.__event__
        written = f"version {contract.version}"
        print(
            f"   {written:<12}{delivery.topic:<17}{delivery.partition:>9}{delivery.offset:>8}"
            f"  {delivery.event.order_id}"
        )


class Received:
    """The orders that a consumer in a background thread has read."""

    def __init__(self, messaging: Messaging) -> None:
        self._read: list[tuple[OrderCreated, Context]] = []
        self._consumer = order_consumer(
            messaging, lambda *order: self._read.append(order), count=COUNT, group="demo"
        )
        self._thread = threading.Thread(target=self._consumer.run, daemon=True)
        self._thread.start()

    def wait(self) -> bool:
        """Print the orders; return whether all were read."""
        self._thread.join(30)
        self._consumer.stop()
        _title("4  Consumed", "every one as contracts.orders.OrderCreated, the newest version")
        print(
            f"   {_DIM}{'written as':<12}{'read as':<11}{'total':>12}  what version 2 added{_PLAIN}"
        )
        for order, context in self._read:
            version = context.writer_version
            added = (
                f"{_DIM}all defaults: guest, {order.currency.value}, no lines, no note{_PLAIN}"
                if version == 1
                else f"{order.customer_id}, {len(order.lines)} line(s), note {order.note!r}"
            )
            total = f"{order.total_amount} {order.currency.value}"
            print(f"   {f'version {version}':<12}{'version 2':<11}{total:>12}  {added}")
        return len(self._read) == COUNT


def consume_in_background(messaging: Messaging) -> Received:
    """Start a consumer, as another service would be."""
    return Received(messaging)


def _ask(messaging: Messaging, path: str) -> Any:
    url = f"{messaging.settings.registry.url[0]}/{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _title(title: str, remark: str) -> None:
    print(f"\n{_BOLD}{title}{_PLAIN}  {_DIM}{remark}{_PLAIN}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        stop_printing()
    except KeyboardInterrupt:
        sys.exit(130)
