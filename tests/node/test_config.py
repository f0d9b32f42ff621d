from typing import Any

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.errors import ConfigError
from dna_dht.node import NodeConfig
from dna_dht.store.memory import MemoryStore


def test_the_default_is_a_full_node_without_bootstrap() -> None:
    config = NodeConfig()

    assert (config.port, config.bootstrap, config.identity, config.store) == (0, (), None, None)
    assert not config.core.client_mode


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 0},
        {"port": 65_535},
        {"verify_workers": 0},
        {"verify_workers": 64},
        {"hold_timeout": 0.0},
        {"bootstrap": ("host", "[::1]:5", "192.0.2.1:7")},
        {"ipv4_host": "127.0.0.1", "ipv6_host": "::1"},
        {"verifier": "liboqs"},
    ],
)
def test_settings_at_their_bounds(settings: dict[str, Any]) -> None:
    assert NodeConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"port": -1}, "port -1"),
        ({"port": 65_536}, "port 65536"),
        ({"default_port": 0}, "default port 0"),
        ({"bootstrap": ("host:0",)}, "host:0"),
        ({"bootstrap": "host:4000"}, "tuple"),
        ({"ipv4_host": "::1"}, "ipv4_host '::1'"),
        ({"ipv6_host": "127.0.0.1"}, "ipv6_host '127.0.0.1'"),
        ({"ipv4_host": "localhost"}, "ipv4_host 'localhost'"),
        ({"verifier": "none"}, "verifier 'none'"),
        ({"verify_workers": -1}, "verify_workers -1"),
        ({"verify_workers": 65}, "verify_workers 65"),
        ({"hold_timeout": -0.1}, "hold_timeout -0.1"),
        ({"hold_timeout": float("nan")}, "hold_timeout nan"),
        ({"store": MemoryStore(), "core": CoreConfig(client_mode=True)}, "client"),
    ],
)
def test_what_cannot_work_is_a_config_error(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        NodeConfig(**settings)
