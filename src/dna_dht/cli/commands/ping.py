"""dna-dht ping: do these nodes answer?"""

from typing import TYPE_CHECKING

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import NetworkOptions, json_option, network_options, parse_endpoint, parsed

if TYPE_CHECKING:
    from dna_dht.node import Node, Pong


@click.command(short_help="Ask nodes for a sign of life.")
@click.argument("addresses", metavar="[HOST:PORT]...", nargs=-1, callback=parsed(parse_endpoint))
@network_options(default_timeout=5)
@json_option
def ping(addresses: tuple[str, ...], network: NetworkOptions, as_json: bool) -> None:
    """Ask nodes for a sign of life; print their ids and round trips.

    Name them as arguments or with -b; all are asked at once.
    """
    import asyncio

    from dna_dht.cli.render import milliseconds, print_json
    from dna_dht.cli.session import run, unconnected_client

    asked = tuple(dict.fromkeys((*addresses, *network.bootstrap)))
    if not asked:
        raise Failure("no node to ask: name one as HOST:PORT or with -b HOST:PORT", Exit.USAGE)

    async def ask(node: "Node", address: str) -> "Pong | None":
        try:
            async with asyncio.timeout(network.timeout):
                return await node.ping(address)
        except TimeoutError:
            return None

    async def main() -> "list[Pong | None]":
        async with unconnected_client(network) as node:
            return await asyncio.gather(*(ask(node, address) for address in asked))

    silent = []
    for address, pong in zip(asked, run(main), strict=True):
        if pong is None:
            silent.append(address)
        elif as_json:
            print_json({"address": address, "node_id": pong.node_id.hex(), "round_trip": pong.round_trip})
        else:
            click.echo(f"{address} is {pong.node_id}, {milliseconds(pong.round_trip)}")
    if silent:
        raise Failure(
            f"no answer from {', '.join(silent)}: check address and port, that a node runs there and has"
            f" network id {network.network}, and that no firewall drops UDP",
            Exit.NO_ANSWER,
        )
