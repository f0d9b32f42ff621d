"""dna-dht get: read a value."""

from typing import TYPE_CHECKING

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import (
    Key,
    NetworkOptions,
    json_option,
    key_argument,
    network_options,
    owner_option,
    quiet_option,
    value_id_option,
)
from dna_dht.wire.infohash import InfoHash

if TYPE_CHECKING:
    from dna_dht.wire.value import Value


@click.command(short_help="Read the value under a key.")
@key_argument
@click.option("--all", "every", is_flag=True, help="All values under the key, each followed by a line break.")
@value_id_option
@owner_option
@network_options(default_timeout=30)
@quiet_option
@json_option
def get(
    key: Key,
    every: bool,
    value_id: int | None,
    owner: InfoHash | None,
    network: NetworkOptions,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the value under KEY to standard output, byte for byte; notes go to standard error.

    Of several values the one that most nodes hold comes first. Empty values (deleted ones) are shown by --all
    alone.
    """
    from dna_dht.cli.render import describe, print_bytes, print_json, value_fields
    from dna_dht.cli.session import client, run
    from dna_dht.errors import OperationTimeoutError

    network.require_bootstrap()

    async def main() -> "tuple[tuple[Value, ...], int]":
        async with client(network) as node:
            if every:
                found = await node.lookup(key.hash, value_id=value_id, owner=owner)
                if not found.values and not found.conclusive:
                    raise OperationTimeoutError(asked=found.asked, answered=found.answered)
                values = found.values
            else:
                values = await node.get(key.hash, value_id=value_id, owner=owner)
            return values, node.stats()["values"].get("read: bad signature", 0)

    values, forged = run(main)
    shown = values if every else values[:1]
    if not shown and forged:
        raise Failure(
            f"no value under {key.text} has a valid signature ({forged} without were dropped)", Exit.SIGNATURE
        )
    if not shown:
        raise Failure(f"nothing found under {key.text} (key {key.hash})", Exit.NOT_FOUND)
    if not quiet and not as_json:
        click.echo(f"key {key.hash}", err=True)
    for value in shown:
        if as_json:
            print_json({"key": key.hash.hex(), **value_fields(value)})
            continue
        if not quiet:
            click.echo(f"{describe(value)}", err=True)
        print_bytes(value.data + (b"\n" if every else b""))
    others = len(values) - len(shown)
    if others and not quiet:
        click.echo(f"{others} more under this key: --all shows them", err=True)
