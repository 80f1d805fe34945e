"""``sdk outbox``: the tables' DDL, the relay as a process, and the backlog."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from attrs import asdict, evolve

from sdk.cli.connecting import FINDINGS, USAGE, Connect, connection_options, failing
from sdk.errors import ConfigurationError, UndeliveredError
from sdk.settings import load_settings

if TYPE_CHECKING:
    from sdk.outbox import Relay


@click.group()
def outbox() -> None:
    """Create, relay and monitor an outbox; needs the extra `outbox`."""
    try:
        import sdk.outbox  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        needed = "pip install 'avro-messaging-sdk[outbox]'"
        click.echo(f"sdk: the outbox needs SQLAlchemy: {needed}", err=True)
        raise SystemExit(USAGE) from error


def _tables(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--schema", help="Database schema of the tables."),
        click.option("--prefix", default="sdk_", show_default=True, help="Start of their names."),
    ):
        function = option(function)
    return function


def _database(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--database",
        envvar="SDK_OUTBOX_DATABASE",
        required=True,
        show_envvar=True,
        help="SQLAlchemy URL, such as postgresql+psycopg://user@host/name.",
    )(_tables(function))


@outbox.command()
@click.option(
    "--dialect",
    type=click.Choice(["postgresql", "sqlite"]),
    default="postgresql",
    show_default=True,
)
@_tables
def ddl(dialect: str, prefix: str, schema: str | None) -> None:
    """Print the statements that create the tables of outbox and inbox."""
    from sdk.outbox import Tables
    from sdk.outbox import ddl as statements

    with failing():
        click.echo(statements(dialect, Tables(prefix=prefix, schema=schema)), nl=False)


@contextmanager
def _served(address: tuple[str, int] | None, working: Relay, metrics: Any) -> Iterator[None]:
    """Serve probes and metrics at an address, if there is one."""
    if address is None:
        yield
        return
    from sdk.observability.server import StatusServer

    host, port = address
    with StatusServer(working.status, metrics=metrics, host=host, port=port):
        yield


def _prometheus() -> Any:
    try:
        from sdk.observability.metrics import PrometheusMetrics
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"metrics need {error.name}", remedy="pip install 'avro-messaging-sdk[metrics]'"
        ) from error
    return PrometheusMetrics()


def _address(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int] | None:
    host, _colon, port = (value or "").rpartition(":")
    if value is None:
        return None
    if not host or not port.isdigit():
        raise click.BadParameter("write it as HOST:PORT, such as 0.0.0.0:9100")
    return host, int(port)


@outbox.command()
@_database
@click.option("--batch", type=click.IntRange(1, 30_000), default=5_000, show_default=True)
@click.option(
    "--keep-hours",
    type=click.FloatRange(0),
    default=24.0,
    show_default=True,
    help="How long sent rows are kept; 0 deletes each at once.",
)
@click.option(
    "--serve",
    metavar="HOST:PORT",
    callback=_address,
    help="Answer /metrics, /live, /ready and /status there.",
)
@connection_options
@click.pass_obj
def relay(
    connect: Connect,
    env: str | None,
    settings: tuple[str, ...],
    contracts: str | None,
    database: str,
    prefix: str,
    schema: str | None,
    batch: int,
    keep_hours: float,
    serve: tuple[str, int] | None,
) -> None:
    """Publish what was committed, until Ctrl-C or SIGTERM. Further relays stand by."""
    from sdk.outbox import Relay, Tables
    from sdk.outbox.database import opened

    tables = Tables(prefix=prefix, schema=schema)
    keep = timedelta(hours=keep_hours) if keep_hours else None
    with failing(), opened(database) as engine:
        given = load_settings(env, settings=settings or None)
        # A record that expired would let later ones of its key through.
        producer = evolve(given.producer, delivery_timeout_ms=2**31 - 1)
        messaging = connect(settings=evolve(given, producer=producer), contracts=contracts)
        try:
            metrics = None if serve is None else _prometheus()
            working = Relay(
                engine,
                messaging.producer,
                tables,
                batch=batch,
                keep=keep,
                observers=[] if metrics is None else [metrics],
            )

            def stop(_: int, __: FrameType | None) -> None:
                working.stop()

            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, stop)
            with _served(serve, working, metrics):
                working.run()
        finally:
            with suppress(UndeliveredError):  # their rows wait, and are published again
                messaging.close(1.0)


@outbox.command()
@_database
@click.option("--json", "as_json", is_flag=True)
def status(database: str, prefix: str, schema: str | None, as_json: bool) -> None:
    """Print the backlog; exit code 1 if there are failed rows."""
    from sdk.outbox import Tables
    from sdk.outbox.database import measure, opened

    with failing(), opened(database) as engine:
        found = measure(engine, Tables(prefix=prefix, schema=schema))
    if as_json:
        click.echo(json.dumps(asdict(found)))
    else:
        click.echo(
            f"{found.rows} rows wait, the oldest for {found.oldest:.1f} s;"
            f" {found.failed} can never be sent"
        )
    if found.failed:
        raise SystemExit(FINDINGS)
