"""The root of the command."""

from __future__ import annotations

import click

from sdk.cli.dlt import dlt
from sdk.cli.doctor import doctor
from sdk.cli.outbox import outbox
from sdk.messaging import connect


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def sdk(context: click.Context) -> None:
    r"""Inspect and repair a service's messages.

    \b
    Exit codes: 0 success, 1 findings, 2 usage, 4 no answer.
    """
    context.obj = context.obj or connect


sdk.add_command(dlt)
sdk.add_command(doctor)
sdk.add_command(outbox)
