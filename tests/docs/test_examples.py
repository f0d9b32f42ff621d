"""The examples run as they are."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_three_servers_in_a_smaller_size() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "three_servers.py", "--values", "10", "--edit-limit", "10000"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "put 10 values of 45,000 bytes" in done.stdout
    assert "read 10 of 10 values" in done.stdout
    assert "a listener saw the edit after" in done.stdout
