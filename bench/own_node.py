"""One node of ours in a process of its own, for benchmarks and tests: commands as JSON lines.

``start``: ``port``, ``bootstrap`` (list of host:port), ``unlimited`` (no rate limits: benchmarks come from
one address), ``accept_unsigned``, ``ipv4``, ``ipv6`` (addresses to bind, "" for none). ``stats``: what the
node counts. It ends with its input.
"""

import asyncio
import gc
import json
import os
import sys
from typing import Any

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.node.config import NodeConfig
from dna_dht.node.node import Node

UNLIMITED = Limits(
    requests_per_second=-1,
    requests_per_source=-1,
    replies_per_source=1_000_000,
    verifications_per_second=-1,
    verifications_per_source=-1,
    new_keys_per_source=-1,
    reassembly_states_per_source=1024,
    reassembly_bytes_per_source=32 * 1024 * 1024,
    values_per_key_and_source=1024,
)
"""For load from a single address; the bounds of the whole node stay."""


def config_for(command: dict[str, Any]) -> NodeConfig:
    """The settings of a ``start`` command."""
    ipv4, ipv6 = command.get("ipv4", "127.0.0.1"), command.get("ipv6", "")
    core = CoreConfig(
        ipv4=bool(ipv4),
        ipv6=bool(ipv6),
        network=command.get("network", 0),
        accept_unsigned=command.get("accept_unsigned", False),
        limits=UNLIMITED if command.get("unlimited") else Limits(),
    )
    return NodeConfig(
        core=core,
        port=command["port"],
        ipv4_host=ipv4 or "127.0.0.1",
        ipv6_host=ipv6 or "::1",
        bootstrap=tuple(command.get("bootstrap", ())),
    )


async def main() -> None:
    """Run the node of the first ``start`` command until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    node: Node | None = None
    while line := await reader.readline():
        command = json.loads(line)
        answer: dict[str, Any] = {"seq": command["seq"]}
        if command["op"] == "start":
            node = Node(config_for(command))
            await node.start()
            gc.collect()
            gc.freeze()  # as dna-nodus does
        elif command["op"] == "stats" and node is not None:
            answer["stats"] = str(node.stats())
        else:
            answer["error"] = f"unknown command {command['op']}"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
