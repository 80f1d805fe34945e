"""Rejects changes to old versions: once a newer one exists, they have been published and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from codegen.builder import schema_hash
from codegen.findings import Finding
from codegen.linker import Unit, families
from codegen.model import ForwardModel, ModuleModel
from codegen.output import read, recorded_hash
from codegen.sources import Key


def changed_versions(
    output: Path, units: Sequence[Unit], modules: Sequence[ModuleModel | ForwardModel]
) -> Iterator[Finding]:
    """Yield a finding for each immutable version that has changed.

    The generated module of a version holds its hash, so nothing can have changed in a tree
    without output.
    """
    newest = {name: family[-1].root.version for name, family in families(units).items()}
    settled = _settled(units, newest)
    for unit, module in zip(units, modules, strict=True):
        reason = settled.get(unit.root.key)
        if reason is None:
            continue
        recorded = recorded_hash(read(output.joinpath(*module.path).with_suffix(".py")))
        if recorded is not None and recorded != schema_hash(unit):
            yield unit.root.finding(
                "",
                f"version {unit.root.version} has changed, though {reason}",
                f"restore it (git restore {unit.root.file.shown}) and make the change in "
                f"v{newest[unit.root.full_name] + 1}",
            )


def _settled(units: Sequence[Unit], newest: dict[str, int]) -> dict[Key, str]:
    """Return the immutable versions, each with the reason.

    A version is settled when a newer one exists, and so is every version that it refers to.
    """
    settled: dict[Key, str] = {}
    for unit in reversed(units):
        root = unit.root
        if root.version < newest[root.full_name]:
            settled[root.key] = f"version {newest[root.full_name]} exists"
        if root.key in settled:
            for reference in unit.references:
                settled.setdefault(
                    reference.root.key,
                    f"version {root.version} of {root.full_name}, which may not change, "
                    "refers to it",
                )
    return settled
