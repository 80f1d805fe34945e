"""``sdk dlt``: lists, shows, replays and parks dead letters."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from sdk.cli.connecting import FINDINGS, USAGE, connected
from sdk.cli.output import document, histogram, line, page, summary
from sdk.cli.times import Moment
from sdk.messaging import Messaging
from sdk.replay import DeadLetters, Repair, Report, Selection
from sdk.replay.dead_letters import CEILING

_IDENTITY = r"PARTITION:OFFSET"


@click.group()
def dlt() -> None:
    """List, show, replay and park dead letters.

    TOPIC is the source topic or the dead-letter topic. Filters combine; without any, every open
    dead letter is selected.
    """


def _filters(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--group", help="Consumer group whose handler failed."),
            click.option(
                "--error", help="Exception class, or its cause's, with or without module."
            ),
            click.option("--event", help="Short or full name of the event."),
            click.option("--key", help="Record key, as text."),
            click.option("--since", type=Moment(), help="Not older: 2026-01-31T12:00, or 90m, 7d."),
            click.option("--until", type=Moment(), help="Older than this."),
            click.option("--json", "as_json", is_flag=True, help="JSON, one object a line."),
        )
    ):
        function = option(function)
    return function


def _selection(identities: Iterable[str], filters: dict[str, Any]) -> Selection:
    return Selection(identities=identities, **filters)


@dlt.command("list")
@click.argument("topic", required=False)
@_filters
@click.option("--all", "settled", is_flag=True, help="Also those that were replayed or parked.")
@connected
def list_(messaging: Messaging, topic: str | None, as_json: bool, **filters: Any) -> None:
    """List dead letters: of TOPIC, or of every topic of the contracts. Exit code 1 if any."""
    selection = _selection((), filters)
    count = 0
    for letters in _places(messaging, topic, filters["group"]):
        for letter in letters.find(selection):
            count += 1
            if as_json:
                click.echo(json.dumps(document(letters, letter)))
            else:
                click.echo(f"{letter.record.topic}  {line(letter)}")
    if not as_json:
        click.echo(f"{count} dead letter{'' if count == 1 else 's'}", err=True)
    if count:
        raise SystemExit(FINDINGS)


@dlt.command()
@click.argument("topic")
@click.argument("ids", nargs=-1, metavar=f"[{_IDENTITY}]...")
@_filters
@click.option("--all", "settled", is_flag=True, help="Also those that were replayed or parked.")
@connected
def show(
    messaging: Messaging, topic: str, ids: tuple[str, ...], as_json: bool, **filters: Any
) -> None:
    """Show dead letters: the decoded event and the reason."""
    (letters,) = _places(messaging, topic, filters["group"])
    filters["settled"] = filters["settled"] or bool(ids)
    found = 0
    for letter in letters.find(_selection(ids, filters)):
        if as_json:
            click.echo(json.dumps(document(letters, letter, full=True)))
        else:
            click.echo(f"{chr(10) * bool(found)}{page(letters, letter)}")
        found += 1
    if not found:
        click.echo("no such dead letter", err=True)
        raise SystemExit(FINDINGS)


@dlt.command()
@click.argument("topic")
@click.argument("ids", nargs=-1, metavar=f"[{_IDENTITY}]...")
@_filters
@click.option("--to", help="Topic to send them to, instead of the source topic of each.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Records a second at most.")
@click.option(
    "--ceiling",
    type=click.IntRange(1),
    default=CEILING,
    show_default=True,
    help="Leave dead letters that were replayed this often.",
)
@click.option(
    "--repair",
    metavar="MODULE:FUNCTION",
    help="Called with each record; returns the new value, a ProducerRecord, or None to leave it.",
)
@click.option("--dry-run", is_flag=True, help="Send nothing; print a histogram.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def replay(
    messaging: Messaging,
    topic: str,
    ids: tuple[str, ...],
    to: str | None,
    rate: float | None,
    ceiling: int,
    repair: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Send dead letters to their source topics, unchanged.

    Run an interrupted replay again. Every group that reads the source topic
    receives the records; to reach one group, use --to with its own retry topic.
    Exit code 1 if some were left.
    """
    function = None if repair is None else _repair(repair)
    (letters,) = _places(messaging, topic, filters["group"])
    selection = _selection(ids, filters)
    if dry_run:
        _print(letters.plan(selection, to=to, ceiling=ceiling), "would_replay", as_json)
        return

    def work(progress: Callable[[int], None]) -> Report:
        return letters.replay(
            selection, to=to, rate=rate, ceiling=ceiling, repair=function, progress=progress
        )

    _run(work, lambda: letters.plan(selection, to=to, ceiling=ceiling), "replayed", as_json, yes)


@dlt.command()
@click.argument("topic")
@click.argument("ids", nargs=-1, metavar=f"[{_IDENTITY}]...")
@_filters
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Records a second at most.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def park(
    messaging: Messaging,
    topic: str,
    ids: tuple[str, ...],
    rate: float | None,
    as_json: bool,
    yes: bool,
    **filters: Any,
) -> None:
    """Move dead letters to the parked topic, from which they are not replayed."""
    (letters,) = _places(messaging, topic, filters["group"])
    selection = _selection(ids, filters)

    def work(progress: Callable[[int], None]) -> Report:
        return letters.park(selection, rate=rate, progress=progress)

    def count() -> Report:
        return Report(sent=sum(1 for _ in letters.find(selection)))

    _run(work, count, "parked", as_json, yes)


def _run(
    work: Callable[[Callable[[int], None]], Report],
    plan: Callable[[], Report],
    doing: str,
    as_json: bool,
    yes: bool,
) -> None:
    """Ask for confirmation on a terminal, show the progress, and print the result."""
    if as_json or not sys.stderr.isatty():
        _print(work(lambda _: None), doing, as_json)
        return
    planned = plan()
    if planned.sent and not yes:
        click.confirm(
            f"{planned.sent} dead letters will be {doing}. Continue?", abort=True, err=True
        )
    with click.progressbar(length=planned.sent, file=sys.stderr) as bar:
        report = work(bar.update)
    _print(report, doing, as_json)


def _print(report: Report, doing: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary(report, doing)))
    else:
        for row in histogram(report):
            click.echo(row)
        click.echo(f"{report.sent} {doing.replace('_', ' ')}")
        for count, why in (
            (report.exhausted, "left: replayed too often; park them, or raise --ceiling"),
            (report.without_source, "left: no header names their source topic; use --to"),
            (report.unrepaired, "left by the repairing function"),
        ):
            if count:
                click.echo(f"{count} {why}")
    if report.left:
        raise SystemExit(FINDINGS)


def _places(messaging: Messaging, topic: str | None, group: str | None) -> list[DeadLetters]:
    if topic is not None:
        return [messaging.dead_letters(topic, group=group)]
    names = sorted(definition.name for definition in messaging.topics.definitions())
    return [messaging.dead_letters(name, group=group) for name in names]


def _repair(name: str) -> Repair:
    """Return a function by ``module:function``; the current directory is searched first."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Repair = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        click.echo(f"sdk: --repair {name} cannot be imported: {error}", err=True)
        raise SystemExit(USAGE) from error
    finally:
        sys.path.pop(0)
    return found
