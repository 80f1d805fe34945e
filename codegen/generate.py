"""The command: schemas in, a package of typed event classes out.

Run ``python codegen/generate.py`` from the root, or ``sdk-generate`` where the SDK is installed.
Nothing is written unless every schema is valid and every version compatible.
"""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from attrs import frozen

if not __package__:  # run as a script: the folder above holds the packages
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from codegen.builder import Contracts, build
from codegen.examples import check_examples
from codegen.findings import Finding, printable
from codegen.immutability import changed_versions
from codegen.linker import link, schema_warnings
from codegen.loader import load
from codegen.model import ForwardModel
from codegen.naming import module_name
from codegen.options import Options, read_options
from codegen.output import Change, changes, foreign, unified_diff, write
from codegen.progress import Progress
from codegen.proof import prove_versions
from codegen.render import (
    render_catalog,
    render_domain,
    render_forward,
    render_module,
    render_package,
)
from codegen.selection import domains_of, narrow, relevant_findings, select
from sdk.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line without the command; that of the process by default.

    Returns:
        The exit status: 0 fine, 1 findings, 2 wrong usage.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not show all characters
            stream.reconfigure(errors="backslashreplace")
    try:
        options = read_options(sys.argv[1:] if arguments is None else arguments)
        with _without_collector():
            return _run(options)
    except ConfigurationError as error:
        print(printable(str(error)), file=sys.stderr)
    except OSError as error:
        print(printable(f"cannot write: {error}"), file=sys.stderr)
    return 2


@frozen
class Generated:
    """The result of a run.

    Attributes:
        files: Path below the output → text.
        findings: Defects of the input, sorted by place.
        warnings: Valid but probably unintended parts; searched for only if files are written or
            warnings count as findings.
        parts: Packages right below the output that the run is about; empty for all.
    """

    files: dict[str, str]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...] = ()
    parts: tuple[str, ...] = ()


def generate(options: Options, progress: Progress) -> Generated:
    """Make the text of every generated file; nothing is written."""
    shown = str(options.schemas)
    loaded = load(options.schemas, shown)
    if not loaded.count:
        raise ConfigurationError(
            f"no schema below {shown}",
            remedy="name files *.avsc, *.avdl or *.avpr, or pass --schemas",
        )
    linked = link(loaded.roots, progress)
    contracts = build(linked.units, progress)
    findings = [*loaded.findings, *linked.findings, *contracts.findings]
    findings.extend(prove_versions(linked.units))
    findings.extend(check_examples(linked.units))
    findings.extend(changed_versions(options.output, linked.units, contracts.modules))
    if options.domains:
        unread = domains_of(loaded.findings, options.domains, shown)
        chosen = select(loaded.roots, linked.edges, options.domains, unread)
        keys = [unit.root.key for unit in linked.units]
        findings = relevant_findings(findings, loaded.roots, chosen, options.domains, shown)
        contracts = narrow(contracts, chosen, keys, partial(_exists, options.output))
    files = _render(contracts, options.package, progress)
    warnings: set[Finding] = set()
    if options.strict or not (options.check or options.diff):
        warnings = {*schema_warnings(linked.units), *contracts.warnings}
    if options.strict:
        own = {unit.root.file.shown for unit in linked.units if unit.root.is_versioned}
        findings.extend(each for each in warnings if each.file in own)
    parts = tuple(map(module_name, options.domains))
    rest = sorted(warnings.difference(findings))
    return Generated(files, tuple(sorted(set(findings))), tuple(rest), parts)


def _exists(output: Path, module: str) -> bool:
    return output.joinpath(*module.split(".")).with_suffix(".py").is_file()


def _run(options: Options) -> int:
    progress = Progress()
    try:
        made = generate(options, progress)
    finally:
        progress.finish()
    for warning in made.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    found = changes(options.output, made.files, made.parts)
    findings = [*made.findings, *foreign(options.output, found)]
    if findings:
        print("\n".join(map(str, findings)), file=sys.stderr)
        plural = "" if len(findings) == 1 else "s"
        print(f"{len(findings)} finding{plural}; nothing was written", file=sys.stderr)
        return 1
    if options.check or options.diff:
        return _report(options, found)
    write(options.output, found)
    written = sum(change.after is not None for change in found)
    print(
        f"{len(made.files)} files: {written} written, {len(found) - written} removed",
        file=sys.stderr,
    )
    return 0


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the cyclic garbage collector: a run builds large trees and drops few of them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _report(options: Options, found: Sequence[Change]) -> int:
    print("".join(map(unified_diff, found)), end="")
    if not found:
        print(f"{options.output} is up to date", file=sys.stderr)
    elif options.check:
        files = "1 file is" if len(found) == 1 else f"{len(found)} files are"
        print(f"{files} out of date; run: {options.command}", file=sys.stderr)
    return 1 if found and options.check else 0


def _render(contracts: Contracts, package: str, progress: Progress) -> dict[str, str]:
    files = {"py.typed": ""}
    for module in progress.track("rendering", contracts.modules):
        text = render_forward(module) if isinstance(module, ForwardModel) else render_module(module)
        files["/".join(module.path) + ".py"] = text
    for each in contracts.packages:
        files["/".join((*each.path, "__init__.py"))] = render_package(each)
    for domain in contracts.domains:
        files["/".join((*domain.path, "__init__.py"))] = (
            render_domain(domain)
            if domain.path
            else render_catalog(package, domain, contracts.catalog)
        )
    return files


if __name__ == "__main__":
    sys.exit(main())
