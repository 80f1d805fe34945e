"""Checks at generation time that versions can read each other, as their level requires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codegen.findings import Finding
from codegen.linker import Unit
from sdk.avro.resolution.evolution import VersionCheck, check_level


def prove_versions(units: Iterable[Unit]) -> Iterator[Finding]:
    """Yield a finding for each reason why a version breaks the level of its event.

    Every pair that the level compares is tried, whichever of them fails: all pairs for the
    transitive levels, neighbours for the others. A pair is refused when a registry would refuse it
    or when our own reader would misread it; both verdicts are reported.
    """
    families: dict[str, list[Unit]] = {}
    for unit in units:
        families.setdefault(unit.root.full_name, []).append(unit)
    for family in families.values():
        family.sort(key=lambda unit: unit.root.version)
        config = family[-1].root.config
        level = config.compatibility if config is not None else "BACKWARD_TRANSITIVE"
        for position, unit in enumerate(family[1:], start=1):
            earlier = [(each.root.version, each.schema) for each in family[:position]]
            for check in check_level(level, unit.schema, earlier):
                if not check.result.ok:
                    old = next(each for each in family if each.root.version == check.version)
                    yield from _refusals(unit, old, level, check)


def _refusals(new: Unit, old: Unit, level: str, check: VersionCheck) -> Iterator[Finding]:
    reader, writer = (new, old) if check.direction == "backward" else (old, new)
    pair = f"v{reader.root.version} cannot read v{writer.root.version}, which {level} requires"
    verdict = "; ".join(
        f"{who} {'accepts' if accepts else 'rejects'} it"
        for who, accepts in (
            ("the registry", check.result.registry_accepts),
            ("our reader", check.result.reader_accepts),
        )
    )
    reasons = [
        (each.location, f"{each.rule} {each.name}: {each.describe(_name(reader), _name(writer))}")
        for each in check.result.registry
    ]
    known = {location.rstrip("/") for location, _ in reasons}
    reasons += [
        (each.path, f"{each.rule} {each.name}: {each.message}")
        for each in check.result.errors
        if each.path not in known
    ]
    for pointer, reason in reasons:
        place = reader.root.finding(pointer.rstrip("/"), "", "")
        yield Finding(
            place.file,
            place.line,
            place.column,
            place.pointer,
            f"{pair}: {reason} ({verdict})",
            f"change v{new.root.version} so that both accept it: give new fields defaults, keep "
            "old types and symbols; or set another compatibility level in event.toml",
        )


def _name(unit: Unit) -> str:
    return f"v{unit.root.version}"
