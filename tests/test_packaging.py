"""What pyproject.toml says about the package is so."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
NEEDED_BY_TESTS = (
    "src",
    "tests",
    "docs",
    "bench",
    "examples",
    "fuzz",
    "Makefile",
    "README.md",
    "CONTRIBUTING.md",
)


@pytest.mark.parametrize("requirement", PROJECT["project"]["dependencies"])
def test_what_is_installed_is_used(requirement: str) -> None:
    name = re.split(r"[<>=~ ]", requirement)[0].replace("-", "_")
    assert re.search(rf"^\s*(import|from) {name}\b", SOURCES, re.MULTILINE)


@pytest.mark.parametrize("name", NEEDED_BY_TESTS)
def test_a_source_distribution_holds_what_tests_need(name: str) -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert any(Path("/", name).match(pattern) for pattern in included)


def test_typed_packages_say_so() -> None:
    assert (ROOT / "src" / "dna_dht" / "py.typed").exists()


@pytest.mark.parametrize("command", ["dna-dht", "dna-nodus"])
def test_commands_are_installed_with_the_package(command: str) -> None:
    module, _, function = PROJECT["project"]["scripts"][command].partition(":")
    assert f"def {function}(" in (ROOT / "src" / module.replace(".", "/")).with_suffix(".py").read_text()
