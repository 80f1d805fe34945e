"""Limits a run to some domains and the types they refer to; other output is not changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

from attrs import evolve

from codegen.builder import Contracts
from codegen.findings import Finding
from codegen.model import DomainModel
from codegen.sources import Key, Root
from sdk.errors import ConfigurationError


def select(
    roots: Iterable[Root],
    edges: Mapping[Key, Iterable[Key]],
    domains: Sequence[str],
    unread: Collection[str] = (),
) -> set[Key]:
    """Return the roots of some domains and all roots that they refer to."""
    by_domain: dict[str, list[Key]] = {domain: [] for domain in unread}
    for root in roots:
        by_domain.setdefault(root.domain, []).append(root.key)
    for domain in domains:
        if domain not in by_domain:
            near = get_close_matches(domain, by_domain, n=1) or sorted(filter(None, by_domain))
            raise ConfigurationError(
                f"there is no domain {domain!r}",
                remedy=f"pass --domain {' or '.join(near)}"
                if near
                else "correct the schemas first",
            )
    chosen: set[Key] = set()
    pending = [key for domain in domains for key in by_domain[domain]]
    while pending:
        key = pending.pop()
        if key not in chosen:
            chosen.add(key)
            pending.extend(edges.get(key, ()))
    return chosen


def narrow(
    contracts: Contracts,
    chosen: Collection[Key],
    keys: Sequence[Key],
    exists: Callable[[str], bool],
) -> Contracts:
    """Return only the models of some roots.

    Exports and the catalog also keep the events whose modules are in the output already, so
    that several runs, one for each domain, make one package.
    """
    modules = [m for m, key in zip(contracts.modules, keys, strict=True) if key in chosen]
    made = {".".join(module.path) for module in modules}
    names = {full_name for full_name, _ in chosen}
    packages = tuple(each for each in contracts.packages if each.full_name in names)
    paths = {each.path[:depth] for each in packages for depth in range(len(each.path))}

    def offered(module: str) -> bool:
        return module in made or exists(module)

    domains = tuple(
        DomainModel(
            domain.path,
            tuple(
                (name, module)
                for name, module in domain.homes
                if offered(".".join(domain.path) + module if domain.path else module[1:])
            ),
        )
        for domain in contracts.domains
        if domain.path in paths
    )
    catalog = tuple(each for each in contracts.catalog if offered(each.module))
    return evolve(
        contracts, modules=tuple(modules), packages=packages, domains=domains, catalog=catalog
    )


def relevant_findings(
    findings: Iterable[Finding],
    roots: Iterable[Root],
    chosen: Collection[Key],
    domains: Sequence[str],
    shown: str,
) -> list[Finding]:
    """Return the findings in files of some roots, or in the folders of some domains."""
    files = {root.file.shown for root in roots if root.key in chosen}
    files |= {root.config.file.shown for root in roots if root.key in chosen and root.config}
    return [
        each
        for each in findings
        if each.file in files or any(_below(each, domain, shown) for domain in domains)
    ]


def domains_of(findings: Iterable[Finding], domains: Iterable[str], shown: str) -> set[str]:
    """Return the domains whose folders have findings."""
    found = list(findings)
    return {each for each in domains if any(_below(finding, each, shown) for finding in found)}


def _below(finding: Finding, domain: str, shown: str) -> bool:
    return finding.file.startswith(f"{shown}/{domain}/")
