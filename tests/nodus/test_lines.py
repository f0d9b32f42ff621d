"""The lines of dna-nodus: those of recorded reference servers, and the stats line of the seed."""

import json
from pathlib import Path
from typing import Any

import pytest

from dna_dht import __version__
from dna_dht.nodus import lines
from dna_dht.nodus.config import NodusConfig

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "context-nodus-logs.json").read_text())
RULE = "==============================="


def config_of(case: dict[str, Any]) -> NodusConfig:
    told = case["config"]
    dht = {"port": told.get("dht_port"), **told, **told.get("dht", {})}
    return NodusConfig(
        port=dht["port"],
        bootstrap=tuple(dht["seed_nodes"]),
        persistence_path=Path(dht["persistence_path"]),
        identity=told.get("identity", "dna-bootstrap-node"),
        public_ip=None if told["public_ip"] == "auto" else told["public_ip"],
        verbose=told.get("verbose", False),
    )


CASES = [
    case
    for case in VECTORS["cases"]
    if "=== DNA Nodus v0.4.5 Running ===" in case["stdout"] and case["config"].get("persistence_path") != ""
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_configuration_and_running_lines_are_those_of_the_reference(case: dict[str, Any]) -> None:
    recorded = [line for line in case["stdout"] if not line.startswith("Mode:")]
    config = config_of(case)
    host, _, port = next(line for line in recorded if line.startswith("DHT:   "))[7:].rpartition(":")
    started = lines.running(host, int(port))

    begin, end = recorded.index("=== DNA Nodus Configuration ==="), recorded.index(RULE)
    assert lines.configuration(config) == recorded[begin : end + 1]
    assert [line.replace(f"v{__version__}", "v0.4.5") for line in started][1:4] == recorded[
        recorded.index("=== DNA Nodus v0.4.5 Running ===") :
    ][:3]


def test_there_are_recorded_cases() -> None:
    assert len(CASES) >= 3


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1.00 B"),
        (1023, "1023.00 B"),
        (1024, "1.00 KB"),
        (1536, "1.50 KB"),
        (5 * 1024**2, "5.00 MB"),
        (3 * 1024**4, "3.00 TB"),
        (5000 * 1024**4, "5000.00 TB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert lines.size_text(size) == text


def test_database_line_of_a_file_that_does_not_exist_yet(tmp_path: Path) -> None:
    path = tmp_path / "x.values.db"
    assert lines.database(path) == f"[DHT] Database: {path} (0 B)"
    path.write_bytes(bytes(2048))
    assert lines.database(path) == f"[DHT] Database: {path} (2.00 KB)"


def test_stats_lines_of_the_seed() -> None:
    assert lines.stats(1, 8, 42, 156, republishing=False) == "[1 min] [8 nodes] [42 values] | DB: 156 values"
    assert (
        lines.stats(2, 12, 67, 156, republishing=True)
        == "[2 min] [12 nodes] [67 values] | DB: 156 values (republishing...)"
    )


def test_stats_line_without_database() -> None:
    assert lines.stats(3, 0, 0, None, republishing=False) == "[3 min] [0 nodes] [0 values]"


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert "DHT:   [2001:db8::1]:4000" in lines.running("2001:db8::1", 4000)
