"""dna-dht lookup: who holds what under a key, and who said so."""

from typing import TYPE_CHECKING

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import Key, NetworkOptions, json_option, key_argument, network_options

if TYPE_CHECKING:
    from dna_dht.node import Lookup


@click.command(short_help="Show who holds what under a key.")
@key_argument
@network_options(default_timeout=30)
@json_option
def lookup(key: Key, network: NetworkOptions, as_json: bool) -> None:
    """Show which nodes are responsible for KEY, what each of them holds, and the values found.

    With --json: a line with "kind":"node" for each node, the closest first, then "kind":"value" for each
    value.
    """
    from dna_dht.cli.render import describe, milliseconds, preview, print_json, value_fields
    from dna_dht.cli.session import client, run

    network.require_bootstrap()

    async def main() -> "Lookup":
        async with client(network) as node:
            return await node.lookup(key.hash)

    found = run(main)
    if as_json:
        for each in found.nodes:
            print_json(
                {
                    "kind": "node",
                    "key": key.hash.hex(),
                    "node_id": each.node_id.hex(),
                    "address": _address(each.address),
                    "answered": each.answered,
                    "round_trip": each.round_trip,
                    "holds": [{"id": value_id, "seq": seq} for value_id, seq in each.holds],
                }
            )
        for value in found.values:
            print_json({"kind": "value", "key": key.hash.hex(), **value_fields(value)})
    else:
        click.echo(f"{key.text} is key {key.hash}: {found.answered} of {found.asked} nodes answered")
        for each in found.nodes:
            holds = ", ".join(f"id {value_id} seq {seq}" for value_id, seq in each.holds) or "nothing"
            state = f"holds {holds}" if each.answered else "did not answer"
            click.echo(f"  {each.node_id} {_address(each.address)} {milliseconds(each.round_trip)}: {state}")
        for value in found.values:
            click.echo(f"{describe(value)}: {preview(value.data)}")
    if not found.conclusive:
        raise Failure(f"only {found.answered} of {found.asked} nodes answered: try again", Exit.NO_ANSWER)
    if not found.values:
        raise Failure(f"nothing found under {key.text}", Exit.NOT_FOUND)


def _address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
