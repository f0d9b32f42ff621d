"""dna-dht ping: does a node answer?"""

from typing import TYPE_CHECKING

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import NetworkOptions, json_option, network_options, parse_endpoint, parsed

if TYPE_CHECKING:
    from dna_dht.node import Pong


@click.command(short_help="Ask one node for a sign of life.")
@click.argument("address", metavar="HOST:PORT", callback=parsed(parse_endpoint))
@network_options(default_timeout=5, bootstrap=False)
@json_option
def ping(address: str, network: NetworkOptions, as_json: bool) -> None:
    """Ask the node at HOST:PORT for a sign of life; print its id and the round trip."""
    import asyncio

    from dna_dht.cli.render import milliseconds, print_json
    from dna_dht.cli.session import run, unconnected_client

    async def main() -> "Pong | None":
        async with unconnected_client(network) as node:
            try:
                async with asyncio.timeout(network.timeout):
                    return await node.ping(address)
            except TimeoutError:
                return None

    pong = run(main)
    if pong is None:
        raise Failure(
            f"{address} does not answer: check address and port, that the node there runs and has network id"
            f" {network.network}, and that no firewall drops UDP",
            Exit.NO_ANSWER,
        )
    if as_json:
        print_json({"address": address, "node_id": pong.node_id.hex(), "round_trip": pong.round_trip})
    else:
        click.echo(f"{address} is {pong.node_id}, {milliseconds(pong.round_trip)}")
