"""Writes the expected output of every golden case again: ``python -m tests.codegen.regenerate``.

Read the difference before committing it: it is what every user's next run will show.
"""

from __future__ import annotations

import sys
from pathlib import Path

from codegen.generate import main as generate

CASES = Path(__file__).parent / "cases"


def main() -> int:
    """Generate all cases; return 1 if one of them has findings."""
    statuses = [
        generate(["--schemas", str(case / "schemas"), "--output", str(case / "expected"), *OPTIONS])
        for case in sorted(CASES.iterdir())
        if case.is_dir()
    ]
    return max(statuses)


OPTIONS = ("--package", "contracts")

if __name__ == "__main__":
    sys.exit(main())
