"""The reference pages know every option, limit, exit code and exported name, and nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import dna_dht
import dna_dht.node
from dna_dht.cli import main, nodus
from dna_dht.cli.failures import Exit
from dna_dht.core.config import Limits
from dna_dht.wire import limits

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
COMMON = {"-b", "--network", "-4", "-6", "--network-id", "--timeout", "--json"}
COMMON_OF_IDENTITY = {"--data-dir", "--json"}


def commands_of(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """*command* and those below it, each with what is typed."""
    yield name, command
    if isinstance(command, click.Group):
        for each, below in command.commands.items():
            yield from commands_of(f"{name} {each}", below)


ALL = dict([*commands_of("dna-dht", main.main), *commands_of("dna-nodus", nodus.main)])
GROUPS = {name for name, command in ALL.items() if isinstance(command, click.Group)}
COMMANDS = {name: command for name, command in ALL.items() if name not in GROUPS}


def table_of(page: str, first: str) -> dict[str, str]:
    """First to second cell, without code marks, of all table rows whose first cell matches *first*."""
    rows = re.findall(r"^\| `?([^|`]+)`? \| `?([^|`]+?)`? ?\|", (REFERENCE / page).read_text(), re.MULTILINE)
    return {name.strip(): value.strip() for name, value in rows if re.fullmatch(first, name.strip())}


def section(title: str) -> str:
    """The part of the page under the heading *title*, with or without the names of arguments behind it."""
    text = (REFERENCE / "cli.md").read_text()
    found = re.search(rf"^## {title}(?: [^a-z\n][^\n]*)?\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[0]


def options_of(command: click.Command) -> set[str]:
    return {
        (option.opts + option.secondary_opts)[0]
        for option in command.params
        if isinstance(option, click.Option)
    }


def options_in(text: str) -> set[str]:
    return set(re.findall(r"`(--?[a-z0-9-]+)", text))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    shared = COMMON_OF_IDENTITY if name.startswith("dna-dht identity") else COMMON
    shared = set() if name == "dna-nodus" else shared
    options, described = options_of(COMMANDS[name]), options_in(section(name))

    assert options - shared - described == set()
    assert described - options - {"-", "-h"} - shared == set()


def test_what_all_identity_commands_share_is_described_once() -> None:
    group = [command for name, command in COMMANDS.items() if name.startswith("dna-dht identity ")]
    assert len(group) == 7
    assert set.intersection(*map(options_of, group)) == COMMON_OF_IDENTITY
    assert options_in(section("dna-dht identity")) == COMMON_OF_IDENTITY


def described_fields(command: str) -> set[str]:
    listed = section(f"dna-dht identity {command}").partition("JSON: ")[2]
    return set(re.findall(r"`([a-z_]+)`", listed))


def answer(*arguments: str, stdin: str | None = None) -> dict[str, Any]:
    command = ["identity", *arguments, "--json"]
    done = CliRunner().invoke(main.main, command, input=stdin, catch_exceptions=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_json_fields_of_identity_commands_are_those_described(tmp_path: Path) -> None:
    one, two, three, blob, node = (str(tmp_path / name) for name in ("a", "b", "c", "blob", "node"))
    shown = described_fields("show")
    summary = shown - {"proven", "damaged", "missing", "exposed"}

    made = answer("new", "--data-dir", one)
    assert set(made) == {"words"} | summary
    assert set(answer("show", "--data-dir", one)) == shown
    assert set(answer("restore", "--data-dir", two, stdin=made["words"])) == summary
    assert set(answer("import", one, "--data-dir", three)) == summary

    exported = answer("export", "--node", "--output", blob, "--data-dir", one)
    assert set(exported) == described_fields("export")
    for option, kind in (((), "bundle"), (("--words",), "words")):
        assert set(answer("export", *option, "--data-dir", one)) == {"kind", kind}
    assert set(answer("import", blob, "--node", node)) == described_fields("import") - {"exposed"}

    assert set(answer("passwd", "--remove", "--data-dir", one)) == described_fields("passwd")
    assert set(answer("lock-status", "--data-dir", one)) == described_fields("lock-status")


def test_every_command_described_exists() -> None:
    titles = re.findall(r"^## (dna-[^A-Z\[\n]*)", (REFERENCE / "cli.md").read_text(), re.MULTILINE)
    assert {title.strip() for title in titles} == {*COMMANDS, *GROUPS} - {"dna-dht"}


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
