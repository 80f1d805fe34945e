"""The README's tour, pasted as a newcomer would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tour() -> str:
    """Return the tour's commands as one script, in the virtual environment that runs the tests."""
    text = (ROOT / "README.md").read_text()
    section = text.split("## A five-minute tour")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, re.S)
    activate = "source .venv/bin/activate\n"
    assert blocks[0].startswith(activate)
    return "\n".join(["set -e", blocks[0].removeprefix(activate), *blocks[1:]])


def test_tour_runs_as_it_is_written() -> None:
    """Every line of the tour works when pasted, and shows what the text around it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SDK_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-m", "-c", tour()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout + done.stderr
    assert shown.count("DeliveryReport(topic='shop.basket-filled'") == 3
    assert "refused, as it should be" in shown
    assert "voucher=None" in shown
    assert re.search(r"ackz.*did you mean.*acks", shown, re.S | re.I)
    assert "1.999 does not fit decimal(9, 2)" in shown
    assert "DeserializationError" in shown
