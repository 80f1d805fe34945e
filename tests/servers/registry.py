"""Apicurio Registry, through the API that it shares with Confluent's Schema Registry."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.servers import artifacts
from tests.servers.java import find_java, has_java
from tests.servers.process import ServerProcess, free_port


class ApicurioRegistry:
    """A registry of our own; a context manager that starts and ends it.

    Args:
        folder: For logs, and for the schemas where they are kept.
        durable: Keep schemas on disk, so that they survive `ServerProcess.kill`; else in memory.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.port = free_port()
        self.process = ServerProcess(
            "apicurio",
            [*_java(), *self._options(folder, durable), *_main()],
            folder,
            ready=lambda log: self._answers(),
        )

    @property
    def url(self) -> str:
        """The URL for a client of Confluent's registry."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def path(self) -> str:
        """The path prefix of the Confluent-compatible API."""
        return "/apis/ccompat/v7"

    def start(self) -> None:
        """Start the registry, wait until it answers, and set BACKWARD, Confluent's default."""
        self.process.start()
        request = urllib.request.Request(
            f"{self.url}/config",
            data=json.dumps({"compatibility": "BACKWARD"}).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=60):
            pass

    def stop(self) -> None:
        """End the registry."""
        self.process.stop()

    def __enter__(self) -> ApicurioRegistry:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _options(self, folder: Path, durable: bool) -> list[str]:
        options = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self.port),
            # On 9000 of all interfaces by default, where a second registry would clash.
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": str(free_port()),
        }
        if durable:
            options["apicurio.storage.sql.kind"] = "h2"
            # Without the delay of 0, `kill -9` loses the last half second.
            options["apicurio.datasource.url"] = f"jdbc:h2:file:{folder}/db;WRITE_DELAY=0"
        return [f"-D{key}={value}" for key, value in options.items()]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _java() -> list[str | Path]:
    quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
    return [find_java(17), "-Xmx512m", *quick]


def _main() -> list[str | Path]:
    if has_java(21):
        return ["-jar", artifacts.apicurio_folder(artifacts.APICURIO) / "quarkus-run.jar"]
    folder = artifacts.apicurio_folder(artifacts.APICURIO_FOR_JAVA_17)
    return ["-jar", *sorted(folder.rglob("apicurio-registry-app-*-runner.jar"))[:1]]
