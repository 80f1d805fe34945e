"""Prometheus, from the programs of the machine's package, which scrapes what a test serves."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.java import MissingTool
from tests.servers.process import ServerProcess, free_port

_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: services
    static_configs: [{{targets: {targets}}}]
"""


def program(name: str) -> str:
    """Return the path of ``prometheus`` or ``promtool``.

    Raises:
        MissingTool: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise MissingTool(f"{name} is not installed: apt-get install prometheus")
    return found


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return what it says; a failure is an `AssertionError` with that."""
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class PrometheusServer:
    """A server of our own; a context manager that starts and ends it.

    Args:
        folder: For its data and its log.
        rules: File of alert rules.
        ports: Where ``/metrics`` are served on this machine.

    Attributes:
        url: Of its API.
    """

    def __init__(self, folder: Path, rules: Path, *ports: int) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        targets = json.dumps([f"127.0.0.1:{port}" for port in ports])
        config = folder / "prometheus.yml"
        config.write_text(_CONFIG.format(rules=rules, targets=targets))
        self._process = ServerProcess(
            "prometheus",
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            folder,
            ready=lambda log: "Server is ready to receive web requests" in log,
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query; an expression that is not valid is an error."""
        found = self._get("query?" + urllib.parse.urlencode({"query": expression}))
        result: list[dict[str, Any]] = found["result"]
        return result

    def firing(self) -> set[tuple[str, str | None]]:
        """Return the alerts that fire, each with the consumer group that it names, if any."""
        return {
            (each["labels"]["alertname"], each["labels"].get("group"))
            for each in self._get("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=60) as answer:
            return json.load(answer)["data"]

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.stop()
