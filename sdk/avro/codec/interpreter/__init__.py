"""The precise executor: it walks a plan step by step, and always knows its position.

It is the reference for the compiled one, repeats calls that failed there to find the field path and
byte offset, and handles a case too rare to be compiled: values without classes.
"""

from __future__ import annotations

from sdk.avro.codec.interpreter.reader import read
from sdk.avro.codec.interpreter.writer import write

__all__ = ["read", "write"]
