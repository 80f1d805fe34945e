"""Checks at generation time that versions can read each other, as their level requires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codegen.findings import Finding
from codegen.linker import Unit, families
from sdk.avro.resolution.evolution import comparisons, compatibility


def prove_versions(units: Iterable[Unit]) -> Iterator[Finding]:
    """Yield a finding for each reason why a version breaks the level of its event.

    All pairs that the level compares are checked, even after a failure: all pairs for the
    transitive levels, neighbours for the others. A pair is refused when a registry would refuse it
    or when our own reader would misread it; both verdicts are reported.
    """
    for family in families(units).values():
        config = family[-1].root.config
        level = config.compatibility if config is not None else "BACKWARD_TRANSITIVE"
        for position, unit in enumerate(family[1:], start=1):
            for old, directions in comparisons(level, family[:position]):
                for direction in directions:
                    pair = (unit, old) if direction == "backward" else (old, unit)
                    yield from _refusals(*pair, level, newer=unit)


def _refusals(reader: Unit, writer: Unit, level: str, *, newer: Unit) -> Iterator[Finding]:
    result = compatibility(reader.schema, writer.schema)
    if result.ok:
        return
    pair = f"v{reader.root.version} cannot read v{writer.root.version}, which {level} requires"
    verdict = "; ".join(
        f"{who} {'accepts' if accepts else 'rejects'} it"
        for who, accepts in (
            ("the registry", result.registry_accepts),
            ("our reader", result.reader_accepts),
        )
    )
    reasons = [
        (each.location, f"{each.rule} {each.name}: {each.describe(_name(reader), _name(writer))}")
        for each in result.registry
    ]
    known = {location.rstrip("/") for location, _ in reasons}
    reasons += [
        (each.path, f"{each.rule} {each.name}: {each.message}")
        for each in result.errors
        if each.path not in known
    ]
    for pointer, reason in reasons:
        yield reader.root.finding(
            pointer.rstrip("/"),
            f"{pair}: {reason} ({verdict})",
            f"change v{newer.root.version} so that both accept it: give new fields defaults, keep "
            "old types and symbols; or set another compatibility level in event.toml",
        )


def _name(unit: Unit) -> str:
    return f"v{unit.root.version}"
