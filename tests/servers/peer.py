"""Java programs as peers: compiled once, asked over a pipe, gone when the pipe closes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.servers import artifacts
from tests.servers.java import find_java

_SOURCES = Path(__file__).parents[1] / "integration" / "java"
_JAVA = 17


class JavaError(RuntimeError):
    """The peer raised; ``name`` is the class of its exception, ``message`` its message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class JavaPeer:
    """A running peer; a context manager, and safe to share between threads.

    Args:
        main: The program's class, which is its file's name.
        jars: Folder of the libraries that it needs.
        sources: The files that it is made of.
    """

    def __init__(self, main: str, jars: Path, sources: tuple[str, ...]) -> None:
        classes = _compiled(jars, sources)
        command = [str(find_java(_JAVA)), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += ["-Xmx512m", "-cp", f"{classes}:{jars}/*", main]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Args:
            operation: Such as ``encode``; the program's source lists them.
            arguments: Its arguments, as JSON.

        Raises:
            JavaError: The peer raised an exception.
        """
        sending, receiving = _pipes(self._process)
        with self._lock:
            sending.write(json.dumps({"op": operation, **arguments}) + "\n")
            sending.flush()
            line = receiving.readline()
        if not line:
            raise RuntimeError(f"the Java peer ended:\n{self._log_text()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise JavaError(answer["error"], answer["message"])
        return answer

    def close(self) -> None:
        """End the peer."""
        sending, receiving = _pipes(self._process)
        sending.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        receiving.close()
        self._log.close()

    def __enter__(self) -> JavaPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _log_text(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")


def avro_peer() -> JavaPeer:
    """Start Apache Avro's Java library: ``encode``, ``decode``, ``parse``, ``compatible``."""
    sources = ("Lines.java", "Data.java", "AvroPeer.java")
    return JavaPeer("AvroPeer", artifacts.avro_jars(), sources)


def confluent_peer() -> JavaPeer:
    """Start Confluent's serdes with Apache's Kafka clients: ``produce``, ``consume``."""
    sources = ("Lines.java", "Data.java", "ConfluentPeer.java")
    return JavaPeer("ConfluentPeer", artifacts.confluent_jars(), sources)


def spring_peer() -> JavaPeer:
    """Start Spring for Apache Kafka's retry topics: ``names``, ``retry``, ``dead_letter``."""
    return JavaPeer("SpringPeer", artifacts.spring_jars(), ("Lines.java", "SpringPeer.java"))


def _compiled(jars: Path, sources: tuple[str, ...]) -> Path:
    """Return the folder of the classes, compiling where the sources or libraries are new."""
    recipe = jars.name + "".join((_SOURCES / name).read_text() for name in sources)

    def compile_sources(folder: Path) -> None:
        javac = str(find_java(_JAVA).with_name("javac"))
        command = [javac, "--release", str(_JAVA), "-nowarn", "-cp", f"{jars}/*"]
        command += ["-d", str(folder), *(str(_SOURCES / name) for name in sources)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the Java peer does not compile:\n{done.stderr}")

    digest = hashlib.sha256(recipe.encode()).hexdigest()
    return artifacts.cached("classes", digest, compile_sources)


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
