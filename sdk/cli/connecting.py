"""Shared by the commands: connecting, errors and exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from sdk.errors import ConfigurationError, SdkError
from sdk.messaging import Messaging

FINDINGS, USAGE, NO_ANSWER = 1, 2, 4

Connect = Callable[..., Messaging]


def connected(function: Callable[..., None]) -> Callable[..., None]:
    """Add the connection options; the function gets the connection as first argument."""

    @connection_options
    @wraps(function)
    def command(
        env: str | None, settings: tuple[str, ...], contracts: str | None, **arguments: Any
    ) -> None:
        connect: Connect = click.get_current_context().obj
        with failing(), connect(env, settings=settings or None, contracts=contracts) as messaging:
            function(messaging, **arguments)

    return command


def connection_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the connection options."""
    for option in (
        click.option("--contracts", help="Generated contracts package; by default the setting."),
        click.option("--settings", multiple=True, help="Settings file, may be repeated."),
        click.option("--env", help="Environment; by default SDK_ENV."),
    ):
        function = option(function)
    return function


@contextmanager
def failing() -> Iterator[None]:
    """Turn errors of the SDK into one line and an exit code."""
    try:
        yield
    except ConfigurationError as error:
        click.echo(f"sdk: {error}", err=True)
        raise SystemExit(USAGE) from error
    except SdkError as error:
        click.echo(f"sdk: {error}", err=True)
        raise SystemExit(NO_ANSWER) from error
