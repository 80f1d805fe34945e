"""Finding the settings, choosing the environment, and telling all that is wrong at once."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from sdk.errors import ConfigurationError
from sdk.settings.checking import EMBEDDED, suggest
from sdk.settings.librdkafka import gather_passthrough
from sdk.settings.options import Settings
from sdk.settings.sources import (
    PREFIX,
    Layer,
    Origins,
    SettingPath,
    Source,
    merge,
    read_file,
    variable_layers,
)
from sdk.settings.structure import MISSING, NAMES, TABLES, Finding, structure
from sdk.settings.userinfo import move_userinfo

SettingsPaths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

logger = logging.getLogger("sdk.settings")

_DEFAULT = "default"
_TOKEN = re.compile(r"@(?:format|jinja|get|read_file|json|int|float|bool|str|merge|none) ")
_WELL_KNOWN = (EMBEDDED, "docker", "production")
_EMBEDDED_LAYER = Layer(
    Source("the embedded environment", ""),
    {
        "kafka": {"bootstrap_servers": EMBEDDED, "tls": None, "sasl": None},
        "registry": {
            "url": EMBEDDED,
            "auto_register": True,
            "username": None,
            "password": None,
            "bearer_token": None,
            "tls": None,
        },
    },
)


@frozen
class _File:
    """A settings file as it was read."""

    name: str
    tables: Mapping[str, Any]

    def layer(self, table: str) -> Layer | None:
        """Return what stands in an environment's table, or at top level for ""."""
        if not table:
            known = {key: value for key, value in self.tables.items() if key in NAMES}
            return Layer(Source(self.name, ""), known)
        values = self.tables.get(table)
        return Layer(Source(self.name, table), values) if isinstance(values, Mapping) else None

    def environments(self) -> list[str]:
        """Return the names of the tables that are environments."""
        return [
            key
            for key, value in self.tables.items()
            if key not in NAMES and key != _DEFAULT and isinstance(value, Mapping)
        ]


@frozen
class _Complaint:
    """A finding in words."""

    message: str
    remedy: str | None


def load_settings(
    environment: str | None = None,
    *,
    settings: SettingsPaths | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load, merge, structure and check the settings of one environment.

    Files are TOML: ``settings``, else what the variable ``SDK_SETTINGS`` names, else
    ``settings.toml`` in the current directory; and ``.secrets.toml`` beside each. Their tables are
    ``[default.…]`` for every environment, ``[<environment>.…]`` for one. Later ones win, key by
    key: top level, ``[default]``, the environment's, then variables such as
    ``SDK_KAFKA__BOOTSTRAP_SERVERS``; lists replace.

    Args:
        environment: Its name; by default the variable ``SDK_ENV``. Without either, ``embedded``,
            provided that there is neither a settings file nor any ``SDK_`` variable.
        settings: Path or paths of settings files, which must exist.
        environ: Environment variables; by default those of this process.

    Returns:
        Frozen options, complete with defaults.

    Raises:
        ConfigurationError: All that is wrong, each with its file or variable; values that may be
            secret are not shown.
    """
    variables = os.environ if environ is None else environ
    files = [_File(str(path), read_file(path)) for path in _paths(settings, variables)]
    name = _choose(environment, files, variables)
    merged, origins = merge(_layers(name, files, variables))
    findings = _unknown_names(merged) + gather_passthrough(merged) + move_userinfo(merged)
    loaded, wrong = structure({"kafka": {}, "registry": {}, **merged, "environment": name})
    complaints = _stray_keys(files, name)
    complaints += [_complaint(finding, origins, name) for finding in (*findings, *wrong)]
    if loaded is None or complaints:
        raise _error(name, complaints)
    _warn_of_tokens(merged, origins, ())
    routes = origins.get(("topics",))
    return evolve(loaded, topics_origin=routes.describe_list("topics")) if routes else loaded


def _paths(settings: SettingsPaths | None, variables: Mapping[str, str]) -> list[Path]:
    """Return the settings files in order, each followed by the secrets beside it."""
    named = settings if settings is not None else variables.get("SDK_SETTINGS") or None
    if named is None:
        main = [Path("settings.toml")]
    else:
        main = [Path(path) for path in _several(named)]
        for path in main:
            if not path.is_file():
                origin = "" if settings is not None else " that SDK_SETTINGS names"
                raise ConfigurationError(f"there is no settings file {path}{origin}")
    found: dict[Path, None] = {}
    for path in main:
        found.update(dict.fromkeys((path, path.with_name(".secrets.toml"))))
    return [path for path in found if path.is_file()]


def _several(paths: SettingsPaths) -> Sequence[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, str | os.PathLike) else paths


def _choose(environment: str | None, files: Sequence[_File], variables: Mapping[str, str]) -> str:
    name = (environment or variables.get("SDK_ENV") or "").strip().lower()
    known = {EMBEDDED: None}
    for file in files:
        known.update(dict.fromkeys(file.environments()))
    given = sorted(key for key in variables if key.startswith(PREFIX) and key != "SDK_ENV")
    if not name:
        if not files and not given:
            return EMBEDDED
        because = ", ".join([file.name for file in files] or given[:3])
        raise ConfigurationError(
            f"no environment is chosen, and there are settings ({because})",
            remedy=f"set SDK_ENV or pass environment=; known here: {', '.join(known)}",
        )
    if name in known:
        return name
    told = repr(name) if environment else f"{name!r} (SDK_ENV)"
    if files:
        raise ConfigurationError(
            f"environment {told} is unknown: no table [{name}] in {files[0].name}",
            remedy=suggest(name, known, f"known: {', '.join(known)}; or add the table, even empty"),
        )
    if name in NAMES or (name not in _WELL_KNOWN and not _addressed(given)):
        raise ConfigurationError(
            f"environment {told} is unknown: there is no settings file, "
            "and no variable says where Kafka is",
            remedy=suggest(name, _WELL_KNOWN, "set SDK_KAFKA__BOOTSTRAP_SERVERS, or add a file"),
        )
    return name


def _addressed(variables: Iterable[str]) -> bool:
    return any(name.startswith("SDK_KAFKA") for name in variables)


def _layers(name: str, files: Sequence[_File], variables: Mapping[str, str]) -> list[Layer]:
    embedded = [_EMBEDDED_LAYER] if name == EMBEDDED else []
    found = [
        *(file.layer("") for file in files),
        *(file.layer(_DEFAULT) for file in files),
        *embedded,
        *(file.layer(name) for file in files),
        *variable_layers(variables, TABLES),
    ]
    return [layer for layer in found if layer is not None]


def _stray_keys(files: Sequence[_File], chosen: str) -> list[_Complaint]:
    """Find what no environment would ever read: dynaconf passes over it in silence."""
    complaints = []
    for file in files:
        for key, value in file.tables.items():
            if key in NAMES or key in {_DEFAULT, chosen}:
                continue
            if key == "global":
                complaints.append(_Complaint(f"{file.name}: [global] is not read", "use [default]"))
            elif not isinstance(value, Mapping):
                remedy = suggest(key, NAMES, f"known: {', '.join(sorted(NAMES))}")
                complaints.append(_Complaint(f"{file.name}: {key} is an unknown key", remedy))
            else:
                complaints += _stray_in_table(file.name, key, value)
    return complaints


def _stray_in_table(file: str, table: str, values: Mapping[str, Any]) -> list[_Complaint]:
    remedy = suggest(table, NAMES, f"an environment holds {', '.join(sorted(NAMES))}")
    return [
        _Complaint(f"{file}: {table}.{key} is an unknown key", suggest(key, NAMES, remedy))
        for key in values
        if key not in NAMES
    ]


def _unknown_names(merged: dict[str, Any]) -> list[Finding]:
    unknown = [key for key in merged if key not in NAMES]
    for key in unknown:
        del merged[key]
    otherwise = f"known: {', '.join(sorted(NAMES))}"
    return [Finding((key,), "is an unknown key", suggest(key, NAMES, otherwise)) for key in unknown]


def _warn_of_tokens(values: Mapping[str, Any], origins: Origins, path: SettingPath) -> None:
    """Tell who is used to dynaconf's tokens that they are taken as text here."""
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, Mapping):
            _warn_of_tokens(value, origins, here)
        elif isinstance(value, str) and (token := _TOKEN.match(value)):
            origin = _origin(here, origins)
            where = origin.describe() if origin else "the settings"
            told = "%s: %s begins with %s, which is not evaluated but taken as it stands"
            logger.warning(told, where, _dotted(here), token[0].strip())


def _complaint(finding: Finding, origins: Origins, environment: str) -> _Complaint:
    origin = _origin(finding.path, origins)
    name = _dotted(finding.path)
    if finding.problem == MISSING:
        variable = PREFIX + "__".join(finding.path).upper()
        table = ".".join((environment, *finding.path[:-1]))
        return _Complaint(
            f"{name} is missing in environment {environment!r}",
            f"set it in [{table}], or by the variable {variable}"
            if all(part.isidentifier() for part in finding.path)
            else "add it",
        )
    where = f"{origin.describe()}: " if origin else ""
    return _Complaint(
        f"{where}{name} {finding.problem}", finding.remedy or _quoting(finding, origin)
    )


def _quoting(finding: Finding, origin: Source | None) -> str | None:
    """How to keep a value text that was read as something else."""
    if finding.expected != "text" or origin is None:
        return None
    own = PREFIX + "__".join(finding.path).upper()
    if origin.name == own:
        return f"to keep it text, quote it twice: {own}='\"...\"'"
    return "to keep it text, write it in quotes"


def _origin(path: SettingPath, origins: Origins) -> Source | None:
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return None


def _dotted(path: SettingPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if part.isdigit() else f".{part}" if text else part
    return text


def _error(environment: str, complaints: Sequence[_Complaint]) -> ConfigurationError:
    if len(complaints) == 1:
        return ConfigurationError(complaints[0].message, remedy=complaints[0].remedy)
    lines = [
        f"{complaint.message}; {complaint.remedy}" if complaint.remedy else complaint.message
        for complaint in complaints
    ]
    head = f"{len(lines)} settings of environment {environment!r} are wrong:"
    return ConfigurationError("\n  - ".join([head, *lines]))
