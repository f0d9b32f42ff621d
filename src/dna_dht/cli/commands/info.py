"""dna-dht info: this program, your identity, and the network as a client sees it."""

from pathlib import Path
from typing import Any

import click

from dna_dht import __version__
from dna_dht.cli.options import NetworkOptions, identity_option, json_option, network_options


@click.command(short_help="Show versions, your identity, the network.")
@identity_option
@network_options(default_timeout=15)
@json_option
def info(identity_path: Path | None, network: NetworkOptions, as_json: bool) -> None:
    """Show versions and your identity; with -b also what a client sees of the network."""
    from dna_dht.cli.render import print_json

    facts = _local_facts(identity_path)
    if network.bootstrap:
        facts |= _network_facts(network)
    if as_json:
        print_json(facts)
        return
    for name, fact in facts.items():
        shown = ", ".join(fact) if isinstance(fact, list) else fact
        click.echo(f"{name.replace('_', ' ')}: {'-' if shown in (None, '') else shown}")


def _local_facts(identity_path: Path | None) -> dict[str, Any]:
    from importlib.metadata import version
    from platform import python_version

    from dna_dht.cli.signer import load_signer, place_of

    place = place_of(identity_path)
    exists = identity_path is not None or place.exists()
    signer = load_signer(identity_path, create=False) if exists else None
    return {
        "version": __version__,
        "python": python_version(),
        "cryptography": version("cryptography"),
        "identity": str(place) if signer else None,
        "owner": signer.owner_id.hex() if signer else None,
        "fingerprint": signer.node_id_text() if signer else None,
        "default_value_id": signer.owner_value_id if signer else None,
    }


def _network_facts(network: NetworkOptions) -> dict[str, Any]:
    from random import SystemRandom

    from dna_dht.cli.session import client, run
    from dna_dht.wire.infohash import LENGTH, InfoHash

    async def main() -> dict[str, Any]:
        async with client(network) as node:
            await node.lookup(InfoHash(SystemRandom().randbytes(LENGTH)))  # to meet more nodes than the first
            stats, status = node.stats(), node.status
            return {
                "network_id": network.network,
                "ipv4": status.ipv4,
                "ipv6": status.ipv6,
                "port": node.port,
                "public_addresses": list(node.public_addresses),
                "good_nodes_ipv4": stats["good_nodes"].get(4, 0),
                "good_nodes_ipv6": stats["good_nodes"].get(6, 0),
                "network_size_estimate": max(stats["network_size"].values(), default=0),
                "dropped": sum(stats["dropped"].values()),
            }

    return run(main)
