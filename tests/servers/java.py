"""Finds Java and Maven, or reports what to install."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_JVM_FOLDERS = (
    ("/usr/lib/jvm", "*/bin/java"),
    ("/usr/java", "*/bin/java"),
    ("/opt/java", "*/bin/java"),
    ("/Library/Java/JavaVirtualMachines", "*/Contents/Home/bin/java"),
    ("/opt/homebrew/opt", "openjdk*/bin/java"),
)
INSTALL = (
    "install a JDK (17, better 21 or newer) and Maven: `.ci/install-java` does it on Debian and "
    "Ubuntu, `brew install openjdk maven` on macOS"
)


class MissingTool(RuntimeError):
    """A program that the servers need is not installed; the message says what to install."""


def find_java(at_least: int) -> Path:
    """Return the newest installed ``java`` of this major version or a later one.

    Args:
        at_least: Lowest acceptable major version, such as 17.

    Raises:
        MissingTool: There is none.
    """
    suitable = [(major, java) for java in _candidates() if (major := _major(java)) >= at_least]
    if not suitable:
        raise MissingTool(f"no Java {at_least} or newer found; {INSTALL}")
    return max(suitable, key=lambda found: found[0])[1]


def has_java(at_least: int) -> bool:
    """Return whether `find_java` would find one."""
    try:
        find_java(at_least)
    except MissingTool:
        return False
    return True


def find_maven() -> str:
    """Return the ``mvn`` command.

    Raises:
        MissingTool: It is not on the path.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingTool(f"no Maven (`mvn`) on the path; {INSTALL}")
    return maven


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if on_path := shutil.which("java"):
        yield Path(on_path)
    for folder, pattern in _JVM_FOLDERS:
        yield from sorted(Path(folder).glob(pattern))


@functools.cache
def _major(java: Path) -> int:
    """Return the major version of a ``java``, or 0 where it does not run."""
    if not java.exists():
        return 0
    try:
        told = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=120, check=False
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else 0
