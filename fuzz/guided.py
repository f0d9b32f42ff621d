"""Runs one target under atheris (extra `fuzz`), guided by coverage."""

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def run(one_input: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz until stopped; a corpus of *seeds* is written first. Arguments of the command go to libFuzzer."""
    import atheris

    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / f"{number:04}").write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], one_input)
        atheris.Fuzz()
