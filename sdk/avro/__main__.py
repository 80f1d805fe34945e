"""``python -m sdk.avro``: print which executor encodes and decodes events here, and why."""

from __future__ import annotations

import sys

from sdk.avro.codec.executors import executor
from sdk.errors import ConfigurationError

if __name__ == "__main__":
    try:
        used = executor()
    except ConfigurationError as error:
        sys.exit(str(error))
    print(f"{used.name} ({used.reason})")
