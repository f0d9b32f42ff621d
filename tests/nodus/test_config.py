"""NodusConfig: layers, bounds and default places."""

from pathlib import Path
from typing import Any

import pytest

from dna_dht.errors import ConfigError
from dna_dht.nodus.config import NodusConfig, default_persistence_path
from dna_dht.nodus.networks import MAINNET


def test_defaults_are_those_of_the_seed_and_bootstrap_to_nothing() -> None:
    config = NodusConfig()
    assert (config.port, config.identity, config.bootstrap) == (4000, "dna-bootstrap-node", ())


def test_the_strongest_layer_wins_field_by_field() -> None:
    flags = {"port": 4100, "identity": None}
    file = {"port": 4200, "identity": "east", "bootstrap": ("127.0.0.1:4000",)}

    config = NodusConfig.layered(flags, file)

    assert (config.port, config.identity, config.bootstrap) == (4100, "east", ("127.0.0.1:4000",))


def test_a_given_seed_list_replaces_the_weaker_one() -> None:
    config = NodusConfig.layered(
        {"bootstrap": ("127.0.0.1:1",)}, {"bootstrap": ("127.0.0.1:2", "127.0.0.1:3")}
    )
    assert config.bootstrap == ("127.0.0.1:1",)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="colour"):
        NodusConfig.layered({"colour": "red"})


@pytest.mark.parametrize(
    "good",
    [
        {"port": 0},
        {"port": 65_535},
        {"bootstrap": ("127.0.0.1:1",) * 5},
        {"bootstrap": ("[::1]:4000", "node.example")},
        {"identity": "x" * 255},
        {"persistence_path": Path("/" + "x" * 510)},
        {"bind": ("127.0.0.1", "::1")},
        {"network": 2**32 - 1},
        {"public_ip": "2001:db8::1"},
        {"verifier": "liboqs"},
    ],
    ids=str,
)
def test_accepted_up_to_the_bounds(good: dict[str, Any]) -> None:
    NodusConfig(**good)


@pytest.mark.parametrize(
    "bad",
    [
        {"port": -1},
        {"port": 65_536},
        {"bootstrap": ("127.0.0.1:1",) * 6},
        {"bootstrap": ("127.0.0.1:0",)},
        {"bootstrap": ("",)},
        {"identity": "x" * 256},
        {"identity": "two\nlines"},
        {"persistence_path": Path("/" + "x" * 511)},
        {"persistence_path": Path("./")},
        {"persistence_path": Path("/")},
        {"persistence_path": Path("..")},
        {"bind": ("127.0.0.1", "127.0.0.2")},
        {"bind": ("localhost",)},
        {"network": 2**32},
        {"public_ip": "node.example"},
        {"verifier": "openssl"},
    ],
    ids=str,
)
def test_refused_one_past_the_bounds(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        NodusConfig(**bad)


def test_bind_leaves_out_the_family_it_does_not_name() -> None:
    assert (NodusConfig().bind_host(4), NodusConfig().bind_host(6)) == ("0.0.0.0", "::")
    only4 = NodusConfig(bind=("127.0.0.1",))
    assert (only4.bind_host(4), only4.bind_host(6)) == ("127.0.0.1", None)


@pytest.mark.parametrize(
    ("environment", "system", "path"),
    [
        ({"HOME": "/home/u"}, False, "/home/u/.local/share/dna-dht/bootstrap.state"),
        ({"HOME": "/home/u", "XDG_DATA_HOME": "/data"}, False, "/data/dna-dht/bootstrap.state"),
        (
            {"HOME": "/home/u", "XDG_DATA_HOME": "not/absolute"},
            False,
            "/home/u/.local/share/dna-dht/bootstrap.state",
        ),
        ({"HOME": "/root", "XDG_DATA_HOME": "/data"}, True, "/var/lib/dna-dht/bootstrap.state"),
    ],
)
def test_default_place_of_the_data(environment: dict[str, str], system: bool, path: str) -> None:
    assert default_persistence_path(environment, system=system) == Path(path)


def test_the_production_nodes_are_well_formed() -> None:
    assert len(NodusConfig(bootstrap=MAINNET).bootstrap) == 3
