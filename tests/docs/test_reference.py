"""The reference pages know every option, limit, exit code and exported name, and nothing else."""

import re
from pathlib import Path
from typing import Any

import click
import pytest

import dna_dht
import dna_dht.node
from dna_dht.cli import main, nodus
from dna_dht.cli.failures import Exit
from dna_dht.core.config import Limits
from dna_dht.wire import limits

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
COMMANDS: dict[str, click.Command] = {**main.main.commands, "dna-nodus": nodus.main}
COMMON = {"-b", "--network", "-4", "-6", "--network-id", "--timeout", "--json"}


def table_of(page: str, first: str) -> dict[str, str]:
    """First to second cell, without code marks, of all table rows whose first cell matches *first*."""
    rows = re.findall(r"^\| `?([^|`]+)`? \| `?([^|`]+?)`? ?\|", (REFERENCE / page).read_text(), re.MULTILINE)
    return {name.strip(): value.strip() for name, value in rows if re.fullmatch(first, name.strip())}


def section(command: str) -> str:
    text = (REFERENCE / "cli.md").read_text()
    title = command if command == "dna-nodus" else f"dna-dht {command}"
    found = re.search(rf"^## {title}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    shared = set() if name == "dna-nodus" else COMMON
    options = {
        (option.opts + option.secondary_opts)[0]
        for option in COMMANDS[name].params
        if isinstance(option, click.Option)
    }
    described = set(re.findall(r"`(--?[a-z0-9-]+)", section(name)))

    assert options - shared - described == set()
    assert described - options - {"-", "-h"} - shared == set()


def test_every_limit_is_listed_with_its_value() -> None:
    listed = table_of("limits.md", r"[a-z]+_[a-z_]+|keys|nodes|listens|searches|blacklist|tombstones")
    actual = {name: f"{getattr(Limits(), name):,}" for name in Limits.__dataclass_fields__}
    assert listed == actual


def test_wire_limits_are_those_of_the_code() -> None:
    listed = table_of("limits.md", r"[A-Z_]+")
    assert listed
    assert listed == {name: f"{getattr(limits, name):,}" for name in listed}


def test_every_exit_code_is_listed() -> None:
    assert {int(code) for code in table_of("exit-codes.md", r"\d+")} == {int(code) for code in Exit}


@pytest.mark.parametrize(("module", "title"), [(dna_dht, "dna_dht"), (dna_dht.node, "dna_dht.node")])
def test_every_exported_name_is_described(module: Any, title: str) -> None:
    text = (REFERENCE / "library.md").read_text()
    names = [name for name in module.__all__ if not name.startswith("__")]
    assert names
    assert [name for name in names if not re.search(rf"`{name}\b", text)] == []
