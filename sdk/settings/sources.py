"""Where settings come from: files and environment variables, read through dynaconf.

Every file table and every variable becomes a `Layer` of its own, and `merge` joins the layers:
tables key by key, anything else by replacing. dynaconf parses and casts but does not merge,
because its environments drop the other keys of a table and its merging appends to lists; and it
evaluates nothing: a value such as ``@format …`` or ``@jinja …`` stays the text that it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from sdk.errors import ConfigurationError

PREFIX = "SDK_"
NOT_SETTINGS = frozenset({"SDK_ENV", "SDK_SETTINGS"})
"""Variables that say where to look; they are no settings themselves."""

SettingPath = tuple[str, ...]
"""Where a value stands in the settings, such as ``("kafka", "tls", "ca_location")``."""


@frozen
class Source:
    """Where a value was written.

    Attributes:
        name: File name or variable name.
        table: Table of the file that the settings stand in, "" for its top level; None for a
            variable.
    """

    name: str
    table: str | None = None

    def describe(self) -> str:
        """Return the place in a reader's words."""
        return f"{self.name} [{self.table}]" if self.table else self.name

    def describe_list(self, key: str) -> str:
        """Return the place of an array of tables in a reader's words."""
        if self.table is None:
            return self.name
        return f"{self.name} [[{self.table}.{key}]]" if self.table else f"{self.name} [[{key}]]"


@frozen
class Layer:
    """Settings from one place.

    Attributes:
        source: The place.
        values: Nested settings; keys are in lower case where they stem from a variable's name.
    """

    source: Source
    values: Mapping[str, Any]


Origins = dict[SettingPath, Source]
"""Path of each value → where it was written."""


def merge(layers: Iterable[Layer]) -> tuple[dict[str, Any], Origins]:
    """Join layers, later ones winning; return the settings and where each came from."""
    merged: dict[str, Any] = {}
    origins: Origins = {}
    for layer in layers:
        _merge_into(merged, layer.values, layer.source, origins, ())
    return merged, origins


def _merge_into(
    target: dict[str, Any],
    values: Mapping[str, Any],
    source: Source,
    origins: Origins,
    path: SettingPath,
) -> None:
    for key, value in values.items():
        here = (*path, key)
        origins[here] = source
        if isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            _merge_into(target[key], value, source, origins, here)
        else:
            target[key] = value


def read_file(path: Path) -> dict[str, Any]:
    """Return the top-level tables and keys of a TOML file, their names in lower case.

    Raises:
        ConfigurationError: The file cannot be read or is no TOML.
    """
    from dynaconf import Dynaconf
    from dynaconf.loaders import toml_loader

    # Nothing of its own accord: neither its variables nor files beside ours are to be read.
    holder = Dynaconf(
        dynaconf_skip_loaders=True,
        environments=False,
        auto_cast=False,
        dotted_lookup=False,
        merge_enabled=False,
    )
    ours = set(holder.to_dict())
    try:
        path.read_text(encoding="utf-8")  # dynaconf only warns when it cannot
        toml_loader.load(holder, env="_envless", filename=str(path), silent=False)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    return {key.lower(): value for key, value in holder.to_dict().items() if key not in ours}


def variable_layers(environ: Mapping[str, str], tables: Iterable[str]) -> list[Layer]:
    """Return a layer for each ``SDK_…`` variable, the more specific ones last.

    Args:
        environ: The environment variables.
        tables: Names of top-level tables, whose value as a whole may be JSON.

    Raises:
        ConfigurationError: A variable's name has an empty part, or its value loses text.
    """
    names = sorted(
        (name for name in environ if name.startswith(PREFIX) and name not in NOT_SETTINGS),
        key=lambda name: (name.count("__"), name),
    )
    return [_variable_layer(name, environ[name], frozenset(tables)) for name in names]


def _variable_layer(name: str, text: str, tables: frozenset[str]) -> Layer:
    *parents, last = parts = name.removeprefix(PREFIX).lower().split("__")
    if not all(parts) or any(part.startswith("_") for part in parts):
        raise ConfigurationError(
            f"the variable {name} has an empty part",
            remedy="join the parts by two underscores, as in SDK_KAFKA__CLIENT_ID",
        )
    value = _cast(name, text)
    if len(parts) == 3 and parts[1] == "librdkafka":
        value = _as_written(value, text)
    if not parents and last in tables and isinstance(value, str):
        value = parse_json(value)
    nested: dict[str, Any] = {last: value}
    for part in reversed(parents):
        nested = {part: nested}
    return Layer(Source(name), nested)


def _cast(name: str, text: str) -> Any:
    from dynaconf.utils.parse_conf import boolean_fix, parse_conf_data

    as_is = {"AUTO_CAST_FOR_DYNACONF": False, "DYNABOXIFY": False}
    try:
        value = parse_conf_data(boolean_fix(text), tomlfy=True, box_settings=as_is)
    except (ValueError, RecursionError):  # thousands of digits or brackets: text like any other
        return text
    stripped = text.strip()
    if isinstance(value, str) and value != text and stripped[:1] != stripped[-1:]:
        raise ConfigurationError(
            f"the variable {name} has text after its closing quote, which would be lost",
            remedy="quote the whole value, or none of it",
        )
    return value


def _as_written(value: Any, text: str) -> Any:
    """Undo a cast that would not read back as it was written: librdkafka takes text anyway."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if str(value) == text else text
    return value if isinstance(value, str | bool | list | dict) else text


def parse_json(text: str) -> Any:
    """Return what JSON text says, or the text itself where it is no JSON object or array."""
    if text.lstrip()[:1] not in {"[", "{"}:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
