"""The example of the documentation runs, and says what it promises."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "simulate.py"


def test_the_example_runs() -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLE), "3"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "get: (b'hello',)" in run.stdout
