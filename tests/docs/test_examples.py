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


def test_a_sealed_letter_is_read_by_two_and_not_by_a_third() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "sealed_letter.py"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Bob, recipient 1 of 2, reads from Alice: Meet me" in done.stdout
    assert "Carol, recipient 2 of 2, reads from Alice: Meet me" in done.stdout
    assert "Eve: the sealed message is not for this identity, or it was changed" in done.stdout
    assert done.stdout.count("Meet me") == 2
