"""``sdk doctor``: checks the installation and the connections."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version

import click
from attrs import asdict, frozen

from sdk.cli.connecting import FINDINGS, NO_ANSWER, Connect, connection_options
from sdk.errors import RegistryUnavailableError, SchemaNotFoundError, SdkError
from sdk.messaging import Messaging
from sdk.settings.loading import settings_files

_PACKAGES = ("avro-messaging-sdk", "confluent-kafka", "fastavro", "attrs", "dynaconf", "tenacity")


@frozen
class Check:
    """One check and its result.

    Attributes:
        name: What is checked.
        state: ``ok``, ``finding``, or ``failed`` if it could not be checked.
        detail: The result.
    """

    name: str
    state: str
    detail: str


def software() -> Iterator[Check]:
    """Yield the installed versions."""
    yield Check("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        try:
            yield Check(package, "ok", version(package))
        except PackageNotFoundError:
            yield Check(package, "finding", "is not installed")
    yield Check("librdkafka", "ok", _librdkafka())
    yield _check("codec executor", _executor)


def sources(settings: tuple[str, ...]) -> Iterator[Check]:
    """Yield the sources of the settings: files, and the names of variables."""
    yield _check("settings files", lambda: _files(settings))
    variables = sorted(name for name in os.environ if name.startswith("SDK_"))
    yield Check("settings variables", "ok", ", ".join(variables) or "none")


def _files(settings: tuple[str, ...]) -> Check:
    found = [str(path) for path in settings_files(settings or None, os.environ)]
    return Check("settings files", "ok", ", ".join(found) or "none")


def configuration(messaging: Messaging) -> Iterator[Check]:
    """Yield the connections in the settings."""
    yield Check("environment", "ok", messaging.settings.environment)
    count = len(messaging.catalog)
    yield Check("contracts", "ok" if count else "finding", f"{count} event versions")


def servers(messaging: Messaging) -> Iterator[Check]:
    """Yield whether Kafka and the registry answer."""
    yield _check("kafka", lambda: _topics(messaging))
    yield _check("schema registry", lambda: _schemas(messaging))


def _topics(messaging: Messaging) -> Check:
    names = [definition.name for definition in messaging.topics.definitions()]
    with closing(messaging.admin()) as admin:
        missing = sorted(set(names) - admin.describe(names).keys())
    where = ", ".join(messaging.settings.kafka.bootstrap_servers)
    if missing:
        return Check("kafka", "finding", f"{where} answers; missing topics: {', '.join(missing)}")
    return Check("kafka", "ok", f"{where} answers; all {len(names)} topics exist")


def _schemas(messaging: Messaging) -> Check:
    where = ", ".join(messaging.settings.registry.url)
    if messaging.settings.registry.auto_register:
        # Looking schemas up would register them.
        return Check("schema registry", "ok", f"{where} registers missing schemas; not checked")
    try:
        messaging.warm_up()
    except RegistryUnavailableError:
        raise
    except SchemaNotFoundError as error:
        return Check("schema registry", "finding", f"{where} answers; {error}")
    return Check("schema registry", "ok", f"{where} has the schema of every event")


def _check(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except SdkError as error:
        return Check(name, "failed", str(error))


def _librdkafka() -> str:
    from sdk.kafka.config import librdkafka_version

    return librdkafka_version()


def _executor() -> Check:
    from sdk.avro.codec.executors import executor

    chosen = executor()
    return Check("codec executor", "ok", f"{chosen.name}: {chosen.reason}")


@click.command()
@connection_options
@click.option("--json", "as_json", is_flag=True, help="JSON, one object a line.")
@click.pass_obj
def doctor(
    connect: Connect,
    env: str | None,
    settings: tuple[str, ...],
    contracts: str | None,
    as_json: bool,
) -> None:
    """Print versions and settings, and check that Kafka and the registry answer."""
    states = set()

    def report(check: Check) -> None:
        states.add(check.state)
        row = f"{check.state:8} {check.name:18} {check.detail}"
        click.echo(json.dumps(asdict(check)) if as_json else row)

    for check in (*software(), *sources(settings)):
        report(check)
    try:
        with connect(env, settings=settings or None, contracts=contracts) as messaging:
            for check in (*configuration(messaging), *servers(messaging)):
                report(check)
    except SdkError as error:
        report(Check("settings", "failed", str(error)))
    if "failed" in states:
        raise SystemExit(NO_ANSWER)
    if "finding" in states:
        raise SystemExit(FINDINGS)
