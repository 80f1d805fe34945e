"""mypy and pyright over a folder of user code, each in one run, and what they refuse by line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
USER_CODE = Path(__file__).parent / "user_code"

Refusals = Mapping[str, Mapping[int, str]]
"""File name → line → what the checker says about it."""


def expected(file: str) -> set[int]:
    """Return the lines that a file of user code marks as mistakes."""
    lines = (USER_CODE / file).read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# refused")}


def mypy(scratch: Path) -> Refusals:
    """Run ``mypy --strict`` over all user code.

    Args:
        scratch: Folder for its configuration and cache.
    """
    config = scratch / "mypy.ini"
    config.write_text(
        f"[mypy]\nstrict = true\nmypy_path = {ROOT / 'samples'}:{ROOT}\n"
        "[mypy-confluent_kafka.*,dynaconf.*]\nignore_missing_imports = true\n",
        encoding="utf-8",
    )
    output = _output("mypy", "--config-file", str(config), "--output", "json", str(USER_CODE))
    errors = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return _by_file(
        (each["file"], each["line"], each["message"])
        for each in errors
        if each["severity"] == "error"
    )


def pyright(scratch: Path) -> Refusals:
    """Run pyright in strict mode over all user code.

    Args:
        scratch: Folder for its configuration.
    """
    config = scratch / "pyrightconfig.json"
    settings = {
        "include": [str(USER_CODE)],
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT / "samples"), str(ROOT)],
        "pythonVersion": "{}.{}".format(*sys.version_info),
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    output = _output(
        "basedpyright", "--project", str(config), "--pythonpath", sys.executable, "--outputjson"
    )
    return _by_file(
        (each["file"], each["range"]["start"]["line"] + 1, each["message"])
        for each in json.loads(output)["generalDiagnostics"]
        if each["severity"] == "error"
    )


def _output(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr  # there are mistakes to be found
    return done.stdout


def _by_file(errors: Iterable[tuple[str, int, str]]) -> Refusals:
    found: dict[str, dict[int, str]] = {}
    for file, line, message in errors:
        found.setdefault(Path(file).name, {}).setdefault(line, message)
    return found
