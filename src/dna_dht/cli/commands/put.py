"""dna-dht put: store a signed value."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import (
    Key,
    NetworkOptions,
    identity_option,
    json_option,
    key_argument,
    network_options,
    parse_ttl,
    parsed,
    quiet_option,
    read_data,
)

if TYPE_CHECKING:
    from dna_dht.node import PutReceipt

PERMANENT_TTL = 365 * 86_400  # seconds; the longest life that nodes keep a value without its publisher


@click.command(short_help="Store a value under a key.")
@key_argument
@click.argument("data")
@click.option(
    "--ttl",
    metavar="TIME",
    callback=parsed(parse_ttl),
    help="How long to keep it: seconds, or 7d, 30d, 365d. Nodes know 7, 30 and 365 days. Default: 7d.",
)
@click.option(
    "--permanent",
    is_flag=True,
    help="Keep it for 365 days, the longest there is: permanent is only what its publisher renews, so put it"
    " again within the year.",
)
@click.option(
    "--id",
    "value_id",
    type=click.IntRange(1, 2**64 - 1),
    help="Value id. The same owner and id replace the earlier value. Default: one id for each owner, so that"
    " every put of yours replaces your last.",
)
@click.option("--verify", is_flag=True, help="Read the value back and fail if the network keeps another one.")
@identity_option
@network_options(default_timeout=30)
@quiet_option
@json_option
def put(
    key: Key,
    data: str,
    ttl: int | None,
    permanent: bool,
    value_id: int | None,
    verify: bool,
    identity_path: Path | None,
    network: NetworkOptions,
    quiet: bool,
    as_json: bool,
) -> None:
    """Store DATA under KEY, signed with your key.

    DATA is the text itself, @FILE for the content of a file, or - for standard input.
    """
    from dna_dht.cli.render import lifetime, print_json
    from dna_dht.cli.session import client, run
    from dna_dht.cli.signer import load_signer
    from dna_dht.core.values.value_types import type_for_ttl
    from dna_dht.node.publisher import MAX_SIGNED_DATA

    if permanent and ttl is not None:
        raise click.UsageError("--ttl and --permanent exclude each other")
    network.require_bootstrap()
    content = read_data(data, MAX_SIGNED_DATA)
    signer = load_signer(identity_path, create=True)
    chosen_ttl = PERMANENT_TTL if permanent else ttl or 0
    chosen_type = type_for_ttl(chosen_ttl)
    chosen_id = value_id if value_id is not None else signer.owner_value_id

    async def main() -> "PutReceipt":
        async with client(network, signer) as node:
            return await node.put_signed(
                key.hash, content, value_id=chosen_id, ttl=chosen_ttl, permanent=False, verify=verify
            )

    receipt = run(main)
    asked = receipt.accepted + receipt.refused + receipt.silent
    fields = {
        "key": key.hash.hex(),
        "id": receipt.value_id,
        "seq": receipt.seq,
        "type": chosen_type,
        "owner": signer.owner_id.hex(),
        "size": len(content),
        "accepted": receipt.accepted,
        "refused": receipt.refused,
        "silent": receipt.silent,
        "verified": receipt.verified,
    }
    if as_json:
        print_json(fields)
    else:
        click.echo(
            f"stored {key.text} on {receipt.accepted} of {asked} nodes for {lifetime(chosen_type)}:"
            f" value id {receipt.value_id}, seq {receipt.seq}"
        )
        if not quiet:
            click.echo(f"key {key.hash}, signed by {signer.owner_id}", err=True)
            if receipt.conflict is not None:
                click.echo(
                    f"some nodes keep another owner's value of this id, seq {receipt.conflict}", err=True
                )
    if receipt.verified is False:
        raise Failure("read back, the network does not show this value: another revision won", Exit.ERROR)
