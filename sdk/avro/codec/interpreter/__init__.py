"""The careful executor: it walks a plan step by step, and knows at each moment where it is.

It is the reference for the compiled one, replays what that one failed at to tell field path and
byte offset, and does what happens too rarely to be compiled: values without classes.
"""

from __future__ import annotations

from sdk.avro.codec.interpreter.reader import read
from sdk.avro.codec.interpreter.writer import write

__all__ = ["read", "write"]
