"""A node that serves forged values: readers say so, exit code 6."""

from collections.abc import Callable, Iterator

import pytest
from click.testing import Result

from dna_dht.cli.failures import Exit
from dna_dht.core.config import CoreConfig
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.node import BlockingNode, NodeConfig, host
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.limits import SIGNATURE
from dna_dht.wire.value import Value

Run = Callable[..., Result]
KEY = InfoHash.of(b"forged")


@pytest.fixture
def liar() -> Iterator[BlockingNode]:
    """A node that takes every signature for valid, with a forged value under KEY."""
    forged = Value(
        id=1,
        type=0x1001,
        data=b"not mine",
        owner=NodeIdentity.generate().public_key,
        signature=bytes(SIGNATURE),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "load_verifier", lambda name: lambda owner, signature, message: True)
        server = BlockingNode(NodeConfig(core=CoreConfig(ipv6=False), ipv4_host="127.0.0.1"))
        with server as liar:
            accomplice = NodeConfig(
                core=CoreConfig(ipv6=False, client_mode=True),
                ipv4_host="127.0.0.1",
                bootstrap=(f"127.0.0.1:{liar.port}",),
            )
            with BlockingNode(accomplice) as node:
                node.ready(timeout=10)
                assert node.put_value(KEY, forged).accepted == 1
            patch.undo()
            yield liar


def test_a_forged_value_is_not_delivered(run: Run, liar: BlockingNode) -> None:
    result = run("get", "-b", f"127.0.0.1:{liar.port}", "text:forged")

    assert result.exit_code == Exit.SIGNATURE
    assert result.stdout == ""
    assert "no value under text:forged has a valid signature" in result.stderr
