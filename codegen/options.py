"""The options of a run of the generator: the command line over ``[tool.sdk.codegen]``."""

from __future__ import annotations

import argparse
import shlex
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from sdk.errors import ConfigurationError, suggest

_DEFAULTS: Final = {"schemas": "schemas", "output": "contracts", "package": None, "strict": False}


@frozen
class Options:
    """The input, output and scope of a run."""

    schemas: Path
    output: Path
    package: str
    domains: tuple[str, ...]
    check: bool
    diff: bool
    strict: bool
    command: str


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line, and ``pyproject.toml`` for absent options."""
    given = _parser().parse_args(arguments)
    project = _project_file(Path.cwd())
    table = _table(project)
    base = project.parent if project is not None else Path.cwd()
    schemas = Path(given.schemas) if given.schemas else base / table["schemas"]
    output = Path(given.output) if given.output else base / table["output"]
    if not schemas.is_dir():
        raise ConfigurationError(
            f"no folder of schemas at {schemas}",
            remedy="pass --schemas DIR, or set it in pyproject.toml",
        )
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"{output} is not a folder", remedy="pass another --output")
    package = given.package or _package(output, None if given.output else table["package"])
    if not all(part.isidentifier() for part in package.split(".")):
        raise ConfigurationError(
            f"{package!r} is not a package name",
            remedy="pass --package NAME, such as acme.contracts",
        )
    return Options(
        schemas=schemas,
        output=output,
        package=package,
        domains=tuple(given.domain),
        check=given.check,
        diff=given.diff,
        strict=given.strict or table["strict"],
        command=_command(arguments),
    )


def _package(output: Path, configured: str | None) -> str:
    name = output.resolve().name
    return configured or (name if name.isidentifier() else "contracts")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_program(),
        description="Generate typed event classes from a tree of Avro schemas.",
        epilog="Exit status: 0 fine, 1 findings, 2 wrong usage. Defaults: [tool.sdk.codegen].",
    )
    add = parser.add_argument
    add("--schemas", metavar="DIR", help="folder of the schemas")
    add("--output", metavar="DIR", help="folder of the generated package")
    add("--package", metavar="NAME", help="import name of the generated package")
    add(
        "--domain",
        metavar="D",
        action="append",
        default=[],
        help="only this domain and what it refers to; may be given more than once",
    )
    add("--check", action="store_true", help="write nothing; exit 1 if anything is out of date")
    add(
        "--strict", action="store_true", help="refuse what else is warned of, in v1.avsc, v2.avsc …"
    )
    add("--diff", action="store_true", help="write nothing; show what would change")
    return parser


def _program() -> str:
    started = Path(sys.argv[0])
    return "python codegen/generate.py" if started.suffix == ".py" else "sdk-generate"


def _command(arguments: Sequence[str]) -> str:
    """Return the command that writes what ``--check`` or ``--diff`` found."""
    kept = [each for each in arguments if each not in ("--check", "--diff")]
    return shlex.join([*_program().split(), *kept])


def _project_file(start: Path) -> Path | None:
    """Return the nearest ``pyproject.toml`` with our table, from a folder upwards."""
    for folder in (start, *start.parents):
        candidate = folder / "pyproject.toml"
        if candidate.is_file() and "tool.sdk.codegen" in candidate.read_text(encoding="utf-8"):
            return candidate
    return None


def _table(project: Path | None) -> Mapping[str, Any]:
    if project is None:
        return _DEFAULTS
    try:
        parsed = tomllib.loads(project.read_text(encoding="utf-8"))
        table = parsed["tool"]["sdk"]["codegen"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{project}: [tool.sdk.codegen] cannot be read: {error}", remedy="correct the file"
        ) from error
    for key, value in table.items():
        if key not in _DEFAULTS:
            raise ConfigurationError(
                f"{project}: unknown key {key!r} in [tool.sdk.codegen]",
                remedy=suggest(key, _DEFAULTS, f"use {', '.join(_DEFAULTS)}"),
            )
        wanted = bool if key == "strict" else str
        if not isinstance(value, wanted) or value == "":
            raise ConfigurationError(
                f"{project}: {key} in [tool.sdk.codegen] is {value!r}",
                remedy="write true or false" if wanted is bool else "write text in quotes",
            )
    return {**_DEFAULTS, **table}
