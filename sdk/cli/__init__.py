"""The ``sdk`` command: ``sdk dlt`` for dead letters, ``sdk doctor`` to check an installation.

It needs the extra ``cli``. Exit codes: 0 success, 1 findings, 2 usage, 4 no answer.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command with the arguments of this process."""
    try:
        from sdk.cli.command import sdk
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write("the sdk command needs click: pip install 'avro-messaging-sdk[cli]'\n")
        raise SystemExit(2) from None
    sdk(prog_name="sdk")
