"""What `dna_dht` exports: everything it lists, nothing else, and nothing before it is used."""

import subprocess
import sys

import pytest

import dna_dht

FAST = "asyncio", "cryptography", "msgspec", "sqlite3"  # what a program may not want to load


@pytest.mark.parametrize("name", dna_dht.__all__)
def test_every_listed_name_is_there(name: str) -> None:
    assert getattr(dna_dht, name) is not None
    assert name in dir(dna_dht)


def test_every_lazy_name_is_listed() -> None:
    assert set(dna_dht.__all__) == set(dna_dht._MODULES)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nodus'"):
        dna_dht.Nodus  # type: ignore[attr-defined]  # noqa: B018 - that is the test


@pytest.mark.parametrize("module", ["dna_dht", "dna_dht.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {FAST} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []
