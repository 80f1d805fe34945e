"""Reads settings files and variables, selects the environment, and reports all errors.

Every table of a file and every variable is a layer; layers are merged key by key, and
anything but a table is replaced. dynaconf parses and casts but does not merge, because its
environments drop the other keys of a table and its merging appends to lists; and it evaluates
nothing: a value such as ``@format …`` or ``@jinja …`` is plain text.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import evolve, frozen

from sdk.errors import ConfigurationError, suggest
from sdk.settings.checking import EMBEDDED, InvalidSetting, SettingPath, parse_json
from sdk.settings.librdkafka import gather_passthrough
from sdk.settings.options import Settings
from sdk.settings.structuring import MISSING, key_paths, keys_of, structure

SettingsPaths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

logger = logging.getLogger("sdk.settings")

_PREFIX = "SDK_"
_NOT_SETTINGS = frozenset({"SDK_ENV", "SDK_SETTINGS", "SDK_ACCEL", "SDK_OUTBOX_DATABASE"})
_DEFAULT = "default"
_NAMES = frozenset(keys_of(Settings))
_TABLES = _NAMES - {"contracts", "source", "uses"}
_TOKEN = re.compile(r"@(?:format|jinja|get|read_file|json|int|float|bool|str|merge|none) ")
_WELL_KNOWN = (EMBEDDED, "docker", "production")
_EMBEDDED_VALUES: Mapping[str, Any] = {
    "kafka": {"bootstrap_servers": EMBEDDED, "tls": None, "sasl": None},
    "registry": {
        "url": EMBEDDED,
        "auto_register": True,
        **dict.fromkeys(("username", "password", "bearer_token", "tls")),
    },
}


@frozen
class _Source:
    """The place of a value.

    Attributes:
        name: File name or variable name.
        table: Table of the file with the settings, "" for its top level; None for a
            variable.
    """

    name: str
    table: str | None = None

    def __str__(self) -> str:
        return f"{self.name} [{self.table}]" if self.table else self.name

    def of_routes(self) -> str:
        """Return where ``[[topics]]`` was written."""
        if self.table is None:
            return self.name
        return f"{self.name} [[{self.table}.topics]]" if self.table else f"{self.name} [[topics]]"


_Files = Mapping[str, Mapping[str, Any]]
"""File name → its tables and top-level keys."""

_Origins = dict[SettingPath, _Source]
"""Path of each value → where it was written."""


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
            provided that there is neither a settings file nor any variable with a setting.
        settings: Path or paths of settings files, which must exist.
        environ: Environment variables; by default those of this process.

    Returns:
        Frozen options, complete with defaults.

    Raises:
        ConfigurationError: All that is wrong, each with its file or variable; values that may be
            secret are not shown.
    """
    variables = os.environ if environ is None else environ
    files = {str(path): _read_file(path) for path in settings_files(settings, variables)}
    given = _setting_variables(variables)
    name = _choose(environment, variables.get("SDK_ENV"), files, given)
    merged: dict[str, Any] = {"kafka": {}, "registry": {}}
    origins: _Origins = {}
    for source, values in _layers(name, files, {each: variables[each] for each in given}):
        _merge(merged, values, source, origins, ())
    findings = _unknown_names(merged) + gather_passthrough(merged)
    findings += _move_userinfo(merged["registry"])
    loaded, wrong = structure({**merged, "environment": name}, Settings)
    findings = [*_stray_keys(files, name), *findings, *wrong]
    if loaded is None or findings:
        raise _error(name, [_in_words(finding, origins, name) for finding in findings])
    routes = origins.get(("topics",))
    return evolve(loaded, topics_origin=routes.of_routes()) if routes else loaded


def settings_files(settings: SettingsPaths | None, variables: Mapping[str, str]) -> Iterator[Path]:
    """Yield the settings files in order, each followed by the secrets beside it."""
    named = settings if settings is not None else variables.get("SDK_SETTINGS") or None
    several = [named] if isinstance(named, str | os.PathLike) else named
    for path in map(Path, ["settings.toml"] if several is None else several):
        if path.is_file():
            yield path
        elif several is not None:
            origin = "" if settings is not None else " that SDK_SETTINGS names"
            raise ConfigurationError(f"there is no settings file {path}{origin}")
        secrets = path.with_name(".secrets.toml")
        if secrets.is_file():
            yield secrets


def _read_file(path: Path) -> dict[str, Any]:
    """Return the top-level tables and keys of a TOML file, their names in lower case."""
    from dynaconf import Dynaconf
    from dynaconf.loaders import toml_loader

    # It must not read variables or neighbouring files itself.
    holder = Dynaconf(
        dynaconf_skip_loaders=True,
        environments=False,
        auto_cast=False,
        dotted_lookup=False,
        merge_enabled=False,
    )
    own = set(holder.to_dict())
    try:
        path.read_text(encoding="utf-8")  # dynaconf only warns if it cannot
        toml_loader.load(holder, env="_envless", filename=str(path), silent=False)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    return {key.lower(): value for key, value in holder.to_dict().items() if key not in own}


def _setting_variables(variables: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that are settings, the more specific ones last.

    A name of one part that is similar to none of ours, such as ``SDK_HOME``, belongs to another
    program and is ignored.
    """
    names = [name for name in variables if name.startswith(_PREFIX) and name not in _NOT_SETTINGS]
    foreign = [name for name in names if "__" not in name and not _resembles_setting(name)]
    for name in sorted(foreign):
        logger.info("the variable %s is not a setting and is ignored", name)
    return sorted(set(names) - set(foreign), key=lambda name: (name.count("__"), name))


def _resembles_setting(name: str) -> bool:
    key = name.removeprefix(_PREFIX).lower()
    return not key or key.partition("_")[0] in _NAMES or bool(_meant(key))


def _meant(key: str) -> str:
    """Return the variable that may have been meant by one with too few underscores, or ""."""
    known = {"_".join(path): "__".join(path) for path in key_paths(Settings)}
    known |= {"env": "env", "environment": "env", "settings": "settings"}
    near = get_close_matches(key, known, n=1)
    return _PREFIX + known[near[0]].upper() if near else ""


def _choose(
    environment: str | None, variable: str | None, files: _Files, variables: Sequence[str]
) -> str:
    name = (environment or variable or "").strip().lower()
    label = repr(name) if environment else f"{name!r} (SDK_ENV)"
    known = {EMBEDDED: None}
    for tables in files.values():
        named = (key for key, value in tables.items() if isinstance(value, Mapping))
        known |= dict.fromkeys(key for key in named if key not in _NAMES and key != _DEFAULT)
    if not name:
        if not files and not variables:
            return EMBEDDED
        because = ", ".join([*files] or sorted(variables)[:3])
        raise ConfigurationError(
            f"no environment is chosen, and there are settings ({because})",
            remedy=f"set SDK_ENV or pass environment=; known here: {', '.join(known)}",
        )
    if name in known:
        return name
    if files:
        raise ConfigurationError(
            f"environment {label} is unknown: no table [{name}] in {next(iter(files))}",
            remedy=suggest(name, known, f"known: {', '.join(known)}; or add the table, even empty"),
        )
    addressed = any(each.startswith("SDK_KAFKA") for each in variables)
    if name in _NAMES or (name not in _WELL_KNOWN and not addressed):
        raise ConfigurationError(
            f"environment {label} is unknown: there is no settings file, "
            "and no variable names the brokers",
            remedy=suggest(
                name, _WELL_KNOWN, "set SDK_KAFKA__BOOTSTRAP_SERVERS, or add a settings file"
            ),
        )
    return name


def _layers(
    environment: str, files: _Files, variables: Mapping[str, str]
) -> Iterator[tuple[_Source, Mapping[str, Any]]]:
    for file, tables in files.items():
        yield _Source(file, ""), {key: tables[key] for key in tables if key in _NAMES}
    for file, tables in files.items():
        yield _Source(file, _DEFAULT), tables.get(_DEFAULT, {})
    if environment == EMBEDDED:
        yield _Source("the embedded environment"), _EMBEDDED_VALUES
    for file, tables in files.items():
        yield _Source(file, environment), tables.get(environment, {})
    for name, text in variables.items():
        yield _Source(name), _variable(name, text)


def _variable(name: str, text: str) -> Mapping[str, Any]:
    *parents, last = parts = name.removeprefix(_PREFIX).lower().split("__")
    if not all(parts) or any(part.startswith("_") for part in parts):
        raise ConfigurationError(
            f"the variable {name} has an empty part",
            remedy="join the parts by two underscores, as in SDK_KAFKA__CLIENT_ID",
        )
    value = _cast(name, text)
    if len(parts) == 3 and parts[1] == "librdkafka":
        value = _as_written(value, text)
    if not parents and last in _TABLES and isinstance(value, str):
        value = parse_json(value)
    nested: dict[str, Any] = {last: value}
    for part in reversed(parents):
        nested = {part: nested}
    return nested


def _cast(name: str, text: str) -> Any:
    from dynaconf.utils.parse_conf import boolean_fix, parse_conf_data

    as_is = {"AUTO_CAST_FOR_DYNACONF": False, "DYNABOXIFY": False}
    try:
        value = parse_conf_data(boolean_fix(text), tomlfy=True, box_settings=as_is)
    except (ValueError, RecursionError):  # thousands of digits or brackets are treated as text
        return text
    stripped = text.strip()
    if isinstance(value, str) and value != text and stripped[:1] != stripped[-1:]:
        raise ConfigurationError(
            f"the variable {name} has text after its closing quote, which would be lost",
            remedy="quote the whole value or nothing",
        )
    return value


def _as_written(value: Any, text: str) -> Any:
    """Undo a cast that changes the text of a value: librdkafka accepts strings anyway."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if str(value) == text else text
    return value if isinstance(value, str | bool | list | dict) else text


def _merge(
    target: dict[str, Any], values: Any, source: _Source, origins: _Origins, path: SettingPath
) -> None:
    for key, value in values.items() if isinstance(values, Mapping) else ():
        here = (*path, key)
        origins[here] = source
        if isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            _merge(target[key], value, source, origins, here)
            continue
        target[key] = value
        if isinstance(value, str) and (token := _TOKEN.match(value)):
            text = "%s: %s begins with %s, which is not evaluated but used literally"
            logger.warning(text, source, _dotted(here), token[0].strip())


def _move_userinfo(registry: Any) -> list[InvalidSetting]:
    """Move ``user:password@`` out of the registry's URLs, so that it is never shown."""
    urls = registry.get("url") if isinstance(registry, dict) else None
    entries = urls.split(",") if isinstance(urls, str) else urls
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        return []
    given = registry.get("username"), registry.get("password")
    found = [] if given == (None, None) else [given]
    registry["url"] = plain = []
    for entry in map(str.strip, entries):
        try:
            userinfo, at, host = urlsplit(entry).netloc.rpartition("@")
        except ValueError:  # refused with the other invalid URLs
            at = ""
        if at:
            user, _, password = userinfo.partition(":")
            found.append((unquote(user), unquote(password)))
            entry = entry.replace(f"{userinfo}@{host}", host, 1)
        plain.append(entry)
    if any(each != found[0] for each in found):
        remedy = "write username and password once, in [registry]"
        return [InvalidSetting(("registry", "url"), "has a user that contradicts another", remedy)]
    if found:
        registry["username"], registry["password"] = found[0]
    return []


def _stray_keys(files: _Files, chosen: str) -> Iterator[InvalidSetting]:
    """Find tables that no environment reads."""
    for file, tables in files.items():
        for key, value in tables.items():
            if key in _NAMES or key in {_DEFAULT, chosen}:
                continue
            remedy = suggest(key, _NAMES, f"known: {', '.join(sorted(_NAMES))}")
            if key == "global":
                yield InvalidSetting(("[global]",), "is not read", "use [default]", place=file)
            elif not isinstance(value, Mapping):
                yield InvalidSetting((key,), "is an unknown key", remedy, place=file)
            else:
                for name in (each for each in value if each not in _NAMES):
                    near = suggest(name, _NAMES, remedy)
                    yield InvalidSetting((key, name), "is an unknown key", near, place=file)


def _unknown_names(merged: dict[str, Any]) -> list[InvalidSetting]:
    findings = []
    for key in [key for key in merged if key not in _NAMES]:
        del merged[key]
        remedy = suggest(key, _NAMES, f"known: {', '.join(sorted(_NAMES))}")
        meant = _meant(key)
        if meant and ("_" in key or "did you mean" not in remedy):
            parts = ", with two underscores between its parts" if "__" in meant else ""
            remedy = f"did you mean {meant}{parts}?"
        findings.append(InvalidSetting((key,), "is an unknown key", remedy))
    return findings


def _in_words(
    finding: InvalidSetting, origins: _Origins, environment: str
) -> tuple[str, str | None]:
    """Return a finding's message and remedy."""
    path, name = finding.path, _dotted(finding.path)
    variable = _PREFIX + "__".join(path).upper()
    if finding.problem == MISSING:
        table = ".".join((environment, *path[:-1]))
        both = f"set it in [{table}], or by the variable {variable}"
        plain = all(part.isidentifier() for part in path)
        return f"{name} is missing in environment {environment!r}", both if plain else "add it"
    lengths = range(len(path), 0, -1)
    origin = next((origins[path[:n]] for n in lengths if path[:n] in origins), None)
    where = finding.place or (str(origin) if origin else "")
    remedy = finding.remedy
    if remedy is None and finding.expected == "text" and origin is not None:
        quoted = f"quote it twice: {variable}='\"...\"'"
        remedy = f"to keep it text, {quoted if origin.name == variable else 'write it in quotes'}"
    return f"{where}: {name} {finding.problem}" if where else f"{name} {finding.problem}", remedy


def _dotted(path: SettingPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if part.isdigit() else f".{part}" if text else part
    return text


def _error(environment: str, findings: Sequence[tuple[str, str | None]]) -> ConfigurationError:
    if len(findings) == 1:
        return ConfigurationError(findings[0][0], remedy=findings[0][1])
    lines = [f"{message}; {remedy}" if remedy else message for message, remedy in findings]
    head = f"{len(lines)} settings of environment {environment!r} are wrong:"
    return ConfigurationError("\n  - ".join([head, *lines]))
