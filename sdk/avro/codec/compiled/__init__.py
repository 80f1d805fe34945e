"""The fast executor: it turns a plan into one Python function.

The source of that function consists of our own statements only. Nothing from a schema or a class
enters its text: values, classes and names reach it through its globals, under names that we choose;
the only foreign words are the names of attributes, which are checked to be identifiers. The
source is registered in `linecache`, so that tracebacks and debuggers show it.

A generated function does the work on the expected path only. Whatever goes wrong in it, the
interpreter repeats the work and reports the error and its position; its result counts.
"""

from sdk.avro.codec.compiled.decoder import compile_decoder
from sdk.avro.codec.compiled.encoder import compile_encoder

__all__ = ["compile_decoder", "compile_encoder"]
