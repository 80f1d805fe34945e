"""``python -m sdk.embedded``: host a broker and a schema registry for other processes.

Standard output is a script, for ``eval "$(...)"`` or for copying its lines.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from sdk.embedded.host import Embedded
from sdk.embedded.sharing import warn_once
from sdk.errors import SdkError
from sdk.settings import Settings, load_settings
from sdk.settings.checking import EMBEDDED
from sdk.topics import TopicDefinition


def main(arguments: Sequence[str] | None = None) -> int:
    """Host until Ctrl-C or SIGTERM.

    Args:
        arguments: The command line; by default that of this process.

    Returns:
        Exit code: 0, or 2 if settings or options are wrong.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        settings = _settings(options.settings, options.env)
        topics = [*_declared(settings, options.partitions), *options.topic]
        with Embedded(options.registry_port, options.brokers, topics) as host:
            warn_once()
            _print_exports(host, settings)
            stopped.wait()
    except SdkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with suppress(BrokenPipeError):  # the reader of the exports may have exited
        print("# stopped", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdk.embedded",
        description="Host a broker and a schema registry until Ctrl-C, and print the variables "
        "with which other processes of this machine join. Nothing is kept.",
    )
    parser.add_argument(
        "--registry-port",
        type=_whole(0, 65_535),
        default=0,
        metavar="N",
        help="default: a free port",
    )
    parser.add_argument("--brokers", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--settings", metavar="FILE", help="settings file whose [[topics]] are created"
    )
    parser.add_argument(
        "--env", metavar="NAME", help="environment of it (default: SDK_ENV or embedded)"
    )
    parser.add_argument(
        "--partitions",
        type=_whole(1),
        metavar="N",
        help="partition count of declared topics that name none",
    )
    parser.add_argument(
        "--topic",
        type=_topic,
        action="append",
        default=[],
        metavar="NAME[:PARTITIONS]",
        help="create this topic too; may be repeated",
    )
    return parser


def _settings(file: str | None, environment: str | None) -> Settings | None:
    if file is None:
        return None
    # This command hosts the embedded environment, unless another one is named.
    return load_settings(environment or os.environ.get("SDK_ENV") or EMBEDDED, settings=file)


def _declared(settings: Settings | None, partitions: int | None) -> Iterable[TopicDefinition]:
    if settings is None:
        return
    default = partitions or settings.routing.partitions
    counts: dict[str, int | None] = {}
    for topic in settings.topics:
        counts[topic.name] = topic.partitions or counts.get(topic.name)
    for name, count in counts.items():
        yield TopicDefinition(name=name, partitions=count or default)


def _topic(text: str) -> TopicDefinition:
    name, colon, partitions = text.partition(":")
    count = _whole(1)(partitions) if colon else None
    return TopicDefinition(name=name, partitions=count)


def _whole(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    bounds = f"from {lowest} on" if highest is None else f"from {lowest} to {highest}"

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal():
            number = int(text)
            if lowest <= number and (highest is None or number <= highest):
                return number
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {bounds}")

    return read


def _print_exports(host: Embedded, settings: Settings | None) -> None:
    environment = "embedded" if settings is None else settings.environment
    print("# Broker and registry run until Ctrl-C. In other shells:")
    print(f"export SDK_ENV={environment}")
    print(f"export SDK_KAFKA__BOOTSTRAP_SERVERS={host.bootstrap_servers}")
    print(f"export SDK_REGISTRY__URL={host.url}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
