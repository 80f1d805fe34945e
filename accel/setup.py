"""Builds the extension; everything else stands in pyproject.toml.

``ACCEL_ABI3=1`` builds the one for every CPython from 3.11 on; by default it is for the Python
that builds it.
"""

import os
import sys

from setuptools import Extension, setup

SOURCES = ["abi", "module", "operations", "reader", "skipper", "table", "times", "values", "writer"]
FLAGS = [] if sys.platform == "win32" else ["-O3", "-fno-math-errno", "-fvisibility=hidden"]
ABI3 = os.environ.get("ACCEL_ABI3") == "1"

setup(
    ext_modules=[
        Extension(
            "sdk_accel._vm",
            [f"src/{name}.c" for name in SOURCES],
            depends=[f"src/{name}.h" for name in ("abi", "cursor", "items", "output", "vm")],
            extra_compile_args=FLAGS,
            define_macros=[("Py_LIMITED_API", "0x030B0000")] if ABI3 else [],
            py_limited_api=ABI3,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
