"""``python -m tests.servers up [--brokers 3]``: real Kafka and a real registry until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.servers.java import MissingTool
from tests.servers.kafka import KafkaCluster
from tests.servers.process import ServerFailed
from tests.servers.registry import ApicurioRegistry


def main() -> int:
    """Start both servers, print how to reach them, and end them at Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("command", choices=["up"])
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1)
    parser.add_argument("--folder", type=Path, help="for data and logs; default: a temporary one")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="servers-"))
        )
        try:
            registry = stack.enter_context(ApicurioRegistry(folder / "registry"))
            kafka = stack.enter_context(
                KafkaCluster(
                    folder / "kafka",
                    brokers=options.brokers,
                    properties={"auto.create.topics.enable": "true", "num.partitions": "6"},
                )
            )
        except (MissingTool, ServerFailed) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"# data and logs: {folder}\n# running until Ctrl-C; in other shells:")
        print(f"export SDK_KAFKA__BOOTSTRAP_SERVERS={kafka.bootstrap_servers}")
        print(f"export SDK_REGISTRY__URL={registry.url}", flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
