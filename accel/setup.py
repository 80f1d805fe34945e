"""Builds the extension; everything else stands in pyproject.toml."""

import sys

from setuptools import Extension, setup

SOURCES = ["module", "table", "values", "reader", "writer"]
FLAGS = [] if sys.platform == "win32" else ["-O3", "-fno-math-errno", "-fvisibility=hidden"]

setup(
    ext_modules=[
        Extension(
            "sdk_accel._vm",
            [f"src/{name}.c" for name in SOURCES],
            depends=["src/vm.h"],
            extra_compile_args=FLAGS,
        )
    ]
)
